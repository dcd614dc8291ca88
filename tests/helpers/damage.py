"""Damage of a known size, for pictures of 8 bits."""

from io import BytesIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def noisy(pixels: Pixels, sigma: float, seed: int = 0) -> Floats:
    """With white noise in 8-bit units, neither clipped nor rounded, in [0, 1]."""
    noise = np.random.default_rng(seed).standard_normal(pixels.shape, np.float32)
    return ((pixels + sigma * noise) / 255.0).astype(np.float32)


def as_file(image: Floats) -> Pixels:
    """Clipped and rounded to 8 bits."""
    pixels: Pixels = np.rint(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return pixels


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """Through a JPEG file, its colours at half the resolution."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file), np.uint8)


def blurred(pixels: Pixels, sigma: float) -> Pixels:
    """Under a Gaussian of sigma pixels; 0 leaves the picture as it is."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8) if sigma else pixels


def underexposed(pixels: Pixels, sigma: float, seed: int) -> Pixels:
    """2.7 stops too dark, so that much of the noise is clipped."""
    return as_file(noisy((pixels * 0.15).astype(np.uint8), sigma, seed))


def demosaiced(pixels: Pixels, sigma: float, seed: int) -> Pixels:
    """Noise in the single value that a sensor has at each pixel; the other two are interpolated."""
    mosaic = as_file(noisy(pixels, sigma, seed))
    sensor = mosaic[:, :, 1].copy()
    sensor[::2, ::2], sensor[1::2, 1::2] = mosaic[::2, ::2, 0], mosaic[1::2, 1::2, 2]
    return np.asarray(cv2.cvtColor(sensor, cv2.COLOR_BayerBG2BGR)[:, :, ::-1], np.uint8)
