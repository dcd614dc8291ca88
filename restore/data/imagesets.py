"""The small picture sets of the literature, whole in memory, as training, validation and test batches."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from restore.corruption import Corruption, Identity
from restore.data.base import CorruptingDataModule, check_at_least, check_share, prepared
from restore.data.dataset import TrainingCrops
from restore.errors import DataError, UsageError
from restore.images.tensors import to_float, to_uint8
from restore.seeds import generator_for
from restore.types import ScoredBatch

__all__ = ["ImageSet", "ImageSetDataModule", "Pictures", "load_pictures"]

ImageSet = Literal["auto", "digits", "mnist", "fashion", "cifar10"]

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


class DrawnPictures(Dataset[TrainingCrops]):
    """Every picture once an epoch.

    Args:
        pictures: What there is.
    """

    def __init__(self, pictures: Pictures) -> None:
        pixels = pictures.pixels if pictures.pixels.ndim == 4 else pictures.pixels[..., None]
        self._planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

    def __len__(self) -> int:
        """Pictures per epoch."""
        return len(self._planes)

    def __getitem__(self, draw: int) -> TrainingCrops:
        """The picture of a draw; draws come from `CropSampler` and never repeat."""
        return {"clean": self._planes[draw % len(self._planes)], "draw": draw}


class ImageSetDataModule(CorruptingDataModule):
    """MNIST, Fashion-MNIST, CIFAR-10, or the digits that come with scikit-learn.

    The first three are read by torchvision from their usual files. Training goes through every picture once an epoch.
    Corruption is numbered and derived as for photos, so scores do not depend on batch size, workers or processes.
    The digits are 1,797 pictures of 8 x 8 pixels, enlarged to 28; the first 1,500 are for training and validation.

    Args:
        kind: Which set; `auto` is MNIST where a folder is named, else the digits.
        folder: Where torchvision keeps its sets: for MNIST, the folder that holds `MNIST/raw`.
        download: Let torchvision download what is missing into the folder.
        corruption: Damage of the training pictures; none if left out.
        evaluation: Damage for validation and test by name; each name becomes keys such as `val/NAME/psnr`. The
            training corruption, without keys of its own, if left out.
        image_size: Side that pictures of another size are brought to, in pixels; their own, and 28 for the digits, if
            left out.
        val_share: Part of the training pictures held out for validation, chosen by the seed.
        batch_size: Pictures per batch and process, in training and scoring.
        num_workers: Loader processes; 0 is fastest, since all pictures are in memory.
        seed: Decides the split, the order and the damage.
    """

    def __init__(
        self,
        kind: ImageSet = "auto",
        folder: Path | None = None,
        download: bool = False,
        corruption: Corruption | None = None,
        evaluation: dict[str, Corruption] | None = None,
        image_size: int | None = None,
        val_share: float = 0.05,
        batch_size: int = 128,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(corruption or Identity(), evaluation, batch_size, num_workers, seed)
        if image_size is not None:
            check_at_least("image_size", image_size, 11)
        check_share("val_share", val_share)
        chosen = ("digits" if folder is None else "mnist") if kind == "auto" else kind
        if folder is None and chosen != "digits":
            raise UsageError(f"data.folder: name the folder that holds the files of {chosen}")
        self.kind: ImageSet = chosen
        self.folder, self.download, self.image_size, self.val_share = folder, download, image_size, val_share
        self._train: Pictures | None = None
        self._val: Pictures | None = None
        self._test: Pictures | None = None

    def setup(self, stage: str) -> None:
        """Read the part that a stage needs."""
        if stage in {"fit", "validate"} and self._train is None:
            pictures = self._load("train")
            order = torch.randperm(len(pictures), generator=generator_for(self.seed, "split")).numpy()
            held_out = min(max(round(self.val_share * len(pictures)), 1), len(pictures) - 1)
            self._val, self._train = pictures.chosen(order[:held_out]), pictures.chosen(order[held_out:])
            if stage == "fit" and len(self._train) < self.batch_size:
                raise UsageError(f"data.batch_size: {self.batch_size} is more than the {len(self._train)} pictures")
        if stage in {"test", "predict"} and self._test is None:
            self._test = self._load("test")

    def train_dataloader(self) -> DataLoader[TrainingCrops]:
        """Clean 8-bit pictures; `on_after_batch_transfer` makes batches of them."""
        return self._training_loader(DrawnPictures(prepared(self._train)))

    def val_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """One loader per named corruption."""
        return self._evaluation_loaders(self._val, self.batch_size, None)

    def test_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """One loader per named corruption, of the set's own test pictures."""
        return self._evaluation_loaders(self._test, self.batch_size, None)

    def describe(self) -> dict[str, Any]:
        """What a bundle's card says of the data, as plain JSON values."""
        return {
            "set": self.kind,
            "photos": 0 if self._train is None else len(self._train),
            "validation_photos": 0 if self._val is None else len(self._val),
            "corruption": repr(self.corruption),
            "crop_size": 0 if self._train is None else self._train.pixels.shape[1],
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def _load(self, part: Literal["train", "test"]) -> Pictures:
        return load_pictures(self.kind, part, self.folder, self.download, self.image_size)


def load_pictures(
    kind: ImageSet,
    part: Literal["train", "test"],
    folder: Path | None = None,
    download: bool = False,
    image_size: int | None = None,
) -> Pictures:
    """Read one part of a set, whole.

    Args:
        kind: Which set, not `auto`.
        part: `train` or `test`.
        folder: As for `ImageSetDataModule`.
        download: As for `ImageSetDataModule`.
        image_size: As for `ImageSetDataModule`.

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
            f"data.folder: {folder} does not hold the files of {kind} as torchvision keeps them ({error}); "
            f"set data.download to fetch them"
        ) from error
    pixels = pictures.data if isinstance(pictures.data, np.ndarray) else pictures.data.numpy()
    return pixels, np.asarray(pictures.targets, dtype=np.int64)


def _resized(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    planes = pixels if pixels.ndim == 4 else pixels[..., None]
    images: Tensor = to_float(torch.from_numpy(np.ascontiguousarray(planes.transpose(0, 3, 1, 2))))
    images = F.interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    resized: npt.NDArray[np.uint8] = to_uint8(images).permute(0, 2, 3, 1).contiguous().numpy()
    return resized if pixels.ndim == 4 else resized[..., 0]
