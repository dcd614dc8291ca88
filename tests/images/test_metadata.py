"""EXIF, ICC, XMP, IPTC, resolution and text come back as they were, but for what the turning makes untrue."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from restore.images.codec import Encoded, encode_document, open_document, read_pages
from restore.images.exif import main_directory, orientation_of, upright

XMP = (
    b'<?xpacket begin="\xef\xbb\xbf"?><x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:tiff="t">'
    b'<r tiff:Orientation="6"/></x:xmpmeta>'
)
UPRIGHT_XMP = XMP.replace(b'"6"', b'"1"')
IPTC = b"\x1c\x02\x05\x00\x05Title" + b"\x1c\x02\x50\x00\x06Author"
RESOURCES = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + bytes(len(IPTC) % 2)
THUMBNAIL_RESOURCE = b"8BIM\x04\x0c\0\0" + struct.pack(">I", 6) + b"\0\1\2\3\4\5"
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKER_NOTE = b"Camera\0\x01" + bytes(range(200))


def picture(height: int = 24, width: int = 40) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 5, y * 9, x + y], axis=2).astype(np.uint8))


def camera_exif(order: str, orientation: int = 6) -> bytes:
    """EXIF as a camera lays it out: positions, a maker note, and a thumbnail at the end."""

    def directory(entries: list[tuple[int, int, int, bytes]], base: int, following: int = 0) -> bytes:
        table, values = struct.pack(order + "H", len(entries)), b""
        start = base + 2 + 12 * len(entries) + 4
        for tag, kind, count, data in entries:
            table += struct.pack(order + "HHI", tag, kind, count)
            if len(data) > 4:
                table += struct.pack(order + "I", start + len(values))
                values += data + bytes(len(data) % 2)
            else:
                table += data.ljust(4, b"\0")
        return table + struct.pack(order + "I", following) + values

    def short(value: int) -> bytes:
        return struct.pack(order + "H", value)

    def long(value: int) -> bytes:
        return struct.pack(order + "I", value)

    gps = directory([(1, 2, 2, b"N\0"), (2, 5, 3, struct.pack(order + "6I", 48, 1, 12, 1, 3456, 100))], 400)
    details = directory(
        [
            (0x9003, 2, 20, b"1999:12:31 23:59:59\0"),
            (0x927C, 7, len(MAKER_NOTE), MAKER_NOTE),
            (0xA002, 4, 1, long(40)),
            (0xA003, 4, 1, long(24)),
        ],
        600,
    )
    thumbnail = b"\xff\xd8thumbnail\xff\xd9"
    second = directory([(0x0201, 4, 1, long(1100)), (0x0202, 4, 1, long(len(thumbnail)))], 1000)
    first = directory(
        [
            (0x010F, 2, 6, b"Maker\0"),
            (0x0112, 3, 1, short(orientation)),
            (0x8769, 4, 1, long(600)),
            (0x8825, 4, 1, long(400)),
        ],
        8,
        1000,
    )
    data = bytearray(1100)
    data[:8] = (b"II*\0" if order == "<" else b"MM\0*") + long(8)
    for place, part in ((8, first), (400, gps), (600, details), (1000, second)):
        data[place : place + len(part)] = part
    return bytes(data) + thumbnail


def returned(path: Path, suffix: str | None = None) -> Encoded:
    document = open_document(path)
    return encode_document(document, read_pages(document), suffix or path.suffix)


def opened(encoded: Encoded) -> Image.Image:
    """Not loaded: Pillow forgets some of a TIFF's tags then."""
    return Image.open(io.BytesIO(encoded.data))


def segments(data: bytes) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    place = 2
    while data[place + 1] != 0xDA:
        size = struct.unpack_from(">H", data, place + 2)[0]
        found.setdefault(data[place + 1], []).append(data[place + 4 : place + 2 + size])
        place += 2 + size
    return found


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, place = [], 8
    while place < len(data):
        size = struct.unpack_from(">I", data, place)[0]
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    return found


@pytest.mark.parametrize("order", ["<", ">"])
def test_only_what_turning_makes_untrue_is_changed_in_exif(order: str) -> None:
    before = camera_exif(order)
    after = upright(before, height=40, width=24)
    assert len(after) == 1100, "the thumbnail is gone"
    first = main_directory(after)
    details = first.find(0x8769)
    assert details is not None
    assert details.child is not None
    assert (first.number(0x0112), first.next_offset) == (1, 0)
    assert (details.child.number(0xA002), details.child.number(0xA003)) == (24, 40)
    changed = [place for place in range(1100) if before[place] != after[place]]
    assert len(changed) <= 5, "one orientation, one link, two sizes"
    assert MAKER_NOTE in after


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif"])
def test_positions_and_maker_notes_come_back_byte_for_byte(suffix: str, order: str, tmp_path: Path) -> None:
    exif = camera_exif(order)
    path = tmp_path / f"a{suffix}"
    picture().save(path, exif=b"Exif\0\0" + exif)
    encoded = returned(path)
    with opened(encoded) as image:
        assert image.size == (24, 40)
        stored = image.info["exif"].removeprefix(b"Exif\0\0")
        if suffix != ".avif":  # on the way in, Pillow has written it anew
            assert stored == upright(exif, 40, 24)
        assert orientation_of(stored) == 1
        assert image.getexif().get_ifd(0x8769)[0x927C] == MAKER_NOTE
        assert image.getexif().get_ifd(0x8825)[2] == (48.0, 12.0, 34.56)
    assert MAKER_NOTE in encoded.data


