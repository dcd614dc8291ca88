"""Small folders of real pictures, cut from scikit-image's samples."""

from pathlib import Path

from PIL import Image

from restore.images.codec import decode
from restore.images.samples import sample_photos


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
