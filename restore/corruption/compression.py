"""Damage by lossy files."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from restore.corruption.base import Corruption, check_interval, draw_uniform, no_mask
from restore.images.tensors import quantise, to_float, to_pixels
from restore.types import Corrupted, Interval

__all__ = ["JpegCompression", "Quantise"]


class JpegCompression(Corruption):
    """A round trip through a JPEG file: 8 bits, chroma halved (4:2:0), on the CPU.

    Args:
        quality_range: libjpeg's quality, 1 to 100, drawn per sample and rounded.
    """

    def __init__(self, quality_range: Interval = (30.0, 95.0)) -> None:
        self.quality_range = check_interval("quality_range", quality_range, 1.0, 100.0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Compress and decompress."""
        qualities = draw_uniform(self.quality_range, images, generator).round().int().tolist()
        decoded = [_round_trip(sample, quality) for sample, quality in zip(images, qualities, strict=True)]
        return Corrupted(torch.stack(decoded).to(images.device), no_mask(images))


class Quantise(Corruption):
    """What an 8-bit file keeps: values are clamped to [0, 1] and rounded to steps of 1/255."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Clamp and round."""
        return Corrupted(quantise(images), no_mask(images))


def _round_trip(image: Tensor, quality: int) -> Tensor:
    buffer = io.BytesIO()
    Image.fromarray(to_pixels(image)).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(buffer, formats=["JPEG"]) as decoded:
        return to_float(np.asarray(decoded))
