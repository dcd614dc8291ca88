"""What a file says is found behind a large colour profile too."""

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from restore.errors import UnsupportedImageError
from restore.images.codec import open_document, read_pages
from restore.images.containers import jp2_with
from tests.helpers.documents import noise, opened, returned

PROFILE = np.random.default_rng(0).bytes(100_000)


def test_a_lossless_webp_stays_lossless_behind_a_large_profile(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    Image.fromarray(noise()).save(path, lossless=True, icc_profile=PROFILE)
    document, _, encoded = returned(path)
    assert document.metadata.lossless
    np.testing.assert_array_equal(np.asarray(opened(encoded)), noise())


def test_a_lossy_webp_is_not_taken_for_lossless_by_what_its_profile_says(tmp_path: Path) -> None:
    path = tmp_path / "a.webp"
    Image.fromarray(noise()).save(path, quality=80, icc_profile=b"VP8L" * 100)
    assert not open_document(path).metadata.lossless


@pytest.mark.parametrize("lossless", [True, False])
def test_of_a_webp_film_the_first_picture_says_whether_it_is_lossless(lossless: bool, tmp_path: Path) -> None:
    path, frames = tmp_path / "a.webp", [Image.fromarray(noise()), Image.fromarray(noise()[::-1].copy())]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=lossless, icc_profile=PROFILE)
    assert open_document(path).metadata.lossless == lossless


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_jpeg_2000_is_read_behind_a_large_profile(dtype: type, tmp_path: Path) -> None:
    data = bytes(imagecodecs.jpeg2k_encode(noise(dtype), level=0, reversible=True, codecformat="jp2"))
    (path := tmp_path / "a.jp2").write_bytes(jp2_with(data, PROFILE, None))
    document = open_document(path)
    assert document.metadata.icc == PROFILE
    np.testing.assert_array_equal(next(read_pages(document)).pixels, noise(dtype))


def test_jpeg_2000_without_pixels_is_refused(tmp_path: Path) -> None:
    data = bytes(imagecodecs.jpeg2k_encode(noise(), level=0, codecformat="jp2"))
    (path := tmp_path / "a.jp2").write_bytes(data[: data.find(b"jp2c") - 4])
    with pytest.raises(Exception, match="has no JPEG 2000 codestream"):
        open_document(path)


def avif_of_ten_bits(where: bytes) -> bytes:
    """An AVIF that says that it has 10 bits, behind a box of 100 kB."""
    buffer = io.BytesIO()
    Image.fromarray(noise()).save(buffer, "AVIF", icc_profile=PROFILE)
    data = bytearray(buffer.getvalue())
    data[data.find(b"av1C") + 6] |= 0x40
    start = struct.unpack_from(">I", data)[0]
    filling = struct.pack(">I4s", 8 + len(PROFILE), b"free") + PROFILE
    return bytes(data[:start]) + (filling if where == b"before" else b"") + bytes(data[start:])


@pytest.mark.parametrize("where", [b"inside", b"before"])
def test_an_avif_of_more_than_8_bits_is_refused_behind_anything_large(where: bytes, tmp_path: Path) -> None:
    (path := tmp_path / "a.avif").write_bytes(avif_of_ten_bits(where))
    with pytest.raises(UnsupportedImageError, match="AVIF of 10 bits"):
        open_document(path)
