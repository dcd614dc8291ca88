"""What all tasks share: one step, one set of scores, one optimizer."""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import MetricCollection

from restore.errors import UsageError
from restore.metrics import build_metrics
from restore.models.base import RestorationNetwork
from restore.models.bundle import load_bundle, network_entry
from restore.seeds import generator_for
from restore.tasks.schedules import WarmupCosine
from restore.types import Batch

__all__ = ["OptimizerCallable", "RestorationTask", "ScheduleCallable"]

OptimizerCallable = Callable[[Iterable[nn.Parameter]], Optimizer]
"""Parameters to optimizer; every other argument comes from the configuration."""
ScheduleCallable = Callable[[Optimizer, int], LRScheduler]
"""Optimizer and total number of steps to schedule; every other argument comes from the configuration. A class has the
steps as its second argument, `total_steps`, `T_max` or `total_iters`."""


class RestorationTask(LightningModule, ABC):
    """Train a network to give back the clean image.

    Logged: `train/loss`, and for `train`, `val` and `test` the `psnr` and `ssim` of the restored image and the
    `input_psnr` and `input_ssim` of the corrupted one, over everything and per named corruption (`val/NAME/psnr`).
    Training scores are those of every `log_every_n_steps`-th batch.

    Args:
        network: What is trained.
        loss: Takes restored and clean images, each `(B, C, H, W)`, and gives a scalar; L1 if left out.
        optimizer: Makes the optimizer from the parameters.
        scheduler: Makes the learning-rate schedule from the optimizer and the number of steps; none if null.
        init_from: Bundle (a shipped name or a folder) whose weights training starts from. Fine-tuning: unlike
            `--ckpt_path`, which resumes a run, this leaves optimizer, schedule and counters new. A network with more
            blocks or inputs than the bundle's starts as the same function.
        channels_last: Keep tensors in the memory layout that mixed precision is fastest in.
        compile_network: Compile the network with torch.compile: slower to start, faster to run.
    """

    composites = False
    """Whether known pixels come back untouched."""

    def __init__(
        self,
        network: RestorationNetwork,
        loss: nn.Module | None = None,
        optimizer: OptimizerCallable = AdamW,
        scheduler: ScheduleCallable | None = WarmupCosine,
        init_from: str | None = None,
        channels_last: bool = True,
        compile_network: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss if loss is not None else nn.L1Loss()
        self.optimizer, self.scheduler = optimizer, scheduler
        self.channels_last, self.compile_network = channels_last, compile_network
        if channels_last:  # here: what averages the weights copies them before `setup`, and two layouts mix slowly
            network.to(memory_format=torch.channels_last)
        self._scores: dict[str, MetricCollection] = {}
        self.started_from: dict[str, str] = {}
        if init_from is not None:
            bundle = load_bundle(init_from)
            bundle.copy_weights_to(network)
            card = bundle.card
            self.started_from = {"bundle": card.name, "weights_sha256": card.weights_sha256, "licence": card.licence}

    def setup(self, stage: str) -> None:
        """Choose compilation once the network is on its device."""
        if self.compile_network:
            self.network.compile()

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Restore: `(B, C, H, W)` and `(B, 1, H, W)`, 1 = missing, to `(B, C, H, W)` float32."""
        return self.finish(self.network(self._layout(image), mask), image, mask)

    def build_scores(self) -> MetricCollection:
        """The scores of one stage, as `restore.metrics` defines them."""
        return build_metrics(hole=self.composites)

    @abstractmethod
    def finish(self, restored: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        """What becomes of the network's output: all arguments `(B, C, H, W)`, the mask `(B, 1, H, W)`."""

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step of any task: reconstruct, compare, add the network's penalties."""
        # Numbered like the data's draws: no step or process repeats another's, and a resumed run has the same ones.
        draw = ("reconstruct", self.current_epoch, batch_idx, self.global_rank)
        generator = generator_for(torch.initial_seed(), *draw, device=batch["corrupted"].device)
        reconstruction = self.network.reconstruct(self._layout(batch["corrupted"]), batch["mask"], generator)
        restored = self.finish(reconstruction.image, batch["corrupted"], batch["mask"])
        loss: Tensor = self.loss(restored, batch["clean"])
        if loss.ndim:
            raise UsageError(f"loss: gives {tuple(loss.shape)} where a training needs a single number: reduction: mean")
        for name, penalty in reconstruction.penalties.items():
            self.log(f"train/{name}", penalty.detach(), sync_dist=True)
            loss = loss + penalty
        self.log("train/loss", loss.detach(), prog_bar=True, sync_dist=True)
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]  # set by a connector
        if every and (self.global_step + 1) % every == 0:
            self._score("train", batch, restored.detach())
            self._log_scores("train", on_step=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score a batch."""
        self._evaluate("val", batch, self.trainer.val_dataloaders, dataloader_idx)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score a photo."""
        self._evaluate("test", batch, self.trainer.test_dataloaders, dataloader_idx)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> Tensor:
        """Restore a batch: `(B, C, H, W)` float32."""
        restored: Tensor = self(batch["corrupted"], batch["mask"])
        return restored

    def on_validation_epoch_end(self) -> None:
        """Log what was scored."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log what was scored."""
        self._log_scores("test")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build optimizer and schedule; the schedule moves every step.

        Raises:
            UsageError: They cannot be made of their settings, or the schedule has no end.
        """
        try:
            optimizer = self.optimizer(self.network.parameters())
        except (TypeError, ValueError) as error:
            raise UsageError(f"optimizer: {error}") from error
        if self.scheduler is None:
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if steps == math.inf:
            raise UsageError(
                "trainer.max_epochs: a schedule of learning rates needs an end: name --trainer.max_epochs or "
                "--trainer.max_steps, or --model.init_args.scheduler null"
            )
        _check_schedule(self.scheduler)
        try:
            scheduler = self.scheduler(optimizer, int(steps))
        except (TypeError, ValueError) as error:
            raise UsageError(f"scheduler: {error}") from error
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say in plain values what the weights belong to."""
        checkpoint["network"] = network_entry(self.network)
        checkpoint["composites"] = self.composites

    def _layout(self, images: Tensor) -> Tensor:
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def _evaluate(self, stage: str, batch: Batch, loaders: Any, dataloader_idx: int) -> None:
        restored = self(batch["corrupted"], batch["mask"])
        self._score(stage, batch, restored)
        name = list(loaders)[dataloader_idx] if isinstance(loaders, dict) else ""
        if name:
            self._score(f"{stage}/{name}", batch, restored)

    def _score(self, prefix: str, batch: Batch, restored: Tensor) -> None:
        for key, images in ((f"{prefix}/", restored), (f"{prefix}/input_", batch["corrupted"])):
            if key not in self._scores:
                self._scores[key] = self.build_scores().to(self.device)
            self._scores[key].update(restored=images, clean=batch["clean"], mask=batch["mask"])

    def _log_scores(self, stage: str, on_step: bool = False) -> None:
        for prefix, metrics in self._scores.items():
            if not prefix.startswith(f"{stage}/"):
                continue
            for name, value in metrics.compute().items():
                if not (name == "hole_psnr" and value.isnan()):  # nothing was missing
                    shown = prefix == f"{stage}/" and name == "psnr"
                    self.log(prefix + name, value, prog_bar=shown, on_step=on_step, on_epoch=not on_step)
            metrics.reset()


def _check_schedule(scheduler: ScheduleCallable) -> None:
    """A class named in a configuration gets the number of steps as its second argument, whatever that means to it."""
    kind = next((part for part in getattr(scheduler, "args", ()) if isinstance(part, type)), None)
    if kind is None:
        return
    second = list(inspect.signature(kind).parameters)[1]
    if second not in {"total_steps", "T_max", "total_iters"}:
        raise UsageError(
            f"scheduler: {kind.__name__} has {second} where it is told the number of steps; use WarmupCosine, "
            "torch.optim.lr_scheduler.CosineAnnealingLR or PolynomialLR, or null"
        )
