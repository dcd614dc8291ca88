"""Datasets over decoded photos: random crops for training, whole or centred pictures for scoring."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from restore.corruption import Corruption
from restore.data.augment import CropAugmentation
from restore.errors import DataError
from restore.images.codec import decode, image_size
from restore.images.search import FoundImage
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
    "split_photos",
]


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

    Raises:
        DataError: A photo is smaller than `min_side`.
        UnreadableImageError: A file is not an image.
    """

    def __init__(self, photos: Sequence[FoundImage], min_side: int) -> None:
        self.photos = list(photos)
        self._decoded: list[npt.NDArray[np.uint8]] | None = None
        self._pixels = 0
        for photo in self.photos:
            height, width = image_size(photo.path)
            self._pixels += height * width
            if min(height, width) < min_side:
                raise DataError(
                    f"{photo.path}: {width} x {height} pixels, smaller than the crop of {min_side}; "
                    f"remove it, or lower data.crop_size and data.val_crop_size"
                )

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
        if self._pixels * 3 > limit_mib * 2**20:
            return False
        with ThreadPoolExecutor() as pool:
            self._decoded = list(pool.map(lambda photo: decode(photo.path).pixels, self.photos))
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
        pixels = _as_rgb(self._store[draw % len(self._store)])
        crop = self._augmentation(pixels, derive_seed(self._seed, "crop", draw))
        planes = np.ascontiguousarray(crop.transpose(2, 0, 1))
        return {"clean": torch.from_numpy(planes), "draw": draw}


class CropSampler(DistributedSampler[Any]):
    """Numbers the draws through all epochs, in shuffled order, shared out among processes.

    A draw is `epoch * len(dataset) + index`: crops and corruptions that are derived from it differ between epochs,
    workers and ranks, and are the same again after a resume. Lightning calls `set_epoch`.
    """

    def __iter__(self) -> Iterator[int]:
        """The draws of one process in one epoch."""
        start = self.epoch * len(self.dataset)  # type: ignore[arg-type]  # typed without __len__
        return (start + index for index in super().__iter__())


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
            top, left = ((side - self._crop_size) // 2 for side in pixels.shape[:2])
            pixels = _as_rgb(pixels)[top : top + self._crop_size, left : left + self._crop_size]
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


def _as_rgb(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
