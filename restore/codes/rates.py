"""What a photo costs and what is lost, beside JPEG at the same cost."""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from restore.images.tensors import to_float
from restore.scores import psnr

__all__ = ["JpegMatch", "RatedPhoto", "match_jpeg", "rate"]

Pixels = npt.NDArray[np.uint8]
_QUALITIES = (1, 95)


@dataclass(frozen=True)
class JpegMatch:
    """JPEG at the rate of another file.

    Attributes:
        quality: The highest of 1 to 95 whose file is not larger; 1 if all are larger.
        size: Of the file, in bytes.
        pixels: What it decodes to, `(H, W)` or `(H, W, 3)` uint8.
    """

    quality: int
    size: int
    pixels: Pixels


@dataclass(frozen=True)
class RatedPhoto:
    """One photo's line in a table.

    Attributes:
        file: Its name.
        width: In pixels.
        height: In pixels.
        bytes: Of the compressed file, its header and checksum among them.
        bits_per_pixel: 8 bytes / (width height).
        psnr: Of what comes back, in dB.
        jpeg_quality: Of the JPEG beside it.
        jpeg_bytes: Of its file.
        jpeg_bits_per_pixel: As above.
        jpeg_psnr: Of it, in dB.
    """

    file: str
    width: int
    height: int
    bytes: int
    bits_per_pixel: float
    psnr: float
    jpeg_quality: int
    jpeg_bytes: int
    jpeg_bits_per_pixel: float
    jpeg_psnr: float


def match_jpeg(pixels: Pixels, size: int) -> JpegMatch:
    """The best JPEG of at most a size: 4:2:0, optimised Huffman tables, no metadata.

    Args:
        pixels: `(H, W)` or `(H, W, 3)` uint8.
        size: In bytes.
    """
    low, high = _QUALITIES
    best = _jpeg(pixels, low)
    while low < high:
        middle = (low + high + 1) // 2
        data = _jpeg(pixels, middle)
        if len(data) <= size:
            low, best = middle, data
        else:
            high = middle - 1
    with Image.open(io.BytesIO(best)) as image:
        return JpegMatch(low, len(best), np.asarray(image))


def rate(file: str, clean: Tensor, restored: Tensor, size: int, jpeg: JpegMatch) -> RatedPhoto:
    """Score a photo.

    Args:
        file: Its name.
        clean: `(C, H, W)` float32 in [0, 1].
        restored: As `clean`: what comes back.
        size: Of the compressed file, in bytes.
        jpeg: From `match_jpeg`.
    """
    height, width = clean.shape[-2:]
    bits = 8.0 / (height * width)
    ours, theirs = (float(psnr(image[None], clean[None])) for image in (restored, to_float(jpeg.pixels)))
    return RatedPhoto(file, width, height, size, size * bits, ours, jpeg.quality, jpeg.size, jpeg.size * bits, theirs)


def _jpeg(pixels: Pixels, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
