"""Losses that torch does not have; `torch.nn.L1Loss` and `torch.nn.MSELoss` are used as they are."""

import torch
from torch import Tensor, nn

from restore.errors import UsageError

__all__ = ["CharbonnierLoss"]


class CharbonnierLoss(nn.Module):
    """mean(sqrt((restored - clean)^2 + epsilon^2)): L1 that is smooth at zero (Lai et al. 2017).

    Args:
        epsilon: Where it turns from quadratic to linear, in image units; 0.001 is a quarter of an 8-bit step.
    """

    def __init__(self, epsilon: float = 0.001) -> None:
        super().__init__()
        if epsilon <= 0:
            raise UsageError(f"epsilon: must be above 0, not {epsilon:g}")
        self.epsilon = epsilon

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Both of one shape; a scalar."""
        return torch.sqrt((restored - clean) ** 2 + self.epsilon**2).mean()
