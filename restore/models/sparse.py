"""The sparse autoencoder: a code larger than the image, of which little is used at a time."""

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.errors import UsageError
from restore.models.base import JsonValue
from restore.models.blocks import Activation, Output
from restore.models.dense import DeepAutoencoder

__all__ = ["SparseAutoencoder", "Sparsity"]

Sparsity = Literal["kl", "l1", "top-k"]

_CODE_ACTIVATIONS: dict[Sparsity, Activation] = {"kl": "sigmoid", "l1": "relu", "top-k": "relu"}


class SparseAutoencoder(DeepAutoencoder):
    """One dense layer to an over-complete code that is kept sparse, and one back.

    * `kl`: units are sigmoids, and each unit's mean activation over a batch is drawn to `target_rate` by
      `weight` times the mean over the units of KL(target || mean), of two Bernoulli variables (Ng 2011).
    * `l1`: units are ReLUs, and `weight` times their mean activation is added to the loss.
    * `top-k`: units are ReLUs, of which the `active` largest of each code are kept and the others set to zero
      (Makhzani and Frey 2014); nothing is added to the loss.

    The penalties are means over units, so one weight serves every code size. They are logged as `train/sparsity`.

    Args:
        code_size: Length of the code.
        image_size: Side of the square that one code stands for, in pixels.
        channels: Image channels; 3 serves grey images too.
        sparsity: What keeps the code sparse.
        target_rate: Mean activation that `kl` aims at.
        weight: Of the penalty, for `kl` and `l1`.
        active: Units that `top-k` keeps.
        output: `sigmoid` stays inside (0, 1), as binary cross-entropy needs; `linear` gives 0.5 + sum.
        tied: Let the decoder's matrix be the encoder's, transposed: half the weights.
        dropout: Share of the code that training sets to zero; the rest grows by 1 / (1 - share).
        l1: Weight of the sum of |w| over both matrices, logged as `train/l1`.
        l2: Weight of the sum of w^2 over both matrices, logged as `train/l2`.

    Raises:
        UsageError: A setting is out of its range.
    """

    def __init__(
        self,
        code_size: int = 1024,
        image_size: int = 28,
        channels: int = 1,
        sparsity: Sparsity = "kl",
        target_rate: float = 0.05,
        weight: float = 0.01,
        active: int = 50,
        output: Output = "sigmoid",
        tied: bool = False,
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> None:
        if sparsity not in _CODE_ACTIVATIONS:
            raise UsageError(f"sparsity: must be one of {', '.join(_CODE_ACTIVATIONS)}, not {sparsity}")
        if not 0.0 < target_rate < 1.0 or not 0.0 <= weight < math.inf:
            raise UsageError(
                f"target_rate: must lie in (0, 1), and weight be finite and 0 or more, not {target_rate:g}, {weight:g}"
            )
        if not 1 <= active <= code_size:
            raise UsageError(f"active: must be between 1 and the {code_size} units of the code, not {active}")
        code_activation = _CODE_ACTIVATIONS[sparsity]
        super().__init__((code_size,), image_size, channels, "linear", code_activation, output, tied, dropout, l1, l2)
        self.sparsity, self.target_rate, self.weight, self.active = sparsity, target_rate, weight, active

    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments."""
        config = super().config()
        del config["widths"], config["activation"], config["code_activation"]
        return {
            "code_size": self.code_channels,
            "sparsity": self.sparsity,
            "target_rate": self.target_rate,
            "weight": self.weight,
            "active": self.active,
            **config,
        }

    def _code(self, sums: Tensor) -> Tensor:
        code = super()._code(sums)
        if self.sparsity != "top-k" or self.active == self.code_channels:
            return code
        largest, places = code.topk(self.active, dim=-1)
        return torch.zeros_like(code).scatter(-1, places, largest)

    def _penalties(self, sums: Tensor, code: Tensor) -> dict[str, Tensor]:
        penalties = super()._penalties(sums, code)
        if self.sparsity == "l1":
            penalties["sparsity"] = self.weight * code.float().mean()
        if self.sparsity == "kl":
            # Of the sums, as a sigmoid of 0 or 1 has no gradient, and a unit that is stuck there would stay stuck.
            units = sums.float().flatten(0, -2)
            log_on, log_off = (F.logsigmoid(x).logsumexp(dim=0) - math.log(len(units)) for x in (units, -units))
            target = self.target_rate
            divergence = target * (math.log(target) - log_on) + (1.0 - target) * (math.log1p(-target) - log_off)
            penalties["sparsity"] = self.weight * divergence.mean()
        return penalties
