"""What metadata says of places in a picture still holds once that is turned upright."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore.images.xmp import upright_xmp
from tests.helpers.documents import returned

HEIGHT, WIDTH = 96, 128
LEFT, TOP, ACROSS, DOWN = 16, 56, 24, 32
"""Of the face in the picture as stored."""
ATTRIBUTES = (
    '<mwg-rs:AppliedToDimensions stDim:w="{w}" stDim:h="{h}" stDim:unit="pixel"/>'
    '<mwg-rs:Area stArea:x="{x}" stArea:y="{y}" stArea:w="{a}" stArea:h="{d}" stArea:unit="normalized"/>'
)
ELEMENTS = (
    '<mwg-rs:AppliedToDimensions rdf:parseType="Resource"><stDim:w>{w}</stDim:w><stDim:h>{h}</stDim:h>'
    '</mwg-rs:AppliedToDimensions><mwg-rs:Area rdf:parseType="Resource"><stArea:h>{d}</stArea:h>'
    "<stArea:w>{a}</stArea:w><stArea:x>{x}</stArea:x><stArea:y>{y}</stArea:y></mwg-rs:Area>"
)


def packet(form: str) -> bytes:
    numbers = {
        "x": (LEFT + ACROSS / 2) / WIDTH,
        "y": (TOP + DOWN / 2) / HEIGHT,
        "a": ACROSS / WIDTH,
        "d": round(DOWN / HEIGHT, 6),
    }
    text = form.format(w=WIDTH, h=HEIGHT, **numbers)
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>{text}</rdf:RDF></x:xmpmeta>'.encode()


def save(path: Path, orientation: int, form: str) -> None:
    """Black, with a white face."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[TOP : TOP + DOWN, LEFT : LEFT + ACROSS] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x011A], exif[0x011B] = 300.0, 150.0
    details = exif.get_ifd(0x8769)
    details[0x9214] = (LEFT + ACROSS // 2, TOP + DOWN // 2, ACROSS, DOWN)
    details[0xA214] = (LEFT, TOP)
    options: dict[str, Any] = {"quality": 100} if path.suffix in {".jpg", ".webp"} else {}
    if path.suffix == ".png":
        from PIL.PngImagePlugin import PngInfo

        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_itxt("XML:com.adobe.xmp", packet(form).decode())
    elif path.suffix == ".tif":
        exif[700], exif[0x8769] = packet(form), dict(details)
    else:
        options["xmp"] = packet(form)
    Image.fromarray(pixels).save(path, exif=exif, **options)


def number(xmp: bytes, name: str) -> float:
    found = re.search(rb"\b" + name.encode() + rb"(?:=\"|>)([0-9.]+)", xmp)
    assert found is not None, name
    return float(found[1])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("form", [ATTRIBUTES, ELEMENTS], ids=["attributes", "elements"])
def test_the_face_is_where_the_metadata_say(form: str, suffix: str, orientation: int, tmp_path: Path) -> None:
    save(path := tmp_path / f"a{suffix}", orientation, form)
    document, (page,), encoded = returned(path)
    height, width = page.pixels.shape[:2]
    assert (width > height) == (orientation <= 4)
    rows, columns = np.nonzero(page.pixels[..., 0] > 127)
    left, top, across, down = columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1
    xmp = document.metadata.xmp or b""
    assert xmp in encoded.data
    assert number(xmp, "stArea:x") * width == pytest.approx(left + across / 2, abs=0.01)
    assert number(xmp, "stArea:y") * height == pytest.approx(top + down / 2, abs=0.01)
    assert (number(xmp, "stDim:w"), number(xmp, "stDim:h")) == (width, height)
    wide, high = number(xmp, "stArea:w"), number(xmp, "stArea:h")
    sides = (ACROSS / WIDTH, DOWN / HEIGHT) if orientation <= 4 else (DOWN / HEIGHT, ACROSS / WIDTH)
    assert (wide, high) == pytest.approx(sides, abs=1e-5)
    with Image.open(io.BytesIO(encoded.data)) as image:
        exif = image.getexif()
        details = exif.get_ifd(0x8769)
    x, y, *area = details[0x9214]
    assert (x, y) == pytest.approx((left + across / 2, top + down / 2), abs=1.0)
    assert tuple(area) == (across, down)
    x, y = details[0xA214]
    assert page.pixels[y, x, 0] > 127
    assert {x - left, x - left - across + 1} & {0}
    assert (float(exif[0x011A]), float(exif[0x011B])) == ((300, 150) if orientation <= 4 else (150, 300))


def test_regions_of_the_upright_picture_stay_where_they_are() -> None:
    turned = packet(ATTRIBUTES.replace('w="{w}" stDim:h="{h}"', 'w="{h}" stDim:h="{w}"'))
    assert upright_xmp(turned, 6, WIDTH, HEIGHT) == turned
    assert upright_xmp(packet(ATTRIBUTES), 6, WIDTH, HEIGHT) != packet(ATTRIBUTES)


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("wrong", ["-.e", "0,25", "", "1.2.3"])
def test_regions_whose_places_are_no_numbers_stay_whole(wrong: str, orientation: int) -> None:
    odd = f'<mwg-rs:Area stArea:x="{wrong}" stArea:y="0.5"/><mwg-rs:AppliedToDimensions stDim:w="{wrong}"/>'.encode()
    assert upright_xmp(odd, orientation, 8, 9) == odd


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_the_subject_of_a_tiff_is_where_its_jpeg_says(orientation: int, tmp_path: Path) -> None:
    save(path := tmp_path / "a.tif", orientation, ATTRIBUTES)
    _, (page,), encoded = returned(path, ".jpg")
    with Image.open(io.BytesIO(encoded.data)) as image:
        exif = image.getexif()
        x, y = exif.get_ifd(0x8769)[0xA214]
    assert page.pixels[y, x, 0] > 127
    assert (float(exif[0x011A]), float(exif[0x011B])) == ((300, 150) if orientation <= 4 else (150, 300))
