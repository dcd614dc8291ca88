"""Where a picture is odd: its error as heat over the picture, and a page of those that were flagged."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.codes.anomalies import Judgement
from restore.codes.figures import as_png, new_figure
from restore.codes.pictures import as_channels
from restore.images.document import shown
from restore.images.tensors import to_pixels
from restore.inference.page import Comparison, Fact, Page, Row, Section, Table, Value, build_page, embed

__all__ = ["anomaly_page", "draw_curves", "heat_over", "shown_picture", "shown_size"]

_SHOWN_SIDE, _SMALLEST_SHOWN = 640, 224
"""Longest side of a picture on the page, in pixels, and what smaller ones are enlarged to."""
_BLUR_SHARE = 16
"""Errors are averaged over this part of the shorter side, so that spots and not single pixels glow."""


def shown_size(height: int, width: int) -> tuple[int, int]:
    """Height and width on the page: large pictures shrunk, small ones enlarged by a whole factor."""
    longest = max(height, width)
    if longest > _SHOWN_SIDE:
        return max(round(height * _SHOWN_SIDE / longest), 1), max(round(width * _SHOWN_SIDE / longest), 1)
    factor = max(_SMALLEST_SHOWN // longest, 1)
    return height * factor, width * factor


def shown_picture(picture: Tensor) -> Tensor:
    """A picture `(C, H, W)` in [0, 1] at the size that it is shown at; see `shown_size`."""
    size = shown_size(*picture.shape[-2:])
    if size[0] >= picture.shape[-2]:
        return F.interpolate(picture[None], size=size, mode="nearest")[0]
    return F.interpolate(picture[None], size=size, mode="bilinear", antialias=True, align_corners=False)[0]


def heat_over(picture: Tensor, error: Tensor) -> Tensor:
    """Paint errors red over the grey of a picture; its worst place is full red.

    Args:
        picture: `(C, H, W)` float32 in [0, 1].
        error: `(1, h, w)` squared errors, of any size; stretched over the picture.

    Returns:
        `(3, H, W)` float32 in [0, 1].
    """
    window = max(min(error.shape[-2:]) // _BLUR_SHARE, 1) // 2 * 2 + 1
    smooth = F.avg_pool2d(error[None], window, stride=1, padding=window // 2, count_include_pad=False)
    smooth = F.interpolate(smooth, size=picture.shape[-2:], mode="bilinear", align_corners=False)[0]
    heat = smooth / smooth.amax().clamp(min=1e-12)
    # Pale, so that what is red on it cannot be mistaken for dark ink.
    grey = as_channels(as_channels(picture[None], 1), 3)[0] * 0.6 + 0.4
    red = torch.tensor([0.85, 0.0, 0.0]).view(3, 1, 1)
    return grey * (1.0 - heat) + red * heat


def anomaly_page(
    flagged: Sequence[tuple[Judgement, Tensor, Tensor]],
    lead: Sequence[str],
    counts: Sequence[tuple[str, str]],
    command: str,
    generator: str,
) -> str:
    """A page of the flagged pictures, the oddest first.

    Args:
        flagged: Of each picture what is said of it, itself `(C, H, W)` as it is shown, and with its heat `(3, H, W)`.
        lead: Paragraphs under the heading.
        counts: Names and figures of the summary.
        command: What was run.
        generator: What wrote it.
    """
    comparisons = [
        Comparison(
            shown(Path(entry.name)),
            embed("picture", to_pixels(picture)),
            embed("where it is odd", to_pixels(heat)),
            [embed("given back", to_pixels(_stretched(entry.given_back, picture.shape[-2:])))],
            f"error {entry.score:.4g}; of normal pictures, {100 * entry.normal_share:.2g} % are as odd",
        )
        for entry, picture, heat in flagged
    ]
    rows = [Row(name, [[Value(figure)]]) for name, figure in counts]
    page = Page(
        "Pictures unlike the normal ones",
        lead,
        [Section("Flagged, the oddest first", [], comparisons)] if comparisons else [],
        Table("What was judged", ["", ""], rows),
        [Fact("command", [command], is_code=True)],
        generator=generator,
    )
    return build_page(page)


def _stretched(picture: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(picture[None].clamp(0.0, 1.0), size=tuple(size), mode="nearest")[0]


def draw_curves(curves: Mapping[str, tuple[npt.NDArray[np.float64], Sequence[bool]]]) -> bytes:
    """Draw what is found over what is a false alarm, at every threshold (ROC).

    Args:
        curves: Scores, and whether each is of an odd picture, by title.

    Returns:
        A PNG file.

    Raises:
        RestoreError: matplotlib is missing.
    """
    from sklearn.metrics import roc_curve

    figure = new_figure((6.0, 4.5))
    axes = figure.subplots()
    for title, (scores, odd) in curves.items():
        false_alarms, found, _ = roc_curve(odd, scores)
        axes.plot(false_alarms, found, label=title, linewidth=1.2)
    axes.set_xlabel("share of normal pictures above the threshold")
    axes.set_ylabel("share of the others above it")
    axes.grid(alpha=0.3)
    axes.legend(title="normal (AUROC)", fontsize=8)
    return as_png(figure)
