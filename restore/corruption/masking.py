"""Missing pixels, with the missing share exact to one pixel.

Each kind of mask gives every pixel a rank, the order in which the damage would reach it; the first `share * H * W`
pixels are taken. So a rectangle or a stroke that would overshoot the share is cut short, and no kind needs a loop over
samples.
"""

import math
from abc import abstractmethod

import torch
from torch import Tensor

from restore.corruption.base import Corruption, check_interval, draw_uniform
from restore.errors import UsageError
from restore.types import Corrupted, Interval

__all__ = ["PixelMask", "RectangleMask", "StrokeMask"]


class _Masking(Corruption):
    def __init__(self, share_range: Interval, fill: float) -> None:
        self.share_range = check_interval("share_range", share_range, 0.0, 1.0)
        if not 0.0 <= fill <= 1.0:
            raise UsageError(f"fill: needs a value in [0, 1], not {fill:g}")
        self.fill = fill

    @abstractmethod
    def order(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw when each pixel would be taken: `(B, H, W)` float32, lower is earlier."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Take pixels away and put the fill value in their place."""
        batch, _, height, width = images.shape
        counts = (draw_uniform(self.share_range, images, generator) * (height * width)).round().long()
        order = self.order(images, generator).flatten(1)
        positions = torch.arange(height * width, device=images.device).expand(batch, -1)
        ranks = torch.empty_like(positions).scatter_(1, order.argsort(dim=1, stable=True), positions)
        missing = (ranks < counts.unsqueeze(1)).view(batch, 1, height, width)
        return Corrupted(images.masked_fill(missing, self.fill), missing.to(images.dtype))


class PixelMask(_Masking):
    """Single pixels, independent of each other.

    Args:
        share_range: Missing share of the image, drawn per sample.
        fill: Value in [0, 1] that stands where pixels are missing.
    """

    def __init__(self, share_range: Interval = (0.1, 0.5), fill: float = 0.5) -> None:
        super().__init__(share_range, fill)

    def order(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a random order."""
        return torch.rand(images.shape[0], *images.shape[-2:], generator=generator, device=images.device)


class RectangleMask(_Masking):
    """Upright rectangles, which may overlap and reach over the border.

    Args:
        share_range: Missing share of the image, drawn per sample.
        side_range: Sides of a rectangle as shares of the image's, drawn per rectangle and side.
        fill: Value in [0, 1] that stands where pixels are missing.
    """

    def __init__(
        self, share_range: Interval = (0.1, 0.3), side_range: Interval = (0.05, 0.35), fill: float = 0.5
    ) -> None:
        super().__init__(share_range, fill)
        self.side_range = check_interval("side_range", side_range, 0.01, 1.0)

    def order(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw rectangles; within one, the rows are taken from the top."""
        batch, _, height, width = images.shape
        device = images.device
        mean_side = sum(self.side_range) / 2
        count = _shapes_needed(self.share_range[1], mean_side**2)
        low, high = self.side_range
        sides = torch.rand(2, batch, count, generator=generator, device=device) * (high - low) + low
        centres = torch.rand(2, batch, count, generator=generator, device=device)
        first, last = centres - sides / 2, centres + sides / 2
        y = (torch.arange(height, device=device) + 0.5) / height
        x = (torch.arange(width, device=device) + 0.5) / width
        in_rows = (y >= first[0].unsqueeze(2)) & (y < last[0].unsqueeze(2))  # (B, count, H)
        in_columns = (x >= first[1].unsqueeze(2)) & (x < last[1].unsqueeze(2))
        order = _leftover(count, batch, height, width, device)
        for index in reversed(range(count)):  # earlier rectangles are written last, and win
            inside = in_rows[:, index, :, None] & in_columns[:, index, None, :]
            order = torch.where(inside, index + y.view(1, -1, 1), order)
        return order


class StrokeMask(_Masking):
    """Free-form strokes: round brushes of one width each, on paths that turn slowly.

    Args:
        share_range: Missing share of the image, drawn per sample.
        width_range: Width of a stroke in pixels, drawn per stroke.
        fill: Value in [0, 1] that stands where pixels are missing.
    """

    def __init__(
        self, share_range: Interval = (0.1, 0.3), width_range: Interval = (3.0, 15.0), fill: float = 0.5
    ) -> None:
        super().__init__(share_range, fill)
        self.width_range = check_interval("width_range", width_range, 1.0, 500.0)

    def order(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Draw strokes as overlapping discs along a path; along a stroke, the discs are taken in turn."""
        batch, _, height, width = images.shape
        device = images.device
        low, high = self.width_range
        step = max(low / 3, 0.75)
        points = max(8, math.ceil(0.5 * (height + width) / step))
        count = _shapes_needed(self.share_range[1], points * step * (low + high) / 2 / (height * width), reach=0.6)

        def draw(*shape: int) -> Tensor:
            return torch.rand(*shape, generator=generator, device=device)

        radius = (draw(batch, count, 1) * (high - low) + low) / 2
        curvature = (draw(batch, count, 1) - 0.5) * (8.0 / points)
        wobble = (draw(batch, count, points) - 0.5) * math.sqrt(6.0 / points)
        heading = draw(batch, count, 1) * (2 * math.pi) + (curvature + wobble).cumsum(dim=2)
        y = draw(batch, count, 1) * height + (step * heading.sin()).cumsum(dim=2)
        x = draw(batch, count, 1) * width + (step * heading.cos()).cumsum(dim=2)
        turn = torch.arange(count, device=device).view(1, -1, 1) + torch.arange(points, device=device) / points

        order = _leftover(count, batch, height, width, device).flatten(1)
        reach = math.ceil(high / 2)
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                if math.hypot(dx, dy) > high / 2 + 1:
                    continue  # no disc reaches this neighbour
                row, column = y.floor() + dy, x.floor() + dx
                near = (row + 0.5 - y) ** 2 + (column + 0.5 - x) ** 2 <= radius**2
                near &= (row >= 0) & (row < height) & (column >= 0) & (column < width)
                index = (row * width + column).long().clamp(0, height * width - 1)
                order.scatter_reduce_(1, index.flatten(1), torch.where(near, turn, math.inf).flatten(1), reduce="amin")
        return order.view(batch, height, width)


def _shapes_needed(share: float, mean_area: float, reach: float = 0.75) -> int:
    """How many shapes of `mean_area` (of the image's) cover `share` of it, with a wide margin.

    Random overlap leaves exp(-n * area) uncovered; `reach` is the part of a shape that falls inside the image.
    """
    return math.ceil(-1.5 * math.log(max(1.0 - share, 0.02)) / (mean_area * reach)) + 4


def _leftover(count: int, batch: int, height: int, width: int, device: torch.device) -> Tensor:
    """Pixels that no shape reaches come last, from the top down."""
    rows = torch.arange(height, device=device, dtype=torch.float32).view(1, -1, 1) / height
    return (count + rows).expand(batch, height, width).contiguous()
