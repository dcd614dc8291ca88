"""The only place where a score is defined: training, evaluation and reports all read it from here.

Images are clamped to [0, 1] and rounded to 8 bits, as the file that a person would get, and compared in float32 outside
autocast. A score of a set is the mean of its images' scores, whatever their sizes.
"""

import torch
from torch import Tensor

from restore.images.tensors import quantise

__all__ = ["MAX_PSNR", "MIN_SSIM_SIDE", "hole_psnr", "mse", "psnr", "similarity_map", "ssim"]

MAX_PSNR = 100.0
"""What two identical images score, in dB, so that one of them cannot turn a mean into infinity. 8-bit RGB images of a
megapixel that differ in one value by one step score 112.9 without this cap."""

MIN_SSIM_SIDE = 11
"""The side of SSIM's window; smaller images have no SSIM."""

_SSIM_TILE = 192
"""Side of the squares that SSIM is computed in: five planes of three channels stay in the cache, and memory flat."""

_SSIM_SIGMA, _SSIM_C1, _SSIM_C2 = 1.5, 0.01**2, 0.03**2


def psnr(restored: Tensor, clean: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each image: 10 log10(1 / mean squared error), over all channels and pixels.

    Args:
        restored: `(B, C, H, W)` floating point; clamped to [0, 1] and rounded to 8 bits first.
        clean: `(B, C, H, W)` in [0, 1]; treated alike.

    Returns:
        `(B,)` float32, in dB, at most `MAX_PSNR`.

    Raises:
        ValueError: The shapes differ.
    """
    return _decibels(mse(restored, clean))


def mse(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean squared error of each image, over all channels and pixels: what PSNR takes the logarithm of.

    Args:
        restored: As for `psnr`.
        clean: As for `psnr`.

    Returns:
        `(B,)` float32, in [0, 1].

    Raises:
        ValueError: The shapes differ.
    """
    _check_alike(restored, clean)
    return (quantise(restored) - quantise(clean)).square().flatten(1).mean(dim=1)


def hole_psnr(restored: Tensor, clean: Tensor, mask: Tensor) -> Tensor:
    """PSNR of each image over its missing pixels alone.

    Args:
        restored: As for `psnr`.
        clean: As for `psnr`.
        mask: `(B, 1, H, W)`, 1 = missing.

    Returns:
        `(B,)` float32, in dB; NaN for an image without a hole.

    Raises:
        ValueError: The shapes differ.
    """
    _check_alike(restored, clean)
    hole = (mask > 0.5).expand_as(clean)
    error = (quantise(restored) - quantise(clean)).square() * hole
    return _decibels(error.flatten(1).sum(dim=1) / hole.flatten(1).sum(dim=1))


def ssim(restored: Tensor, clean: Tensor) -> Tensor:
    """Structural similarity of each image (Wang et al. 2004).

    Gaussian window of 11 x 11 and sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance, each channel alone, averaged
    over the region where the window fits. Equal to scikit-image's with `gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1`.

    Args:
        restored: `(B, C, H, W)` floating point; clamped to [0, 1] and rounded to 8 bits first.
        clean: `(B, C, H, W)` in [0, 1]; treated alike.

    Returns:
        `(B,)` float32, at most 1.

    Raises:
        ValueError: A side is shorter than the window, or the shapes differ.
    """
    _check_alike(restored, clean)
    if min(clean.shape[-2:]) < MIN_SSIM_SIDE:
        size = f"{clean.shape[-2]} x {clean.shape[-1]}"
        raise ValueError(f"SSIM needs images of at least {MIN_SSIM_SIDE} x {MIN_SSIM_SIDE} pixels, not {size}")
    rows, columns = (side - MIN_SSIM_SIDE + 1 for side in clean.shape[-2:])
    total = torch.zeros(clean.shape[0], dtype=torch.float64, device=clean.device)
    with torch.autocast(device_type=clean.device.type, enabled=False):
        for top in range(0, rows, _SSIM_TILE):
            for left in range(0, columns, _SSIM_TILE):
                seen = (
                    ...,
                    slice(top, min(top + _SSIM_TILE, rows) + MIN_SSIM_SIDE - 1),
                    slice(left, min(left + _SSIM_TILE, columns) + MIN_SSIM_SIDE - 1),
                )
                total += similarity_map(quantise(restored[seen]), quantise(clean[seen])).flatten(1).double().sum(dim=1)
    return (total / (clean.shape[1] * rows * columns)).float()


def similarity_map(x: Tensor, y: Tensor) -> Tensor:
    """SSIM at every pixel where the window fits, differentiable, of values as they are.

    Args:
        x: `(B, C, H, W)` float32, nominally in [0, 1], sides of `MIN_SSIM_SIDE` or more.
        y: As `x`.

    Returns:
        `(B, C, H - 10, W - 10)`, at most 1.

    Raises:
        ValueError: A side is shorter than the window.
    """
    if min(y.shape[-2:]) < MIN_SSIM_SIDE:
        size = f"{y.shape[-2]} x {y.shape[-1]}"
        raise ValueError(f"SSIM needs images of at least {MIN_SSIM_SIDE} x {MIN_SSIM_SIDE} pixels, not {size}")
    # Around 0.5, variances lose no digits to cancellation that matter beside C2.
    x, y = x - 0.5, y - 0.5
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = _window(torch.stack([x, y, x * x, y * y, x * y])).unbind()
    variance_x, variance_y, covariance = mean_xx - mean_x**2, mean_yy - mean_y**2, mean_xy - mean_x * mean_y
    mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
    luminance = (2 * mean_x * mean_y + _SSIM_C1) / (mean_x**2 + mean_y**2 + _SSIM_C1)
    structure = (2 * covariance + _SSIM_C2) / (variance_x + variance_y + _SSIM_C2)
    return luminance * structure


def _check_alike(restored: Tensor, clean: Tensor) -> None:
    """Broadcasting would give a score, of something else."""
    if restored.shape != clean.shape:
        raise ValueError(f"scores need images of one shape, not {tuple(restored.shape)} and {tuple(clean.shape)}")


def _decibels(error: Tensor) -> Tensor:
    return -10.0 * torch.log10(error.clamp(min=10.0 ** (-MAX_PSNR / 10.0)))


def _window(images: Tensor) -> Tensor:
    """Gaussian mean around every pixel where the window fits, one axis after the other.

    Sums of shifted images: a convolution would round its inputs to TF32 on a GPU, where variances drown in it.
    """
    offsets = torch.arange(MIN_SSIM_SIDE) - MIN_SSIM_SIDE // 2
    weights = torch.exp(-(offsets**2) / (2.0 * _SSIM_SIGMA**2))
    weights = weights / weights.sum()
    for axis in (-2, -1):
        size = images.shape[axis] - MIN_SSIM_SIDE + 1
        total = torch.zeros_like(images.narrow(axis, 0, size))
        for shift, weight in enumerate(weights.tolist()):
            total.add_(images.narrow(axis, shift, size), alpha=weight)
        images = total
    return images
