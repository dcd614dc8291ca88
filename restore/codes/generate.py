"""New pictures: from codes that are drawn, and from those between two codes."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.codes.encoder import Encoder
from restore.errors import BundleError, UsageError
from restore.models.variational import VariationalAutoencoder
from restore.seeds import generator_for

__all__ = ["Sampler", "between"]


class Sampler:
    """A variational autoencoder that pictures are drawn from.

    Args:
        encoder: The bundle.
        size: Side of the pictures in pixels, up to the next multiple that the network works on; what it was trained on
            if left out.

    Raises:
        BundleError: Its network is not variational: nothing says what its codes are like, so none can be drawn.
        UsageError: The size is below 1.
    """

    def __init__(self, encoder: Encoder, size: int | None = None) -> None:
        if not isinstance(encoder.network, VariationalAutoencoder):
            raise BundleError(
                f"{encoder.card.name}: holds a {type(encoder.network).__name__}, whose codes follow no known law to "
                "draw them from; name the bundle of a variational one, such as `restore fit --config vae` makes"
            )
        if size is not None and size < 1:
            raise UsageError(f"size: must be 1 or more pixels, not {size}")
        self.encoder = encoder
        self._places = -(-(size or encoder.size) // encoder.network.size_multiple)

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return self._places * self.encoder.network.size_multiple

    def code(self, seed: int, number: int) -> Tensor:
        """One draw from the prior, the standard normal distribution.

        It depends on the seed and the number alone: not on how many are drawn, nor on the device.

        Returns:
            `(code_channels, h, w)` float32.
        """
        shape = (self.encoder.network.code_channels, self._places, self._places)
        return torch.randn(shape, generator=generator_for(seed, "sample", number))

    def pictures(self, codes: Tensor, batch_size: int = 64) -> Iterator[Tensor]:
        """Decode.

        Args:
            codes: `(N, code_channels, h, w)` float32.
            batch_size: Codes at a time.

        Yields:
            `(channels, H, W)` float32 in [0, 1], for each code.
        """
        for part in codes.split(batch_size):
            yield from self.encoder.decode(part).clamp_(0.0, 1.0)


def between(first: Tensor, second: Tensor, steps: int) -> Tensor:
    """Codes on the way from one to another, both ends among them.

    The direction turns evenly and the length changes evenly (spherical interpolation, White 2016): the middle of a
    straight line would be shorter than almost all codes that the network has seen. Codes of one direction, or of
    opposite ones, where no way round is the shortest, are joined by the straight line.

    Args:
        first: `(code_channels, h, w)` float32.
        second: As `first`.
        steps: How many codes, 2 or more.

    Returns:
        `(steps, code_channels, h, w)` float32.

    Raises:
        UsageError: There are fewer than 2 steps, or the codes differ in size.
    """
    if steps < 2:
        raise UsageError(f"steps: must be 2 or more, not {steps}")
    if first.shape != second.shape:
        raise UsageError(f"the two codes differ in size, {tuple(first.shape)} and {tuple(second.shape)}")
    a, b = first.double().flatten(), second.double().flatten()
    share = torch.linspace(0.0, 1.0, steps, dtype=torch.float64)[:, None]
    lengths = (1.0 - share) * a.norm() + share * b.norm()
    a_way, b_way = F.normalize(a, dim=0), F.normalize(b, dim=0)
    angle = torch.acos((a_way @ b_way).clamp(-1.0, 1.0))
    if float(torch.sin(angle)) < 1e-6 or not (a.any() and b.any()):
        codes = (1.0 - share) * a + share * b
    else:
        turned = torch.sin((1.0 - share) * angle) * a_way + torch.sin(share * angle) * b_way
        codes = lengths * turned / torch.sin(angle)
    codes[0], codes[-1] = a, b
    return codes.float().view(steps, *first.shape)
