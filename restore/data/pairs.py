"""Damaged pictures beside their clean partners, as training and validation batches: nothing is damaged on the way."""

import logging
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from restore.corruption import Identity
from restore.data.augment import CropAugmentation
from restore.data.base import CorruptingDataModule, check_at_least, check_share, prepared
from restore.data.dataset import PhotoStore, TrainingCrops, as_rgb, centre, photos_in, split_photos
from restore.data.held_out import warn_of_copies
from restore.errors import DataError, UsageError
from restore.images.search import FoundImage
from restore.images.tensors import to_float
from restore.seeds import derive_seed
from restore.types import Batch, ScoredBatch

__all__ = ["PairedDataModule"]

_log = logging.getLogger(__name__)


class TrainingPairs(TypedDict):
    """The same crop of both pictures of a pair.

    Keys:
        clean: `(3, S, S)` uint8, `(B, 3, S, S)` once collated.
        damaged: As `clean`.
        draw: The number of this draw since training began.
    """

    clean: Tensor
    damaged: Tensor
    draw: int


class PairStore:
    """Pictures and their partners by index.

    Args:
        clean: What there is.
        damaged: The partners, in the same order.
        min_side: Shortest side that is accepted, in pixels.

    Raises:
        DataError: The pictures of a pair differ in size, or as for `PhotoStore`.
    """

    def __init__(self, clean: Sequence[FoundImage], damaged: Sequence[FoundImage], min_side: int) -> None:
        self.clean, self.damaged = PhotoStore(clean, min_side), PhotoStore(damaged, min_side)
        for first, second, clean_size, damaged_size in zip(
            clean, damaged, self.clean.sizes, self.damaged.sizes, strict=True
        ):
            if clean_size != damaged_size:
                raise DataError(
                    f"{second.path}: {damaged_size[1]} x {damaged_size[0]} pixels, and {first.path} has "
                    f"{clean_size[1]} x {clean_size[0]}; the pictures of a pair lie on each other pixel by pixel"
                )

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.clean)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Clean and damaged, each `(H, W, 3)` uint8."""
        return as_rgb(self.clean[index]), as_rgb(self.damaged[index])

    def name(self, index: int) -> str:
        """The damaged picture's path below its folder."""
        return self.damaged.name(index)

    def preload(self, limit_mib: int) -> bool:
        """Decode everything now if it fits into `limit_mib`."""
        return self.clean.preload(limit_mib // 2) and self.damaged.preload(limit_mib // 2)


class PairCrops(Dataset[TrainingPairs]):
    """Random crops of pairs, as `CropDataset` has them of photos."""

    def __init__(self, store: PairStore, crop_size: int, samples: int, seed: int) -> None:
        self._store, self._samples, self._seed = store, samples, seed
        self._augmentation = CropAugmentation(crop_size, grey_share=0.0)

    def __len__(self) -> int:
        """Crops per epoch."""
        return self._samples

    def __getitem__(self, draw: int) -> TrainingPairs:
        """The crop of a draw."""
        pair = self._augmentation.of_both(*self._store[draw % len(self._store)], derive_seed(self._seed, "crop", draw))
        clean, damaged = (torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))) for crop in pair)
        return {"clean": clean, "damaged": damaged, "draw": draw}


class ScoredPairs(Dataset[ScoredBatch]):
    """Pairs for scoring: their centres, or whole where `crop_size` is None."""

    def __init__(self, store: PairStore, crop_size: int | None) -> None:
        self._store, self._crop_size = store, crop_size

    def __len__(self) -> int:
        """How many there are."""
        return len(self._store)

    def __getitem__(self, index: int) -> ScoredBatch:
        """One pair, without a batch dimension."""
        pair, side = self._store[index], self._crop_size
        clean, damaged = (to_float(pixels if side is None else centre(pixels, side)) for pixels in pair)
        return {
            "clean": clean,
            "corrupted": damaged,
            "mask": torch.zeros_like(clean[:1]),
            "name": self._store.name(index),
        }


