"""Blur: every sample is convolved with a kernel of its own, reflected at the borders."""

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.corruption.base import Corruption, check_interval, draw_uniform, no_mask
from restore.images.kernels import disc_kernels, gaussian_profiles, motion_kernels
from restore.images.tensors import reflect_pad
from restore.types import Corrupted, Interval

__all__ = ["DefocusBlur", "GaussianBlur", "MotionBlur", "Rescale", "blur_gaussian"]


class _Blur(Corruption):
    """A convolution with one kernel per sample."""

    @abstractmethod
    def kernels(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the kernels: `(B, K, K)` float32, K odd, each summing to 1."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Blur."""
        kernels = self.kernels(images, generator)
        return Corrupted(_convolve(images, kernels), no_mask(images))


class GaussianBlur(_Blur):
    """Isotropic Gaussian blur.

    Args:
        sigma_range: Standard deviation in pixels, drawn per sample; 0 is no blur.
    """

    def __init__(self, sigma_range: Interval = (1.0, 3.0)) -> None:
        self.sigma_range = check_interval("sigma_range", sigma_range, 0.0, 50.0)

    def kernels(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw Gaussians, sampled at the pixel centres and cut at four standard deviations."""
        profile = gaussian_profiles(draw_uniform(self.sigma_range, images, generator), self.sigma_range[1])
        return profile[:, :, None] * profile[:, None, :]


class DefocusBlur(_Blur):
    """A lens out of focus: every point becomes a uniform disc, the image of its aperture.

    Args:
        radius_range: Radius of the disc in pixels, drawn per sample; 0 is no blur.
    """

    def __init__(self, radius_range: Interval = (1.0, 6.0)) -> None:
        self.radius_range = check_interval("radius_range", radius_range, 0.0, 100.0)

    def kernels(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw discs; a pixel at the rim weighs what lies inside."""
        return disc_kernels(draw_uniform(self.radius_range, images, generator), self.radius_range[1])


class MotionBlur(_Blur):
    """Straight motion at constant speed.

    Args:
        length_range: Length of the path in pixels, drawn per sample; 0 is no blur.
        angle_range: Direction of the path in degrees, drawn per sample; 0 is along the rows, 90 along the columns, and
            what lies between turns clockwise.
    """

    def __init__(self, length_range: Interval = (3.0, 15.0), angle_range: Interval = (0.0, 180.0)) -> None:
        self.length_range = check_interval("length_range", length_range, 0.0, 200.0)
        self.angle_range = check_interval("angle_range", angle_range, 0.0, 180.0)

    def kernels(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw segments through the centre, each point shared out bilinearly among its four pixels."""
        length = draw_uniform(self.length_range, images, generator)
        angle = draw_uniform(self.angle_range, images, generator).deg2rad()
        return motion_kernels(length, angle, self.length_range[1])


class Rescale(Corruption):
    """Scaled down and up again, both bicubic: what a photo loses that was enlarged, or stored too small.

    Args:
        factor_range: Side of the small picture relative to the large one, drawn per sample; 1 is no change.
    """

    def __init__(self, factor_range: Interval = (0.5, 1.0)) -> None:
        self.factor_range = check_interval("factor_range", factor_range, 0.05, 1.0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Scale each sample."""
        size = (images.shape[-2], images.shape[-1])
        rescaled = []
        for sample, factor in zip(images, draw_uniform(self.factor_range, images, generator).tolist(), strict=True):
            small = [max(1, round(side * factor)) for side in size]
            shrunk = F.interpolate(sample[None], size=small, mode="bicubic", align_corners=False, antialias=True)
            rescaled.append(F.interpolate(shrunk, size=size, mode="bicubic", align_corners=False))
        return Corrupted(torch.cat(rescaled).clamp(0.0, 1.0), no_mask(images))


def blur_gaussian(images: Tensor, sigma: Tensor, most: float) -> Tensor:
    """Blur each sample by a Gaussian of its own, separably, with reflected borders.

    Args:
        images: `(B, C, H, W)` float32.
        sigma: `(B,)` pixels, 0 to `most`; 0 is no blur.
        most: The widest one; the kernels end at four times that.
    """
    if most == 0.0:
        return images
    profile = gaussian_profiles(sigma, most)
    return _convolve(_convolve(images, profile[:, :, None]), profile[:, None, :])


def _convolve(images: Tensor, kernels: Tensor) -> Tensor:
    batch, channels, height, width = images.shape
    rows, columns = kernels.shape[-2] // 2, kernels.shape[-1] // 2
    padded = reflect_pad(images, columns, columns, rows, rows)
    weights = kernels.repeat_interleave(channels, dim=0).unsqueeze(1)
    # Samples and channels become groups of one convolution; in float32, whatever autocast says.
    with torch.autocast(device_type=images.device.type, enabled=False):
        blurred = F.conv2d(padded.reshape(1, batch * channels, *padded.shape[-2:]), weights, groups=batch * channels)
    return blurred.view(batch, channels, height, width)
