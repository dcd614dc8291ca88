"""Learning-rate schedules in optimizer steps."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from restore.errors import UsageError

__all__ = ["WarmupCosine"]


class WarmupCosine(LambdaLR):
    """Linear warm-up, then half a cosine down to nearly nothing (Loshchilov and Hutter 2017, without restarts).

    Args:
        optimizer: Whose learning rate is the peak.
        total_steps: Optimizer steps of the whole training.
        warmup_steps: Steps until the peak; at most a tenth of the training.
        final_ratio: Learning rate at the end, relative to the peak.

    Raises:
        UsageError: `warmup_steps` or `final_ratio` is out of its range.
    """

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup_steps: int = 200, final_ratio: float = 0.001
    ) -> None:
        if warmup_steps < 0 or not 0.0 <= final_ratio <= 1.0:
            raise UsageError(
                f"scheduler: needs warmup_steps >= 0 and final_ratio in [0, 1], not {warmup_steps} and {final_ratio:g}"
            )
        warmup = min(warmup_steps, total_steps // 10)

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            progress = min((step - warmup) / max(total_steps - warmup, 1), 1.0)
            return final_ratio + (1.0 - final_ratio) * 0.5 * (1.0 + math.cos(math.pi * progress))

        super().__init__(optimizer, factor)
