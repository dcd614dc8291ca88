"""Classical methods to compare with, from OpenCV and scikit-image, on the same tensors as a `Restorer`."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from skimage.restoration import wiener
from torch import Tensor

from restore.images.tensors import reflect_pad, to_float, to_pixels

__all__ = ["Baseline", "Method", "non_local_means", "telea", "wiener_deconvolution"]

Method = Callable[[Tensor, Tensor], Tensor]
"""`(C, H, W)` float32 and a mask `(1, H, W)` to `(C, H, W)` float32."""


@dataclass(frozen=True)
class Baseline:
    """A classical method, told what a blind network has to find out.

    Attributes:
        name: As it stands in tables.
        restore: `(C, H, W)` float32 and a mask `(1, H, W)` to `(C, H, W)` float32.
    """

    name: str
    restore: Method


def non_local_means(sigma: float) -> Baseline:
    """OpenCV's non-local means (Buades et al. 2005), told the noise's standard deviation in 8-bit units.

    Works on 8-bit pixels, so unclipped noise is clipped first. `h` is the multiple of sigma that scores best on
    scikit-image's sample photos.
    """
    strength = 0.8 * sigma

    def restore(image: Tensor, _mask: Tensor) -> Tensor:
        pixels = to_pixels(image)
        if pixels.ndim == 2:
            return to_float(np.asarray(cv2.fastNlMeansDenoising(pixels, None, strength)))
        return to_float(np.asarray(cv2.fastNlMeansDenoisingColored(pixels, None, strength, strength)))

    return Baseline("non-local means", restore)


def telea(radius: float = 3.0) -> Baseline:
    """OpenCV's fast-marching inpainting (Telea 2004)."""

    def restore(image: Tensor, mask: Tensor) -> Tensor:
        hole = (mask[0] > 0.5).numpy().astype(np.uint8)
        filled = to_float(np.asarray(cv2.inpaint(to_pixels(image), hole, radius, cv2.INPAINT_TELEA)))
        return torch.where(mask > 0.5, filled, image)

    return Baseline("Telea", restore)


def wiener_deconvolution(sigma_pixels: float, balance: float = 0.003) -> Baseline:
    """scikit-image's Wiener filter with the true Gaussian kernel, reflected beyond the borders against ringing."""
    radius = int(np.ceil(4 * sigma_pixels))
    offsets = np.arange(-radius, radius + 1)
    profile = np.exp(-0.5 * (offsets / max(sigma_pixels, 1e-3)) ** 2)
    kernel = np.outer(profile, profile) / profile.sum() ** 2

    def restore(image: Tensor, _mask: Tensor) -> Tensor:
        margin = 2 * radius
        padded = reflect_pad(image.unsqueeze(0), margin, margin, margin, margin)[0].numpy()
        planes = [wiener(plane, kernel, balance, clip=False) for plane in padded]
        result = torch.from_numpy(np.stack(planes)).float()
        return result[:, margin : margin + image.shape[1], margin : margin + image.shape[2]]

    return Baseline("Wiener", restore)
