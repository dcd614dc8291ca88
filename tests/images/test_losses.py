"""Nothing is lost without a word, and nothing is kept that shows or vouches for the picture as it was."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, ImageOps, PngImagePlugin

from restore.images.codec import encode_document, open_document, read_pages
from restore.images.containers import segment
from tests.helpers.documents import noise, opened, pillow, returned

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
VIDEO = b"\0\0\0\x18ftypmp42" + b"V" * 4988
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><r GCamera:MicroVideo="1" GCamera:MicroVideoOffset="5000"/></x:xmpmeta>'
THUMBNAIL = b"8BIM\x04\x0c\0\0" + struct.pack(">I", 6) + b"\0\1\2\3\4\5"
CAPTION = b"8BIM\x03\xe8\0\0" + struct.pack(">I", 4) + b"text"
CREDENTIALS = "content credentials (C2PA) hold for the picture as it was only and are left out"
OLD_THUMBNAIL = "Photoshop's thumbnail shows the picture as it was and is left out"


def jpeg(path: Path, extra: Iterable[bytes] = (), tail: bytes = b"", xmp: bytes = b"") -> Path:
    options: dict[str, Any] = {"xmp": xmp} if xmp else {}
    Image.fromarray(noise()).save(path, quality=90, **options)
    data = path.read_bytes()
    path.write_bytes(data[:20] + b"".join(extra) + data[20:] + tail)
    return path


def png(path: Path, *chunks: tuple[bytes, bytes]) -> Path:
    Image.fromarray(noise()).save(path)
    data = path.read_bytes()
    extra = b"".join(
        struct.pack(">I", len(block)) + name + block + struct.pack(">I", zlib.crc32(name + block))
        for name, block in chunks
    )
    path.write_bytes(data[:33] + extra + data[33:])
    return path


@pytest.mark.parametrize("tail", [VIDEO, b"\xff\xd8another picture", VIDEO + b"SEFT"])
def test_the_video_of_a_motion_photo_stays_at_the_end(tail: bytes, tmp_path: Path) -> None:
    document, _, encoded = returned(jpeg(tmp_path / "a.jpg", tail=tail, xmp=XMP))
    assert encoded.data.endswith(b"\xff\xd9" + tail)
    assert b'MicroVideoOffset="5000"' in encoded.data
    assert document.notes + encoded.notes == ()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_another_format_says_that_it_has_no_place_for_a_video(suffix: str, tmp_path: Path) -> None:
    _, _, encoded = returned(jpeg(tmp_path / "a.jpg", tail=VIDEO), suffix)
    assert VIDEO not in encoded.data
    assert "cannot hold: what stands behind the photo, such as a video" in encoded.notes[0]


def test_zeros_behind_a_photo_are_nothing_to_keep(tmp_path: Path) -> None:
    _, _, encoded = returned(jpeg(tmp_path / "a.jpg", tail=bytes(5000)))
    assert encoded.data.endswith(b"\xff\xd9")
    assert encoded.notes == ()


def test_of_several_pictures_in_a_jpeg_only_what_is_behind_the_last_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    preview = Image.new("RGB", (53, 37), "red")
    Image.fromarray(noise()).save(path, "MPO", save_all=True, append_images=[preview], quality=90)
    for tail in (b"", VIDEO):
        several = path.read_bytes()
        path.write_bytes(several + tail)
        document, _, encoded = returned(path)
        assert document.notes == (
            "only the photo of this multi-picture file is restored; its other pictures are left out",
        )
        assert encoded.data.endswith(b"\xff\xd9" + tail)
        assert encoded.data.count(b"\xff\xd8\xff") == 1
        assert b"MPF\0" not in encoded.data


def test_the_profile_of_a_palette_holds_for_the_colours_that_are_written_instead(tmp_path: Path) -> None:
    for suffix in (".png", ".tif"):
        pillow("P").save(path := tmp_path / f"a{suffix}", icc_profile=ICC)
        document = open_document(path)
        page = next(read_pages(document))
        restored = type(page)(noise(), None, "P")
        (result := tmp_path / "b.tif").write_bytes(encode_document(document, [restored], ".tif").data)
        after = open_document(result)
        assert after.metadata.icc == ICC
        assert opened(encode_document(document, [restored], ".tif")).mode == "RGB"


def test_tags_that_only_a_tiff_holds_are_named_where_they_are_lost(tmp_path: Path) -> None:
    tags = [(269, 2, 0, "Box 12, page 3", True), (271, 2, 0, "Maker", True), (65000, 4, 1, 7, True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(), photometric="rgb", metadata=None, software="", extratags=tags)
    assert returned(path)[2].notes == ()
    _, _, encoded = returned(path, ".jpg")
    assert encoded.notes == ("JPEG cannot hold: TIFF tags (65000)",)
    assert opened(encoded).getexif()[269] == "Box 12, page 3"


def test_a_rating_goes_from_jpeg_to_tiff_and_back(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[18246] = 4
    exif[50341] = b"PrintIM"
    Image.fromarray(noise()).save(path := tmp_path / "a.jpg", exif=exif)
    (tiff := tmp_path / "b.tif").write_bytes(returned(path, ".tif")[2].data)
    with tifffile.TiffFile(tiff) as file:
        assert file.pages.first.tags[18246].value == 4
        assert file.pages.first.tags[50341].value == b"PrintIM"
    assert opened(returned(tiff, ".jpg")[2]).getexif()[18246] == 4


def test_text_and_comments_that_a_tiff_has_no_place_for_are_named(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "A mill")
    Image.fromarray(noise()).save(path := tmp_path / "a.png", pnginfo=info)
    assert returned(path, ".tif")[2].notes == ("TIFF cannot hold: PNG text",)
    remark = jpeg(tmp_path / "a.jpg", [segment(0xFE, b"a remark"), segment(0xE4, b"vendor")])
    assert returned(remark, ".tif")[2].notes == ("TIFF cannot hold: comments, JPEG segment APP4",)


@pytest.mark.parametrize("kind", [b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"])
@pytest.mark.parametrize("highest", [255, 65535])
def test_of_several_pictures_in_a_pnm_the_first_is_restored_and_the_others_noted(
    highest: int, kind: bytes, tmp_path: Path
) -> None:
    head = kind + b"\n# P6 in a remark\n3 2\n" + (b"" if kind in {b"P1", b"P4"} else b"%d\n" % highest)
    size = 2 if kind == b"P4" else 6 * (3 if kind == b"P6" else 1) * (2 if highest > 255 else 1)
    values = {b"P1": b"101010\n", b"P2": b"1 " * 6, b"P3": b"1 " * 18}.get(kind, b"P6 " * 12)[
        : size if kind > b"P3" else None
    ]
    path = tmp_path / "a.pnm"
    for count in (1, 2, 3):
        path.write_bytes((head + values) * count)
        notes = open_document(path).notes
        said = "only the first picture of this file is restored; those behind it are left out" in notes
        assert said == (count > 1)


def test_png_chunks_about_the_pixels_as_they_were_are_left_out(tmp_path: Path) -> None:
    bookkeeping, layers, vendor = (b"iDOT", bytes(28)), (b"mkBF", b"layers"), (b"vpAg", b"private")
    time = (b"tIME", struct.pack(">HBBBBB", 1999, 12, 31, 23, 59, 59))
    document, _, encoded = returned(png(tmp_path / "a.png", bookkeeping, layers, vendor, time, (b"caBX", b"jumb")))
    assert document.notes == (
        CREDENTIALS,
        "PNG chunks that hold for the picture as it was only are left out: mkBF",
    )
    for name, block in (vendor, time):
        assert name + block in encoded.data
    assert not any(name in encoded.data for name in (b"iDOT", b"mkBF", b"caBX"))
    assert returned(png(tmp_path / "b.png", bookkeeping))[0].notes == ()


def test_photoshop_layers_do_not_survive_the_picture_that_they_show(tmp_path: Path) -> None:
    layers, resources = b"Adobe Photoshop Document Data Block\0" + b"L" * 500, THUMBNAIL + CAPTION
    tags = [(37724, 7, len(layers), layers, True), (34377, 7, len(resources), resources, True)]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(), photometric="rgb", metadata=None, extratags=[*tags, (52545, 7, 4, b"jumb", True)])
    _, _, encoded = returned(path)
    assert set(encoded.notes) == {
        "Photoshop's layers show the picture as it was and are left out",
        OLD_THUMBNAIL,
        CREDENTIALS,
    }
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        assert after.pages.first.tags[34377].value == CAPTION
        assert not {37724, 52545} & {tag.code for tag in after.pages.first.tags}
    assert THUMBNAIL not in returned(path, ".jpg")[2].data


def test_photoshop_thumbnails_and_content_credentials_of_a_jpeg_are_left_out(tmp_path: Path) -> None:
    credentials = b"JP\0\1\0\0\0\1" + struct.pack(">I4s", 30, b"jumb") + b"jumdc2pa"
    extra = [segment(0xED, b"Photoshop 3.0\0" + THUMBNAIL + CAPTION), segment(0xEB, credentials)]
    document, _, encoded = returned(jpeg(tmp_path / "a.jpg", extra))
    assert set(document.notes) == {OLD_THUMBNAIL, CREDENTIALS}
    assert CAPTION in encoded.data
    assert THUMBNAIL not in encoded.data
    assert b"c2pa" not in encoded.data


def test_content_credentials_of_a_jp2_are_left_out(tmp_path: Path) -> None:
    data = bytes(imagecodecs.jpeg2k_encode(noise(), level=0, reversible=True, codecformat="jp2"))
    number = bytes.fromhex("D8FEC3D61B0E483C92975828877EC481")
    other = struct.pack(">I4s", 28, b"uuid") + bytes(16) + b"kept"
    (path := tmp_path / "a.jp2").write_bytes(data + struct.pack(">I4s", 28, b"uuid") + number + b"c2pa" + other)
    document, _, encoded = returned(path)
    assert document.notes == (CREDENTIALS,)
    assert b"c2pa" not in encoded.data
    assert encoded.data.endswith(other)


def orientation_of_type(kind: int) -> bytes:
    value = {1: b"\x06\0\0\0", 3: b"\x06\0\0\0", 4: b"\x06\0\0\0"}[kind]
    return b"II*\0" + struct.pack("<IHHHI", 8, 1, 0x0112, kind, 1) + value + bytes(4)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_a_result_is_shown_the_same_way_up_whatever_the_type_of_its_orientation(
    kind: int, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(noise()).save(path, exif=b"Exif\0\0" + orientation_of_type(kind))
    document, pages, encoded = returned(path)
    with Image.open(path) as image:
        before = ImageOps.exif_transpose(image).size
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert ImageOps.exif_transpose(image).size == before == (document.width, document.height)
    assert pages[0].pixels.shape[:2] == (document.height, document.width)


@pytest.mark.parametrize("compression", [None, "jpeg"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_whatever_the_type_of_its_orientation(
    orientation: int, compression: str | None, tmp_path: Path
) -> None:
    path, pixels = tmp_path / "a.tif", {}
    for kind in (1, 3):
        tifffile.imwrite(
            path,
            noise(),
            photometric="rgb",
            compression=compression,
            metadata=None,
            extratags=[(274, kind, 1, orientation, True)],
        )
        pixels[kind] = next(read_pages(open_document(path))).pixels
    np.testing.assert_array_equal(pixels[1], pixels[3])


def test_a_profile_of_grey_does_not_go_into_a_picture_in_colour(tmp_path: Path) -> None:
    linear = bytes(imagecodecs.cms_profile("gray", gamma=1.0))
    grey = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (16, 1)))
    grey.save(path := tmp_path / "a.png", icc_profile=linear)
    _, _, encoded = returned(path, ".webp")
    assert encoded.notes == ("WebP has no grey: converted to sRGB through its colour profile",)
    image = opened(encoded)
    assert "icc_profile" not in image.info
    middle = np.asarray(image)[:, 120:136].mean()
    assert abs(middle - 188) < 3, "half of the light is 188 in sRGB"
    assert opened(returned(path, ".avif")[2]).info["icc_profile"] == linear


def test_a_damaged_profile_of_grey_is_left_out_and_said(tmp_path: Path) -> None:
    Image.fromarray(noise(channels=1)).save(path := tmp_path / "a.png", icc_profile=ICC[:16] + b"GRAY" + ICC[20:])
    _, _, encoded = returned(path, ".webp")
    assert encoded.notes == (
        "its grey profile cannot be used and is left out",
        "WebP has no grey: written as RGB of three equal channels",
    )
    assert "icc_profile" not in opened(encoded).info


def test_a_profile_of_colour_in_a_grey_picture_stays(tmp_path: Path) -> None:
    Image.fromarray(noise(channels=1)).save(path := tmp_path / "a.jpg", icc_profile=ICC)
    assert opened(returned(path, ".webp")[2]).info["icc_profile"] == ICC


def test_plain_photos_need_no_imagecodecs(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from pathlib import Path\n"
        "from restore.images.codec import encode_document, open_document, read_pages\n"
        "document = open_document(Path(sys.argv[1]))\n"
        "print(len(encode_document(document, read_pages(document), '.jpg').data))"
    )
    path = jpeg(tmp_path / "a.jpg")
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
