"""What has no place in the result, or means something else there, is left out with a word."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, PngImagePlugin

from restore.images.codec import open_document
from tests.helpers.documents import few_bits_png, noise, returned


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    found, place = {}, 8
    while place < len(data):
        (size,) = struct.unpack(">I", data[place : place + 4])
        found[data[place + 4 : place + 8]] = data[place + 8 : place + 8 + size]
        place += 12 + size
    return found


def with_chunks(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG with more chunks, before its pixels."""
    place = data.index(b"IDAT") - 4
    extra = (struct.pack(">I", len(b)) + name + b + struct.pack(">I", zlib.crc32(name + b)) for name, b in chunks)
    return data[:place] + b"".join(extra) + data[place:]


def test_a_background_is_left_out_where_its_number_means_another_colour(tmp_path: Path) -> None:
    (grey := tmp_path / "grey.png").write_bytes(
        with_chunks(few_bits_png(noise(channels=1) >> 4, 4), (b"sBIT", b"\4"), (b"bKGD", b"\0\x0f"))
    )
    encoded = returned(grey)[2]
    assert not {b"sBIT", b"bKGD"} & chunks_of(encoded.data).keys()
    assert "the PNG chunk bKGD no longer holds and is left out" in encoded.notes
    Image.fromarray(noise()).save(colour := tmp_path / "colour.png")
    colour.write_bytes(with_chunks(colour.read_bytes(), (b"sBIT", b"\5\5\5"), (b"bKGD", bytes(6))))
    assert {b"sBIT", b"bKGD"} <= chunks_of(returned(colour)[2].data).keys()
    Image.fromarray(noise()).quantize(8).save(palette := tmp_path / "palette.png")
    palette.write_bytes(with_chunks(palette.read_bytes(), (b"bKGD", b"\3")))
    assert b"bKGD" not in chunks_of(returned(palette)[2].data)


@pytest.mark.parametrize(("bits", "kept"), [(12, False), (16, True)])
def test_the_largest_value_of_a_tiff_is_left_out_where_the_depth_changes(bits: int, kept: bool, tmp_path: Path) -> None:
    values = noise(np.uint16, channels=1)[:16, :16] >> (16 - bits)
    tags = [(281, 3, 1, (1 << bits) - 1, True)]
    packed: Any = iter([imagecodecs.packints_encode(values, bits)]) if bits == 12 else values
    options: dict[str, Any] = {"shape": (16, 16), "dtype": np.uint16, "bitspersample": 12} if bits == 12 else {}
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, packed, photometric="minisblack", extratags=tags, metadata=None, rowsperstrip=16, **options)
    document, _, encoded = returned(path)
    assert document.bits == bits
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as file:
        assert (281 in file.pages.first.tags) == kept


@pytest.mark.parametrize("size", [900_000, 1_500_000])
def test_large_profiles_and_texts_of_a_png_are_kept(size: int, tmp_path: Path) -> None:
    profile = np.random.default_rng(0).bytes(size)
    info = PngImagePlugin.PngInfo()
    info.add_text("story", "x" * size, zip=True)
    Image.fromarray(noise()).save(tmp_path / "a.png", icc_profile=profile, pnginfo=info)
    document, _, encoded = returned(tmp_path / "a.png")
    assert document.metadata.icc == profile
    assert {b"iCCP", b"zTXt"} <= chunks_of(encoded.data).keys()


def bmp_with_profile() -> bytes:
    data = io.BytesIO()
    Image.fromarray(noise()).save(data, "BMP")
    head, pixels = data.getvalue()[14:54], data.getvalue()[54:]
    longer = struct.pack("<I", 124) + head[4:] + bytes(16) + b"DEBM" + bytes(64)
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels), 0, 0, 138) + longer + pixels


@pytest.mark.parametrize(
    ("name", "make", "note"),
    [
        ("a.bmp", bmp_with_profile, "the colour profile of a BMP is left out"),
        ("a.ppm", lambda: pillow_bytes("PPM").replace(b"P6\n", b"P6\n# Grandma, 1952\n"), "comments in the header"),
        ("a.png", lambda: pillow_bytes("PNG") + b"a video", "what stands behind the end of this PNG is left out"),
        ("a.gif", lambda: pillow_bytes("GIF")[:-1] + b"!\xff\x0bXMP DataXMP<x/>\0\0;", "XMP of a GIF is left out"),
    ],
)
def test_what_has_no_place_in_the_result_is_said(
    name: str, make: Callable[[], bytes], note: str, tmp_path: Path
) -> None:
    (path := tmp_path / name).write_bytes(make())
    assert [text for text in open_document(path).notes if text.startswith(note)]
    path.write_bytes(pillow_bytes({"bmp": "BMP", "ppm": "PPM", "png": "PNG", "gif": "GIF"}[name[2:]]))
    assert open_document(path).notes == ()


def pillow_bytes(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, kind)
    return buffer.getvalue()
