"""Convolutional autoencoders with a true bottleneck: everything in the picture passes through the code."""

import itertools
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from restore.errors import UsageError
from restore.models.base import Autoencoder, JsonValue, pad_to_multiple
from restore.models.blocks import (
    Activation,
    Output,
    activation_layer,
    finish_output,
    initialise,
    prepare_inputs,
    residual_stack,
)

__all__ = ["ConvolutionalAutoencoder", "Enlargement"]

Enlargement = Literal["transposed", "resize"]


class ConvolutionalAutoencoder(Autoencoder):
    """Strided convolutions down to a small code, and up again; no skips.

    The code of an `(H, W)` image is `(code_channels, H / m, W / m)` with m = `pool` 2^n for n levels: for the defaults
    16 / (3 * 64) = 1/12 of the numbers in an RGB image. With `pool`, one code vector sees and draws a whole square of m
    pixels: two levels and a pool of 7 give an image of 28 x 28 a single vector. After Masci et al. 2011.

    Args:
        widths: Channels after each halving.
        code_channels: Channels of the code.
        channels: Image channels; 3 serves grey images too.
        pool: Side of the square of positions that is gathered into one code vector, after the last halving.
        blocks: Residual blocks of each level, down and up; 0 leaves the plain strided convolutions, which are quick.
        enlargement: How the decoder doubles the size: `transposed` convolutions of 2 x 2, or `resize`, which repeats
            pixels before a convolution of 3 x 3 (Odena et al. 2016): slower, without traces of a grid.
        activation: Between the levels, down and up; inside residual blocks it is always ReLU.
        output: `linear` gives 0.5 + sum; `sigmoid` stays inside (0, 1), as binary cross-entropy needs.

    Raises:
        UsageError: A setting is out of its range.
    """

    _numbers_per_code = 1
    """How many numbers the encoder gives for each number of the code."""

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128),
        code_channels: int = 16,
        channels: int = 3,
        pool: int = 1,
        blocks: int = 1,
        enlargement: Enlargement = "transposed",
        activation: Activation = "relu",
        output: Output = "linear",
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise UsageError(f"widths: needs at least one level of at least one channel, not {list(widths)}")
        if code_channels < 1 or channels < 1:
            raise UsageError(f"code_channels and channels: must be 1 or more, not {code_channels} and {channels}")
        if pool < 1 or blocks < 0:
            raise UsageError(f"pool and blocks: must be at least 1 and 0, not {pool} and {blocks}")
        self.widths, self.code_channels, self.channels, self.pool = tuple(widths), code_channels, channels, pool
        self.blocks, self.enlargement, self.activation, self.output = blocks, enlargement, activation, output
        self.size_multiple = pool * 2 ** len(widths)
        sizes = [channels + 1, *widths]
        down: list[nn.Module] = []
        for fine, coarse in itertools.pairwise(sizes):
            down += [nn.Conv2d(fine, coarse, 4, stride=2, padding=1), activation_layer(activation)]
            down += [residual_stack(coarse, blocks)]
        head = nn.Conv2d(sizes[-1], code_channels * self._numbers_per_code, pool, stride=pool)
        self.encoder = nn.Sequential(*down, head)
        spread = nn.ConvTranspose2d(code_channels, sizes[-1], pool, stride=pool)
        up: list[nn.Module] = [spread]
        for coarse, fine in zip(sizes[:0:-1], [*sizes[-2:0:-1], widths[0]], strict=True):
            up += [residual_stack(coarse, blocks), activation_layer(activation), *_doubling(coarse, fine, enlargement)]
        tail = nn.Conv2d(widths[0], channels, 3, padding=1)
        self.decoder = nn.Sequential(*up, tail)
        initialise(self, tail)
        with torch.no_grad():
            spread.weight.mul_(pool)  # each pixel hears one position of the code, not pool^2 of them

    def encode(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The code, `(B, code_channels, H / m, W / m)`, sides rounded up."""
        return self._encode(image, mask)

    def decode(self, code: Tensor) -> Tensor:
        """The picture of a code, `(B, channels, m h, m w)` float32: 0.5 is the decoder's zero."""
        return finish_output(self.decoder(code), self.output)

    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments."""
        return {
            "widths": list(self.widths),
            "code_channels": self.code_channels,
            "channels": self.channels,
            "pool": self.pool,
            "blocks": self.blocks,
            "enlargement": self.enlargement,
            "activation": self.activation,
            "output": self.output,
        }

    def _encode(self, image: Tensor, mask: Tensor | None) -> Tensor:
        mask = image.new_zeros(image.shape[0], 1, *image.shape[2:]) if mask is None else mask
        inputs = prepare_inputs(image, mask, self.channels)
        numbers: Tensor = self.encoder(pad_to_multiple(inputs, self.size_multiple))
        return numbers


def _doubling(coarse: int, fine: int, enlargement: Enlargement) -> list[nn.Module]:
    if enlargement == "transposed":
        return [nn.ConvTranspose2d(coarse, fine, 2, stride=2)]
    if enlargement == "resize":
        return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(coarse, fine, 3, padding=1)]
    raise UsageError(f"enlargement: must be transposed or resize, not {enlargement}")
