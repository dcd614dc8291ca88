"""Blur kernels: what a corruption convolves with, and what deconvolution looks for."""

import math

import torch
from torch import Tensor

__all__ = ["disc_kernels", "frequencies", "gaussian_profiles", "motion_kernels", "responses"]

_TRUNCATE = 4.0  # standard deviations; what lies beyond weighs less than 1e-4


def gaussian_profiles(sigma: Tensor, most: float) -> Tensor:
    """Gaussians in one direction, sampled at the pixel centres and cut at four times the widest one.

    Args:
        sigma: `(B,)` standard deviations in pixels, 0 to `most`; 0 is no blur.
        most: The widest one there can be.

    Returns:
        `(B, K)`, K odd, each summing to 1; the kernel is the outer product with itself.
    """
    radius = math.ceil(_TRUNCATE * most)
    offsets = torch.arange(-radius, radius + 1, device=sigma.device)
    profile = torch.exp(-0.5 * (offsets / sigma.view(-1, 1).clamp(min=1e-3)) ** 2)
    return profile / profile.sum(dim=1, keepdim=True)


def disc_kernels(radius: Tensor, widest: float) -> Tensor:
    """Uniform discs, what a lens out of focus makes of a point; a pixel at the rim weighs what lies inside of it.

    Args:
        radius: `(B,)` in pixels, 0 to `widest`; 0 is no blur.
        widest: The widest one there can be.

    Returns:
        `(B, K, K)`, K odd, each summing to 1.
    """
    border = math.ceil(widest)
    offsets = torch.arange(-border, border + 1, device=radius.device)
    distances = (offsets[:, None].square() + offsets.square()).sqrt()
    kernels = (radius.view(-1, 1, 1) + 0.5 - distances).clamp(0.0, 1.0)
    return kernels / kernels.sum(dim=(1, 2), keepdim=True)


def motion_kernels(length: Tensor, angle: Tensor, longest: float) -> Tensor:
    """Straight segments through the centre, each point shared out bilinearly among its four pixels.

    Args:
        length: `(B,)` of the path in pixels, 0 to `longest`; 0 is no blur.
        angle: `(B,)` in radians; 0 is along the rows, a quarter turn along the columns, clockwise in between.
        longest: The longest one there can be.

    Returns:
        `(B, K, K)`, K odd, each summing to 1.
    """
    radius = math.ceil(longest / 2)
    points = max(1, 4 * math.ceil(longest))  # in the middles of as many equal parts, whose variance is the path's
    steps = (torch.arange(points, device=length.device) + 0.5) / points - 0.5
    path = steps * length.view(-1, 1)
    offsets = torch.arange(-radius, radius + 1, device=length.device)

    def shares(positions: Tensor) -> Tensor:  # (B, points) -> (B, points, K)
        return (1.0 - (offsets - positions.unsqueeze(2)).abs()).clamp(min=0.0)

    rows, columns = shares(path * angle.sin().view(-1, 1)), shares(path * angle.cos().view(-1, 1))
    kernels = torch.einsum("bpk,bpl->bkl", rows, columns)
    return kernels / kernels.sum(dim=(1, 2), keepdim=True)


def responses(kernels: Tensor, size: tuple[int, int]) -> Tensor:
    """Fourier transforms of kernels around the origin of a picture, as `rfft2` orders frequencies.

    Args:
        kernels: `(B, K, K)`, K odd.
        size: Height and width in pixels, K at least.

    Returns:
        `(B, H, W // 2 + 1)` complex64.
    """
    side = kernels.shape[-1]
    padded = kernels.new_zeros(len(kernels), *size)
    padded[:, :side, :side] = kernels
    transformed: Tensor = torch.fft.rfft2(padded.roll((-(side // 2), -(side // 2)), dims=(1, 2)))
    return transformed


def frequencies(size: tuple[int, int], device: torch.device) -> Tensor:
    """How high they are, in cycles per pixel, as `rfft2` orders them: `(H, W // 2 + 1)`."""
    rows, columns = torch.fft.fftfreq(size[0], device=device), torch.fft.rfftfreq(size[1], device=device)
    cycles: Tensor = (rows[:, None].square() + columns.square()).sqrt()
    return cycles
