"""Losses that torch does not have; `torch.nn.L1Loss` and `torch.nn.MSELoss` are used as they are."""

import torch
from torch import Tensor, nn

from restore.errors import UsageError

__all__ = ["CharbonnierLoss", "PsnrLoss"]


class CharbonnierLoss(nn.Module):
    """mean(sqrt((restored - clean)^2 + epsilon^2)): L1 that is smooth at zero (Lai et al. 2017).

    Args:
        epsilon: Where it turns from quadratic to linear, in image units; 0.001 is a quarter of an 8-bit step.
    """

    def __init__(self, epsilon: float = 0.001) -> None:
        super().__init__()
        self.epsilon = _positive(epsilon)

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Both of one shape; a scalar."""
        return torch.sqrt((restored - clean) ** 2 + self.epsilon**2).mean()


class PsnrLoss(nn.Module):
    """Minus the PSNR in dB, mean over the images of a batch (Chen et al. 2022, NAFNet).

    Unlike a mean squared error, in which the noisiest images of a batch decide, one decibel counts the same at every
    noise level, as it does in the tables.

    Args:
        epsilon: Root mean squared error below which nothing is to be gained, in image units; 0.001 is a quarter of an
            8-bit step.
    """

    def __init__(self, epsilon: float = 0.001) -> None:
        super().__init__()
        self.epsilon = _positive(epsilon)

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Both `(B, C, H, W)`; a scalar."""
        return 10.0 * torch.log10((restored - clean).square().flatten(1).mean(dim=1) + self.epsilon**2).mean()


def _positive(epsilon: float) -> float:
    if epsilon <= 0:
        raise UsageError(f"epsilon: must be above 0, not {epsilon:g}")
    return epsilon
