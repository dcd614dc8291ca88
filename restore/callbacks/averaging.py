"""Averaged weights: what is validated, checkpointed and shipped."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from restore.errors import UsageError

__all__ = ["AverageWeights"]


class AverageWeights(WeightAveraging):
    """Exponential moving average of the weights, with a start that forgets the first steps quickly.

    After n updates the decay is min(decay, (1 + n) / (10 + n)), so that validation shows the network and not its
    random beginning; Lightning's own EMA callback has no such start and is thousands of steps behind.

    Args:
        decay: Share of the old average that a step keeps: 0.999 averages over about a thousand steps.

    Raises:
        UsageError: `decay` is not within [0, 1).
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise UsageError(f"decay: must be 0 or more and below 1, not {decay:g}")
        super().__init__(multi_avg_fn=_moving_average(decay))
        self._swapped = False

    def _swap_models(self, pl_module: pl.LightningModule) -> None:
        super()._swap_models(pl_module)
        self._swapped = not self._swapped

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """End what a validation has begun that was broken off, before a checkpoint takes one for the other."""
        if self._swapped:
            self._swap_models(pl_module)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Resume the average; outside of training a checkpoint's weights are the averaged ones, and all there is."""
        if trainer.state.fn == TrainerFn.FITTING:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)


def _moving_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], updates: Tensor | int) -> None:
        done = int(updates)
        keep = min(decay, (1 + done) / (10 + done))
        torch._foreach_lerp_(averages, currents, 1.0 - keep)

    return update
