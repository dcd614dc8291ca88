"""Pictures of what validation sees."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from lightning.pytorch.loggers import WandbLogger
from torch import Tensor

from restore.callbacks.folders import run_folder
from restore.errors import UsageError
from restore.images.codec import encode
from restore.images.files import write_atomically
from restore.images.tensors import to_pixels
from restore.types import Batch

__all__ = ["LogRestorations"]


class LogRestorations(pl.Callback):
    """After each validation, show corrupted, restored and clean side by side.

    The panel goes to W&B where that is the logger, else to `panels/` in the run's folder as PNG.

    Args:
        photos: Rows of the panel, the first of each validation loader; none for 0.

    Raises:
        UsageError: There would be fewer than none.
    """

    def __init__(self, photos: int = 4) -> None:
        if photos < 0:
            raise UsageError(f"panels.photos: must be 0 or more, not {photos}")
        self.photos = photos
        self._rows: list[npt.NDArray[np.uint8]] = []
        self._folder = Path()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the run's folder, while all processes are here to agree on it."""
        self._folder = run_folder(trainer)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the last panel."""
        self._rows = []

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first pictures of each loader, drawn with the weights that are validated."""
        if batch_idx or not self.photos or trainer.sanity_checking or not trainer.is_global_zero:
            return
        first: dict[str, Tensor] = {key: value[: self.photos] for key, value in batch.items()}  # type: ignore[index]
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            restored = pl_module(first["corrupted"], first["mask"])
        for images in zip(first["corrupted"], restored, first["clean"], strict=True):
            self._rows.append(np.concatenate([_rgb(image) for image in images], axis=1))

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the panel."""
        if not self._rows:
            return
        width = max(row.shape[1] for row in self._rows)
        rows = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in self._rows]
        panel = np.concatenate(rows, axis=0)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                step = max(0, trainer.global_step - 1)  # the axis of the scores beside it
                logger.log_image("val/panel", [panel], step, caption=["corrupted, restored, clean"])
                return
        if trainer.loggers:
            path = self._folder / "panels" / f"step-{trainer.global_step:07d}.png"
            write_atomically(path, encode(panel, ".png"))


def _rgb(image: Tensor) -> npt.NDArray[np.uint8]:
    pixels = to_pixels(image)
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)
