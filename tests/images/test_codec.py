"""What is read, what is refused, and that damage has one kind of error."""

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from restore.errors import ImageError, UnreadableImageError, UnsupportedImageError
from restore.images.codec import ENCODABLE_SUFFIXES, MAX_PIXELS, decode, encode, open_document

Pixels = npt.NDArray[np.uint8]
LOSSY = {".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif"}
ORIENTATION = 0x0112

# What turns the stored rows upright, by the EXIF standard's numbers.
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def image_size(path: Path) -> tuple[int, int]:
    """Height and width as the file's header and orientation tag give them."""
    document = open_document(path)
    return document.height, document.width


def smooth(channels: int = 3, height: int = 40, width: int = 56) -> Pixels:
    """Ramps, different in every corner and channel, that lossy formats keep nearly."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [200 * y / height + 40, 200 * x / width + 20, 100 * (y / height + x / width) + 10]
    picture = np.stack(planes[:channels], axis=2).astype(np.uint8)
    return picture[:, :, 0] if channels == 1 else picture


def noise(channels: int = 3) -> Pixels:
    shape = (48, 64) if channels == 1 else (48, 64, channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, picture: Image.Image, **options: Any) -> Path:
    picture.save(path, **options)
    return path


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", sorted(ENCODABLE_SUFFIXES))
def test_every_format_comes_back(suffix: str, channels: int, tmp_path: Path) -> None:
    picture = smooth(channels) if suffix in LOSSY else noise(channels)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(encode(picture, suffix.upper()))
    decoded = decode(path)
    is_grey = decoded.pixels.ndim == 2
    assert is_grey == (channels == 1 and suffix != ".webp")  # WebP has no grey
    pixels = decoded.pixels if is_grey or channels == 3 else decoded.pixels[:, :, 1]
    assert pixels.dtype == np.uint8
    if suffix in LOSSY:
        assert np.abs(pixels.astype(int) - picture).max() <= 6
    else:
        np.testing.assert_array_equal(pixels, picture)
    assert image_size(path) == picture.shape[:2]
    with Image.open(path) as reference:
        assert reference.format == decoded.format


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_pictures_are_turned_upright(suffix: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = smooth()
    path = save(tmp_path / f"a{suffix}", Image.fromarray(stored), exif=exif, quality=95)
    upright = UPRIGHT[orientation](stored)
    pixels = decode(path).pixels
    assert pixels.shape == upright.shape
    assert np.abs(pixels.astype(int) - upright).max() <= (8 if suffix in LOSSY else 0)
    assert image_size(path) == upright.shape[:2]


def test_bilevel_becomes_grey(tmp_path: Path) -> None:
    picture = Image.fromarray(noise(1)).convert("1")
    np.testing.assert_array_equal(
        decode(save(tmp_path / "a.tif", picture, compression="group4")).pixels, np.asarray(picture) * np.uint8(255)
    )


def test_a_palette_becomes_colour(tmp_path: Path) -> None:
    picture = Image.fromarray(noise()).quantize(16)
    np.testing.assert_array_equal(decode(save(tmp_path / "a.png", picture)).pixels, np.asarray(picture.convert("RGB")))


def test_cmyk_becomes_colour(tmp_path: Path) -> None:
    picture = Image.fromarray(noise()).convert("CMYK")
    np.testing.assert_array_equal(decode(save(tmp_path / "a.tif", picture)).pixels, noise())


def test_opaque_alpha_is_dropped_and_grey_stays_grey(tmp_path: Path) -> None:
    for channels in (1, 3):
        picture = Image.fromarray(noise(channels))
        picture.putalpha(255)
        np.testing.assert_array_equal(decode(save(tmp_path / "a.png", picture)).pixels, noise(channels))


@pytest.mark.parametrize("width", [5, 53, 54, 55, 160, 216])
def test_bitmaps_of_every_row_length_are_read(width: int, tmp_path: Path) -> None:
    picture = smooth(width=width)
    np.testing.assert_array_equal(decode(save(tmp_path / "a.bmp", Image.fromarray(picture))).pixels, picture)


def transparent(folder: Path) -> Path:
    picture = Image.fromarray(noise()).convert("RGBA")
    picture.putpixel((3, 4), (0, 0, 0, 254))
    return save(folder / "transparent.png", picture)


def transparent_palette(folder: Path) -> Path:
    return save(folder / "palette.png", Image.fromarray(noise()).quantize(16), transparency=3)


def grey_png_of_16_bits(folder: Path) -> Path:
    return save(folder / "grey16.png", Image.fromarray(noise(1).astype(np.uint16) * 257))


def deep(folder: Path, name: str, channels: int) -> Path:
    cv2.imwrite(str(folder / name), noise(channels).astype(np.uint16) * 257)
    return folder / name


def floats(folder: Path) -> Path:
    return save(folder / "float.tif", Image.fromarray(noise(1).astype(np.float32)))


def pages(folder: Path) -> Path:
    return save(folder / "pages.tif", Image.fromarray(noise()), save_all=True, append_images=[Image.new("RGB", (9, 9))])


def animation(folder: Path) -> Path:
    return save(
        folder / "film.gif", Image.fromarray(noise()), save_all=True, append_images=[Image.new("RGB", (64, 48))]
    )


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (transparent, "transparent pixels"),
        (transparent_palette, "transparent pixels"),
        (lambda folder: deep(folder, "rgba16.png", 4), "transparent pixels"),
        (floats, "floating-point values"),
        (pages, "several pages"),
        (animation, "several pages"),
    ],
)
def test_what_would_lose_something_is_refused(write: Callable[[Path], Path], reason: str, tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(UnsupportedImageError, match=reason) as caught:
        decode(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("write", "channels"),
    [
        (grey_png_of_16_bits, 1),
        (lambda folder: deep(folder, "rgb16.png", 3), 3),
        (lambda folder: deep(folder, "grey16.tif", 1), 1),
        (lambda folder: deep(folder, "rgb16.tif", 3), 3),
        (lambda folder: deep(folder, "grey16.pgm", 1), 1),
        (lambda folder: deep(folder, "rgb16.ppm", 3), 3),
    ],
)
def test_16_bits_are_rounded_to_8(write: Callable[[Path], Path], channels: int, tmp_path: Path) -> None:
    # OpenCV writes blue first.
    expected = noise(1) if channels == 1 else noise(3)[..., ::-1]
    np.testing.assert_array_equal(decode(write(tmp_path)).pixels, expected)


def test_a_depth_of_less_than_8_bits_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6\n2 1\n160\n" + bytes([0, 80, 160, 160, 0, 80]))
    np.testing.assert_array_equal(decode(path).pixels, [[[0, 128, 255], [255, 0, 128]]])


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize(
    ("suffix", "options"), [(".jpg", {}), (".jpg", {"progressive": True}), (".png", {}), (".webp", {})]
)
def test_a_truncated_file_is_unreadable(suffix: str, options: dict[str, bool], share: float, tmp_path: Path) -> None:
    path = save(tmp_path / f"a{suffix}", Image.fromarray(noise()), **options)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableImageError) as caught:
        decode(path)
    assert str(path) in str(caught.value)
    with contextlib.suppress(UnreadableImageError):  # the header may be whole, and then there is a size
        assert image_size(path) == (48, 64)


@contextlib.contextmanager
def caught_image_errors() -> Iterator[list[ImageError]]:
    errors: list[ImageError] = []
    try:
        yield errors
    except ImageError as error:
        errors.append(error)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # it warns of broken EXIF, and may still have the picture
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp", ".ppm"])
def test_whatever_the_bytes_the_error_names_the_file(suffix: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    options = {} if suffix in {".bmp", ".ppm"} else {"exif": exif}
    path = save(tmp_path / f"a{suffix}", Image.fromarray(smooth(height=12, width=16)), **options)
    data, generator, failures = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(100):
        broken = bytearray(data)
        for place in generator.integers(0, min(len(data), 300), 4).tolist():
            broken[place] = generator.integers(0, 256)
        path.write_bytes(broken)
        for read in (decode, image_size):
            with caught_image_errors() as errors:
                read(path)
            failures += len(errors)
            assert all(str(path) in str(error) for error in errors)
    assert failures > 10


@pytest.mark.parametrize("read", [decode, image_size])
@pytest.mark.parametrize("name", ["empty.png", "text.jpg", "postscript.jpg", "folder", "missing.png"])
def test_what_is_not_a_picture_is_unreadable(read: Callable[[Path], object], name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("Dear diary, today I took a photo.")
    # Pillow would run Ghostscript on it.
    (tmp_path / "postscript.jpg").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(UnreadableImageError) as caught:
        read(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: ")


def test_a_header_that_claims_too_much_is_refused_before_any_memory_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.pgm"
    for width, height in ((20_000, MAX_PIXELS // 20_000 + 1), (2**20, 2**20)):
        path.write_bytes(b"P5\n%d %d\n255\n" % (width, height))
        for read in (decode, image_size):
            with pytest.raises(UnreadableImageError, match="limit"):
                read(path)
    path.write_bytes(b"P5\n20000 %d\n255\n" % (MAX_PIXELS // 20_000))
    assert image_size(path) == (MAX_PIXELS // 20_000, 20_000)


def test_a_picture_that_no_format_can_hold_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedImageError, match=r"cannot write '\.xyz' files: use one of \.avif, \.bmp, "):
        encode(noise(), ".xyz")
    with pytest.raises(UnsupportedImageError, match=r"cannot write 16384 x 1 pixels as \.webp"):
        encode(np.zeros((1, 16384, 3), np.uint8), ".webp")


def test_jpeg_is_written_without_chroma_subsampling() -> None:
    with Image.open(io.BytesIO(encode(noise(), ".jpg"))) as picture:
        assert [tuple(layer[1:3]) for layer in picture.layer] == [(1, 1)] * 3  # type: ignore[attr-defined] # JPEG only


def test_a_multi_picture_jpeg_opens_with_its_photo(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    photo = Image.fromarray(np.full((24, 32, 3), 200, np.uint8))
    photo.save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (32, 24))], quality=95)
    assert abs(decode(path).pixels.astype(int) - 200).max() <= 1
