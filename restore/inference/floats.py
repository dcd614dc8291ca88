"""Floating-point pictures of any range, as the network and the eye take them: from 0 to 1."""

import numpy as np
import numpy.typing as npt
import torch

from restore.images.document import Array
from restore.images.tensors import LEVELS
from restore.inference.restorer import Restorer

__all__ = ["restore_floats", "unit_range"]


def unit_range(pixels: Array) -> Array:
    """Floats of any range between 0 and 1; integers as they are."""
    if pixels.dtype in LEVELS:
        return pixels
    unit: npt.NDArray[np.float32] = np.clip(pixels / _white(pixels), 0.0, 1.0).astype(np.float32)
    return unit


def restore_floats(
    restorer: Restorer, pixels: Array, mask: npt.NDArray[np.bool_] | None, strength: float
) -> tuple[Array, list[str]]:
    """Restore a picture of any range.

    Args:
        restorer: What restores.
        pixels: `(H, W)` or `(H, W, 3)`, floating point.
        mask: `(H, W)`, True = missing; None if nothing is.
        strength: How much of the change is made, from 0 to 1.

    Returns:
        The picture, of the same type, and notes. Known values beyond what counts as white are kept as they are.
    """
    white = _white(pixels if mask is None else pixels[~mask])
    beyond = np.abs(pixels) > white
    if mask is not None:
        beyond[mask] = False
    unit = np.clip(np.atleast_3d(pixels).astype(np.float32) / white, -1.0, 1.0)
    planes = torch.from_numpy(unit).permute(2, 0, 1).contiguous()
    answer = restorer.restore(planes, mask, strength) * white
    restored: Array = answer.permute(1, 2, 0).numpy().reshape(pixels.shape).astype(pixels.dtype)
    restored[beyond] = pixels[beyond]
    kept = int(beyond.sum())
    return restored, [f"{kept} values beyond {white:g} are kept as they are: a thousandth at most"] if kept else []


def _white(pixels: Array) -> float:
    """What counts as white: 1, or what all but a thousandth of the values stay below.

    A few may be far above it, as lamps and dead pixels are; the others must not become black for them.
    """
    return max(1.0, float(np.quantile(np.abs(pixels), 0.999, method="lower")))
