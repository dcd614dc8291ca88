"""TIFFs whose strips libtiff would make up in part, and whole ones that look like them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from restore.errors import UnreadableImageError
from restore.images.codec import decode
from tests.helpers.photos import sample_photo

Pixels = npt.NDArray[np.uint8]
FAXES = ["tiff_ccitt", "group3", "group4"]


def photo() -> Pixels:
    pixels: Pixels = (sample_photo("coffee.png")[0, :, :240, :320] * 255).byte().permute(1, 2, 0).numpy()
    return pixels


def letter(height: int = 800, width: int = 600) -> Image.Image:
    """Black marks on white, lines of them and empty ones."""
    page = np.ones((height, width), bool)
    marks = np.random.default_rng(0).random((height, width)) < 0.4
    page[(np.arange(height) // 20) % 2 == 1] = ~marks[(np.arange(height) // 20) % 2 == 1]
    return Image.fromarray(page)


def by_pillow(image: Image.Image, compression: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "TIFF", compression=compression, **options)
    return buffer.getvalue()


def by_tifffile(**options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, photo(), photometric="rgb", compression="jpeg", metadata=None, **options)
    return buffer.getvalue()


MAKERS: dict[str, Callable[[], bytes]] = {
    "JPEG, with its tables apart": lambda: by_pillow(Image.fromarray(photo()), "jpeg", quality=90),
    "JPEG, one strip": by_tifffile,
    "JPEG, strips": lambda: by_tifffile(rowsperstrip=64),
    "JPEG, tiles": lambda: by_tifffile(tile=(128, 128)),
    **{fax: lambda fax=fax: by_pillow(letter(), fax) for fax in FAXES},  # type: ignore[misc]
}


def last_piece(data: bytes) -> tuple[int, int]:
    """Offset and length of the strip or tile that says most."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        return max(zip(page.dataoffsets, page.databytecounts, strict=True), key=lambda piece: piece[1])


def with_strip(data: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """A TIFF of one strip, with another in its place, at the end of the file."""
    offset, count = last_piece(data)
    strip = change(data[offset : offset + count])
    changed = bytearray(data + strip)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        for name, value in (("StripOffsets", len(data)), ("StripByteCounts", len(strip))):
            tag = file.pages.first.tags[name]
            assert tag.count == 1
            changed[tag.valueoffset : tag.valueoffset + tag.valuebytecount] = value.to_bytes(
                tag.valuebytecount, "little"
            )
    return bytes(changed)


def half(data: bytes) -> bytes:
    offset, count = last_piece(data)
    return data[: offset + count // 2] + bytes(count - count // 2) + data[offset + count :]


def lost_sector(data: bytes) -> bytes:
    offset, count = last_piece(data)
    place = offset + count // 3
    return data[:place] + bytes(520) + data[place + 520 :]


@pytest.mark.parametrize("damage", [half, lost_sector])
@pytest.mark.parametrize("maker", MAKERS)
def test_half_a_strip_is_refused(maker: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    (path := tmp_path / "a.tif").write_bytes(damage(MAKERS[maker]()))
    with pytest.raises(UnreadableImageError, match=r"damaged or truncated \("):
        decode(path)


def test_a_strip_of_jpeg_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    (path := tmp_path / "a.tif").write_bytes(with_strip(by_tifffile(), lambda strip: strip[: len(strip) // 2]))
    with pytest.raises(UnreadableImageError, match=r"damaged or truncated \("):
        decode(path)


@pytest.mark.parametrize("maker", MAKERS)
def test_whole_strips_are_decoded_as_ever(maker: str, tmp_path: Path) -> None:
    (path := tmp_path / "a.tif").write_bytes(MAKERS[maker]())
    with Image.open(path) as image:
        expected = np.asarray(image.convert("L") if image.mode == "1" else image)
    np.testing.assert_array_equal(decode(path).pixels, expected)


@pytest.mark.parametrize("fax", FAXES)
@pytest.mark.parametrize("share", [0.0, 1e-4, 0.5])
def test_empty_and_dithered_letters_are_whole(fax: str, share: float, tmp_path: Path) -> None:
    for height, width in ((1, 1), (7, 2600), (1200, 900)):
        page = Image.fromarray(np.random.default_rng(1).random((height, width)) >= share)
        (path := tmp_path / "a.tif").write_bytes(by_pillow(page, fax))
        np.testing.assert_array_equal(decode(path).pixels, np.asarray(page.convert("L")))


def filled_lines(strip: bytes) -> bytes:
    """Zeros before each end of a line, as a slow printer needed them."""
    bits = "".join(f"{byte:08b}" for byte in strip)
    bits = bits.replace("000000000001", "0" * 1600 + "000000000001")
    return int(bits, 2).to_bytes(len(bits) // 8)


@pytest.mark.parametrize(
    ("fax", "change"),
    [
        ("group4", lambda strip: strip + bytes(600)),  # room that nothing was written to
        ("group3", filled_lines),
    ],
)
def test_zeros_between_and_behind_lines_of_a_fax_are_no_damage(
    fax: str, change: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    (path := tmp_path / "a.tif").write_bytes(with_strip(by_pillow(letter(), fax), change))
    np.testing.assert_array_equal(decode(path).pixels, np.asarray(letter().convert("L")))


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def test_an_orientation_that_only_xmp_names_turns_no_pixels(tmp_path: Path) -> None:
    data = by_tifffile(extratags=[(700, 1, len(XMP), XMP, True)])
    (path := tmp_path / "a.tif").write_bytes(data)
    assert decode(path).pixels.shape == (240, 320, 3)
