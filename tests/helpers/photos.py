"""Small folders of real pictures, cut from scikit-image's samples."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.images.tensors import to_float
from restore.seeds import generator_for


def write_photos(folder: Path, count: int, size: tuple[int, int] = (64, 80), suffix: str = ".png") -> list[Path]:
    """`count` different pictures of `(height, width)`, named 00.png, 01.png, ..."""
    height, width = size
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [decode(photo.path).pixels for photo in sample_photos()]
    paths = []
    for index in range(count):
        pixels = pictures[index % len(pictures)]
        top = 37 * index % (pixels.shape[0] - height)
        left = 53 * index % (pixels.shape[1] - width)
        path = folder / f"{index:02d}{suffix}"
        Image.fromarray(pixels[top : top + height, left : left + width]).save(path)
        paths.append(path)
    return paths


def sample_photo(name: str) -> Tensor:
    """One of the sample photos by its file's name, `(1, C, H, W)`."""
    (found,) = (each for each in sample_photos() if each.path.name == name)
    return to_float(decode(found.path).pixels).unsqueeze(0)


def damaged_pair(index: int, sigma: float, height: int = 96, width: int = 81) -> tuple[Tensor, Tensor]:
    """A damaged and a clean crop of a photo, 8-bit values, `(1, C, H, W)`."""
    clean = to_float(decode(sample_photos()[index].path).pixels)[None, :, 40 : 40 + height, 60 : 60 + width]
    noise = torch.randn(clean.shape, generator=generator_for("metrics", index)) * sigma / 255.0
    return (clean + noise).clamp(0, 1).mul(255).round().div(255), clean
