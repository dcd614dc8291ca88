"""Losses that torch does not have; `torch.nn.L1Loss` and `torch.nn.MSELoss` are used as they are."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import UsageError
from restore.scores import similarity_map

__all__ = ["BinaryCrossEntropyLoss", "CharbonnierLoss", "MixedLoss", "PsnrLoss", "SsimLoss"]


class BinaryCrossEntropyLoss(nn.Module):
    """-mean(c log r + (1 - c) log(1 - r)): the Bernoulli likelihood of a clean value c, in nats per value.

    Its minimum over r is at c, where it is the entropy of c and not 0 unless c is black or white. Logarithms end at
    -100. The network's output must lie in (0, 1): give it `output: sigmoid`.
    """

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Both of one shape; a scalar.

        Raises:
            UsageError: A value of either lies outside [0, 1].
        """
        for name, values in (("restored", restored), ("clean", clean)):
            low, high = (float(end) for end in values.detach().aminmax())
            if not (low >= 0.0 and high <= 1.0):
                raise UsageError(
                    f"binary cross-entropy: {name} values must lie in [0, 1], not in [{low:g}, {high:g}]; "
                    "choose a network with `output: sigmoid`, or another loss"
                )
        with torch.autocast(restored.device.type, enabled=False):  # it refuses half precision
            return F.binary_cross_entropy(restored.float(), clean.float())


class MixedLoss(nn.Module):
    """A weighted sum of losses.

    Args:
        losses: What is added up.
        weights: One for each; all 1 if left out.

    Raises:
        UsageError: There is none, or the weights are not one for each, 0 or more.
    """

    def __init__(self, losses: list[nn.Module], weights: list[float] | None = None) -> None:
        super().__init__()
        weights = [1.0] * len(losses) if weights is None else list(weights)
        if not losses or len(weights) != len(losses):
            raise UsageError(f"losses: needs at least one, and as many weights; got {len(losses)} and {len(weights)}")
        if not all(math.isfinite(weight) and weight >= 0.0 for weight in weights):
            raise UsageError(f"weights: must be 0 or more, not {weights}")
        self.losses, self.weights = nn.ModuleList(losses), weights

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Both `(B, C, H, W)`; a scalar."""
        parts = [weight * loss(restored, clean) for loss, weight in zip(self.losses, self.weights, strict=True)]
        return torch.stack(parts).sum()

    def extra_repr(self) -> str:
        """The weights, for a bundle's card."""
        return f"weights={self.weights}"


class CharbonnierLoss(nn.Module):
    """mean(sqrt((restored - clean)^2 + epsilon^2)): L1 that is smooth at zero (Lai et al. 2017).

    Args:
        epsilon: Where it turns from quadratic to linear, in image units; 0.001 is a quarter of an 8-bit step.

    Raises:
        UsageError: `epsilon` is not above 0.
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

    Raises:
        UsageError: `epsilon` is not above 0.
    """

    def __init__(self, epsilon: float = 0.001) -> None:
        super().__init__()
        self.epsilon = _positive(epsilon)

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Both `(B, C, H, W)`; a scalar."""
        return 10.0 * torch.log10((restored - clean).square().flatten(1).mean(dim=1) + self.epsilon**2).mean()


class SsimLoss(nn.Module):
    """1 - SSIM (Wang et al. 2004), over the region where the window of 11 x 11 fits, of pixels as they are.

    0 for equal images, at most 2. Blind to large areas of a wrong constant; mix it with L1 (Zhao et al. 2017).
    """

    def forward(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Both `(B, C, H, W)`, sides of 11 pixels or more; a scalar."""
        with torch.autocast(restored.device.type, enabled=False):  # variances drown in half precision
            return 1.0 - similarity_map(restored.float(), clean.float()).mean()


def _positive(epsilon: float) -> float:
    if not 0.0 < epsilon < math.inf:
        raise UsageError(f"epsilon: must be finite and above 0, not {epsilon:g}")
    return epsilon
