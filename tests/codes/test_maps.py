"""Maps, sheets and tables of codes."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.codes.encoder import Codes
from restore.codes.maps import MapMethod, draw_map, project
from restore.codes.sheets import COLOURS, PAPER, Cell, contact_sheet
from restore.codes.tables import codes_as_bytes, table_as_bytes
from restore.errors import RestoreError, UsageError
from restore.images.files import check_suffix


def two_groups(count: int = 40, numbers: int = 60) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(2 * count, numbers))
    vectors[count:, 0] += 40
    return vectors.astype(np.float32)


@pytest.mark.parametrize("method", ["pca", "tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_groups_of_codes_are_groups_on_the_map_and_a_seed_makes_it_the_same(method: MapMethod) -> None:
    if method == "umap":
        pytest.importorskip("umap")
    vectors = two_groups()
    points = project(vectors, method, 3)
    assert points.shape == (80, 2)
    assert np.array_equal(points, project(vectors, method, 3))
    centres = points[:40].mean(axis=0), points[40:].mean(axis=0)
    nearer = [np.argmin([np.linalg.norm(point - centre) for centre in centres]) for point in points]
    assert nearer == [0] * 40 + [1] * 40


def test_pca_keeps_distances_in_a_plane() -> None:
    vectors = np.zeros((5, 9), np.float32)
    vectors[:, [2, 7]] = np.random.default_rng(0).normal(size=(5, 2))
    points = project(vectors)
    before = np.linalg.norm(vectors[:, None] - vectors, axis=2)
    assert np.allclose(np.linalg.norm(points[:, None] - points, axis=2), before, atol=1e-6)
    assert project(vectors[:, 2:3]).shape == (5, 2)
    with pytest.raises(UsageError, match="needs 4 pictures or more, and there are 3"):
        project(vectors[:3])


def test_extras_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(RestoreError, match=r"pip install 'restore\[maps\]'"):
        project(two_groups(), "umap")
    monkeypatch.setitem(sys.modules, "pyarrow", None)  # last: scikit-learn looks for it too
    with pytest.raises(RestoreError, match=r"pip install 'restore\[parquet\]'"):
        codes_as_bytes(Codes(["a"], np.ones((1, 2), np.float32), None, (2, 1, 1)), {}, ".parquet")


def test_a_map_has_a_coloured_dot_for_every_point_and_pictures_that_do_not_overlap() -> None:
    points = np.array([[0.0, 0], [100, 0], [100, 50], [100.1, 50]])
    asked: list[int] = []

    def picture(index: int, side: int) -> np.ndarray | None:
        asked.append(index)
        return None if index == 1 else np.full((side, side // 2, 3), 7, np.uint8)

    pixels = draw_map(points, picture, np.array([4, 4, 9, 9]), "title", side=400, thumbnail=40)
    assert asked == [0, 1, 2]
    margin = 24 + 20
    assert pixels.shape == (40 + 2 * margin + round(50 * (400 - 2 * margin) / 100), 480, 3)
    bottom = pixels.shape[0] - margin
    assert tuple(pixels[bottom, margin]) == (7, 7, 7)
    assert tuple(pixels[bottom, margin - 10]) == COLOURS[0]
    assert tuple(pixels[bottom, 400 - margin]) == COLOURS[0]
    assert tuple(pixels[40 + margin, 400 - margin - 10]) == COLOURS[1]
    assert tuple(pixels[45, 45]) == PAPER
    assert draw_map(np.zeros((4, 2)), lambda *_: None, side=100, thumbnail=10).shape[2] == 3


def test_a_sheet_puts_pictures_in_rows_and_cuts_long_names() -> None:
    grey, red = np.full((10, 20), 9, np.uint8), np.full((20, 10, 3), (200, 0, 0), np.uint8)
    sheet = contact_sheet([[Cell(grey, "a name that is much too long"), Cell()], [Cell(red)]], gap=4, text=10)
    assert sheet.shape == (2 * (20 + 13 + 4) + 4, 2 * 24 + 4, 3)
    assert (sheet[9:19, 4:24] == 9).all()
    assert (sheet[41:61, 9:19] == (200, 0, 0)).all()
    assert (sheet[:, 28:] == PAPER).all()
    assert (sheet[24:37] != 255).any()
    assert contact_sheet([]).shape[2] == 3


def test_codes_come_back_from_npz_and_parquet() -> None:
    codes = Codes(["ä.png", "b"], np.linspace(0, 1, 16, dtype=np.float32).reshape(2, 8), np.array([5, 6]), (2, 2, 2))
    with np.load(io.BytesIO(codes_as_bytes(codes, {"bundle": "x"}, ".npz")), allow_pickle=False) as stored:
        assert stored["names"].tolist() == codes.names
        assert np.array_equal(stored["codes"], codes.vectors)
        assert stored["labels"].tolist() == [5, 6]
        assert tuple(stored["shape"]) == codes.shape
        assert json.loads(str(stored["about"])) == {"bundle": "x"}
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(codes_as_bytes(codes, {"bundle": "x"}, ".parquet")))
    assert table["name"].to_pylist() == codes.names
    assert table["label"].to_pylist() == [5, 6]
    assert np.array_equal(np.array(table["code"].to_pylist(), np.float32), codes.vectors)
    assert json.loads(table.schema.metadata[b"restore"]) == {"shape": [2, 2, 2], "bundle": "x"}


def test_tables_are_csv_or_json() -> None:
    rows = [{"name": "ä, b", "relative": 0.5}]
    assert table_as_bytes(rows, ("name", "relative"), ".csv").decode() == 'name,relative\n"ä, b",0.5\n'
    assert json.loads(table_as_bytes(rows, ("name", "relative"), ".json")) == rows
    assert table_as_bytes([], ("name",), ".csv") == b"name\n"
    assert check_suffix(Path("a.CSV"), (".csv", ".json")) == ".csv"
    with pytest.raises(UsageError, match=r"a\.txt: this file's name ends in \.csv or \.json"):
        check_suffix(Path("a.txt"), (".csv", ".json"))


def test_pictures_of_a_map_are_saved_as_they_were_drawn(tmp_path: Path) -> None:
    from restore.images.codec import encode

    sheet = contact_sheet([[Cell(np.full((5, 5), 3, np.uint8))]])
    (tmp_path / "a.png").write_bytes(encode(sheet, ".png"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), sheet)
