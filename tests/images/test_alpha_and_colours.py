"""Transparency, inks, palettes and extra channels: read as they look, and written as they were."""

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from restore.images.codec import bleed_under_alpha, encode_document, open_document, read_pages
from tests.helpers.documents import few_bits_png, noise, opened, pillow, returned


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_grey_is_found_at_every_depth(bits: int, tmp_path: Path) -> None:
    picture = noise(channels=1) >> (8 - bits)
    (path := tmp_path / "a.png").write_bytes(few_bits_png(picture, bits, clear=1))
    _, pages, _ = returned(path)
    assert pages[0].alpha is not None
    np.testing.assert_array_equal(pages[0].alpha, np.where(picture == 1, 0, 255))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_transparent_colour_becomes_an_alpha_channel(dtype: npt.DTypeLike, tmp_path: Path) -> None:
    picture = noise(dtype)
    picture[3:9, 4:20] = colour = picture[0, 0]
    data = imagecodecs.png_encode(picture)
    block = b"tRNS" + struct.pack(">3H", *colour.tolist())
    (path := tmp_path / "a.png").write_bytes(
        data[:33] + struct.pack(">I", 6) + block + struct.pack(">I", zlib.crc32(block)) + data[33:]
    )
    _, pages, encoded = returned(path)
    assert pages[0].alpha is not None
    np.testing.assert_array_equal(pages[0].alpha == 0, (picture == colour).all(axis=2))
    read = imagecodecs.png_decode(encoded.data)
    np.testing.assert_array_equal(read[..., :3], picture)
    np.testing.assert_array_equal(read[..., 3], pages[0].alpha)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_premultiplied_alpha_is_divided_out_and_multiplied_in(dtype: npt.DTypeLike, tmp_path: Path) -> None:
    straight = noise(dtype, 4)
    straight[:4, :4, 3] = 0
    full = np.iinfo(dtype).max
    stored = straight.copy()
    stored[..., :3] = np.round(straight[..., :3] * (straight[..., 3:] / full)).astype(dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    _, pages, encoded = returned(path)
    solid = straight[..., 3] > full // 2
    assert np.abs(pages[0].pixels.astype(int) - straight[..., :3])[solid].max() <= 1
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        assert after.pages.first.extrasamples == (1,)
        np.testing.assert_array_equal(after.asarray(), stored)
    tifffile.imwrite(path, straight, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    with pytest.raises(Exception, match="not premultiplied"):
        returned(path)


def test_channels_of_unknown_meaning_come_back_in_place(tmp_path: Path) -> None:
    picture = noise(np.uint16, 6)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, picture, photometric="rgb", extrasamples=["unspecified", "unassalpha", "unspecified"], metadata=None
    )
    document, pages, encoded = returned(path)
    assert document.notes == ("extra channels of unknown meaning are kept as they are",)
    np.testing.assert_array_equal(np.asarray(pages[0].alpha), picture[..., 4])
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        assert after.pages.first.extrasamples == (0, 2, 0)
        np.testing.assert_array_equal(after.asarray(), picture)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_read_as_it_looks_and_written_as_it_was(dtype: npt.DTypeLike, tmp_path: Path) -> None:
    picture = noise(dtype, 1)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, picture, photometric="miniswhite", metadata=None)
    _, pages, encoded = returned(path)
    np.testing.assert_array_equal(pages[0].pixels, np.iinfo(dtype).max - picture)
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        assert after.pages.first.photometric == 0
        np.testing.assert_array_equal(after.asarray(), picture)


