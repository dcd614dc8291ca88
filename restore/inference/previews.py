"""Small and 8-bit pictures of what a batch does: thumbnails, what was removed."""

import cv2
import numpy as np
import numpy.typing as npt

from restore.images.codec import encode
from restore.images.colour import to_eight
from restore.images.document import Array, Page
from restore.images.tensors import LEVELS

__all__ = ["eight_bits", "mean_change", "residual", "thumbnail", "unit_range"]

_THUMBNAIL = 360
"""Longest side of what a report shows, in pixels."""


def eight_bits(pixels: Array) -> npt.NDArray[np.uint8]:
    """Pixels of any depth as they are shown."""
    eight: npt.NDArray[np.uint8] = (
        to_eight(pixels) if pixels.dtype in LEVELS else np.round(unit_range(pixels) * 255.0).astype(np.uint8)
    )
    return eight


def unit_range(pixels: Array) -> Array:
    """Floats of any range between 0 and 1; integers as they are."""
    if pixels.dtype in LEVELS:
        return pixels
    unit: npt.NDArray[np.float32] = np.clip(pixels / max(1.0, float(np.abs(pixels).max())), 0.0, 1.0).astype(np.float32)
    return unit


def residual(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """What was removed: 128 where nothing was."""
    removed: npt.NDArray[np.int16] = before.astype(np.int16) - after + 128
    return removed.clip(0, 255).astype(np.uint8)


def mean_change(before: Array, after: Array) -> float:
    """Root mean square of the difference of two integer pictures, in 8-bit units; in bands, as scans are large."""
    bands = (slice(top, top + 256) for top in range(0, before.shape[0], 256))
    total = sum(float(np.square(after[rows].astype(np.float32) - before[rows]).sum(dtype=np.float64)) for rows in bands)
    return float(np.sqrt(total / before.size)) * 255.0 / LEVELS[before.dtype]


def thumbnail(page: Page) -> bytes:
    """A small JPEG; what is transparent is white."""
    height, width = page.pixels.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: Array = cv2.resize(eight_bits(page.pixels), size, interpolation=cv2.INTER_AREA)
    if page.alpha is not None:
        alpha: Array = cv2.resize(eight_bits(page.alpha), size, interpolation=cv2.INTER_AREA) / 255.0
        alpha = alpha if small.ndim == 2 else alpha[:, :, None]
        small = np.round(small * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)
    return encode(small, ".jpg")