def test_avif_keeps_exif_byte_for_byte_where_nothing_is_turned(tmp_path: Path) -> None:
    picture().save(source := tmp_path / "a.jpg", exif=b"Exif\0\0" + camera_exif("<", 1))
    assert upright(camera_exif("<", 1), 24, 40) in returned(source, ".avif").data


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif", ".jp2"])
def test_the_colour_profile_comes_back(suffix: str, tmp_path: Path) -> None:
    picture().save(source := tmp_path / "a.png", icc_profile=ICC)
    encoded = returned(source, suffix)
    (path := tmp_path / f"b{suffix}").write_bytes(encoded.data)
    for again in (encoded, returned(path)):
        with opened(again) as image:
            assert suffix == ".jp2" or image.info["icc_profile"] == ICC  # Pillow does not look there
        assert ICC in again.data or suffix == ".png"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".avif", ".tif"])
@pytest.mark.parametrize(("orientation", "expected"), [(6, UPRIGHT_XMP), (1, XMP)])
def test_xmp_comes_back_and_calls_upright_what_was_turned(
    suffix: str, orientation: int, expected: bytes, tmp_path: Path
) -> None:
    picture().save(source := tmp_path / "a.webp", xmp=XMP, exif=camera_exif("<", orientation), lossless=True)
    encoded = returned(source, suffix)
    (path := tmp_path / f"b{suffix}").write_bytes(encoded.data)
    for again in (encoded, returned(path)):
        assert again.data.count(expected) == 1
        with opened(again) as image:
            assert image.info["xmp"] == expected


def jpeg_with_everything(path: Path) -> Path:
    def segment(marker: int, payload: bytes) -> bytes:
        return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload

    picture().save(path, quality=90, dpi=(300, 600), icc_profile=ICC)
    data = path.read_bytes()
    extra = [
        segment(0xE1, b"Exif\0\0" + camera_exif(">")),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40)),
        segment(0xE4, b"vendor"),
        segment(0xED, b"Photoshop 3.0\0" + THUMBNAIL_RESOURCE + RESOURCES),
        segment(0xFE, b"a remark"),
    ]
    path.write_bytes(data[:20] + b"".join(extra) + data[20:])
    return path


def test_a_jpeg_keeps_every_segment(tmp_path: Path) -> None:
    path = jpeg_with_everything(tmp_path / "a.jpg")
    before, after = segments(path.read_bytes()), segments(returned(path).data)
    assert after[0xE1][0] == b"Exif\0\0" + upright(camera_exif(">"), 40, 24)
    assert after[0xE1][1].endswith(UPRIGHT_XMP)
    assert after[0xE1][2] == before[0xE1][2]
    assert after[0xED] == [b"Photoshop 3.0\0" + RESOURCES], "the record without the thumbnail"
    assert (after[0xE2], after[0xE4], after[0xFE]) == (before[0xE2], before[0xE4], before[0xFE])
    assert len(after[0xE0]) == 1
    with opened(returned(path)) as image:
        assert image.info["dpi"] == (600, 300), "exchanged with the sides"


def test_from_jpeg_to_tiff_and_back_the_record_stays(tmp_path: Path) -> None:
    path = jpeg_with_everything(tmp_path / "a.jpg")
    (tiff := tmp_path / "b.tif").write_bytes(returned(path, ".tif").data)
    with tifffile.TiffFile(tiff) as file:
        tags = file.pages.first.tags
        assert tags[33723].value == IPTC
        assert tags[34377].value == RESOURCES
        assert tags[700].value == UPRIGHT_XMP
        assert tags[34675].value == ICC
        assert tags[271].value == "Maker"
        assert tags[34665].value["MakerNote"] == MAKER_NOTE
        assert tags[34853].value["GPSLatitude"] == (48, 1, 12, 1, 3456, 100)
        assert tags[282].value[0] / tags[282].value[1] == 600
    after = segments(returned(tiff, ".jpg").data)
    assert after[0xED] == [b"Photoshop 3.0\0" + RESOURCES]
    with opened(returned(tiff, ".jpg")) as image:
        assert image.getexif().get_ifd(0x8769)[0x927C] == MAKER_NOTE
        assert image.getexif().get_ifd(0x8825)[2] == (48.0, 12.0, 34.56)
        assert image.info["dpi"] == (600, 300)


