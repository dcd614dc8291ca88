"""JPEG 2000: what stands around its pixels."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

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
