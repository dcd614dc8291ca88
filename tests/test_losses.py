"""Each loss against its formula."""

import numpy as np
import pytest
import torch
from torch import nn

from restore.errors import UsageError
from restore.losses import BinaryCrossEntropyLoss, CharbonnierLoss, MixedLoss, PsnrLoss, SsimLoss
from restore.scores import psnr, ssim
from restore.seeds import generator_for


@pytest.mark.parametrize("epsilon", [0.001, 0.1])
def test_it_is_the_formula(epsilon: float) -> None:
    restored, clean = torch.rand(2, 3, 3, 8, 8, generator=generator_for("loss"))
    difference = restored.double().numpy() - clean.double().numpy()
    expected = np.sqrt(difference**2 + epsilon**2).mean()
    assert CharbonnierLoss(epsilon)(restored, clean).item() == pytest.approx(expected, rel=1e-5)


def test_far_from_zero_it_is_l1_and_near_zero_it_is_quadratic() -> None:
    loss, zero = CharbonnierLoss(0.001), torch.zeros(1)
    assert loss(torch.ones(1), zero).item() == pytest.approx(1.0, rel=1e-5)
    rise = loss(torch.full((1,), 2e-4), zero) - loss(zero, zero)
    assert rise.item() == pytest.approx((2e-4) ** 2 / (2 * 0.001), rel=0.02)


def test_the_gradient_is_finite_at_equality() -> None:
    restored = torch.full((4,), 0.3, requires_grad=True)
    CharbonnierLoss()(restored, restored.detach().clone()).backward()
    assert restored.grad is not None
    assert torch.equal(restored.grad, torch.zeros(4))


@pytest.mark.parametrize("loss", [CharbonnierLoss, PsnrLoss])
@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_an_epsilon_that_is_not_positive_is_refused(loss: type[CharbonnierLoss | PsnrLoss], epsilon: float) -> None:
    with pytest.raises(UsageError, match="epsilon: must be finite and above 0"):
        loss(epsilon)


def test_psnr_loss_is_minus_the_mean_psnr_of_the_images() -> None:
    # Clean pixels of 8 bits, far from black and white, since scores are taken of 8-bit pixels.
    clean = torch.randint(100, 156, (3, 3, 16, 16), generator=generator_for("loss")) / 255.0
    noise = torch.randn(clean.shape, generator=generator_for("noise")) * torch.tensor([0.01, 0.03, 0.06]).view(
        3, 1, 1, 1
    )
    expected = -psnr(clean + noise, clean).mean().item()
    assert PsnrLoss()(clean + noise, clean).item() == pytest.approx(expected, abs=0.03)


def test_one_decibel_counts_the_same_at_every_noise_level() -> None:
    clean = torch.zeros(2, 1, 8, 8)
    restored = torch.stack([torch.full((1, 8, 8), 0.02), torch.full((1, 8, 8), 0.2)]).requires_grad_()
    PsnrLoss()(restored, clean).backward()
    assert restored.grad is not None
    gains = (restored.grad * restored.detach()).flatten(1).sum(dim=1)
    assert gains[0].item() == pytest.approx(gains[1].item(), rel=0.01)


def test_psnr_loss_is_finite_with_a_finite_gradient_at_equality() -> None:
    restored = torch.full((1, 1, 4, 4), 0.3, requires_grad=True)
    loss = PsnrLoss()(restored, restored.detach().clone())
    loss.backward()
    assert loss.item() == pytest.approx(-60.0, abs=1e-3)
    assert restored.grad is not None
    assert torch.equal(restored.grad, torch.zeros(1, 1, 4, 4))


def test_binary_cross_entropy_is_the_surprise_of_a_bernoulli_variable() -> None:
    restored = torch.rand(4, 1, 5, 5, generator=generator_for("loss"))
    clean = (torch.rand(4, 1, 5, 5, generator=generator_for("clean")) < 0.5).float()
    expected = -torch.distributions.Bernoulli(probs=restored).log_prob(clean).mean()
    assert BinaryCrossEntropyLoss()(restored, clean).item() == pytest.approx(expected.item(), rel=1e-5)


def test_binary_cross_entropy_is_least_at_the_clean_value_and_finite_when_it_is_missed() -> None:
    clean = torch.full((1, 1, 2, 2), 0.3)
    values = torch.linspace(0.0, 1.0, 101)
    losses = [BinaryCrossEntropyLoss()(torch.full_like(clean, float(value)), clean).item() for value in values]
    assert values[losses.index(min(losses))].item() == pytest.approx(0.3)
    assert losses[0] == pytest.approx(30.0)


def test_binary_cross_entropy_is_computed_in_float32_under_autocast() -> None:
    restored, clean = torch.rand(2, 2, 1, 5, 5, generator=generator_for("loss"))
    with torch.autocast("cpu", torch.bfloat16):
        loss = BinaryCrossEntropyLoss()(restored, clean)
    assert torch.equal(loss, BinaryCrossEntropyLoss()(restored, clean))


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan")])
def test_binary_cross_entropy_refuses_what_is_no_probability(value: float) -> None:
    good = torch.full((2, 1, 3, 3), 0.5)
    bad = good.clone()
    bad[1, 0, 2, 2] = value
    with pytest.raises(UsageError, match=r"clean values must lie in \[0, 1\]"):
        BinaryCrossEntropyLoss()(good, bad)
    with pytest.raises(UsageError, match=r"restored values must lie in \[0, 1\], .*output: sigmoid"):
        BinaryCrossEntropyLoss()(bad, good)


def test_ssim_loss_is_one_minus_the_score_and_its_gradient_leads_up() -> None:
    clean = torch.randint(0, 256, (2, 3, 20, 24), generator=generator_for("loss")) / 255.0
    restored = torch.randint(0, 256, clean.shape, generator=generator_for("restored")) / 255.0
    loss = SsimLoss()
    assert loss(restored, clean).item() == pytest.approx(1.0 - ssim(restored, clean).mean().item(), abs=1e-5)
    assert loss(clean, clean).item() == pytest.approx(0.0, abs=1e-6)
    moving = restored.clone().requires_grad_()
    loss(moving, clean).backward()
    assert moving.grad is not None
    better = restored - 50.0 * moving.grad
    assert loss(better, clean) < loss(restored, clean) - 0.01


def test_a_mix_is_the_weighted_sum() -> None:
    restored, clean = torch.rand(2, 2, 1, 12, 12, generator=generator_for("loss"))
    parts: list[nn.Module] = [nn.L1Loss(), SsimLoss()]
    expected = 0.3 * parts[0](restored, clean) + 2.0 * parts[1](restored, clean)
    mixed = MixedLoss(parts, [0.3, 2.0])
    assert mixed(restored, clean).item() == pytest.approx(expected.item(), rel=1e-6)
    assert "0.3, 2.0" in repr(mixed)
    assert MixedLoss(parts)(restored, clean).item() == pytest.approx(sum(float(p(restored, clean)) for p in parts))


@pytest.mark.parametrize(("count", "weights"), [(0, None), (2, [1.0]), (1, [-1.0]), (1, [float("nan")])])
def test_a_mix_that_cannot_be_is_refused(count: int, weights: list[float] | None) -> None:
    with pytest.raises(UsageError, match=r"losses: needs|weights: must be"):
        MixedLoss([nn.L1Loss() for _ in range(count)], weights)
