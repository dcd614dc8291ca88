"""Means of scores over a set, as torchmetrics: apart from the scores, since importing it takes seconds and 250 MB."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from restore.scores import hole_psnr, mse, psnr, ssim

__all__ = ["CodeStatistics", "ImageScore", "build_metrics"]

_COLLAPSED_NATS = 0.01
"""Mean divergence below which a number of a variational code says nothing about the image."""

_ACTIVE_VARIANCE = 0.01
"""Share of the liveliest unit's variance above which a unit counts as active; Burda et al. 2016 use 0.01 on codes
whose scale the prior fixes at about 1, and other codes have no scale of their own."""


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


class CodeStatistics(Metric):
    """What a set of images makes of the units of a code, exact under any batch size and number of processes.

    `code_mean` is the mean activation; `code_nonzero` the share of the numbers that are not 0; `code_active` how many
    units vary over the images: by more than a hundredth of the variance of the one that varies most. Of codes that are
    distributions also `kl`, the divergence from the prior in nats per image; `kl_00` and so on, the part of each unit;
    `code_collapsed`, how many units have less than 0.01 nats.

    Args:
        units: Numbers at each position of the code.
    """

    full_state_update = False
    is_differentiable = False
    totals: Tensor
    squares: Tensor
    divergences: Tensor
    counts: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        for name in ("totals", "squares", "divergences"):
            self.add_state(name, torch.zeros(units, dtype=torch.float64), dist_reduce_fx="sum")
        # Positions of the code, numbers that are not 0, images that had a divergence.
        self.add_state("counts", torch.zeros(3, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, code: Tensor, divergence: Tensor | None = None) -> None:
        """Add a batch: codes `(B, units, h, w)`, and the divergence of each of their numbers, likewise, in nats."""
        values = code.double().movedim(1, -1).flatten(0, -2)
        self.totals = self.totals.double() + values.sum(dim=0)
        self.squares = self.squares.double() + values.square().sum(dim=0)
        images = 0 if divergence is None else len(divergence)
        if divergence is not None:
            self.divergences = self.divergences.double() + divergence.double().sum(dim=(0, 2, 3))
        seen = [len(values), int(values.count_nonzero()), images]
        self.counts = self.counts.double() + torch.tensor(seen, device=code.device)

    def compute(self) -> dict[str, Tensor]:
        """The statistics by name; NaN before the first batch."""
        positions, nonzero, images = self.counts
        means = self.totals / positions
        variances = self.squares / positions - means.square()
        active = variances > _ACTIVE_VARIANCE * variances.max().clamp(min=1e-12)
        found = {
            "code_mean": means.mean(),
            "code_nonzero": nonzero / (positions * len(means)),
            "code_active": active.double().sum(),
        }
        if images > 0:
            parts = self.divergences / images
            found |= {"kl": parts.sum(), "code_collapsed": (parts < _COLLAPSED_NATS).double().sum()}
            found |= {f"kl_{unit:02d}": part for unit, part in enumerate(parts)}
        return {name: value.float() for name, value in found.items()}

    def set_dtype(self, dst_type: Any) -> "CodeStatistics":
        """Stay in float64 whatever the module around it is cast to."""
        return self


def build_metrics(hole: bool = False, error: bool = False) -> MetricCollection:
    """The scores of a task, ready to be cloned with a prefix.

    Args:
        hole: Also score the missing pixels alone.
        error: Also give the mean squared error itself.

    Returns:
        `psnr`, `ssim` and, if asked, `hole_psnr` and `mse`; updated with `restored`, `clean` and `mask`.
    """
    scores: dict[str, Metric] = {"psnr": ImageScore(psnr), "ssim": ImageScore(ssim)}
    if hole:
        scores["hole_psnr"] = ImageScore(hole_psnr, on_hole=True)
    if error:
        scores["mse"] = ImageScore(mse)
    return MetricCollection(dict(scores), compute_groups=False)
