"""Additive noise."""

import torch
from torch import Tensor

from restore.corruption.base import Corruption, check_interval, draw_uniform, is_grey, no_mask
from restore.types import Corrupted, Interval

__all__ = ["GaussianNoise"]


class GaussianNoise(Corruption):
    """White Gaussian noise: image + sigma / 255 * n, with n of mean 0 and variance 1 in every pixel and channel.

    A grey sample gets one grey noise plane, also where it stands as three equal channels.

    Args:
        sigma_range: Standard deviation in 8-bit units, drawn per sample; 0 is no noise.
        clip: Clamp the result to [0, 1] as a file would; the published tables do not.
    """

    def __init__(self, sigma_range: Interval = (0.0, 55.0), clip: bool = False) -> None:
        self.sigma_range = check_interval("sigma_range", sigma_range, 0.0)
        self.clip = clip

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Add noise."""
        sigma = draw_uniform(self.sigma_range, images, generator).view(-1, 1, 1, 1) / 255.0
        noise = torch.randn(images.shape, generator=generator, device=images.device)
        if images.shape[1] > 1:
            noise = torch.where(is_grey(images), noise[:, :1], noise)
        noisy = images + sigma * noise
        return Corrupted(noisy.clamp(0.0, 1.0) if self.clip else noisy, no_mask(images))
