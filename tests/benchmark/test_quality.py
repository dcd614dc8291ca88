"""Cells: measured right, measured once, and summed up right."""

import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from restore.benchmark.plan import Plan, plan_cells
from restore.benchmark.quality import (
    INPUT,
    Cell,
    CellStore,
    Contender,
    measure,
    residual_correlation,
    summarise_cells,
)
from restore.benchmark.sets import open_set
from restore.errors import DataError, RestoreError
from restore.images.search import FoundImage
from restore.images.tensors import to_pixels
from restore.inference.evaluate import DamagedPhoto, damage_photo
from restore.inference.protocols import PROTOCOLS, Condition, build_protocol
from restore.inference.restorer import Restorer
from restore.seeds import generator_for
from tests.helpers.networks import IdentityNetwork, write_bundle
from tests.helpers.photos import write_photos


def cell(folder: Path, protocol: str = "clipped-8bit", method: Contender | None = None, seed: int = 0) -> Cell:
    if method is None:
        method = Contender("nothing", "bundle", lambda image, _mask: image, "1")
    plan = build_protocol(protocol)
    return Cell(open_set(str(folder)), plan, plan.conditions[0], method, seed)


def test_scores_agree_with_numpy_and_scikit_image_on_saved_files(tmp_path: Path) -> None:
    write_photos(tmp_path / "set", 6, (90, 210))  # wider than one of the squares that SSIM is computed in
    restorer = Restorer.from_bundle("denoise", device="cpu", precision="32")
    ours = cell(tmp_path / "set", method=Contender("denoise", "bundle", restorer.restore, "1"))
    for row, photo in zip(measure(ours), ours.test_set.photos, strict=True):
        damaged = damage_photo(photo, ours.condition, 0)
        saved = tmp_path / f"restored-{photo.path.name}"
        Image.fromarray(to_pixels(restorer.restore(damaged.corrupted[0], damaged.mask[0]))).save(saved)
        with Image.open(saved) as first, Image.open(photo.path) as second:
            restored, clean = np.asarray(first), np.asarray(second)
        assert row["psnr"] == pytest.approx(peak_signal_noise_ratio(clean, restored, data_range=255), abs=0.005)
        expected = structural_similarity(
            clean,
            restored,
            data_range=255,
            channel_axis=2 if clean.ndim == 3 else None,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert row["ssim"] == pytest.approx(expected, abs=0.0005)
        shift = restored.astype(float) - clean
        assert row["shift"] == pytest.approx(np.atleast_1d(shift.mean(axis=(0, 1))), abs=1e-3)


def test_a_cell_is_measured_once_until_what_it_depends_on_changes(tmp_path: Path) -> None:
    (photo, _) = write_photos(tmp_path / "set", 2)
    store, first = CellStore(tmp_path / "cells"), cell(tmp_path / "set")
    assert store.find(first) is None
    store.keep(first, measure(first))
    assert store.find(first) == measure(first)
    assert store.find(cell(tmp_path / "set")) is not None
    other = replace(first.contender, identity="2")
    assert store.find(replace(first, contender=other)) is None
    assert store.find(replace(first, seed=1)) is None
    (file,) = (tmp_path / "cells").iterdir()
    file.write_text(file.read_text()[:-20])
    assert store.find(first) is None
    store.keep(first, measure(first))
    Image.new("RGB", (64, 64)).save(photo)
    assert store.find(cell(tmp_path / "set")) is None


def test_a_new_measurement_takes_the_place_of_a_stale_one(tmp_path: Path) -> None:
    write_photos(tmp_path / "set", 1)
    store, stale = CellStore(tmp_path / "cells"), cell(tmp_path / "set")
    store.keep(stale, measure(stale))
    fresh = replace(stale, contender=replace(stale.contender, identity="2"))
    store.keep(fresh, measure(fresh))
    ((key, _),) = store.everything()
    assert key["identity"] == "2"


def test_a_mean_never_mixes_seeds_of_two_bundles(tmp_path: Path) -> None:
    write_photos(tmp_path / "set", 1)
    store = CellStore(tmp_path / "cells")
    old = [cell(tmp_path / "set", seed=seed) for seed in (0, 1)]
    for stale in old:
        store.keep(stale, measure(stale))
    fresh = replace(old[0], contender=replace(old[0].contender, identity="2"))
    store.keep(fresh, measure(fresh))
    (summary,) = summarise_cells(list(store.everything()))
    assert summary["seeds"] == [0]
    assert summary["identity"] == "2"


def test_a_row_never_mixes_conditions_of_two_bundles(tmp_path: Path) -> None:
    write_photos(tmp_path / "set", 1)
    store = CellStore(tmp_path / "cells")
    conditions = build_protocol("clipped-8bit").conditions
    old = [replace(cell(tmp_path / "set"), condition=condition) for condition in conditions]
    for stale in old:
        store.keep(stale, measure(stale))
    assert len(list(store.everything())) == len(conditions) > 1
    settled = replace(old[1], contender=replace(old[1].contender, settings="other under this damage"))
    store.keep(settled, measure(settled))
    assert len(list(store.everything())) == len(conditions)
    fresh = replace(old[0], contender=replace(old[0].contender, identity="2"))
    store.keep(fresh, measure(fresh))
    assert [key["condition"] for key, _ in store.everything()] == [conditions[0].name]


def test_damage_computed_in_another_way_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path / "set", 1)
    store, first = CellStore(tmp_path / "cells"), cell(tmp_path / "set")
    store.keep(first, measure(first))

    def mended(photo: FoundImage, condition: Condition, seed: int) -> DamagedPhoto:
        damaged = damage_photo(photo, condition, seed)
        return replace(damaged, corrupted=damaged.corrupted + 1e-3)

    monkeypatch.setattr("restore.benchmark.quality.damage_photo", mended)
    assert store.find(cell(tmp_path / "set")) is None


