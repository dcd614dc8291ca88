"""What the networks are built from."""

import pytest
import torch

from restore.models.blocks import FILL, fill_smoothly, prepare_inputs
from restore.seeds import generator_for


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3), (37, 50), (64, 64)])
def test_filling_keeps_what_is_known_and_a_constant_everywhere(shape: tuple[int, int]) -> None:
    generator = generator_for("fill")
    image = torch.rand(2, 3, *shape, generator=generator)
    mask = (torch.rand(2, 1, *shape, generator=generator) < 0.5).float()
    mask[:, :, 0, 0] = 0
    filled = fill_smoothly(image, mask)
    known = (mask == 0).expand_as(image)
    assert torch.allclose(filled[known], image[known], atol=1e-6)
    constant = torch.full_like(image, 0.3).masked_fill(~known, 7.0)
    assert torch.allclose(fill_smoothly(constant, mask), torch.tensor(0.3), atol=1e-6)


def test_the_middle_of_a_hole_takes_the_mean_of_its_border() -> None:
    image = torch.zeros(1, 1, 64, 64)
    image[..., 32:] = 1.0
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    filled = fill_smoothly(image, mask)
    assert filled[0, 0, 31:33, 31:33].mean().item() == pytest.approx(0.5, abs=0.02)
    row = filled[0, 0, 32]
    assert (row.diff() > -1e-6).all(), "from dark to bright without a dent"
    assert row.diff().max() < 0.2


def test_where_nothing_is_known_the_filling_is_the_middle_of_the_range() -> None:
    mask = torch.ones(1, 1, 20, 20)
    assert torch.equal(fill_smoothly(torch.rand(1, 3, 20, 20), mask), torch.zeros(1, 3, 20, 20))
    inputs = prepare_inputs(torch.rand(1, 3, 20, 20), mask, 3, fill="smooth")
    assert torch.equal(inputs[:, :3] + FILL, torch.full((1, 3, 20, 20), FILL))


def test_what_a_file_holds_in_the_hole_makes_no_difference() -> None:
    image = torch.rand(1, 3, 32, 32, generator=generator_for("image"))
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 8:24] = 1
    other = torch.where(mask > 0, 0.123, image)
    assert torch.equal(prepare_inputs(image, mask, 3, "smooth"), prepare_inputs(other, mask, 3, "smooth"))
