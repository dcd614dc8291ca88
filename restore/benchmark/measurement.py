"""Figures of speed and memory, and what they are taken of."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from restore.devices import InferenceChoice
from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.models.base import RestorationNetwork

__all__ = ["Measurement", "Setting", "place_network", "write_jpeg"]


@dataclass(frozen=True)
class Measurement:
    """A figure.

    Attributes:
        name: What was measured, with its circumstances.
        value: How much.
        unit: Of what.
        megapixels: Size of the picture, where growth with it is measured.
    """

    name: str
    value: float
    unit: str
    megapixels: int | None = None

    @property
    def text(self) -> str:
        """Three significant digits and the unit, shares as per cent."""
        if self.unit == "share":
            return f"{self.value:.0%}"
        digits = max(0, 2 - math.floor(math.log10(abs(self.value)))) if self.value else 0
        return f"{self.value:.{min(digits, 3)}f} {self.unit}"


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        bundle: Shipped name or folder.
        device: As for `Restorer`.
        precision: As for `Restorer`, but `auto` is `fast` from file to file, as for `restore photos`.
        tile: As for `Restorer`.
        repeat: Runs of which the median counts, after one that does not.
        megapixels: Sizes for the growth of time and memory.
    """

    bundle: str = "denoise"
    device: str = "auto"
    precision: InferenceChoice = "auto"
    tile: int | None = None
    repeat: int = 5
    megapixels: Sequence[int] = (1, 4, 16, 64, 256)

    @property
    def precision_of_photos(self) -> InferenceChoice:
        """That of `restore photos`."""
        return "fast" if self.precision == "auto" else self.precision


def place_network(model: RestorationNetwork, device: torch.device) -> RestorationNetwork:
    """Move a network to a device, in the layout that is fastest there."""
    model.to(device)
    model.to(memory_format=torch.channels_last)
    return model


def write_jpeg(path: Path, height: int, width: int, channels: int = 3) -> Path:
    """A picture of any size, from a sample photo repeated and mirrored; grey for one channel."""
    pixels = decode(next(photo.path for photo in sample_photos() if photo.relative.stem == "coffee")).pixels
    mirrored = np.concatenate([pixels, pixels[:, ::-1]], axis=1)
    mirrored = np.concatenate([mirrored, mirrored[::-1]], axis=0)
    rows, columns = (-(-side // length) for side, length in zip((height, width), mirrored.shape[:2], strict=True))
    path.parent.mkdir(exist_ok=True)
    large = np.tile(mirrored, (rows, columns, 1))[:height, :width]
    Image.fromarray(large).convert("L" if channels == 1 else "RGB").save(path, quality=92)
    return path
