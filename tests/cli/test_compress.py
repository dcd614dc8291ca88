"""`restore compress` and `restore decompress` as people run them."""

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.cli.main import main
from restore.codes.compress import Compressor
from restore.codes.container import CompressedPhoto
from restore.codes.encoder import Encoder
from restore.codes.rates import match_jpeg
from restore.errors import ExitCode
from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.images.tensors import to_pixels
from tests.helpers.networks import write_autoencoder
from tests.helpers.photos import write_photos


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("in"), 3, (48, 70))
    write_autoencoder(Path("b"), "map")


def test_photos_go_through_files_and_come_back_as_the_decoder_gives_them(capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(Path("in/deeper"), 1, (33, 40), ".jpg")
    Path("in/broken.png").write_bytes(b"nothing")
    command = ["compress", "in", "--bundle", "b", "--step", "0.05", "--out", "small"]
    assert main([*command, "--table", "t.csv", "--sheet", "s.png"]) == ExitCode.FAILED
    told = capsys.readouterr()
    packed = sum(path.stat().st_size for path in Path("small").rglob("*.rac"))
    bits = 8 * packed / (3 * 48 * 70 + 33 * 40)
    assert f"in: 4 compressed, {bits:.3f} bits per pixel, 1 failed" in told.out
    assert "left out: in/broken.png" in told.err
    assert sorted(path.relative_to("small").as_posix() for path in Path("small").rglob("*.rac")) == [
        "00.png.rac",
        "01.png.rac",
        "02.png.rac",
        "deeper/00.jpg.rac",
    ]
    assert main(["decompress", "small", "--bundle", "b", "--out", "back"]) == ExitCode.OK
    assert "4 decompressed" in capsys.readouterr().out
    compressor = Compressor(Encoder.from_bundle("b", "cpu"))
    for name in ("00.png", "deeper/00.jpg"):
        photo = CompressedPhoto.from_bytes((Path("small") / f"{name}.rac").read_bytes())
        back = decode(Path("back", name).with_suffix(".png")).pixels
        assert np.array_equal(back, to_pixels(compressor.decompress(photo)))
        assert back.shape == decode(Path("in", name)).pixels.shape
    with Path("t.csv").open(encoding="utf-8") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"00.png", "01.png", "02.png", "deeper/00.jpg"}
    size = Path("small/00.png.rac").stat().st_size
    assert int(rows["00.png"]["bytes"]) == size
    assert float(rows["00.png"]["bits_per_pixel"]) == pytest.approx(8 * size / (48 * 70), rel=1e-5)
    assert decode(Path("s.png")).pixels.shape[1] == 3 * (70 + 8) + 8


def test_the_jpeg_beside_is_the_best_that_is_not_larger() -> None:
    pixels = decode(sample_photos()[0].path).pixels[:96, :96]

    def size(quality: int) -> int:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, optimize=True)
        return len(buffer.getvalue())

    match = match_jpeg(pixels, 2000)
    assert match.size == size(match.quality) <= 2000 < size(match.quality + 1)
    assert match.pixels.shape == pixels.shape
    assert match_jpeg(pixels, 10).quality == 1
    assert match_jpeg(pixels, 10**9).quality == 95


def test_damaged_and_foreign_files_are_refused_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compress", "in", "--bundle", "b", "--step", "0.05", "--out", "small"]) == ExitCode.OK
    whole = Path("small/00.png.rac").read_bytes()
    Path("small/00.png.rac").write_bytes(whole[:-3])
    shutil.copy("in/00.png", "small/foreign.rac")
    Path("small/empty.rac").touch()
    capsys.readouterr()
    assert main(["decompress", "small", "--bundle", "b", "--out", "back"]) == ExitCode.FAILED
    told = capsys.readouterr()
    assert "2 decompressed, 3 refused" in told.out
    assert "small/foreign.rac: not a photo that `restore compress` wrote" in told.err
    assert f"small/00.png.rac: is {len(whole) - 3} bytes long and should have {len(whole)}" in told.err
    assert "small/empty.rac: is empty" in told.err
    assert sorted(path.name for path in Path("back").iterdir()) == ["01.png", "02.png"]
    write_autoencoder(Path("other"), "map", 1)
    assert main(["decompress", "small/01.png.rac", "--bundle", "other", "--out", "back2"]) == ExitCode.FAILED
    assert "was compressed with another bundle than other" in capsys.readouterr().err


