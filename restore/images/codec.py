"""The one decoder and encoder: datasets, batch restoration, evaluation and pages all come through here."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from restore.errors import UnreadableImageError, UnsupportedImageError

__all__ = ["ENCODABLE_SUFFIXES", "READABLE_SUFFIXES", "DecodedImage", "decode", "encode", "image_size"]

MAX_PIXELS = 500_000_000
"""Larger pictures are refused: 1.5 GB decoded. A header may lie about its size, and this is where the lie ends."""

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
_GREY_MODES = {"1", "L"}


@dataclass(frozen=True)
class DecodedImage:
    """A picture in memory, upright.

    Attributes:
        pixels: `(H, W)` uint8 for grey, `(H, W, 3)` uint8 for RGB.
        format: The container it came from, in Pillow's words (`JPEG`, `PNG`).
    """

    pixels: npt.NDArray[np.uint8]
    format: str

    @property
    def is_grey(self) -> bool:
        """Whether the picture has one channel."""
        return self.pixels.ndim == 2


def image_size(path: Path) -> tuple[int, int]:
    """Height and width as the file's header and orientation tag give them, without decoding the pixels.

    Raises:
        UnreadableImageError: The file is missing or not an image.
    """
    with _open(path) as image:
        width, height = image.size
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
    with _open(path) as image:
        file_format = image.format or ""
        _refuse_what_would_be_lost(image, path)
        try:
            image.load()
            upright = ImageOps.exif_transpose(image)
            picture = _to_grey_or_rgb(upright, path)
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise UnreadableImageError(f"{path}: damaged or truncated ({error}); leave it out or repair it") from error
        return DecodedImage(np.asarray(picture), file_format)


def encode(pixels: npt.NDArray[np.uint8], suffix: str) -> bytes:
    """Encode a picture in the format that a file suffix names.

    JPEG and WebP are written at quality 95 (JPEG without chroma subsampling), the others without loss.

    Args:
        pixels: `(H, W)` or `(H, W, 3)` uint8.
        suffix: With its dot, in any case: `.jpg`.

    Returns:
        The file's bytes.

    Raises:
        UnsupportedImageError: No encoder for this suffix.
    """
    file_format = _FORMATS.get(suffix.lower())
    if file_format is None:
        raise UnsupportedImageError(f"cannot write {suffix!r} files: use one of {', '.join(sorted(_FORMATS))}")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_format, **_SAVE_OPTIONS.get(file_format, {}))
    return buffer.getvalue()


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures; the limit below decides
            image = Image.open(path)
    except UnidentifiedImageError as error:
        raise UnreadableImageError(f"{path}: not an image that can be read; leave it out") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"{path}: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UnreadableImageError(f"{path}: cannot be opened ({reason})") from error
    if image.width * image.height > MAX_PIXELS:
        size = f"{image.width} x {image.height}"
        image.close()
        raise UnreadableImageError(f"{path}: {size} pixels, more than the limit of {MAX_PIXELS:,}")
    return image


def _refuse_what_would_be_lost(image: Image.Image, path: Path) -> None:
    if image.mode.startswith("I") or image.mode == "F" or _bits_per_sample(image) > 8:
        raise UnsupportedImageError(f"{path}: more than 8 bits a channel; convert it to 8 bits first")
    if getattr(image, "n_frames", 1) > 1:
        raise UnsupportedImageError(f"{path}: several pages or frames; split them first")


def _bits_per_sample(image: Image.Image) -> int:
    # Pillow reads 16-bit colour PNG and TIFF as 8 bits without a word; only the raw decoder arguments tell.
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(258, (8,))
        return max(bits) if isinstance(bits, tuple) else int(bits)
    return 16 if any("16" in str(tile[3]) for tile in getattr(image, "tile", [])) else 8


def _to_grey_or_rgb(image: Image.Image, path: Path) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise UnsupportedImageError(f"{path}: has transparent pixels; flatten it first")
        return image.convert("RGB")
    return image.convert("L" if image.mode in _GREY_MODES else "RGB")
