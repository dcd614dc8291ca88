"""Masks: their share to a pixel, and the shapes that they are named after."""

import numpy as np
import pytest
import torch
from skimage.measure import label, regionprops
from skimage.morphology import disk, opening
from torch import Tensor

from restore.corruption import Corruption, PixelMask, RectangleMask, StrokeMask
from restore.seeds import generator_for
from restore.types import Interval

KINDS = [PixelMask, RectangleMask, StrokeMask]
Kind = type[PixelMask] | type[RectangleMask] | type[StrokeMask]


def draw(corruption: Corruption, batch: int = 32, side: int = 96) -> Tensor:
    return corruption(torch.zeros(batch, 1, side, side), generator_for("masks")).mask


def regions(mask: Tensor) -> list[tuple[float, float]]:
    """Area and share of the bounding box of every connected region of `(1, H, W)`."""
    found = regionprops(label(mask[0].numpy().astype(np.uint8), connectivity=1))
    return [(float(region.area), float(region.extent)) for region in found]


@pytest.mark.parametrize("size", [(40, 33), (7, 50), (1, 1)])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_the_missing_share_is_exact_to_a_pixel(kind: Kind, share: float, size: tuple[int, int]) -> None:
    corruption = kind((share, share))
    mask = corruption(torch.zeros(5, 3, *size), generator_for("share")).mask
    expected = share * size[0] * size[1]
    assert all(abs(count - expected) <= 0.5001 for count in mask.sum(dim=(1, 2, 3)).tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_known_pixels_keep_every_bit_and_missing_ones_hold_the_fill(kind: Kind) -> None:
    images = torch.rand(3, 3, 30, 41, generator=generator_for("image")) * 3 - 1
    for fill in (0.0, 0.5, 1.0):
        result, mask = kind((0.3, 0.3), fill=fill)(images, generator_for("fill"))
        missing = mask.bool().expand_as(images)
        assert torch.equal(result[~missing], images[~missing])
        assert set(result[missing].tolist()) == {fill}


@pytest.mark.parametrize("interval", [(0.1, 0.5), (0.0, 0.2)])
@pytest.mark.parametrize("kind", KINDS)
def test_shares_fill_the_interval_from_sample_to_sample(kind: Kind, interval: Interval) -> None:
    low, high = interval
    shares = draw(kind(interval), batch=200, side=24).mean(dim=(1, 2, 3))
    step = 0.5 / 24**2
    assert low - step <= shares.min().item() < low + 0.02 * (1 + high)
    assert high - 0.02 * (1 + high) < shares.max().item() <= high + step
    assert shares.mean().item() == pytest.approx((low + high) / 2, abs=4 * (high - low) / (12 * 200) ** 0.5)


def test_pixels_are_independent_of_their_neighbours_and_equally_likely_everywhere() -> None:
    masks = draw(PixelMask((0.3, 0.3)), batch=64)
    centred = masks - 0.3
    variance, limit = 0.3 * 0.7, 4 / masks.numel() ** 0.5
    for down, right in [(0, 1), (1, 0), (1, 1), (0, 2), (5, 3)]:
        product = centred[..., down:, right:] * centred[..., : 96 - down, : 96 - right]
        assert abs(product.mean().item() / variance) < 1.1 * limit
    quarters = masks.unfold(2, 48, 48).unfold(3, 48, 48).mean(dim=(0, 1, 4, 5))
    assert (quarters - 0.3).abs().max().item() < 4 * (variance / masks.numel() * 4) ** 0.5


def test_rectangles_are_rectangles() -> None:
    found = [region for mask in draw(RectangleMask((0.05, 0.05), (0.1, 0.25))) for region in regions(mask)]
    large = sum(area for area, extent in found if extent > 0.95 and area > 9)
    assert large / sum(area for area, _ in found) > 0.6  # the rest overlaps, or was cut short within a row
    assert np.median([extent for _, extent in found]) == 1.0


def test_rectangles_have_the_sides_that_were_asked_for() -> None:
    # One rectangle of a quarter of the side each way would overshoot this share; its whole rows are taken from the top.
    masks = draw(RectangleMask((0.01, 0.01), (0.25, 0.25)))
    widths = masks.sum(dim=3).amax(dim=(1, 2))
    assert ((widths == 24) | (masks[..., 0].sum(dim=(1, 2)) > 0) | (masks[..., -1].sum(dim=(1, 2)) > 0)).all()
    assert (widths == 24).float().mean().item() > 0.6


def test_strokes_hold_together_and_fill_no_boxes() -> None:
    for share in (0.05, 0.2):
        found = [regions(mask) for mask in draw(StrokeMask((share, share), (5.0, 9.0)))]
        assert np.mean([len(one) for one in found]) < 5  # as many single pixels make hundreds
        assert np.mean([max(area for area, _ in one) / (share * 96**2) for one in found]) > 0.6
        assert np.mean([max(one)[1] for one in found]) < 0.65


@pytest.mark.parametrize("width", [4.0, 8.0, 12.0])
def test_strokes_are_as_wide_as_was_asked_for(width: float) -> None:
    masks = np.pad(draw(StrokeMask((0.05, 0.05), (width, width)))[:, 0].numpy(), ((0, 0), (9, 9), (9, 9)), mode="edge")
    kept = {
        radius: np.mean([opening(mask, disk(radius))[9:-9, 9:-9].mean() / 0.05 for mask in masks])
        for radius in (int(width / 2) - 1, int(width / 2) + 1)
    }
    thinner, thicker = kept.values()
    assert thinner > 0.9  # a disc of width - 2 fits in everywhere
    assert thicker < 0.15  # one of width + 2 only where strokes cross


@pytest.mark.parametrize("kind", [RectangleMask, StrokeMask])
def test_shapes_come_in_all_parts_of_the_image(kind: Kind) -> None:
    frequency = draw(kind((0.2, 0.2)), batch=100, side=24).mean(dim=(0, 1))
    blocks = frequency.unfold(0, 6, 6).unfold(1, 6, 6).mean(dim=(2, 3))
    assert blocks.min().item() > 0.08  # corners are reached half as often as the middle
    assert blocks.max().item() < 0.35
