"""Autoencoders with a true bottleneck: everything in the picture passes through the code."""

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from restore.errors import UsageError
from restore.models.base import JsonValue, RestorationNetwork, pad_to_multiple
from restore.models.blocks import FILL, ResidualBlock, initialise, prepare_inputs

__all__ = ["ConvolutionalAutoencoder"]


class ConvolutionalAutoencoder(RestorationNetwork):
    """Strided convolutions down to a small code, and up again; no skips.

    The code of an `(H, W)` image is `(code_channels, H / 2^n, W / 2^n)` with n levels: for the defaults
    16 / (3 * 64) = 1/12 of the numbers in an RGB image. After Masci et al. 2011.

    Args:
        widths: Channels after each halving.
        code_channels: Channels of the code.
        channels: Image channels; 3 serves grey images too.
    """

    def __init__(self, widths: Sequence[int] = (32, 64, 128), code_channels: int = 16, channels: int = 3) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise UsageError(f"widths: needs at least one level of at least one channel, not {list(widths)}")
        if code_channels < 1 or channels < 1:
            raise UsageError(f"code_channels and channels: must be 1 or more, not {code_channels} and {channels}")
        self.widths, self.code_channels, self.channels = tuple(widths), code_channels, channels
        self.size_multiple = 2 ** len(widths)
        sizes = [channels + 1, *widths]
        down: list[nn.Module] = []
        for fine, coarse in itertools.pairwise(sizes):
            down += [nn.Conv2d(fine, coarse, 4, stride=2, padding=1), nn.ReLU(), ResidualBlock(coarse)]
        self.encoder = nn.Sequential(*down, nn.Conv2d(sizes[-1], code_channels, 1))
        up: list[nn.Module] = [nn.Conv2d(code_channels, sizes[-1], 1)]
        for coarse, fine in zip(sizes[:0:-1], [*sizes[-2:0:-1], widths[0]], strict=True):
            up += [ResidualBlock(coarse), nn.ReLU(), nn.ConvTranspose2d(coarse, fine, 2, stride=2)]
        tail = nn.Conv2d(widths[0], channels, 3, padding=1)
        self.decoder = nn.Sequential(*up, tail)
        initialise(self, tail)

    def encode(self, image: Tensor, mask: Tensor) -> Tensor:
        """The code, `(B, code_channels, H / 2^n, W / 2^n)`, sides rounded up."""
        inputs = prepare_inputs(image, mask, self.channels)
        code: Tensor = self.encoder(pad_to_multiple(inputs, self.size_multiple))
        return code

    def decode(self, code: Tensor) -> Tensor:
        """The picture of a code, `(B, channels, 2^n h, 2^n w)` float32: 0.5 is the decoder's zero."""
        picture: Tensor = self.decoder(code).float() + FILL
        return picture

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Restore: `(B, C, H, W)` and `(B, 1, H, W)` to `(B, C, H, W)` float32."""
        height, width = image.shape[-2:]
        restored = self.decode(self.encode(image, mask))[..., :height, :width]
        return restored.mean(dim=1, keepdim=True) if image.shape[1] < self.channels else restored

    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments."""
        return {"widths": list(self.widths), "code_channels": self.code_channels, "channels": self.channels}
