"""Small and 8-bit pictures of what a batch does: thumbnails, what was removed."""

import cv2
import numpy as np
import numpy.typing as npt

from restore.images.codec import encode
from restore.images.colour import to_eight
from restore.images.document import Array, Page
from restore.images.tensors import LEVELS
from restore.inference.floats import unit_range

__all__ = ["residual", "side_by_side", "thumbnail"]

_THUMBNAIL = 360
"""Longest side of what a report shows, in pixels."""


def _eight_bits(pixels: Array) -> npt.NDArray[np.uint8]:
    """Pixels of any depth as they are shown."""
    eight: npt.NDArray[np.uint8] = (
        to_eight(pixels) if pixels.dtype in LEVELS else np.round(unit_range(pixels) * 255.0).astype(np.uint8)
    )
    return eight


def residual(before: Array, after: Array) -> npt.NDArray[np.uint8]:
    """What was removed, in 8 bits: 128 where nothing was."""
    removed: npt.NDArray[np.int16] = _eight_bits(before).astype(np.int16) - _eight_bits(after) + 128
    return removed.clip(0, 255).astype(np.uint8)


def side_by_side(before: Array, after: Array) -> npt.NDArray[np.uint8]:
    """Both pictures in one, in 8 bits."""
    return np.concatenate([_eight_bits(before), _eight_bits(after)], axis=1)


def thumbnail(page: Page) -> bytes:
    """A small JPEG; what is transparent is white."""
    height, width = page.pixels.shape[:2]
    scale = min(1.0, _THUMBNAIL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small: Array = cv2.resize(_eight_bits(page.pixels), size, interpolation=cv2.INTER_AREA)
    if page.alpha is not None:
        alpha: Array = cv2.resize(_eight_bits(page.alpha), size, interpolation=cv2.INTER_AREA) / 255.0
        alpha = alpha if small.ndim == 2 else alpha[:, :, None]
        small = np.round(small * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)
    return encode(small, ".jpg")
