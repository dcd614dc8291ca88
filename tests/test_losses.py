"""The Charbonnier loss against its formula."""

import numpy as np
import pytest
import torch

from restore.errors import UsageError
from restore.losses import CharbonnierLoss
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


@pytest.mark.parametrize("epsilon", [0.0, -1.0])
def test_an_epsilon_that_is_not_positive_is_refused(epsilon: float) -> None:
    with pytest.raises(UsageError, match="epsilon: must be above 0"):
        CharbonnierLoss(epsilon)