def test_a_damaged_cell_is_named_where_everything_is_read(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(DataError, match=r"broken\.json"):
        list(CellStore(tmp_path).everything())


def test_a_method_that_changes_known_pixels_is_refused(tmp_path: Path) -> None:
    write_photos(tmp_path, 1)

    def careless(image: Tensor, _mask: Tensor) -> Tensor:
        return image + 1e-7

    with pytest.raises(RestoreError, match=r"careless: changed known pixels of 00\.png under strokes"):
        measure(cell(tmp_path, "holes", Contender("careless", "bundle", careless, "1")))


def test_a_picture_too_small_for_ssim_is_named(tmp_path: Path) -> None:
    write_photos(tmp_path, 1, (8, 40))
    with pytest.raises(RestoreError, match=r"00\.png: 40 x 8 pixels; scores need 11 x 11"):
        measure(cell(tmp_path))


def test_colour_shift_and_whiteness_of_the_residual(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (100, 110, 120)).save(tmp_path / "grey.png")

    def redder(image: Tensor, _mask: Tensor) -> Tensor:
        return image + torch.tensor([2.0, 0.0, -1.0]).view(3, 1, 1) / 255.0

    (row,) = measure(cell(tmp_path, "clean", Contender("redder", "bundle", redder, "1")))
    assert row["shift"] == pytest.approx([2.0, 0.0, -1.0], abs=1e-4)
    noise = torch.randn(3, 128, 128, generator=generator_for("white"))
    assert abs(residual_correlation(noise)) < 0.02
    smooth = torch.nn.functional.avg_pool2d(noise, 2, stride=1)
    assert residual_correlation(smooth) == pytest.approx(0.5, abs=0.03)
    assert np.isnan(residual_correlation(torch.zeros(3, 16, 16)))


def test_means_spread_and_the_worst_picture() -> None:
    def entry(seed: int, scores: list[float]) -> tuple[dict[str, object], list[dict[str, object]]]:
        key: dict[str, object] = dict.fromkeys(
            ("set", "protocol", "condition", "method", "kind", "fingerprint", "damage", "identity"), "x"
        )
        rows: list[dict[str, object]] = [
            {
                "image": f"{index}.png",
                "psnr": psnr,
                "ssim": 0.5,
                "hole_psnr": None,
                "shift": [1.0],
                "residual_correlation": None,
            }
            for index, psnr in enumerate(scores)
        ]
        return key | {"seed": seed}, rows

    (summary,) = summarise_cells([entry(0, [30.0, 20.0]), entry(1, [32.0, 22.0])])
    assert summary["psnr"] == 26.0
    assert summary["spread"] == pytest.approx(2**0.5, abs=1e-4)
    assert summary["worst"] == {"image": "1.png", "psnr": 20.0}
    assert summary["images"] == 2
    assert summary["seeds"] == [0, 1]
    assert summary["residual_correlation"] is None
    empty, holes = entry(0, [30.0, 20.0])
    for row, score in zip(holes, (None, 12.0), strict=True):
        row["hole_psnr"] = score  # the first picture's hole had no pixel
    (summary,) = summarise_cells([(empty, holes)])
    assert summary["worst"] == {"image": "1.png", "hole_psnr": 12.0}


def test_a_plan_holds_each_cell_once_and_leaves_holes_to_those_that_take_masks(tmp_path: Path) -> None:
    write_photos(tmp_path / "set", 1)
    restorers = {
        name: Restorer.from_bundle(write_bundle(tmp_path / name, composites=name == "filler"), device="cpu")
        for name in ("one", "two", "filler")
    }
    plan = Plan([open_set(str(tmp_path / "set"))], restorers, ["gaussian-awgn", "holes"], [25.0], seeds=(0, 1))
    cells = list(plan_cells(plan))
    slots = [str(cell.slot) for cell in cells]
    assert len(slots) == len(set(slots))
    noisy = {cell.contender.name for cell in cells if cell.protocol.name == "gaussian-awgn"}
    holes = {cell.contender.name for cell in cells if cell.protocol.name == "holes"}
    assert noisy == {"one", "two", "filler", "non-local means", INPUT}
    assert holes == {"filler", "Telea", INPUT}
    default = Plan(plan.sets, {"one": restorers["one"]}, classical="none")
    assert {cell.protocol.name for cell in plan_cells(default)} == {"gaussian-awgn", "clean"}


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS.keys() - {"clean", "defocus-blur", "motion-blur"}))
def test_every_classical_method_helps(tmp_path: Path, protocol: str) -> None:
    write_photos(tmp_path, 2, (96, 96))
    for given, scores in classical_scores(tmp_path, protocol):
        assert all(score > before for row in scores for score, before in zip(row, given, strict=True)), (given, scores)


