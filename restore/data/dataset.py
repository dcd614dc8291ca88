"""Datasets over decoded photos: random crops for training, whole or centred pictures for scoring."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from restore.corruption import Corruption
from restore.data.augment import CropAugmentation
from restore.errors import DataError, RestoreError, UsageError
from restore.images.codec import decode, has_several_pages, open_document
from restore.images.search import FoundImage, search
from restore.images.tensors import to_float
from restore.seeds import derive_seed, generator_for
from restore.types import ScoredBatch

__all__ = [
    "CropDataset",
    "CropSampler",
    "EvaluationDataset",
    "PhotoStore",
    "PictureStore",
    "TrainingCrops",
    "as_rgb",
    "centre",
    "photos_in",
    "split_photos",
]


_log = logging.getLogger(__name__)

_WINDOW = 11
"""Side of the window of SSIM, which whole photos need."""

_Result = TypeVar("_Result")
_NAMED = 5
"""So many of the files that cannot be used are named."""


class TrainingCrops(TypedDict):
    """Clean crops on their way to the device, where they are corrupted.

    Keys:
        clean: `(3, S, S)` uint8, `(B, 3, S, S)` once collated.
        draw: The number of this draw since training began: what all its randomness is derived from.
    """

    clean: Tensor
    draw: int


class PictureStore(Protocol):
    """Pictures by index, each with a name that its scored damage is derived from."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """`(H, W)` or `(H, W, 3)` uint8."""

    def name(self, index: int) -> str:
        """Of its own for each picture, whatever order or part of them is asked for."""


class PhotoStore:
    """Photos by index, decoded on demand or all at once.

    Args:
        photos: What there is.
        min_side: Shortest side that is accepted, in pixels.

    Attributes:
        photos: What there is.
        sizes: Height and width of each, upright.

    Raises:
        DataError: Photos are smaller than `min_side` or have several pages, or several of whatever kind cannot be
            used; the message counts them and names the first.
        ImageError: One file is not an image.
    """

    def __init__(self, photos: Sequence[FoundImage], min_side: int) -> None:
        self.photos = list(photos)
        self._decoded: list[npt.NDArray[np.uint8]] | None = None
        self.sizes = _each(self.photos, lambda photo: _usable_size(photo, min_side))

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self.photos)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """`(H, W)` or `(H, W, 3)` uint8."""
        return self._decoded[index] if self._decoded is not None else decode(self.photos[index].path).pixels

    def name(self, index: int) -> str:
        """The photo's path below its folder."""
        return self.photos[index].relative.as_posix()

    def preload(self, limit_mib: int) -> bool:
        """Decode everything now if it fits into `limit_mib`; workers that are forked later share the memory."""
        if sum(height * width for height, width in self.sizes) * 3 > limit_mib * 2**20:
            return False
        self._decoded = _each(self.photos, lambda photo: decode(photo.path).pixels)
        return True


class CropDataset(Dataset[TrainingCrops]):
    """Random crops of clean photos, a fixed number an epoch whatever the size of the folder.

    Args:
        store: The photos.
        augmentation: Crop and symmetry.
        samples: Crops per epoch.
        seed: With the draw's number, decides each crop.
    """

    def __init__(self, store: PhotoStore, augmentation: CropAugmentation, samples: int, seed: int) -> None:
        self._store, self._augmentation, self._samples, self._seed = store, augmentation, samples, seed

    def __len__(self) -> int:
        """Crops per epoch."""
        return self._samples

    def __getitem__(self, draw: int) -> TrainingCrops:
        """The crop of a draw; draws come from `CropSampler` and never repeat."""
        pixels = as_rgb(self._store[draw % len(self._store)])
        crop = self._augmentation(pixels, derive_seed(self._seed, "crop", draw))
        planes = np.ascontiguousarray(crop.transpose(2, 0, 1))
        return {"clean": torch.from_numpy(planes), "draw": draw}


class CropSampler(DistributedSampler[Any]):
    """Numbers the draws through all epochs, in shuffled order, shared out among processes.

    A draw is `epoch * len(dataset) + index`: crops and corruptions that are derived from it differ between epochs,
    workers and ranks, and are the same again after a resume. Lightning calls `set_epoch`.

    Attributes:
        done: Draws at the beginning of an epoch that are left out: a run that is resumed has had them.
    """

    done = 0

    def __iter__(self) -> Iterator[int]:
        """The draws of one process in one epoch."""
        start = self.epoch * len(self.dataset)  # type: ignore[arg-type]  # typed without __len__
        return (start + index for index in islice(super().__iter__(), self.done, None))


