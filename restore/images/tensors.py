"""The only place where pixels change between integers and floats, and between layouts."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LEVELS", "is_finite", "quantise", "reflect_pad", "to_float", "to_integers", "to_pixels", "to_uint8"]

LEVELS: dict[np.dtype[Any], int] = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""Highest value of each integer type."""


def to_float(pixels: npt.NDArray[np.generic] | Tensor, levels: int = 255) -> Tensor:
    """Integer pixels as a float image.

    Args:
        pixels: Array `(H, W)` or `(H, W, C)`, uint8 or uint16, or tensor `(..., C, H, W)` of any integer type.
        levels: What stands for 1: 255 or 65535. An array's own type says it.

    Returns:
        `(C, H, W)` (or the tensor's own shape) float32 in [0, 1]: value / levels.
    """
    if isinstance(pixels, np.ndarray):
        levels = LEVELS[pixels.dtype]
        planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        if levels > 255:
            planes = planes.astype(np.int32)  # torch does not compute with uint16
        pixels = torch.from_numpy(np.require(planes, requirements=["C", "W"]))
    return pixels.to(torch.float32).div_(levels)


def to_uint8(image: Tensor) -> Tensor:
    """A float image as 8-bit values: clamped to [0, 1], then rounded (never truncated).

    Args:
        image: Any shape, floating point; values outside [0, 1] are clamped.

    Returns:
        The same shape, uint8.
    """
    return to_integers(image, 255)


def to_integers(image: Tensor, levels: int) -> Tensor:
    """A float image as integers: clamped to [0, 1], then rounded (never truncated).

    Args:
        image: Any shape, floating point; values outside [0, 1] are clamped.
        levels: What 1 becomes: 255 or 65535.

    Returns:
        The same shape; uint8 up to 255 levels, int32 above.
    """
    integers = image.float().clamp(0.0, 1.0).mul_(levels).round_()
    return integers.to(torch.uint8 if levels <= 255 else torch.int32)


def to_pixels(image: Tensor) -> npt.NDArray[np.uint8]:
    """A float image as an array ready to be encoded.

    Args:
        image: `(C, H, W)`, floating point.

    Returns:
        `(H, W)` uint8 for one channel, else `(H, W, C)` uint8.
    """
    pixels: npt.NDArray[np.uint8] = to_uint8(image).permute(1, 2, 0).contiguous().cpu().numpy()
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def quantise(image: Tensor) -> Tensor:
    """What an 8-bit file would keep of a float image, as float32 in [0, 1]."""
    return image.float().clamp(0.0, 1.0).mul(255.0).round_().div_(255.0)


def is_finite(values: Tensor) -> bool:
    """Whether all values are finite."""
    # The sum is one pass, isfinite().all() takes four; finite values may be so large that only the latter tells.
    return bool(values.sum().isfinite()) or bool(values.isfinite().all())


def reflect_pad(images: Tensor, left: int, right: int, top: int, bottom: int) -> Tensor:
    """Pad by reflection about the border pixels, at any size.

    `torch.nn.functional.pad` refuses to reflect further than the image is wide; here the reflection goes back and
    forth as often as needed, and a side of one pixel is repeated.

    Args:
        images: `(B, C, H, W)`.
        left: Columns to add on the left; likewise `right`, `top` and `bottom`.
        right: See `left`.
        top: See `left`.
        bottom: See `left`.

    Returns:
        `(B, C, top + H + bottom, left + W + right)`.
    """
    if not (left or right or top or bottom):
        return images
    height, width = images.shape[-2:]
    if max(left, right) < width and max(top, bottom) < height:
        return F.pad(images, (left, right, top, bottom), mode="reflect")
    rows = _reflected_indices(height, top, bottom, images.device)
    columns = _reflected_indices(width, left, right, images.device)
    return images[..., rows[:, None], columns[None, :]]


def _reflected_indices(size: int, before: int, after: int, device: torch.device) -> Tensor:
    positions = torch.arange(-before, size + after, device=device)
    period = max(2 * (size - 1), 1)
    folded = positions.remainder(period)
    return torch.where(folded < size, folded, period - folded)
