"""Pieces that several networks are built from."""

import torch
from torch import Tensor, nn

__all__ = ["ResidualBlock", "prepare_inputs", "residual_stack"]

FILL = 0.5
"""What a network sees in missing pixels, whatever the file holds there."""


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))): two plain 3x3 convolutions without normalisation (EDSR, Lim et al. 2017).

    Args:
        width: Channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():  # start close to the identity, so that deep stacks train without normalisation
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, width, H, W)` in and out."""
        # In place: autograd needs neither of the overwritten values, and large images are bound by memory traffic.
        result: Tensor = self.second(self.first(x).relu_()).add_(x)
        return result


def residual_stack(width: int, count: int) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def prepare_inputs(image: Tensor, mask: Tensor, channels: int) -> Tensor:
    """Hide what is missing, replicate grey to `channels`, and append the mask.

    Args:
        image: `(B, C, H, W)`, C = 1 or `channels`.
        mask: `(B, 1, H, W)`, 1 = missing.
        channels: Image channels that the network works on.

    Returns:
        `(B, channels + 1, H, W)` float32.
    """
    if image.shape[1] not in {1, channels}:
        raise ValueError(f"image: needs 1 or {channels} channels, not {image.shape[1]}")
    if mask.shape != (image.shape[0], 1, *image.shape[2:]):
        raise ValueError(f"mask: needs shape {(image.shape[0], 1, *image.shape[2:])}, not {tuple(mask.shape)}")
    visible = torch.where(mask > 0.5, FILL, image.float())
    return torch.cat([visible.expand(-1, channels, -1, -1), mask.float()], dim=1)
