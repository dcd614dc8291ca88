"""Means of scores over a set, as torchmetrics: apart from the scores, since importing it takes seconds and 250 MB."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from restore.scores import hole_psnr, psnr, ssim

__all__ = ["ImageScore", "build_metrics"]


class ImageScore(Metric):
    """The mean of a per-image score over a set, exact under any batch size and number of processes.

    Args:
        score: Takes `restored` and `clean`, and `mask` if `on_hole`; gives `(B,)`.
        on_hole: Whether the score looks at the mask; images without a hole are then left out. An image that is not a
            number anywhere is not: its score, and the mean, are NaN for everyone to see.
    """

    higher_is_better = True
    is_differentiable = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, score: Callable[..., Tensor], on_hole: bool = False) -> None:
        super().__init__()
        self.score, self.on_hole = score, on_hole
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, restored: Tensor, clean: Tensor, mask: Tensor) -> None:
        """Add a batch: `(B, C, H, W)`, `(B, C, H, W)` and `(B, 1, H, W)`."""
        scores = self.score(restored, clean, mask) if self.on_hole else self.score(restored, clean)
        if self.on_hole:
            scores = scores[(mask > 0.5).flatten(1).any(dim=1)]
        # double(): `.to(torch.bfloat16)` of the module around it, unlike `.bfloat16()`, passes by `set_dtype`.
        self.total = self.total.double() + scores.double().sum()
        self.count = self.count.double() + scores.numel()

    def compute(self) -> Tensor:
        """The mean; NaN if no image had a score, or one was not a number."""
        return (self.total / self.count).float()

    def set_dtype(self, dst_type: Any) -> "ImageScore":
        """Stay in float64 whatever the module around it is cast to."""
        return self


def build_metrics(hole: bool = False) -> MetricCollection:
    """The scores of a task, ready to be cloned with a prefix.

    Args:
        hole: Also score the missing pixels alone.

    Returns:
        `psnr`, `ssim` and, if asked, `hole_psnr`; updated with `restored`, `clean` and `mask`.
    """
    scores: dict[str, Metric] = {"psnr": ImageScore(psnr), "ssim": ImageScore(ssim)}
    if hole:
        scores["hole_psnr"] = ImageScore(hole_psnr, on_hole=True)
    return MetricCollection(dict(scores), compute_groups=False)