@pytest.mark.parametrize("protocol", ["defocus-blur", "motion-blur"])
def test_every_classical_method_helps_against_a_blur_with_zeros_on_average(tmp_path: Path, protocol: str) -> None:
    write_photos(tmp_path, 6, (160, 160))  # a smooth picture has little to win
    for given, scores in classical_scores(tmp_path, protocol):
        assert all(statistics.fmean(row) > statistics.fmean(given) for row in scores), (given, scores)


def classical_scores(folder: Path, protocol: str) -> Iterator[tuple[list[float], list[list[float]]]]:
    """PSNR by picture of the input and of each classical method, for up to three conditions."""

    def scores(one: Cell, condition: Condition) -> list[float]:
        return [row["psnr"] for row in measure(replace(one, condition=condition))]

    for condition in build_protocol(protocol, shares=(0.1, 0.2)).conditions[:3]:
        methods = [
            Contender(baseline.name, "classical", baseline.restore, "")
            for baseline in (condition.baseline, *condition.others)
        ]
        yield (
            scores(cell(folder, protocol), condition),
            [scores(cell(folder, protocol, method), condition) for method in methods],
        )


def test_clean_pictures_come_back_from_an_identity_unharmed(tmp_path: Path) -> None:
    write_photos(tmp_path, 2)
    identity = Restorer(IdentityNetwork(), device="cpu", precision="32")
    rows = measure(cell(tmp_path, "clean", Contender("identity", "bundle", identity.restore, "1")))
    assert [row["psnr"] for row in rows] == [100.0, 100.0]
