"""The small picture sets of the literature: MNIST, Fashion-MNIST, CIFAR-10, and the digits of scikit-learn."""

from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.errors import DataError
from restore.images.tensors import to_float, to_uint8

__all__ = ["PICTURE_SETS", "ImageSet", "Part", "Pictures", "load_pictures"]

ImageSet = Literal["digits", "mnist", "fashion", "cifar10"]
Part = Literal["train", "test"]

PICTURE_SETS: tuple[ImageSet, ...] = ("digits", "mnist", "fashion", "cifar10")
"""Their names; all but the digits are read from a folder."""

_DIGITS_IN_TRAINING = 1500
_DIGITS_SIZE = 28
"""Side that the digits, of 8 pixels, are enlarged to: MNIST's, so that its configurations take them."""


class Pictures:
    """Pictures of one size in memory; a store as `EvaluationDataset` reads it.

    Args:
        pixels: `(N, H, W)` or `(N, H, W, 3)` uint8.
        labels: `(N,)` integers: what each picture shows.
        names: `(N,)` integers: the number of each picture in its file.
        part: Of the set, `train` or `test`: the names begin with it.
    """

    def __init__(
        self, pixels: npt.NDArray[np.uint8], labels: npt.NDArray[np.int64], names: npt.NDArray[np.int64], part: str
    ) -> None:
        self.pixels, self.labels, self.names, self.part = pixels, labels, names, part

    def __len__(self) -> int:
        """How many there are."""
        return len(self.pixels)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """`(H, W)` or `(H, W, 3)` uint8."""
        picture: npt.NDArray[np.uint8] = self.pixels[index]
        return picture

    def name(self, index: int) -> str:
        """The part, and the picture's number in its file: `test-00042`."""
        return f"{self.part}-{self.names[index]:05d}"

    def chosen(self, indices: npt.NDArray[np.int64]) -> "Pictures":
        """Some of them, under the names that they have here."""
        return Pictures(self.pixels[indices], self.labels[indices], self.names[indices], self.part)


def load_pictures(
    kind: ImageSet,
    part: Part,
    folder: Path | None = None,
    download: bool = False,
    image_size: int | None = None,
) -> Pictures:
    """Read one part of a set, whole.

    Args:
        kind: Which set.
        part: `train` or `test`; of the digits, the first 1,500 and the other 297.
        folder: Where torchvision keeps its sets: for MNIST, the folder that holds `MNIST/raw`. The digits need none.
        download: Let torchvision download what is missing into the folder.
        image_size: Side that pictures of another size are brought to, in pixels; their own, and 28 for the digits, if
            left out.

    Raises:
        DataError: The files are not there, or damaged.
    """
    if kind == "digits":
        pixels, labels = _read_digits(part)
        image_size = image_size or _DIGITS_SIZE
    else:
        pixels, labels = _read_with_torchvision(kind, part, folder or Path(), download)
    if image_size is not None and pixels.shape[1:3] != (image_size, image_size):
        pixels = _resized(pixels, image_size)
    return Pictures(pixels, labels, np.arange(len(pixels)), part)


def _read_digits(part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = slice(None, _DIGITS_IN_TRAINING) if part == "train" else slice(_DIGITS_IN_TRAINING, None)
    pixels = to_uint8(torch.from_numpy(digits.images[rows] / 16.0)).numpy()  # values are 0 to 16
    return pixels, digits.target[rows].astype(np.int64)


def _read_with_torchvision(
    kind: str, part: str, folder: Path, download: bool
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    from torchvision import datasets

    reader = {"mnist": datasets.MNIST, "fashion": datasets.FashionMNIST, "cifar10": datasets.CIFAR10}[kind]
    try:
        pictures = reader(root=str(folder), train=part == "train", download=download)
    except (RuntimeError, OSError, ValueError, AssertionError, EOFError) as error:
        raise DataError(
            f"{folder}: does not hold the files of {kind} as torchvision keeps them ({error}); "
            "`restore fit` fetches them with --data.download true"
        ) from error
    pixels = pictures.data if isinstance(pictures.data, np.ndarray) else pictures.data.numpy()
    return pixels, np.asarray(pictures.targets, dtype=np.int64)


def _resized(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    planes = pixels if pixels.ndim == 4 else pixels[..., None]
    images: Tensor = to_float(torch.from_numpy(np.ascontiguousarray(planes.transpose(0, 3, 1, 2))))
    images = F.interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    resized: npt.NDArray[np.uint8] = to_uint8(images).permute(0, 2, 3, 1).contiguous().numpy()
    return resized if pixels.ndim == 4 else resized[..., 0]
