"""Whatever a file is, there is a picture of the size that its header says, or one clear error."""

import contextlib
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from restore.errors import ImageError, UnreadableImageError
from restore.images.codec import decode, encode_document, open_document, read_pages
from restore.images.containers import segment

Read = Callable[[Path], object]


def picture(mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def exif() -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = 6
    tags[0x010F] = "a maker of cameras"
    return tags


SAMPLES: dict[str, Callable[[Path], object]] = {
    "rgb.jpg": lambda path: picture().save(path, exif=exif(), quality=80),
    "progressive.jpg": lambda path: picture().save(path, progressive=True),
    "cmyk.jpg": lambda path: picture("CMYK").save(path),
    "rgb.png": lambda path: picture().save(path, exif=exif()),
    "palette.png": lambda path: picture().quantize(8).save(path, transparency=3),
    "deep.png": lambda path: path.write_bytes(deep_png()),
    "plain.tif": lambda path: picture().save(path),
    "lzw.tif": lambda path: picture().save(path, compression="tiff_lzw"),
    "jpeg.tif": lambda path: picture().save(path, compression="jpeg"),
    "fax.tif": lambda path: picture("1").save(path, compression="group4"),
    "deep.tif": lambda path: tifffile.imwrite(
        path, np.asarray(picture()).astype(np.uint16) * 257, photometric="rgb", tile=(16, 16), compression="zlib"
    ),
    "big.tif": lambda path: tifffile.imwrite(path, np.asarray(picture()), photometric="rgb", bigtiff=True),
    "float.tif": lambda path: tifffile.imwrite(path, np.asarray(picture("L")).astype(np.float32)),
    "rgb.webp": lambda path: picture().save(path, exif=exif()),
    "rgb.avif": lambda path: picture().save(path, exif=exif()),
    "rgb.bmp": lambda path: picture().save(path),
    "palette.bmp": lambda path: picture().quantize(8).save(path),
    "grey.pgm": lambda path: picture("L").save(path),
    "deep.ppm": lambda path: path.write_bytes(b"P6\n30 20\n65535\n" + bytes(3600)),
    "digits.ppm": lambda path: path.write_bytes(b"P3\n30 20\n999\n" + b"12 " * 1800),
    "rgb.jp2": lambda path: picture().save(path),
    "palette.gif": lambda path: picture().quantize(8).save(path),
}


def deep_png() -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(np.asarray(picture()).astype(np.uint16) * 257))