@pytest.mark.parametrize("options", [{}, {"compression": "lzw", "tile": (16, 16)}, {"bigtiff": True, "byteorder": ">"}])
def test_tiff_tags_come_back_with_their_types(options: dict[str, Any], tmp_path: Path) -> None:
    extra = [
        (271, 2, 0, "Scanner", True),
        (306, 2, 0, "1999:12:31 23:59:59", True),
        (700, 1, len(XMP), XMP, True),
        (33723, 7, len(IPTC), IPTC, True),
        (34675, 7, len(ICC), ICC, True),
        (33550, 12, 3, (1.0, 1.0, 0.0), True),
        (65000, 12, 2, (1.5, -2.5), True),
        (65001, 7, 5, b"\0\1\2\3\4", True),
        (65002, 4, 1, 7, True),
    ]
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.asarray(picture()),
        photometric="rgb",
        metadata=None,
        description="Grüße".encode(),
        software="scan 1.0",
        resolution=(300, 300),
        resolutionunit=3,
        extratags=extra,
        **options,
    )
    encoded = returned(path)
    assert encoded.notes == ()
    with tifffile.TiffFile(path) as before, tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        old = {tag.code: tag for tag in before.pages.first.tags}
        new = {tag.code: tag for tag in after.pages.first.tags}
        moved = {273, 279, 324, 325}
        for code, tag in old.items():
            assert code in moved or (new[code].dtype, new[code].value) == (tag.dtype, tag.value), tag
        assert set(new) - set(old) == set()


def test_tags_about_places_do_not_survive_a_turn(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tags = [(274, 3, 1, 6, True), (33550, 12, 3, (1.0, 1.0, 0.0), True)]
    tifffile.imwrite(path, np.asarray(picture()), photometric="rgb", metadata=None, extratags=tags)
    encoded = returned(path)
    assert encoded.notes == ("TIFF tags that no longer hold are left out: 33550",)
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        assert 33550 not in after.pages.first.tags


def test_png_text_and_everything_else_comes_back(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "A mill")
    info.add_text("Comment", "long " * 50, zip=True)
    info.add_itxt("Author", "Zoë", "en", "Author")
    info.add_itxt("XML:com.adobe.xmp", XMP.decode())
    info.add(b"tIME", struct.pack(">HBBBBB", 1999, 12, 31, 23, 59, 59))
    info.add(b"gAMA", struct.pack(">I", 45455))
    info.add(b"vpAg", b"private")
    path = tmp_path / "a.png"
    picture().save(path, pnginfo=info, dpi=(300, 300), exif=b"Exif\0\0" + camera_exif("<", 3))
    encoded = returned(path)
    expected = [
        (name, {b"eXIf": upright(camera_exif("<", 3), 24, 40)}.get(name, data.replace(XMP, UPRIGHT_XMP)))
        for name, data in chunks(path.read_bytes())
        if name not in {b"IHDR", b"IDAT", b"IEND"}
    ]
    kept = [item for item in chunks(encoded.data) if item[0] not in {b"IHDR", b"IDAT", b"IEND"}]
    assert sorted(kept) == sorted(expected)
    assert encoded.notes == ()
    with opened(encoded) as image:
        image.load()
        assert image.text["Title"] == "A mill"  # type: ignore[attr-defined]  # PNG only


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_compressed_xmp_in_a_png_is_xmp(suffix: str, orientation: int, tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=True)
    exif = b"Exif\0\0" + camera_exif("<", orientation)
    picture().save(path := tmp_path / "a.png", pnginfo=info, exif=exif)
    encoded = returned(path, suffix)
    (tmp_path / f"b{suffix}").write_bytes(encoded.data)
    assert open_document(tmp_path / f"b{suffix}").metadata.xmp == (XMP if orientation == 1 else UPRIGHT_XMP)
    assert [note for note in encoded.notes if "XMP" in note or "PNG" in note] == []


def test_a_maker_note_that_moves_is_said(tmp_path: Path) -> None:
    picture().save(path := tmp_path / "a.jpg", exif=b"Exif\0\0" + camera_exif("<", 1))
    assert returned(path).notes == ()
    assert any("maker notes stand at another place" in note for note in returned(path, ".tif").notes)


def test_what_another_format_has_no_place_for_is_said(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Title", "A mill")
    picture().save(path := tmp_path / "a.png", pnginfo=info, icc_profile=ICC, dpi=(300, 300))
    assert returned(path, ".jpg").notes == ("JPEG cannot hold: PNG text",)
    assert returned(path, ".ppm").notes == ("PNM cannot hold: colour profile, resolution, PNG text",)
    jpeg = jpeg_with_everything(tmp_path / "a.jpg")
    assert returned(jpeg, ".webp").notes == ("WebP cannot hold: IPTC, extended XMP, JPEG segment APP4, comments",)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # it warns of broken EXIF
def test_damaged_exif_stays_as_it_is(tmp_path: Path) -> None:
    damaged = camera_exif("<")[:40]
    picture().save(path := tmp_path / "a.jpg", exif=b"Exif\0\0" + damaged)
    encoded = returned(path)
    assert segments(encoded.data)[0xE1] == [b"Exif\0\0" + damaged]
    for cut in range(0, 1112, 7):
        upright(camera_exif(">")[:cut], 40, 24)
        orientation_of(camera_exif(">")[:cut])