class EvaluationDataset(Dataset[ScoredBatch]):
    """Corrupted pictures whose damage depends on the seed and the picture's name alone.

    Args:
        store: The pictures.
        corruption: The damage.
        seed: With the name, decides it.
        crop_size: Take the centre, as RGB, so that pictures can be batched; `None` for whole ones, grey as grey.
    """

    def __init__(self, store: PictureStore, corruption: Corruption, seed: int, crop_size: int | None) -> None:
        self._store, self._corruption, self._seed, self._crop_size = store, corruption, seed, crop_size

    def __len__(self) -> int:
        """How many photos there are."""
        return len(self._store)

    def __getitem__(self, index: int) -> ScoredBatch:
        """One photo, without a batch dimension."""
        pixels = self._store[index]
        if self._crop_size is not None:
            pixels = centre(as_rgb(pixels), self._crop_size)
        clean = to_float(pixels)
        name = self._store.name(index)
        generator = generator_for(self._seed, "evaluate", name)
        corrupted, mask = self._corruption(clean.unsqueeze(0), generator)
        return {"clean": clean, "corrupted": corrupted[0], "mask": mask[0], "name": name}


def split_photos(photos: Sequence[FoundImage], share: float, seed: int) -> Mapping[str, list[FoundImage]]:
    """Hold out a share of the photos, chosen by their relative paths and the seed, at least one and not all.

    Returns:
        `train` and `val`, each sorted as `photos`.

    Raises:
        DataError: There are fewer than two photos.
    """
    if len(photos) < 2:
        raise DataError("one photo cannot be split into training and validation; add photos, or set data.val_dir")
    order = sorted(photos, key=lambda photo: derive_seed(seed, "split", photo.relative.as_posix()))
    count = min(max(round(share * len(photos)), 1), len(photos) - 1)
    held_out = set(order[:count])
    return {
        "train": [photo for photo in photos if photo not in held_out],
        "val": [photo for photo in photos if photo in held_out],
    }


def _usable_size(photo: FoundImage, min_side: int) -> tuple[int, int]:
    """Height and width by the file's header, if it can be trained on."""
    document = open_document(photo.path)
    if has_several_pages(document):
        raise DataError(f"{photo.path}: several pages or frames; split them first")
    if min(document.height, document.width) < min_side:
        raise DataError(
            f"{photo.path}: {document.width} x {document.height} pixels, smaller than the crop of {min_side}; "
            + ("remove it" if min_side <= _WINDOW else "remove it, or lower data.crop_size and data.val_crop_size")
        )
    return document.height, document.width


def _each(photos: Sequence[FoundImage], read: Callable[[FoundImage], _Result]) -> list[_Result]:
    """Read all, and say at the end how many could not be: whoever has thirty bad scans starts twice, not thirty times.

    Raises:
        DataError: Several could not be; the error of the one, if it is one.
    """
    failures: list[RestoreError] = []

    def attempt(photo: FoundImage) -> _Result | None:
        try:
            return read(photo)
        except RestoreError as error:
            failures.append(error)
            return None

    with ThreadPoolExecutor() as pool:
        results = list(pool.map(attempt, photos))
    if len(failures) == 1:
        raise failures[0]
    if failures:
        few = "; ".join(sorted(str(error) for error in failures)[:_NAMED])
        more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
        raise DataError(f"{len(failures)} of {len(photos)} files cannot be used: {few}{more}")
    return [result for result in results if result is not None]


def photos_in(folder: Path, option: str) -> list[FoundImage]:
    """The photos of a folder, searched recursively; no panels and predictions of trainings that lie below it.

    What cannot be searched, such as links to folders, is warned of.

    Args:
        folder: Where they are.
        option: What named it.

    Raises:
        DataError: There is no such folder, or no photo in it.
    """
    if not folder.is_dir():
        raise DataError(f"{option}: {folder} is not a folder; give one with photos in it")
    try:
        found = search([folder])
    except UsageError as error:  # files, and none is a photo
        raise DataError(f"{option}: {error}") from error
    for problem in found.problems:
        _log.warning("%s: %s: %s", option, problem.path, problem.reason)
    photos = [photo for photo in found.images if not _is_of_a_run(photo)]
    if len(photos) < len(found.images):
        _log.warning("%s: %d panels and predictions are no photos", option, len(found.images) - len(photos))
    if not photos:
        raise DataError(
            f"{option}: {folder} holds no photos; see `restore photos --help` for the formats that are read"
        )
    return photos


def _is_of_a_run(photo: FoundImage) -> bool:
    """Whether a training has drawn it into its folder, somewhere below the one that was searched."""
    for depth, name in enumerate(photo.relative.parts[:-1]):
        if name in {"panels", "predictions"}:
            run = photo.path.parents[len(photo.relative.parts) - depth - 1]
            if (run / "config.yaml").is_file():
                return True
    return False


def centre(pixels: npt.NDArray[np.uint8], side: int) -> npt.NDArray[np.uint8]:
    """The square in the middle of `(H, W, C)`."""
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def as_rgb(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Three channels, equal ones where the picture is grey."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