def whole(path: Path) -> bool:
    """Whether a file was read; if so, with pixels of the size that it says, and written again."""
    try:
        document = open_document(path, max_pixels=1_000_000)
        pages = list(read_pages(document))
    except ImageError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert str(path) in message
        assert "\n" not in message
        return False
    assert pages[0].pixels.shape[:2] == (document.height, document.width)
    assert len(pages) == document.page_count
    with contextlib.suppress(ImageError):
        encode_document(document, pages, path.suffix)
    return True


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_ends_early_is_refused_or_whole(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    SAMPLES[name](path)
    assert whole(path)
    data = path.read_bytes()
    read = 0
    for cut in {*range(1, min(len(data), 64)), *range(1, len(data), max(1, len(data) // 60))}:
        path.write_bytes(data[:cut])
        read += whole(path)
    # What is missing of these may be only what stands behind the pixels.
    assert read <= (60 if name in {"lzw.tif", "plain.tif", "rgb.png"} else 6)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_may_be_wrong(name: str, data: st.DataObject, tmp_path: Path) -> None:
    path = tmp_path / name
    if not path.exists():
        SAMPLES[name](path)
        path.with_suffix(".whole").write_bytes(path.read_bytes())
    broken = bytearray(path.with_suffix(".whole").read_bytes())
    places = st.one_of(st.integers(0, min(len(broken), 200) - 1), st.integers(0, len(broken) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=6)):
        broken[place] = value
    path.write_bytes(broken)
    whole(path)


@settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    head=st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"II+\0", b"P6", b"P1 ", b"BM"]),
    rest=st.binary(max_size=300),
)
def test_any_bytes_behind_a_signature_end_in_an_error(head: bytes, rest: bytes, tmp_path: Path) -> None:
    (path := tmp_path / "a.bin").write_bytes(head + rest)
    whole(path)


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.jpg")
    return folder / "pipe.jpg"


def no_permission(folder: Path) -> Path:
    picture().save(folder / "secret.jpg")
    (folder / "secret.jpg").chmod(0)
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    return folder / "secret.jpg"


def sock(folder: Path) -> Path:
    with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as server:
        server.bind("s.jpg")
    return folder / "s.jpg"


def folder_named_like_a_picture(folder: Path) -> Path:
    (folder / "x.jpg").mkdir()
    return folder / "x.jpg"


def loop(folder: Path) -> Path:
    (folder / "a.jpg").symlink_to(folder / "a.jpg")
    return folder / "a.jpg"


def empty(folder: Path) -> Path:
    (folder / "empty.tif").touch()
    return folder / "empty.tif"


@pytest.mark.parametrize("read", [open_document, decode])
@pytest.mark.parametrize(
    "make",
    [
        fifo,
        no_permission,
        sock,
        folder_named_like_a_picture,
        loop,
        empty,
        lambda folder: folder / "missing.jpg",
        lambda folder: folder / ("x" * 300 + ".jpg"),
        lambda _: Path("/dev/zero"),
        lambda folder: Path(f"{folder}/a\0b.jpg"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(make: Callable[[Path], Path], read: Read, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError):
        read(make(tmp_path))


@pytest.mark.parametrize("name", [b"two\nlines.jpg", b"\xff\xfe.jpg", b"a\x1b[31mred.jpg", b" .jpg", b"-rf.jpg"])
def test_strange_names_are_read_and_printable_in_errors(name: bytes, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    picture().save(path)
    assert decode(path).pixels.shape == (20, 30, 3)
    path.write_bytes(b"nothing")
    with pytest.raises(UnreadableImageError) as caught:
        decode(path)
    assert str(caught.value).isprintable()
    str(caught.value).encode()


def test_a_file_that_changes_or_goes_between_header_and_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    picture().save(path)
    document = open_document(path)
    picture().resize((31, 20)).save(path)
    with pytest.raises(UnreadableImageError, match="changed while it was being read"):
        next(read_pages(document))
    path.unlink()
    with pytest.raises(UnreadableImageError, match="No such file"):
        next(read_pages(document))


def bomb_png(path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def bomb_profile(path: Path) -> None:
    picture().save(path)
    data = path.read_bytes()
    block = b"iCCP" + b"x\0\0" + zlib.compress(bytes(200_000_000), 9)
    path.write_bytes(
        data[:33] + struct.pack(">I", len(block) - 4) + block + struct.pack(">I", zlib.crc32(block)) + data[33:]
    )


def bomb_tiff(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), tile=(16, 16), compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        for code in (256, 257):
            file.pages.first.tags[code].overwrite(60_000)


@pytest.mark.parametrize("make", [bomb_png, bomb_tiff])
def test_a_header_that_claims_too_much_is_refused(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(path := tmp_path / "a")
    with pytest.raises(UnreadableImageError, match="more than the limit of 500,000,000 pixels"):
        open_document(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_profile_that_unpacks_to_200_megabytes_is_refused(tmp_path: Path) -> None:
    bomb_profile(path := tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match=r"damaged or truncated \(Decompressed data too large"):
        open_document(path)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_limit_of_pixels_is_an_argument(name: str, tmp_path: Path) -> None:
    SAMPLES[name](path := tmp_path / name)
    assert open_document(path, max_pixels=600).height in {20, 30}
    with pytest.raises(UnreadableImageError, match="more than the limit of 599 pixels"):
        open_document(path, max_pixels=599)


def test_a_tiff_whose_pages_go_round_in_a_circle_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    picture().save(path)
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    path.write_bytes(data)
    assert whole(path)
    assert open_document(path).page_count == 1


def test_a_tiff_without_some_of_its_strips_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((20, 30), np.uint8), rowsperstrip=5)
    for code, value in ((279, 0), (273, 0), (273, 10**6)):
        tifffile.imwrite(path, np.ones((20, 30), np.uint8), rowsperstrip=5)
        with tifffile.TiffFile(path, mode="r+") as file:
            tag = file.pages.first.tags[code]
            tag.overwrite((*tag.value[:-1], value))
        document = open_document(path)
        with pytest.raises(UnreadableImageError, match="missing"):
            next(read_pages(document))


def test_a_tiff_that_ends_before_its_last_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    picture().save(path, save_all=True, append_images=[picture(), picture()])
    with tifffile.TiffFile(path) as file:
        starts = [page.offset for page in file.pages]
    data = path.read_bytes()
    assert open_document(path).page_count == 3
    for count in (1, 2):
        path.write_bytes(data[: starts[count]])
        with pytest.raises(UnreadableImageError, match=f"page {count + 1} is missing"):
            open_document(path)


def test_a_jpeg_of_fewer_bits_than_blocks_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (4000, 4000)).save(path)  # as few bits as there can be: two a block
    assert decode(path).pixels.shape == (4000, 4000)
    data = bytearray(path.read_bytes())
    struct.pack_into(">HH", data, data.find(b"\xff\xc0") + 5, 20_000, 20_000)
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError, match="fewer bits than blocks"):
        open_document(path)


def test_odd_tags_say_nothing_on_standard_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tif"
    picture().save(path, tiffinfo={274: 9})
    whole(path)
    assert capfd.readouterr().err == ""


def test_a_jpeg_that_goes_over_its_pixels_a_thousand_times_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture().save(path, progressive=True)
    assert whole(path)
    data = path.read_bytes()
    path.write_bytes(data[:-2] + 1000 * data[data.rfind(b"\xff\xda") : -2] + data[-2:])
    with pytest.raises(UnreadableImageError, match="more than 200 scans"):
        open_document(path)


def test_scans_of_other_pictures_in_a_jpeg_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture().save(path, progressive=True)
    data = path.read_bytes()
    inside = segment(0xED, b"Photoshop 3.0\0" + 300 * b"\xff\xda")  # a thumbnail, or chance
    path.write_bytes(data[:2] + inside + data[2:] + 300 * b"\xff\xda\x00\x02")  # a video after the end
    assert open_document(path).format == "JPEG"
    whole(path)
