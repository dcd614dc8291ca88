"""Optimizers that torch does not have for convolutions."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from restore.devices import has_fast_bfloat16
from restore.errors import UsageError

__all__ = ["Muon"]

_QUINTIC = (3.4445, -4.7750, 2.0315)
"""Coefficients of the odd polynomial that drives singular values into about [0.7, 1.2] (Jordan et al. 2024)."""


class Muon(Optimizer):
    """Momentum whose update is orthogonalised for every kernel, and Adam for the biases.

    The update of a kernel `(out, in, kh, kw)`, flattened to `(out, in kh kw)`, is replaced by the nearest matrix with
    equal singular values, so that all directions learn at one speed (Muon, Jordan et al. 2024), and scaled so that its
    entries are as large as Adam's and one learning rate fits both (Liu et al. 2025). `torch.optim.Muon` takes
    nothing but matrices.

    Args:
        params: What is trained, or groups of it.
        lr: Learning rate, of the size that AdamW wants.
        weight_decay: Share of a kernel that is taken off per step and unit of learning rate; biases keep theirs.
        momentum: Share of the running gradient that a step keeps.
        betas: Adam's two, for everything of fewer than two dimensions.

    Raises:
        UsageError: An argument is out of range.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 1e-3,
        weight_decay: float = 1e-4,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        if not all(0.0 <= value < math.inf for value in (lr, weight_decay)):
            raise UsageError(f"lr and weight_decay: must be finite and 0 or more, not {lr:g} and {weight_decay:g}")
        if not all(0.0 <= share < 1.0 for share in (momentum, *betas)):
            raise UsageError(f"momentum and betas: must be 0 or more and below 1, not {momentum:g} and {betas}")
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": tuple(betas)})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                update = self._adam if parameter.ndim < 2 else self._muon
                update(parameter, parameter.grad, group)
        return loss

    def _muon(self, kernel: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[kernel]
        if not state:
            state["momentum"] = torch.zeros_like(kernel)
        momentum = state["momentum"].lerp_(grad, 1.0 - group["momentum"])
        update = grad.lerp(momentum, group["momentum"]).flatten(1)
        scale = 0.2 * math.sqrt(max(update.shape))
        kernel.mul_(1.0 - group["lr"] * group["weight_decay"])
        kernel.add_(orthogonalise(update).view_as(kernel), alpha=-group["lr"] * scale)

    def _adam(self, bias: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[bias]
        if not state:
            state.update(step=0, mean=torch.zeros_like(bias), square=torch.zeros_like(bias))
        state["step"] += 1
        first, second = group["betas"]
        state["mean"].lerp_(grad, 1.0 - first)
        state["square"].lerp_(grad * grad, 1.0 - second)
        mean, square = state["mean"] / (1.0 - first ** state["step"]), state["square"] / (1.0 - second ** state["step"])
        bias.addcdiv_(mean, square.sqrt().add_(1e-8), value=-group["lr"])


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """About the nearest matrix `(M, N)` whose singular values are all 1, by Newton-Schulz.

    In bfloat16, but on GPUs that are older than it, in float32.
    """
    a, b, c = _QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-12)
    if x.device.type != "cuda" or has_fast_bfloat16(x.device):
        x = x.bfloat16()
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.T if tall else x).to(matrix.dtype)
