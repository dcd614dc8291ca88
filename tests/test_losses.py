"""Each loss against its formula."""

import numpy as np
import pytest
import torch

from restore.errors import UsageError
from restore.losses import CharbonnierLoss, PsnrLoss
from restore.scores import psnr
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
@pytest.mark.parametrize("epsilon", [0.0, -1.0])
def test_an_epsilon_that_is_not_positive_is_refused(loss: type[CharbonnierLoss | PsnrLoss], epsilon: float) -> None:
    with pytest.raises(UsageError, match="epsilon: must be above 0"):
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
