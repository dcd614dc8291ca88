"""What all data has in common: damage on the device for training, per picture for scoring."""

import logging
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, TypeVar

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.overrides.distributed import UnrepeatedDistributedSampler
from torch.utils.data import DataLoader, Dataset

from restore.corruption import Corruption, Identity
from restore.data.dataset import CropSampler, EvaluationDataset, PictureStore, TrainingCrops
from restore.errors import UsageError
from restore.images.tensors import to_float
from restore.seeds import generator_for
from restore.types import Batch, ScoredBatch

__all__ = ["CorruptingDataModule", "ResumableLoader", "check_at_least", "check_share", "prepared"]

_Store = TypeVar("_Store")
_log = logging.getLogger(__name__)

_KIND = re.compile(r"\b[A-Z]\w*(?=\()")
"""A corruption's class in its repr."""
_WRAPPERS = {"Compose", "OneOf", "Identity", "Quantise"}
"""What is no damage of a kind."""


class ResumableLoader(DataLoader[Any]):
    """One that a run which is resumed, within an epoch too, goes on with where it stopped.

    Lightning asks for the iterator before it has restored epoch and progress; so the draws begin with the first batch.
    """

    trainer: Trainer | None = None

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # a generator, which starts nothing yet
        """The batches of an epoch that the training has not had."""
        if self.trainer is not None and isinstance(self.sampler, CropSampler):  # Lightning's own, to overfit a batch
            had = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
            self.sampler.done = had % len(self) * (self.batch_size or 1)
        yield from super().__iter__()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the trainer keeps its progress. Lightning warns about loaders without a state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


class CorruptingDataModule(LightningDataModule, ABC):
    """Clean pictures from somewhere, as batches of clean, corrupted and mask.

    Args:
        corruption: Damage of the training pictures.
        evaluation: Damage for validation and test by name; the training corruption, without keys of its own, if left
            out.
        batch_size: Pictures per batch and process.
        num_workers: Loader processes.
        seed: Decides whatever is drawn.
        target: Done to the training pictures before the corruption, and what the network is to give back.
        train_seed: Decides the training pictures and their damage instead, if given.
    """

    def __init__(
        self,
        corruption: Corruption,
        evaluation: dict[str, Corruption] | None,
        batch_size: int,
        num_workers: int,
        seed: int,
        target: Corruption | None = None,
        train_seed: int | None = None,
    ) -> None:
        super().__init__()
        check_at_least("batch_size", batch_size, 1)
        check_at_least("num_workers", num_workers, 0)
        self.corruption, self.evaluation, self.target = corruption, evaluation or {}, target or Identity()
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.train_seed = seed if train_seed is None else train_seed

    def _warn_of_other_scores(self) -> None:
        """Scores of damage that training never shows choose the best step by chance."""
        trained, scored = (
            set(_KIND.findall(repr(damage))) - _WRAPPERS for damage in (self.corruption, self.evaluation)
        )
        if trained and scored and not trained & scored:
            _log.warning(
                "data.evaluation scores %s, but training has %s: best step and card are of damage that it "
                "never shows. Set data.evaluation, or null for the training's own; and bundle.protocol",
                ", ".join(sorted(scored)),
                ", ".join(sorted(trained)),
            )

    @abstractmethod
    def test_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """One loader per named corruption."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a bundle's card says of the data, as plain JSON values."""

    def predict_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """As for testing."""
        return self.test_dataloader()

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Corrupt training pictures on the device; scored batches arrive corrupted."""
        if "draw" not in batch:
            return batch  # type: ignore[no-any-return]  # Lightning's hook is untyped
        clean = to_float(batch["clean"])
        generator = generator_for(self.train_seed, "corrupt", *batch["draw"].tolist(), device=clean.device)
        clean = self.target(clean, generator).image.clamp(0.0, 1.0)  # a blur of white may round to more
        corrupted, mask = self.corruption(clean, generator)
        return {"clean": clean, "corrupted": corrupted, "mask": mask}

    def _training_loader(self, dataset: Dataset[Any]) -> DataLoader[TrainingCrops]:
        self._warn_of_other_scores()
        replicas, rank = self._world()
        share = len(dataset) // replicas  # type: ignore[arg-type]  # ours have a length
        if share < self.batch_size:
            raise UsageError(
                f"data.batch_size: {self.batch_size} is more than the {share} training pictures of each of {replicas} "
                "processes: use fewer --trainer.devices, a smaller batch, or more pictures an epoch"
            )
        sampler = CropSampler(dataset, replicas, rank, shuffle=True, seed=self.train_seed, drop_last=True)
        loader = ResumableLoader(
            dataset,
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            drop_last=True,
        )
        loader.trainer = self.trainer
        return loader

    def _evaluation_loaders(
        self, store: PictureStore | None, batch_size: int, crop_size: int | None
    ) -> dict[str, DataLoader[ScoredBatch]]:
        pictures = prepared(store)
        corruptions = self.evaluation or {"": self.corruption}
        return {
            name: self._scored_loader(EvaluationDataset(pictures, corruption, self.seed, crop_size), batch_size)
            for name, corruption in corruptions.items()
        }

    def _scored_loader(self, dataset: Dataset[ScoredBatch], batch_size: int) -> DataLoader[ScoredBatch]:
        replicas, rank = self._world()
        count = len(dataset)  # type: ignore[arg-type]  # ours have a length
        if count < replicas:
            raise UsageError(
                f"data: {count} pictures to score on are too few for {replicas} processes: hold out more of "
                "them, or use fewer --trainer.devices"
            )
        # Lightning's own sampler would repeat photos to make the ranks equal, and bias the mean.
        sampler = UnrepeatedDistributedSampler(dataset, replicas, rank, shuffle=False) if replicas > 1 else None
        return DataLoader(dataset, batch_size=batch_size, sampler=sampler, shuffle=False, num_workers=self.num_workers)

    def _world(self) -> tuple[int, int]:
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)


def prepared(store: _Store | None) -> _Store:
    """The store, if `setup` made one.

    Raises:
        UsageError: It did not.
    """
    if store is None:
        raise UsageError("call setup(stage) before asking for batches; Lightning's Trainer does")
    return store


def check_at_least(name: str, value: int, low: int) -> None:
    """Refuse a setting below `low`.

    Raises:
        UsageError: It is.
    """
    if value < low:
        raise UsageError(f"data.{name}: must be {low} or more, not {value}")


def check_share(name: str, share: float) -> None:
    """Refuse a share outside [0, 1].

    Raises:
        UsageError: It is.
    """
    if not 0.0 <= share <= 1.0:
        raise UsageError(f"data.{name}: must be between 0 and 1, not {share:g}")
