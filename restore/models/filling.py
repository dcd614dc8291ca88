"""What an inpainting network starts from in a hole."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Fill", "fill_hole"]

Fill = Literal["grey", "smooth", "spline"]
"""Grey; averages of what is around the hole, taken over a pyramid; or a spline through it."""

_RELAXATIONS = 8
"""Steps of conjugate gradients on every level of the pyramid. On ten photos twelve moved the PSNR of no kind of
hole by more than 0.05 dB; four cost strokes 0.1 and rectangles 0.2 dB."""
_TENSION = 1.0
"""Weight of the slopes against the bends of a spline. With 0.3 single pixels are 0.1 dB better, strokes and rectangles
0.1 dB worse; with 3 the other way round, single pixels by 0.2."""
_TINY = 1e-20


def fill_hole(image: Tensor, mask: Tensor, fill: Fill) -> Tensor:
    """Fill holes, each picture for itself.

    "smooth" is pull-push (Gortler et al., "The lumigraph", 1996): a pyramid of means over 2 x 2 pixels, in which only
    known ones count; then from the top down, each picture takes from the next coarser one, enlarged bilinearly, what it
    lacks. "spline" pulls every one of these pictures towards the surface that bends and slopes least and goes through
    the known pixels, a thin plate under tension (Franke, "Thin plate splines with tension", 1985), by a few steps of
    conjugate gradients; that is close to the best linear prediction of a photo from the pixels that are left.

    Args:
        image: `(B, C, H, W)` float32; its values in the hole do not matter.
        mask: `(B, 1, H, W)`, 1 = missing.
        fill: How.

    Returns:
        `(B, C, H, W)`: the image where it is known; 0 everywhere if nothing is, or if grey is asked for.
    """
    if fill == "grey":
        return torch.zeros_like(image)
    weight = (mask <= 0.5).to(image.dtype)
    pyramid = [(image.masked_fill(mask > 0.5, 0.0), weight)]
    while max(pyramid[-1][0].shape[-2:]) > 1:
        values, weight = (F.avg_pool2d(plane, 2, ceil_mode=True) for plane in pyramid[-1])
        pyramid.append((values, weight))
    values, weight = pyramid.pop()
    filled = values / weight.clamp(min=1e-6)
    for values, weight in reversed(pyramid):
        larger = [2 * side for side in filled.shape[-2:]]
        filled = F.interpolate(filled, size=larger, mode="bilinear", align_corners=False)
        filled = filled[..., : values.shape[-2], : values.shape[-1]]
        filled = torch.lerp(filled, values / weight.clamp(min=1e-6), (weight * 2.0).clamp(max=1.0))
        if fill == "spline":
            filled = _relax(filled, (weight <= 0.0).to(values.dtype))
    return filled


def _relax(surface: Tensor, hole: Tensor) -> Tensor:
    """Less bent and sloped in the hole, by conjugate gradients; `hole` is 1 there and 0 elsewhere."""
    rest = _tension(surface).neg_().mul_(hole)
    direction, energy = rest, _dot(rest, rest)
    for _ in range(_RELAXATIONS):
        change = _tension(direction).mul_(hole)
        step = energy / _dot(direction, change).clamp(min=_TINY)
        surface = torch.addcmul(surface, step, direction)
        rest = torch.addcmul(rest, step, change, value=-1.0)
        before, energy = energy, _dot(rest, rest)
        direction = torch.addcmul(rest, energy / before.clamp(min=_TINY), direction)
    return surface


def _tension(surface: Tensor) -> Tensor:
    """Half the gradient of the sum of squared Laplacians and, weighted, of squared slopes."""
    slopes = _laplacian(surface)
    return _laplacian(slopes.add_(surface, alpha=_TENSION))


def _laplacian(surface: Tensor) -> Tensor:
    """Four times the pixel minus its neighbours, of which those beyond the border are like the pixel."""
    result = torch.zeros_like(surface)
    across, down = surface.diff(dim=-1), surface.diff(dim=-2)
    result[..., 1:] += across
    result[..., :-1] -= across
    result[..., 1:, :] += down
    result[..., :-1, :] -= down
    return result


def _dot(one: Tensor, other: Tensor) -> Tensor:
    return (one * other).sum(dim=(-3, -2, -1), keepdim=True)
