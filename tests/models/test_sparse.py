"""What keeps codes sparse, against its definition."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from restore.errors import UsageError
from restore.models import SparseAutoencoder
from restore.models.sparse import Sparsity
from restore.seeds import generator_for


def images() -> tuple[Tensor, Tensor]:
    return torch.rand(6, 1, 8, 8, generator=generator_for("sparse")), torch.zeros(6, 1, 8, 8)


def network(sparsity: Sparsity, **arguments: float) -> SparseAutoencoder:
    torch.manual_seed(0)
    return SparseAutoencoder(100, image_size=8, sparsity=sparsity, **arguments)  # type: ignore[arg-type]


def test_top_k_leaves_the_k_largest_of_each_code_as_they_are() -> None:
    sparse = network("top-k", active=7)
    everything = network("top-k", active=100)
    everything.load_state_dict(sparse.state_dict())
    for layer in (sparse.encoder[0], everything.encoder[0]):
        layer.bias.data.fill_(3.0)  # type: ignore[operator]  # so that every unit is on
    code, full = (chosen.encode(images()[0]).flatten(1) for chosen in (sparse, everything))
    assert (full > 0).all()
    assert (code.count_nonzero(dim=1) == 7).all()
    assert torch.equal(code.sort(dim=1).values[:, -7:], full.sort(dim=1).values[:, -7:])
    assert torch.equal(code[code > 0], full[code > 0])
    assert sparse.reconstruct(*images()).penalties == {}


def test_the_kl_penalty_is_that_of_two_bernoulli_variables_for_each_unit() -> None:
    sparse = network("kl", target_rate=0.2, weight=3.0)
    rate = sparse.encode(images()[0]).mean(dim=(0, 2, 3))
    expected = 3.0 * kl_divergence(Bernoulli(probs=torch.tensor(0.2)), Bernoulli(probs=rate)).mean()
    assert sparse.reconstruct(*images()).penalties["sparsity"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("bias", "slope_of_kl"), [(-200.0, -0.05), (-20.0, -0.05), (20.0, 0.95), (200.0, 0.95)])
def test_the_kl_penalty_draws_units_back_that_are_stuck(
    bias: float, slope_of_kl: float, precision: torch.dtype
) -> None:
    sparse = network("kl", target_rate=0.05, weight=1.0)
    biases: Tensor = sparse.encoder[0].bias  # type: ignore[assignment]
    biases.data.fill_(bias)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        penalty = sparse.reconstruct(*images()).penalties["sparsity"]
    (slope,) = torch.autograd.grad(penalty, biases)
    assert penalty.isfinite()
    assert torch.allclose(slope * 100, torch.full((100,), slope_of_kl), atol=0.01)  # it is the mean of 100 units


def test_the_kl_penalty_vanishes_at_the_target_and_is_finite_when_a_unit_is_stuck() -> None:
    sparse = network("kl", target_rate=0.05)
    sparse.encoder[0].weight.data.zero_()  # type: ignore[operator]
    sparse.encoder[0].bias.data.fill_(torch.logit(torch.tensor(0.05)).item())  # type: ignore[operator]
    assert sparse.reconstruct(*images()).penalties["sparsity"].item() == pytest.approx(0.0, abs=1e-7)
    sparse.encoder[0].bias.data.fill_(-200.0)  # type: ignore[operator]
    assert sparse.reconstruct(*images()).penalties["sparsity"].isfinite()


def test_the_l1_penalty_is_the_mean_activation() -> None:
    sparse = network("l1", weight=2.0)
    expected = 2.0 * sparse.encode(images()[0]).abs().mean()
    penalty = sparse.reconstruct(*images()).penalties["sparsity"]
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-6)
    weight: Tensor = sparse.encoder[0].weight  # type: ignore[assignment]
    slope, expected_slope = (torch.autograd.grad(value, weight)[0] for value in (penalty, expected))
    assert torch.allclose(slope, expected_slope)
    assert slope.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sparsity": "top"}, "sparsity: must be one of kl, l1, top-k, not top"),
        ({"target_rate": 0.0}, "target_rate: must lie in"),
        ({"active": 2000}, "active: must be between 1 and the 1024 units of the code, not 2000"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SparseAutoencoder(**arguments)  # type: ignore[arg-type]  # of several types by design