@pytest.mark.parametrize("compression", ["group3", "group4", None])
def test_black_and_white_scans_are_cut_at_the_middle_again(compression: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"compression": compression} if compression else {}
    pillow("1").save(path, **options)
    document, pages, _ = returned(path)
    restored = np.where(pages[0].pixels > 0, 200, 90).astype(np.uint8)
    encoded = encode_document(document, [replace(pages[0], pixels=restored)], ".tif")
    image = opened(encoded)
    assert image.mode == "1"
    np.testing.assert_array_equal(np.asarray(image), np.asarray(pillow("1")))


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_inks_change_only_where_the_colour_did(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    inks = noise(channels=4)
    options: dict[str, Any] = {"quality": 100, "subsampling": 0} if suffix == ".jpg" else {}
    Image.fromarray(inks, "CMYK").save(path, **options)
    with Image.open(path) as image:
        stored = np.asarray(image)
        expected = np.asarray(image.convert("RGB"))
    document = open_document(path)
    page = next(read_pages(document))
    assert page.mode == "CMYK"
    assert np.abs(page.pixels.astype(int) - expected).max() <= 1
    changed = page.pixels.copy()
    changed[:10] = 255 - changed[:10]
    after = opened(encode_document(document, [replace(page, pixels=changed)], suffix))
    assert after.mode == "CMYK"
    assert np.abs(np.asarray(after)[16:].astype(int) - stored[16:]).max() <= (12 if suffix == ".jpg" else 0)
    assert np.abs(np.asarray(after.convert("RGB"))[:8].astype(int) - changed[:8]).max() <= (
        40 if suffix == ".jpg" else 2
    )


def test_restored_colours_that_no_palette_holds_are_written_as_rgb(tmp_path: Path) -> None:
    for suffix in (".png", ".tif", ".bmp", ".gif"):
        path = tmp_path / f"a{suffix}"
        pillow("P").save(path)
        document = open_document(path)
        page = next(read_pages(document))
        encoded = encode_document(document, [replace(page, pixels=noise())], suffix)
        assert opened(encoded).mode == ("P" if suffix == ".gif" else "RGB")
        assert len(encoded.notes) == 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_colour_bleeds_in_from_the_nearest_visible_pixel(dtype: npt.DTypeLike, channels: int) -> None:
    pixels, alpha = noise(dtype, channels), np.zeros((37, 53), dtype)
    alpha[5:20, 7:30] = 1
    filled = bleed_under_alpha(pixels, alpha)
    visible = alpha > 0
    np.testing.assert_array_equal(filled[visible], pixels[visible])
    np.testing.assert_array_equal(filled[0, 7:30], pixels[5, 7:30])
    np.testing.assert_array_equal(filled[5:20, 52], pixels[5:20, 29])
    for nothing in (np.zeros_like(alpha), np.ones_like(alpha)):
        np.testing.assert_array_equal(bleed_under_alpha(pixels, nothing), pixels)


def bitmap(bits: int, palette: list[int], indices: npt.NDArray[np.int64]) -> bytes:
    """A BMP with a palette of greys."""
    height, width = indices.shape
    each, stride = 8 // bits, (width * bits + 31) // 32 * 4
    rows = []
    for line in indices[::-1]:
        row = bytearray(stride)
        for place, index in enumerate(line):
            row[place // each] |= int(index) << 8 - bits * (place % each + 1)
        rows.append(bytes(row))
    colours, data = b"".join(bytes([grey] * 3 + [0]) for grey in palette), b"".join(rows)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(data), 2835, 2835, len(palette), 0)
    return struct.pack("<2sIHHI", b"BM", 54 + len(colours + data), 0, 0, 54 + len(colours)) + info + colours + data


@pytest.mark.parametrize(
    ("bits", "palette"),
    [
        (8, [0, 255]),
        (8, [255, 0]),
        (8, [0]),
        (8, list(range(256))),
        (4, list(range(16))),
        (4, [17 * index for index in range(16)]),
        (1, [0, 255]),
        (1, [255, 0]),
    ],
)
def test_a_bmp_with_few_greys_is_read_and_written_right(bits: int, palette: list[int], tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, len(palette), (7, 13))
    (path := tmp_path / "a.bmp").write_bytes(bitmap(bits, palette, indices))
    expected = np.array(palette, np.uint8)[indices]
    (page,) = read_pages(document := open_document(path))
    pixels = page.pixels if page.pixels.ndim == 2 else page.pixels[..., 0]
    np.testing.assert_array_equal(pixels, expected)
    encoded = encode_document(document, iter([page]), ".bmp")
    with Image.open(io.BytesIO(encoded.data)) as image:
        np.testing.assert_array_equal(np.asarray(image.convert("L")), expected)


def test_a_gif_of_greys_keeps_what_is_transparent(tmp_path: Path) -> None:
    greys = np.tile(np.arange(256, dtype=np.uint8), (20, 1))
    Image.fromarray(greys).save(path := tmp_path / "a.gif", transparency=40)
    with Image.open(path) as image:
        assert image.mode == "L"
        before = np.asarray(image.convert("RGBA"))
    (page,) = read_pages(document := open_document(path))
    with Image.open(io.BytesIO(encode_document(document, iter([page]), ".gif").data)) as image:
        after = np.asarray(image.convert("RGBA"))
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    assert (after[..., 3] == 0).sum() == 20
    np.testing.assert_array_equal(after[after[..., 3] > 0], before[before[..., 3] > 0])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_black_and_white_with_a_transparent_colour_keeps_both(suffix: str, tmp_path: Path) -> None:
    picture = noise(channels=1) >> 7
    (path := tmp_path / "a.png").write_bytes(few_bits_png(picture, 1, clear=0))
    _, _, encoded = returned(path, suffix)
    (result := tmp_path / f"b{suffix}").write_bytes(encoded.data)
    (page,) = read_pages(open_document(result))
    visible = picture == 1
    assert page.alpha is not None
    np.testing.assert_array_equal(page.alpha, np.where(visible, 255, 0))
    assert (page.pixels[visible] >= 250).all()
    assert any("alpha channel" in note or "no grey" in note for note in encoded.notes)


def test_the_tables_of_colour_differences_are_not_those_of_inks(tmp_path: Path) -> None:
    """Photoshop stores CMYK as luma, two colour differences and black."""
    inks = np.array(Image.fromarray(noise()).convert("CMYK"))
    inks[..., 3] = inks[..., 0] // 2
    data = imagecodecs.jpeg8_encode(255 - inks, level=75, colorspace="CMYK", outcolorspace="YCCK", subsampling="444")
    (path := tmp_path / "a.jpg").write_bytes(data)
    _, _, encoded = returned(path)
    with Image.open(path) as before, Image.open(io.BytesIO(encoded.data)) as after:
        assert isinstance(before, JpegImageFile)
        assert isinstance(after, JpegImageFile)
        assert (before.info["adobe_transform"], len(before.quantization)) == (2, 2)
        assert (after.mode, after.quantization) == ("CMYK", {0: before.quantization[0]})
