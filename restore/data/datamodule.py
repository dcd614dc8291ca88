"""A folder of clean photos as training, validation and test batches, with the damage added on the way."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from restore.corruption import Corruption, GaussianNoise
from restore.data.augment import CropAugmentation
from restore.data.base import CorruptingDataModule, check_at_least, check_share, prepared
from restore.data.dataset import CropDataset, PhotoStore, TrainingCrops, photos_in, split_photos
from restore.data.held_out import check_held_out, warn_of_copies
from restore.errors import DataError, RestoreError
from restore.images.samples import sample_photos
from restore.images.search import FoundImage
from restore.types import ScoredBatch

__all__ = ["RestorationDataModule"]

_log = logging.getLogger(__name__)


class RestorationDataModule(CorruptingDataModule):
    """Clean photos from folders; corruption in batches on the device for training, per file for scoring.

    Training crops are drawn and damaged from a counter that runs through all epochs, so no worker, rank or epoch
    repeats another's pattern and a resumed run goes on with the ones it would have had. Validation and test damage is
    a function of the seed and the file's relative path: a score does not depend on batch size, workers, processes,
    device or epoch.

    Args:
        corruption: Damage of the training crops; Gaussian noise of sigma 0 to 55 if left out.
        evaluation: Damage for validation and test by name; each name becomes keys such as `val/NAME/psnr`. The
            training corruption, without keys of its own, if left out.
        photos_dir: Folder of clean photos, searched recursively; scikit-image's six sample photos if left out.
        val_dir: Folder of photos to validate on; a part of `photos_dir` if left out.
        val_share: Part of `photos_dir` held out for validation if `val_dir` is left out, chosen by name and seed.
        test_dir: Folder of photos to test on, whole and of any size; the validation photos if left out.
        crop_size: Side of a training crop in pixels.
        val_crop_size: Side of the centred square that validation uses, in pixels.
        batch_size: Crops per batch and process, in training and validation; testing takes one photo at a time.
        samples_per_epoch: Training crops per epoch and over all processes, whatever the number of photos.
        grey_share: Share of training crops whose colour is taken away, so that one network serves grey photos too.
        num_workers: Loader processes; 0 is fastest where the photos fit into the cache and cores are few.
        cache_mib: Decoded photos are kept in memory if all of them fit into this many MiB.
        seed: Decides the split, the crops and the damage.
        target: Done to the training crops before the corruption, and what the network is to give back. Photos as a
            camera makes them are softer than ones that were scaled down; a network that never saw a soft one would
            sharpen it, or take what is left of its noise for detail.
        train_seed: Decides the training crops and their damage; `seed` if left out. With another one a training goes on
            from earlier weights with crops that those never saw, and is scored on the same photos and damage as before.
    """

    def __init__(
        self,
        corruption: Corruption | None = None,
        evaluation: dict[str, Corruption] | None = None,
        photos_dir: Path | str | None = None,
        val_dir: Path | str | None = None,
        val_share: float = 0.05,
        test_dir: Path | str | None = None,
        crop_size: int = 128,
        val_crop_size: int = 128,
        batch_size: int = 16,
        samples_per_epoch: int = 6400,
        grey_share: float = 0.2,
        num_workers: int = 0,
        cache_mib: int = 2048,
        seed: int = 0,
        target: Corruption | None = None,
        train_seed: int | None = None,
    ) -> None:
        super().__init__(corruption or GaussianNoise(), evaluation, batch_size, num_workers, seed, target, train_seed)
        check_at_least("crop_size", crop_size, 16)
        check_at_least("val_crop_size", val_crop_size, 11)
        check_at_least("samples_per_epoch", samples_per_epoch, batch_size)
        check_share("val_share", val_share)
        check_share("grey_share", grey_share)
        folders = (None if folder is None else Path(folder) for folder in (photos_dir, val_dir, test_dir))
        self.photos_dir, self.val_dir, self.test_dir = folders
        self.val_share = val_share
        self.crop_size, self.val_crop_size = crop_size, val_crop_size
        self.samples_per_epoch, self.grey_share, self.cache_mib = samples_per_epoch, grey_share, cache_mib
        self._train: PhotoStore | None = None
        self._val: PhotoStore | None = None
        self._test: PhotoStore | None = None

    def setup(self, stage: str) -> None:
        """Find the photos that a stage needs, and check every file's header before the first batch."""
        if (stage in {"fit", "validate"} and self._val is None) or (stage == "fit" and self._train is None):
            train, val = self._split()
            wrong: list[RestoreError] = []  # of both parts, before anything is said of one
            for part, photos in (("val", val), ("train", train))[: 2 if stage == "fit" else 1]:
                try:
                    self._fill(part, photos)
                except RestoreError as error:
                    wrong.append(error)
            if wrong:
                raise wrong[0] if len(wrong) == 1 else DataError("; ".join(map(str, wrong)))
        if stage in {"test", "predict"} and self._test is None:
            self._test = PhotoStore(self._tested(stage), min_side=11)

    def train_dataloader(self) -> DataLoader[TrainingCrops]:
        """Clean 8-bit crops; `on_after_batch_transfer` makes batches of them.

        A loop of one's own, without a trainer, calls `sampler.set_epoch(n)` on it before each epoch, or gets the same
        crops again.
        """
        augmentation = CropAugmentation(self.crop_size, self.grey_share)
        dataset = CropDataset(prepared(self._train), augmentation, self.samples_per_epoch, self.train_seed)
        return self._training_loader(dataset)

    def val_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """One loader per named corruption, of centred squares."""
        return self._evaluation_loaders(self._val, self.batch_size, self.val_crop_size)

    def test_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """One loader per named corruption, of whole photos, one at a time."""
        return self._evaluation_loaders(self._test, 1, None)

    def describe(self) -> dict[str, Any]:
        """What a bundle's card says of the data, as plain JSON values."""
        return {
            "photos": 0 if self._train is None else len(self._train),
            "validation_photos": 0 if self._val is None else len(self._val),
            "corruption": repr(self.corruption),
            "target": repr(self.target),
            "crop_size": self.crop_size,
            "batch_size": self.batch_size,
            "samples_per_epoch": self.samples_per_epoch,
            "grey_share": self.grey_share,
            "seed": self.seed,
            "train_seed": self.train_seed,
        }

    def _split(self) -> tuple[list[FoundImage], list[FoundImage]]:
        photos = sample_photos() if self.photos_dir is None else photos_in(self.photos_dir, "data.photos_dir")
        if self.test_dir is not None and self.test_dir.is_dir():  # it may come later
            check_held_out(photos, photos_in(self.test_dir, "data.test_dir"), "data.test_dir")
        if self.val_dir is not None:
            val = photos_in(self.val_dir, "data.val_dir")
            check_held_out(photos, val, "data.val_dir")
            return photos, val
        _warn_of_partners(photos)
        parts = split_photos(photos, self.val_share, self.seed)
        warn_of_copies(parts["train"], parts["val"], "data.photos_dir")
        return parts["train"], parts["val"]

    def _tested(self, stage: str) -> list[FoundImage]:
        if self.test_dir is None:
            return self._split()[1]
        photos = photos_in(self.test_dir, "data.test_dir")
        if stage == "test" and self.photos_dir is not None and self.photos_dir.is_dir():
            check_held_out(photos_in(self.photos_dir, "data.photos_dir"), photos, "data.test_dir")
        return photos

    def _fill(self, part: str, photos: Sequence[FoundImage]) -> None:
        if part == "train":
            self._train = self._store(photos, self.crop_size, "training")
        elif self._val is None:
            self._val = self._store(photos, self.val_crop_size, "validation")

    def _store(self, photos: Sequence[FoundImage], min_side: int, purpose: str) -> PhotoStore:
        store = PhotoStore(photos, min_side)
        cached = store.preload(self.cache_mib)
        _log.info("%d %s photos, %s", len(store), purpose, "in memory" if cached else "decoded as they are needed")
        return store


def _warn_of_partners(photos: Sequence[FoundImage]) -> None:
    """Of two pictures of one page, one may be trained on and the other scored."""
    names = Counter(photo.relative.stem for photo in photos)
    again = sum(count for count in names.values() if count > 1)
    if again > len(photos) / 2:
        _log.warning(
            "data.photos_dir: %d of %d photos share their name with another: if they show the same, validation scores "
            "mislead. Pairs of damaged and clean pictures are for --config scans",
            again,
            len(photos),
        )
