"""Muon: what its update is, that it learns, and that it resumes."""

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from restore.errors import UsageError
from restore.seeds import generator_for
from restore.tasks import Muon
from restore.tasks.optimizers import orthogonalise


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=generator_for("muon", *shape))


@pytest.mark.parametrize("shape", [(32, 288), (288, 32), (64, 64), (1, 9)])
def test_orthogonalised_singular_values_are_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    matrix = random(*shape)
    result = orthogonalise(matrix)
    values = torch.linalg.svdvals(result)
    assert result.shape == matrix.shape
    assert values.min() > 0.6
    assert values.max() < 1.3
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    nearest = left @ right
    assert (result * nearest).sum() / (result.norm() * nearest.norm()) > 0.98


def test_the_size_of_a_step_is_that_of_adam_and_does_not_depend_on_the_gradient() -> None:
    for scale in (1e-6, 1.0, 1e6):
        kernel = nn.Parameter(torch.zeros(32, 64, 3, 3))
        kernel.grad = random(32, 64, 3, 3) * scale
        Muon([kernel], lr=0.01, weight_decay=0.0).step()
        rms = kernel.detach().square().mean().sqrt().item()
        assert rms == pytest.approx(0.2 * 0.01, rel=0.15)  # Adam's own is 0.2 to 0.4 of its learning rate


def test_biases_take_the_steps_of_adam() -> None:
    ours, theirs = nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(8))
    muon = Muon([ours], lr=0.01, weight_decay=0.5, betas=(0.9, 0.95))
    adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.95))
    for step in range(5):
        ours.grad = theirs.grad = random(8) + step
        muon.step()
        adam.step()
    assert torch.allclose(ours, theirs, rtol=1e-5)


def test_weight_decay_shrinks_kernels_and_leaves_biases() -> None:
    kernel, bias = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4))
    kernel.grad, bias.grad = torch.zeros(4, 4), torch.zeros(4)
    Muon([kernel, bias], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(kernel, torch.full((4, 4), 0.95))
    assert torch.equal(bias.detach(), torch.ones(4))


def test_parameters_without_a_gradient_stay() -> None:
    kernel = nn.Parameter(torch.ones(4, 4))
    Muon([kernel]).step()
    assert torch.equal(kernel.detach(), torch.ones(4, 4))


def test_it_resumes_from_its_state() -> None:
    def train(layer: nn.Module, optimizer: Muon, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            layer(random(1, 3, 8, 8 + step)).square().mean().backward()
            optimizer.step()

    torch.manual_seed(0)
    straight = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    stopped = copy.deepcopy(straight)
    train(straight, Muon(straight.parameters()), range(6))
    first = Muon(stopped.parameters())
    train(stopped, first, range(3))
    second = Muon(stopped.parameters())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    train(stopped, second, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), stopped.parameters(), strict=True))


@pytest.mark.parametrize(
    "wrong", [{"lr": -1.0}, {"lr": math.nan}, {"weight_decay": -1.0}, {"momentum": 1.0}, {"betas": (0.9, 1.0)}]
)
def test_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        Muon([nn.Parameter(torch.zeros(2, 2))], **wrong)  # type: ignore[arg-type]
