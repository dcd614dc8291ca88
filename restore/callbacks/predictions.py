"""Restored pictures of `restore predict`, as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from restore.callbacks.folders import run_folder
from restore.images.codec import encode
from restore.images.files import write_atomically
from restore.images.tensors import to_pixels

__all__ = ["WriteRestorations"]


class WriteRestorations(BasePredictionWriter):
    """Write what `restore predict` restores, as PNG files in one folder per named corruption.

    Args:
        dirpath: Where to; `predictions` in the run's folder if left out.
    """

    def __init__(self, dirpath: Path | None = None) -> None:
        super().__init__("batch")
        self.dirpath = dirpath
        self._folder = Path()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the run's folder, while all processes are here to agree on it."""
        super().setup(trainer, pl_module, stage)
        self._folder = self.dirpath or run_folder(trainer) / "predictions"

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        prediction: Any,
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the pictures of a batch: `(B, C, H, W)` float32."""
        loaders = trainer.predict_dataloaders
        group = list(loaders)[dataloader_idx] if isinstance(loaders, dict) else ""
        images: Tensor = prediction
        for name, image in zip(batch["name"], images, strict=True):
            write_atomically(self._folder / group / f"{name}.png", encode(to_pixels(image), ".png"))
