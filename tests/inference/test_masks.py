"""Masks in files: how they are found, and what is refused."""

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from restore.errors import UnreadableImageError, UsageError
from restore.inference.masks import MaskFolder


def write(path: Path, pixels: npt.NDArray[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path)
    return path


def a_hole(height: int = 20, width: int = 30) -> npt.NDArray[np.uint8]:
    pixels = np.zeros((height, width), np.uint8)
    pixels[5:9, 10:20] = 255
    return pixels


def test_a_mask_has_its_pictures_place_in_any_format(tmp_path: Path) -> None:
    for name in ("a/b.png", "c.jpg.png", "c.gif"):
        write(tmp_path / name, a_hole())
    masks = MaskFolder(tmp_path)
    assert masks.find(Path("a/b.jpg")) == tmp_path / "a/b.png"
    assert masks.find(Path("c.jpg")) == tmp_path / "c.jpg.png"
    assert masks.find(Path("b.jpg")) is None
    assert masks.find(Path("x/y/b.jpg")) is None
    write(tmp_path / "a/b.tif", a_hole())
    with pytest.raises(UsageError, match=r"b\.png and b\.tif are both masks of a/b\.jpg"):
        masks.find(Path("a/b.jpg"))


def test_a_mask_is_found_whatever_a_system_makes_of_its_name(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    write(tmp_path / f"{composed}.png", a_hole())
    write(tmp_path / "img_1.png", a_hole())
    masks = MaskFolder(tmp_path)
    assert masks.find(Path(f"{decomposed}.jpg")) == tmp_path / f"{composed}.png"
    assert masks.find(Path("IMG_1.JPG")) == tmp_path / "img_1.png"
    write(tmp_path / "IMG_1.png", a_hole())
    assert MaskFolder(tmp_path).find(Path("IMG_1.JPG")) == tmp_path / "IMG_1.png"


def test_folders_of_masks_are_found_whatever_a_system_makes_of_their_names(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
    masks = MaskFolder(tmp_path)
    here = write(tmp_path / "trip" / composed / "a.png", a_hole())
    assert masks.find(Path("Trip", decomposed, "A.jpg")) == here
    exact = write(tmp_path / "Trip" / composed / "a.png", a_hole())
    assert masks.find(Path("Trip", decomposed, "A.jpg")) == exact
    with pytest.raises(UsageError, match=r"Trip and trip are both folders of TRIP/a\.jpg"):
        masks.find(Path("TRIP/a.jpg"))


def test_a_mask_that_is_dark_throughout_is_no_empty_one(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", a_hole() // 255 * 127)
    with pytest.raises(
        UsageError, match="brightest pixel has 127 of 255, and white begins at 128; store what is white"
    ):
        MaskFolder(tmp_path).read(path, (20, 30))
    Image.fromarray(a_hole().astype(np.uint16)).save(tmp_path / "n.png")
    with pytest.raises(UsageError, match="255 of 65535, and white begins at 32768"):
        MaskFolder(tmp_path).read(tmp_path / "n.png", (20, 30))


def test_a_mask_that_is_widened_over_the_picture_is_refused(tmp_path: Path) -> None:
    dots = np.zeros((64, 64), np.uint8)
    dots[::16, ::16] = 255
    path = write(tmp_path / "m.png", dots)
    with pytest.raises(UsageError, match="widened by 30 pixels, marks 100% of the picture as missing"):
        MaskFolder(tmp_path, dilate=30).read(path, (64, 64))


def test_a_mask_may_be_as_large_as_its_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restore.inference.masks.MAX_PIXELS", 100)
    path = write(tmp_path / "m.png", a_hole())
    assert MaskFolder(tmp_path).read(path, (20, 30))[0].sum() == 40
    with pytest.raises(UnreadableImageError, match="limit of 100"):
        MaskFolder(tmp_path).read(path, (5, 5))


@pytest.mark.parametrize("white", [1, 40_000, 65_535])
def test_masks_of_16_bits_mark_what_they_say(tmp_path: Path, white: int) -> None:
    hole = a_hole() > 0
    path = tmp_path / "m.png"
    Image.fromarray((hole * white).astype(np.uint16)).save(path)
    missing, _ = MaskFolder(tmp_path).read(path, (20, 30))
    assert np.array_equal(missing, hole)


@pytest.mark.parametrize("white", [1, 255])
def test_white_is_missing_whether_white_is_255_or_1(tmp_path: Path, white: int) -> None:
    hole = a_hole() > 0
    path = write(tmp_path / "m.png", hole * white)
    missing, notes = MaskFolder(tmp_path).read(path, (20, 30))
    assert np.array_equal(missing, hole)
    assert notes == []
    inverted, _ = MaskFolder(tmp_path, invert=True).read(write(tmp_path / "i.png", ~hole * white), (20, 30))
    assert np.array_equal(inverted, hole)


def test_dilation_widens_by_so_many_pixels(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", a_hole())
    missing, _ = MaskFolder(tmp_path, dilate=3).read(path, (20, 30))
    rows, columns = np.mgrid[:20, :30]
    hole = np.argwhere(a_hole() > 0)
    distance = np.hypot(rows[..., None] - hole[:, 0], columns[..., None] - hole[:, 1]).min(axis=2)
    assert missing[distance <= 3].all()
    assert not missing[distance > 3].any()


def test_soft_masks_are_cut_at_half_and_said(tmp_path: Path) -> None:
    pixels = a_hole()
    pixels[5, 10:15], pixels[6, 10:15] = 127, 128
    missing, notes = MaskFolder(tmp_path).read(write(tmp_path / "m.png", pixels), (20, 30))
    assert not missing[5, 10:15].any()
    assert missing[6, 10:15].all()
    assert notes == ["mask: 1.7% of its pixels are neither black nor white; from half on they count as white"]


def test_another_size_and_the_wrong_polarity_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "m.png", a_hole())
    with pytest.raises(UsageError, match=r"is 30 x 20 pixels, and its picture, upright, 20 x 30"):
        MaskFolder(tmp_path).read(path, (30, 20))
    with pytest.raises(UsageError, match=r"marks 93% of the picture as missing.*leave --invert-masks out"):
        MaskFolder(tmp_path, invert=True).read(path, (20, 30))
    with pytest.raises(UsageError, match="if black is meant to, use --invert-masks"):
        MaskFolder(tmp_path).read(write(tmp_path / "n.png", 255 - a_hole()), (20, 30))
    with pytest.raises(UsageError, match="no such folder of masks"):
        MaskFolder(tmp_path / "none")