def test_photos_that_their_formats_tell_apart_come_back_apart_and_the_others_under_their_own_names() -> None:
    names = ("a.jpg", "a.png", "a.jpg.jpg", "b.jpg", "deeper/A.JPG", "deeper/a.tif", "deeper/a.v1.bmp")
    for photo, name in zip(write_photos(Path("drawn"), len(names)), names, strict=True):
        Path("mixed", name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photo) as picture:
            picture.save(Path("mixed", name))
    assert main(["compress", "mixed", "--bundle", "b", "--step", "0.05", "--out", "small"]) == ExitCode.OK
    assert main(["decompress", "small", "--bundle", "b", "--out", "back"]) == ExitCode.OK
    back = {
        "a.jpg": "a.jpg.png",
        "a.png": "a.png.png",
        "a.jpg.jpg": "a.jpg.jpg.png",
        "b.jpg": "b.png",
        "deeper/A.JPG": "deeper/A.JPG.png",
        "deeper/a.tif": "deeper/a.tif.png",
        "deeper/a.v1.bmp": "deeper/a.v1.png",
    }
    written = {path.relative_to("back").as_posix() for path in Path("back").rglob("*.png")}
    assert written == {*back.values()}
    compressor = Compressor(Encoder.from_bundle("b", "cpu"))
    for name, target in back.items():
        packed = CompressedPhoto.from_bytes(Path("small", f"{name}.rac").read_bytes())
        assert np.array_equal(decode(Path("back", target)).pixels, to_pixels(compressor.decompress(packed)))


def test_camera_raw_beside_its_development_is_compressed_under_a_name_of_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_photos(Path("raw"), 1, suffix=".tif")
    Path("raw/00.nef").write_bytes(b"nothing")
    assert main(["compress", "raw", "--bundle", "b", "--step", "0.05", "--out", "small"]) == ExitCode.FAILED
    told = capsys.readouterr()
    assert "raw: 1 compressed" in told.out
    assert "left out: raw/00.nef" in told.err
    assert [path.name for path in Path("small").iterdir()] == ["00.tif.rac"]


def test_a_file_that_has_a_suffix_for_its_name_is_refused_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("in/.rac").write_bytes(b"nothing")
    assert main(["decompress", "in", "--bundle", "b", "--out", "out"]) == ExitCode.FAILED
    assert "refused: in/.rac: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["compress", "in", "--out", "o", "--step", "0"], "--step: must be above 0", ExitCode.USAGE),
        (["compress", "in", "--out", "in"], "in: lies inside the source folder in", ExitCode.FAILED),
        (["compress", "in", "--out", "done"], "00.png.rac: is there already", ExitCode.FAILED),
        (["compress", "in", "--out", "o", "--table", "t.txt"], "ends in .csv or .json", ExitCode.USAGE),
        (["decompress", "in", "--out", "o"], "in: holds no files that end in .rac", ExitCode.USAGE),
        (["decompress", "nowhere", "--out", "o"], "nowhere: no such file or folder", ExitCode.USAGE),
        (["decompress", "done", "--out", "o", "--format", "xyz"], "format 'xyz': use one of", ExitCode.USAGE),
        (["decompress", "done", "two", "--out", "o"], "would both become o/00.png;", ExitCode.FAILED),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str, code: ExitCode
) -> None:
    for folder in ("done", "two"):
        Path(folder).mkdir()
        Path(folder, "00.png.rac").write_bytes(b"x")
    assert main([*arguments, "--bundle", "b"]) == code
    told = capsys.readouterr().err
    assert message in told
    assert len(told.strip().splitlines()) == 1
    assert not Path("o").exists()
