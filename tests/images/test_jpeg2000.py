"""JPEG 2000 and AVIF: what stands around their pixels."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from restore.errors import UnsupportedImageError
from restore.images.codec import open_document
from restore.images.containers import jp2_with
from tests.helpers.documents import noise, opened, returned


def test_jpeg_2000_keeps_its_boxes_and_its_resolution(tmp_path: Path) -> None:
    def box(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), name) + content

    pixels = noise()
    plain = bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="jp2"))
    rights, label = box(b"jp2i", b"all rights"), box(b"asoc", box(b"lbl ", b"Grandma 1932"))
    path = tmp_path / "a.jp2"
    path.write_bytes(jp2_with(plain, None, (300.0, 4800.0)) + rights + label + box(b"jplh", b"layers"))
    with Image.open(path) as before:
        assert before.info["dpi"] == pytest.approx((300.0, 4800.0), rel=2e-5)
    document, _, encoded = returned(path)
    assert encoded.data.endswith(rights + label)
    assert encoded.notes == ()
    assert document.notes == ("JPEG 2000 boxes that hold for the picture as it was only are left out: jplh",)
    with opened(encoded) as image:
        assert image.info["dpi"] == pytest.approx((300.0, 4800.0), rel=2e-5)
        np.testing.assert_array_equal(np.asarray(image), pixels)
    assert "TIFF cannot hold: JPEG 2000 boxes" in returned(path, ".tif")[-1].notes


def test_a_bare_jpeg_2000_codestream_stays_one(tmp_path: Path) -> None:
    (path := tmp_path / "a.j2k").write_bytes(
        bytes(imagecodecs.jpeg2k_encode(noise(), level=0, reversible=True, codecformat="j2k"))
    )
    *_, encoded = returned(path)
    assert encoded.data.startswith(b"\xff\x4f\xff\x51")
    assert returned(path, ".jp2")[-1].data[4:8] == b"jP  ", "a file under another name"
    with opened(encoded) as image:
        np.testing.assert_array_equal(np.asarray(image), noise())


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_the_opacity_is_called_so(mode: str, tmp_path: Path) -> None:
    pixels = noise(channels=len(mode))
    channels = range(len(mode))
    Image.fromarray(pixels, mode).save(path := tmp_path / "a.jp2", irreversible=False)
    encoded = returned(path)[2]
    kinds = b"".join(struct.pack(">HHH", n, *((0, n + 1) if n + 1 < len(mode) else (1, 0))) for n in channels)
    assert struct.pack(">4sH", b"cdef", len(mode)) + kinds in encoded.data
    with opened(encoded) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("number", [14, 20, 21])
def test_colours_that_would_be_taken_for_srgb_are_refused(number: int, tmp_path: Path) -> None:
    Image.fromarray(noise()).save(path := tmp_path / "a.jp2")
    data = bytearray(path.read_bytes())
    place = data.index(b"colr") + 7
    data[place : place + 4] = number.to_bytes(4)
    path.write_bytes(data)
    with pytest.raises(UnsupportedImageError, match="neither grey nor RGB; convert it first"):
        open_document(path)


def test_an_avif_with_colours_by_number_alone_says_what_becomes_of_them(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(path := tmp_path / "a.avif", quality=90)
    assert open_document(path).notes == ()
    data = bytearray(path.read_bytes())
    place = data.index(b"nclx") + 4
    data[place : place + 4] = struct.pack(">HH", 12, 13)
    path.write_bytes(data)
    (note,) = open_document(path).notes
    assert note.startswith("its colours (Display P3) are named by a number, which is not kept")
