"""The one decoder and encoder: datasets, batch restoration, evaluation and pages all come through here."""

import contextlib
import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from restore.errors import UnreadableImageError, UnsupportedImageError

__all__ = ["ENCODABLE_SUFFIXES", "READABLE_SUFFIXES", "DecodedImage", "decode", "encode", "image_size"]

MAX_PIXELS = 500_000_000
"""Larger pictures are refused: 1.5 GB decoded. A header may lie about its size, and this is where the lie ends."""

Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # Pillow's own limit is 179 million, less than a 200-megapixel telephone takes

_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".pgm": "PPM",
    ".ppm": "PPM",
}
ENCODABLE_SUFFIXES = frozenset(_FORMATS)
READABLE_SUFFIXES = ENCODABLE_SUFFIXES

_SAVE_OPTIONS: dict[str, dict[str, int | str]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {"compress_level": 6},
    "TIFF": {"compression": "tiff_deflate"},
    "WEBP": {"quality": 95, "method": 4},
}
_BAND = 512
"""Rows that are copied out of Pillow at a time."""

_GREY_MODES = {"1", "L", "LA"}

# The formats whose depth is known below; others (EPS, which runs Ghostscript, or 16-bit JPEG 2000) stay closed.
_READ_FORMATS = (*sorted(set(_FORMATS.values())), "GIF")

# What Pillow's decoders raise on damaged files: found by cutting files short and overwriting their bytes.
_DAMAGE = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class DecodedImage:
    """A picture in memory, upright.

    Attributes:
        pixels: `(H, W)` uint8 for grey, `(H, W, 3)` uint8 for RGB.
        format: The container it came from, in Pillow's words (`JPEG`, `PNG`).
    """

    pixels: npt.NDArray[np.uint8]
    format: str


def image_size(path: Path) -> tuple[int, int]:
    """Height and width as the file's header and orientation tag give them, without decoding the pixels.

    A PNG without the tag in front is decoded after all, since the tag may follow the pixels.

    Raises:
        UnreadableImageError: The file is missing, damaged, too large, or not an image.
    """
    with _open(path) as image, _reading(path):
        tags = getattr(image, "tag_v2", None)  # of a TIFF, whose size newer versions of Pillow turn on opening
        width, height = (tags[256], tags[257]) if tags is not None else image.size
        turned = image.getexif().get(0x0112, 1) in {5, 6, 7, 8}  # EXIF orientation: a quarter turn
    return (width, height) if turned else (height, width)


def decode(path: Path) -> DecodedImage:
    """Read a picture as 8-bit grey or RGB, turned upright by its orientation tag.

    Args:
        path: The file. Bilevel becomes grey; palette and CMYK become RGB; an alpha channel that is opaque throughout
            is dropped.

    Returns:
        The picture.

    Raises:
        UnreadableImageError: The file is missing, truncated, too large, or not an image.
        UnsupportedImageError: The picture has more than 8 bits a channel, transparency, or several pages: reading it
            here would silently lose them.
    """
    with _open(path) as image, _reading(path):
        file_format = image.format or ""
        _refuse_what_would_be_lost(image, path)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return DecodedImage(_pixels_of(_to_grey_or_rgb(image, path)), file_format)


def encode(pixels: npt.NDArray[np.uint8], suffix: str) -> bytes:
    """Encode a picture in the format that a file suffix names.

    JPEG and WebP are written at quality 95 (JPEG without chroma subsampling), the others without loss.

    Args:
        pixels: `(H, W)` or `(H, W, 3)` uint8.
        suffix: With its dot, in any case: `.jpg`.

    Returns:
        The file's bytes.

    Raises:
        UnsupportedImageError: No encoder for this suffix, or a picture larger than the format can hold.
    """
    file_format = _FORMATS.get(suffix.lower())
    if file_format is None:
        raise UnsupportedImageError(f"cannot write {suffix!r} files: use one of {', '.join(sorted(_FORMATS))}")
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, file_format, **_SAVE_OPTIONS.get(file_format, {}))
    except (OSError, ValueError) as error:
        size = f"{pixels.shape[1]} x {pixels.shape[0]}"
        raise UnsupportedImageError(f"cannot write {size} pixels as {suffix} ({error}); use another format") from error
    return buffer.getvalue()


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path, formats=_READ_FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"{path}: not an image that can be read; leave it out") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableImageError(f"{path}: {error}") from error
    except _DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UnreadableImageError(f"{path}: cannot be opened ({reason})") from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        image.close()
        raise UnreadableImageError(f"{path}: {size} pixels, more than the limit of {MAX_PIXELS:,}")
    return image


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise UnreadableImageError(f"{path}: damaged or truncated ({error}); leave it out or repair it") from error


def _refuse_what_would_be_lost(image: Image.Image, path: Path) -> None:
    if image.mode.startswith("I") or image.mode == "F" or _bits_per_sample(image) > 8:
        raise UnsupportedImageError(f"{path}: more than 8 bits a channel; convert it to 8 bits first")
    # A multi-picture JPEG, as telephones write, opens with the photo; what follows are previews of it.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        raise UnsupportedImageError(f"{path}: several pages or frames; split them first")


def _bits_per_sample(image: Image.Image) -> int:
    # Pillow reads 16-bit colour PNG, PPM and TIFF as 8 bits without a word; only the raw decoder arguments tell.
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return max(bits) if isinstance(bits, tuple) else int(bits)
    if image.format not in {"PNG", "PPM"}:
        return 8
    arguments = [tile[3] for tile in getattr(image, "tile", [])]  # "RGB;16B", or a raw mode and the highest value
    deep = any(";16" in a if isinstance(a, str) else isinstance(a[-1], int) and a[-1] > 255 for a in arguments)
    return 16 if deep else 8


def _to_grey_or_rgb(image: Image.Image, path: Path) -> Image.Image:
    mode = "L" if image.mode in _GREY_MODES else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise UnsupportedImageError(f"{path}: has transparent pixels; flatten it first")
    return image if image.mode == mode else image.convert(mode)


def _pixels_of(image: Image.Image) -> npt.NDArray[np.uint8]:
    """`(H, W)` or `(H, W, 3)`, copied in bands: NumPy's own way through Pillow holds the picture twice more."""
    pixels = np.empty((image.height, image.width, *((3,) if image.mode == "RGB" else ())), np.uint8)
    for top in range(0, image.height, _BAND):
        bottom = min(top + _BAND, image.height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, image.width, bottom)))
    return pixels
