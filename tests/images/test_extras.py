"""HEIC and camera raw: read where their packages are installed, and a clear word where they are not."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from restore.errors import UnsupportedImageError
from restore.images.codec import encode_document, open_document, read_pages
from tests.images.test_metadata import ICC, camera_exif, picture

HEIC_HEAD = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def camera_raw(path: Path) -> None:
    """A small DNG: a mosaic of red, green and blue sensors with the tags that make one."""
    y, x = np.mgrid[0:64, 0:96]
    mosaic = (1000 + 300 * x + 100 * y).astype(np.uint16)
    matrix = tuple(value for row in np.eye(3) * 10000 for entry in row for value in (int(entry), 10000))
    tifffile.imwrite(
        path,
        mosaic,
        photometric="cfa",
        metadata=None,
        software="",
        extratags=[
            (271, 2, 0, "Maker", True),
            (272, 2, 0, "Model", True),
            (274, 3, 1, 1, True),
            (33421, 3, 2, (2, 2), True),
            (33422, 1, 4, bytes([0, 1, 1, 2]), True),
            (50706, 1, 4, bytes([1, 4, 0, 0]), True),
            (50708, 2, 0, "Maker Model", True),
            (50717, 4, 1, 65535, True),
            (50721, 10, 9, matrix, True),
            (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
            (50778, 3, 1, 21, True),
        ],
    )


def test_camera_raw_is_developed_to_16_bits_and_written_as_tiff(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    camera_raw(path := tmp_path / "a.dng")
    document = open_document(path)
    page = next(read_pages(document))
    assert (document.format, document.bits, document.page_count) == ("RAW", 16, 1)
    assert page.pixels.dtype == np.uint16
    assert page.pixels.shape == (document.height, document.width, 3)
    assert page.pixels[:, -20:].mean() > 2 * page.pixels[:, :20].mean()
    with tifffile.TiffFile(io.BytesIO(encode_document(document, [page], ".tif").data)) as file:
        np.testing.assert_array_equal(file.asarray(), page.pixels)
        assert file.pages.first.tags[271].value == "Maker"
    with pytest.raises(UnsupportedImageError, match="camera raw is never written"):
        encode_document(document, [page], ".dng")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_heic_comes_back_with_its_metadata(mode: str, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    image = picture().convert(mode)
    heif.from_pillow(image).save(path := tmp_path / "a.heic", quality=95, exif=camera_exif("<", 1), icc_profile=ICC)
    document = open_document(path)
    page = next(read_pages(document))
    assert (document.format, document.height, document.width) == ("HEIF", 24, 40)
    assert np.abs(page.pixels.astype(int) - np.asarray(image.convert("L" if mode == "L" else "RGB"))).mean() < 6
    (again := tmp_path / "b.heic").write_bytes(encode_document(document, [page], ".heic").data)
    after = open_document(again)
    assert after.metadata.exif == document.metadata.exif
    assert after.metadata.icc == ICC
    assert (next(read_pages(after)).alpha is None) == (page.alpha is None)


@pytest.mark.parametrize(
    ("name", "package", "extra"), [("a.heic", "pillow_heif", "restore[heic]"), ("a.dng", "rawpy", "restore[raw]")]
)
def test_a_missing_package_is_named(
    name: str, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    (path := tmp_path / name).write_bytes(HEIC_HEAD if name == "a.heic" else b"II*\0" + bytes(60))
    with pytest.raises(UnsupportedImageError) as caught:
        open_document(path)
    assert f"pip install '{extra}'" in str(caught.value)
    Image.new("L", (3, 3)).save(source := tmp_path / "b.png")
    document = open_document(source)
    if package == "pillow_heif":
        with pytest.raises(UnsupportedImageError, match="pip install"):
            encode_document(document, read_pages(document), ".heic")


@pytest.mark.parametrize("name", ["a.heic", "a.dng", "a.nef", "a.cr2"])
def test_damaged_files_of_both_kinds_end_in_an_error(name: str, tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    pytest.importorskip("rawpy")
    path = tmp_path / name
    for rest in (b"", bytes(50), bytes(range(256)) * 4):
        path.write_bytes((HEIC_HEAD if name == "a.heic" else b"II*\0\x08\0\0\0") + rest)
        with pytest.raises(Exception, match=r"a\.") as caught:
            list(read_pages(open_document(path)))
        assert type(caught.value).__name__ in {"UnreadableImageError", "UnsupportedImageError"}
