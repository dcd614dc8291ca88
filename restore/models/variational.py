"""The variational autoencoder: a code that is a distribution, near enough to a normal one to be drawn from."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.errors import UsageError
from restore.models.autoencoder import ConvolutionalAutoencoder, Enlargement
from restore.models.base import JsonValue, Reconstruction
from restore.models.blocks import Activation, Output

__all__ = ["Posterior", "VariationalAutoencoder"]

_LOG_VARIANCE_LIMIT = 12.0
"""Standard deviations stay between 1/400 and 400, where their exponentials and squares are harmless."""


class Posterior(NamedTuple):
    """A normal distribution of codes for each image, independent in every number.

    Attributes:
        mean: `(B, code_channels, h, w)` float32.
        log_variance: As `mean`; natural logarithm.
    """

    mean: Tensor
    log_variance: Tensor

    def divergence(self) -> Tensor:
        """KL(posterior || standard normal) of each number in nats: as `mean`, 0 or more."""
        return 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance)

    def draw(self, noise: Tensor) -> Tensor:
        """The codes of standard normal `noise`, all as `mean`: differentiable in both parameters."""
        return self.mean + (0.5 * self.log_variance).exp() * noise


class VariationalAutoencoder(ConvolutionalAutoencoder):
    """A convolutional autoencoder whose codes follow a standard normal distribution (Kingma and Welling 2014).

    Training draws a code from each image's posterior and adds `beta` KL(posterior || prior), summed over the code and
    divided by the number of values of the image, C H W. Under a loss that is a mean over those values, the sum is the
    negative ELBO per value, so that `beta` means the same at every image size; with `BinaryCrossEntropyLoss` and `beta`
    1 it is the ELBO of a Bernoulli likelihood, another `beta` is that of Higgins et al. 2017. At inference, the code is
    the posterior's mean, never a sample. Numbers of the code whose divergence falls to nothing are called collapsed:
    the decoder has learnt to do without them.

    Args:
        widths: Channels after each halving.
        code_channels: Channels of the code.
        channels: Image channels; 3 serves grey images too.
        pool: Side of the square of positions that is gathered into one code vector, after the last halving: 7 gives
            an image of 28 pixels a side a single vector after two halvings.
        blocks: Residual blocks of each level, down and up.
        enlargement: `transposed` convolutions of 2 x 2, or `resize`, which repeats pixels before one of 3 x 3.
        activation: Between the levels, down and up; inside residual blocks it is always ReLU.
        output: `sigmoid` stays inside (0, 1), as binary cross-entropy needs; `linear` gives 0.5 + sum.
        beta: Weight of the divergence.

    Raises:
        UsageError: A setting is out of its range.
    """

    _numbers_per_code = 2

    def __init__(
        self,
        widths: Sequence[int] = (32, 64),
        code_channels: int = 20,
        channels: int = 1,
        pool: int = 7,
        blocks: int = 1,
        enlargement: Enlargement = "transposed",
        activation: Activation = "relu",
        output: Output = "sigmoid",
        beta: float = 1.0,
    ) -> None:
        if not 0.0 <= beta < math.inf:
            raise UsageError(f"beta: must be finite and 0 or more, not {beta:g}")
        super().__init__(widths, code_channels, channels, pool, blocks, enlargement, activation, output)
        self.beta = beta

    def posterior(self, image: Tensor, mask: Tensor | None = None) -> Posterior:
        """The distribution of codes: `(B, C, H, W)` and `(B, 1, H, W)`, 1 = missing, to `(B, code_channels, h, w)`."""
        mean, log_variance = self._encode(image, mask).float().chunk(2, dim=1)
        return Posterior(mean, log_variance.clamp(-_LOG_VARIANCE_LIMIT, _LOG_VARIANCE_LIMIT))

    def encode(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The posterior's mean, `(B, code_channels, H / m, W / m)` float32, sides rounded up."""
        return self.posterior(image, mask).mean

    def reconstruct(self, image: Tensor, mask: Tensor, generator: torch.Generator | None = None) -> Reconstruction:
        """Restore for training: the picture of a drawn code, and the divergence as the penalty `kl`."""
        posterior = self.posterior(image, mask)
        noise = torch.randn(posterior.mean.shape, generator=generator, device=image.device)
        values = image[0].numel()
        divergence = posterior.divergence().flatten(1).sum(dim=1).mean() / values
        return Reconstruction(self.fit(self.decode(posterior.draw(noise)), image), {"kl": self.beta * divergence})

    def negative_elbo(self, posterior: Posterior, clean: Tensor, noise: Tensor) -> Tensor:
        """Minus the evidence lower bound of each image, for a Bernoulli likelihood and one drawn code.

        Args:
            posterior: Of the images that were seen.
            clean: `(B, C, H, W)` in [0, 1]: what is to be explained.
            noise: Standard normal, as `posterior.mean`.

        Returns:
            `(B,)` float32, in nats per image; `beta` has no part in it.
        """
        picture = self.fit(self.decode(posterior.draw(noise)), clean)
        with torch.autocast(clean.device.type, enabled=False):  # it refuses half precision
            surprise = F.binary_cross_entropy(picture, clean, reduction="none").flatten(1).sum(dim=1)
        return surprise + posterior.divergence().flatten(1).sum(dim=1)

    def sample(self, count: int, generator: torch.Generator, rows: int = 1, columns: int = 1) -> Tensor:
        """Pictures of codes drawn from the prior.

        Args:
            count: How many.
            generator: On the network's device.
            rows: Of the code; one is `size_multiple` pixels.
            columns: Likewise.

        Returns:
            `(count, channels, rows size_multiple, columns size_multiple)` float32.
        """
        device = next(self.parameters()).device
        return self.decode(torch.randn(count, self.code_channels, rows, columns, generator=generator, device=device))

    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments."""
        return {**super().config(), "beta": self.beta}
