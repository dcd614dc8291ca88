"""Damage by lossy files."""

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg, encode_jpeg

from restore.corruption.base import Corruption, check_interval, draw_uniform, no_mask
from restore.images.tensors import quantise, to_float, to_uint8
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
        pixels = to_uint8(images).cpu()
        mode = ImageReadMode.GRAY if images.shape[1] == 1 else ImageReadMode.RGB
        decoded = [
            decode_jpeg(encode_jpeg(sample.contiguous(), quality), mode=mode)
            for sample, quality in zip(pixels, qualities, strict=True)
        ]
        return Corrupted(to_float(torch.stack(decoded)).to(images.device), no_mask(images))


class Quantise(Corruption):
    """What an 8-bit file keeps: values are clamped to [0, 1] and rounded to steps of 1/255."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Clamp and round."""
        return Corrupted(quantise(images), no_mask(images))