class PairedDataModule(CorruptingDataModule):
    """Pairs of a damaged picture and its clean partner, such as scans and what was made of them by hand.

    A pair has one path below the two folders, but for the suffix, and one size. Crops and validation are drawn as in
    `RestorationDataModule`; grey pictures are taken as colour ones.

    Args:
        clean_dir: Folder of clean pictures, searched recursively.
        damaged_dir: Folder of their damaged partners.
        val_match: Pairs to hold out, by a pattern for their path below the folder: `"*2016*"` for a year. Training and
            validation should share no page, no hand and no scanner.
        val_share: Part that is held out if there is no pattern, chosen by name and seed.
        crop_size: Side of a training crop in pixels.
        val_crop_size: Side of the centred square that validation uses, in pixels; testing takes whole pictures.
        batch_size: Crops per batch and process, in training and validation; testing takes one picture at a time.
        samples_per_epoch: Training crops per epoch and over all processes.
        num_workers: Loader processes; 0 is fastest where the pictures fit into the cache and cores are few.
        cache_mib: Decoded pictures are kept in memory if all of them fit into this many MiB.
        seed: Decides the split and the crops.
        train_seed: Decides the crops; `seed` if left out.
    """

    def __init__(
        self,
        clean_dir: Path | str,
        damaged_dir: Path | str,
        val_match: str | None = None,
        val_share: float = 0.1,
        crop_size: int = 160,
        val_crop_size: int = 256,
        batch_size: int = 10,
        samples_per_epoch: int = 2000,
        num_workers: int = 0,
        cache_mib: int = 2048,
        seed: int = 0,
        train_seed: int | None = None,
    ) -> None:
        super().__init__(Identity(), None, batch_size, num_workers, seed, None, train_seed)
        check_at_least("crop_size", crop_size, 16)
        check_at_least("val_crop_size", val_crop_size, 11)
        check_at_least("samples_per_epoch", samples_per_epoch, batch_size)
        check_share("val_share", val_share)
        self.clean_dir, self.damaged_dir = Path(clean_dir), Path(damaged_dir)
        self.val_match, self.val_share = val_match, val_share
        self.crop_size, self.val_crop_size, self.samples_per_epoch = crop_size, val_crop_size, samples_per_epoch
        self.cache_mib = cache_mib
        self._stores: dict[str, PairStore] = {}

    def setup(self, stage: str) -> None:
        """Match the pairs, and check every file's header before the first batch."""
        sides = {"fit": {"train": self.crop_size, "val": self.val_crop_size}, "validate": {"val": self.val_crop_size}}
        needed = {part: side for part, side in sides.get(stage, {"test": 11}).items() if part not in self._stores}
        partners = _partners(self.clean_dir, self.damaged_dir) if needed else {}
        for part, min_side in needed.items():
            self._stores[part] = self._store(part, partners, min_side)

    def train_dataloader(self) -> DataLoader[TrainingCrops]:
        """Pairs of 8-bit crops; `on_after_batch_transfer` makes batches of them."""
        pairs = prepared(self._stores.get("train"))
        return self._training_loader(PairCrops(pairs, self.crop_size, self.samples_per_epoch, self.train_seed))

    def val_dataloader(self) -> DataLoader[ScoredBatch]:
        """Centred squares of the pairs that were held out."""
        return self._scored_loader(ScoredPairs(prepared(self._stores.get("val")), self.val_crop_size), self.batch_size)

    def test_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """Whole pairs, one at a time."""
        return {"": self._scored_loader(ScoredPairs(prepared(self._stores.get("test")), None), 1)}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Make a batch of training pairs on the device; scored ones arrive as they are."""
        if "draw" not in batch:
            return batch  # type: ignore[no-any-return]  # Lightning's hook is untyped
        clean, damaged = to_float(batch["clean"]), to_float(batch["damaged"])
        return {"clean": clean, "corrupted": damaged, "mask": torch.zeros_like(clean[:, :1])}

    def describe(self) -> dict[str, Any]:
        """What a bundle's card says of the data, as plain JSON values."""
        sizes = {part: len(store) for part, store in self._stores.items()}
        return {
            "photos": sizes.get("train", 0),
            "validation_photos": sizes.get("val", 0),
            "corruption": f"Pairs({sizes.get('train', 0)} damaged pictures beside clean ones)",
            "target": repr(self.target),
            "crop_size": self.crop_size,
            "batch_size": self.batch_size,
            "samples_per_epoch": self.samples_per_epoch,
            "seed": self.seed,
            "train_seed": self.train_seed,
        }

    def _store(self, part: str, partners: dict[FoundImage, FoundImage], min_side: int) -> PairStore:
        parts = self._split(list(partners))
        chosen = parts["train" if part == "train" else "val"]
        if part != "train":
            clean = {name: [partners[photo] for photo in photos] for name, photos in parts.items()}
            warn_of_copies(clean["train"], clean["val"], "data.clean_dir")
        store = PairStore([partners[photo] for photo in chosen], chosen, min_side)
        cached = store.preload(self.cache_mib)
        _log.info("%d %s pairs, %s", len(store), part, "in memory" if cached else "decoded as they are needed")
        return store

    def _split(self, damaged: list[FoundImage]) -> dict[str, list[FoundImage]]:
        if self.val_match is None:
            return dict(split_photos(damaged, self.val_share, self.seed))
        held_out = [photo for photo in damaged if fnmatch(photo.relative.as_posix(), self.val_match)]
        if not held_out or len(held_out) == len(damaged):
            which = "all" if held_out else "none"
            raise UsageError(f"data.val_match: {which} of the {len(damaged)} pairs match {self.val_match!r}")
        rest = set(damaged) - set(held_out)
        return {"train": [photo for photo in damaged if photo in rest], "val": held_out}


def _partners(clean_dir: Path, damaged_dir: Path) -> dict[FoundImage, FoundImage]:
    """Damaged pictures with their clean partners.

    Raises:
        DataError: A picture has none, or two, or both folders are one.
    """
    if clean_dir.exists() and damaged_dir.exists() and clean_dir.samefile(damaged_dir):
        raise DataError(f"data.damaged_dir: {damaged_dir} is data.clean_dir, too; there is nothing to learn")
    clean, damaged = _by_name(clean_dir, "data.clean_dir"), _by_name(damaged_dir, "data.damaged_dir")
    for option, ours, theirs, other in (
        ("data.damaged_dir", damaged, clean, clean_dir),
        ("data.clean_dir", clean, damaged, damaged_dir),
    ):
        alone = sorted(set(ours) - set(theirs))
        if alone:
            raise DataError(
                f"{option}: {len(alone)} of {len(ours)} pictures have no partner of their name in {other}, such as "
                f"{ours[alone[0]].path}; add it, or take them away"
            )
    return {damaged[name]: clean[name] for name in damaged}


def _by_name(folder: Path, option: str) -> dict[str, FoundImage]:
    found: dict[str, FoundImage] = {}
    for photo in photos_in(folder, option):
        name = photo.relative.with_suffix("").as_posix()
        if name in found:
            raise DataError(f"{option}: {photo.path} and {found[name].path} are of one name; which is it? Remove one")
        found[name] = photo
    return found
