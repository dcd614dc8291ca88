"""What an inpainting network starts from in a hole."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from restore.corruption import Corruption, PixelMask, RectangleMask, StrokeMask
from restore.models import filling
from restore.models.blocks import FILL, prepare_inputs
from restore.models.filling import Fill, fill_hole
from restore.seeds import generator_for
from tests.helpers.photos import sample_photo

every_filling = pytest.mark.parametrize("fill", [fill for fill in get_args(Fill) if fill != "grey"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (37, 50), (64, 64)])
@every_filling
def test_filling_keeps_what_is_known_and_a_constant_everywhere(shape: tuple[int, int], fill: Fill) -> None:
    generator = generator_for("fill")
    image = torch.rand(2, 3, *shape, generator=generator)
    mask = (torch.rand(2, 1, *shape, generator=generator) < 0.5).float()
    mask[:, :, 0, 0] = 0
    filled = fill_hole(image, mask, fill)
    known = (mask == 0).expand_as(image)
    assert torch.allclose(filled[known], image[known], atol=1e-6)
    constant = torch.full_like(image, 0.3).masked_fill(~known, 7.0)
    assert torch.allclose(fill_hole(constant, mask, fill), torch.tensor(0.3), atol=1e-5)


@every_filling
def test_the_middle_of_a_hole_takes_the_mean_of_its_border(fill: Fill) -> None:
    image = torch.zeros(1, 1, 64, 64)
    image[..., 32:] = 1.0
    filled = fill_hole(image, square_hole(64, 16, 48), fill)
    assert filled[0, 0, 31:33, 31:33].mean().item() == pytest.approx(0.5, abs=0.02)
    row = filled[0, 0, 32]
    assert (row.diff() > -1e-6).all(), "from dark to bright without a dent"
    assert row.diff().max() < 0.2


@every_filling
def test_where_nothing_is_known_the_filling_is_the_middle_of_the_range(fill: Fill) -> None:
    mask = torch.ones(1, 1, 20, 20)
    assert torch.equal(fill_hole(torch.rand(1, 3, 20, 20), mask, fill), torch.zeros(1, 3, 20, 20))
    inputs = prepare_inputs(torch.rand(1, 3, 20, 20), mask, 3, fill)
    assert torch.equal(inputs[:, :3] + FILL, torch.full((1, 3, 20, 20), FILL))


@pytest.mark.parametrize("fill", get_args(Fill))
def test_what_a_file_holds_in_the_hole_makes_no_difference(fill: Fill) -> None:
    image = torch.rand(1, 3, 32, 32, generator=generator_for("image"))
    mask = square_hole(32, 8, 24)
    other = torch.where(mask > 0, 0.123, image)
    assert torch.equal(prepare_inputs(image, mask, 3, fill), prepare_inputs(other, mask, 3, fill))


def test_a_spline_carries_a_slope_into_a_hole() -> None:
    across, down = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 0.5, 64), indexing="xy")
    plane = (0.2 * across + down)[None, None]
    error = (fill_hole(plane, square_hole(64, 24, 40), "spline") - plane).abs().max()
    assert error < 0.005


def test_a_spline_solves_its_equation_with_steps_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "_RELAXATIONS", 100)
    side = 12
    image = torch.rand(2, 3, side, side, generator=generator_for("spline"))
    mask = (torch.rand(2, 1, side, side, generator=generator_for("holes")) < 0.5).float()
    chain = torch.diag(torch.full((side - 1,), 1.0), 1)
    chain = chain + chain.T
    one = torch.diag(chain.sum(0)) - chain
    # rows and columns as matrices: an independent way to the same operator
    laplacian = torch.kron(one, torch.eye(side)) + torch.kron(torch.eye(side), one)
    operator = laplacian @ laplacian + laplacian
    for picture, missing, filled in zip(image, mask, fill_hole(image, mask, "spline"), strict=True):
        hole = missing.flatten() > 0
        exact = picture.flatten(1).clone()
        exact[:, hole] = -torch.linalg.solve(operator[hole][:, hole], operator[hole][:, ~hole] @ exact[:, ~hole].T).T
        assert (filled.flatten(1) - exact).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("corruption", "gain"),
    [(PixelMask((0.5, 0.5)), 2.0), (StrokeMask((0.2, 0.2)), 1.0), (RectangleMask((0.2, 0.2)), 0.5)],
    ids=["pixels", "strokes", "rectangles"],
)
def test_a_spline_is_nearer_to_photos_than_averages(corruption: Corruption, gain: float) -> None:
    photo = sample_photo("astronaut.png")[..., :256, :256].repeat(4, 1, 1, 1)
    holed, mask = corruption(photo, generator_for("holes"))
    before, after = (
        ((fill_hole(holed, mask, fill) - photo).square() * mask).sum().log10() for fill in ("smooth", "spline")
    )
    assert 10 * (before - after) > gain


def square_hole(side: int, start: int, stop: int) -> Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., start:stop, start:stop] = 1
    return mask
