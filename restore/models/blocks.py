"""Pieces that several networks are built from."""

from typing import Literal

import torch
from torch import Tensor, nn

from restore.errors import UnsupportedImageError, UsageError
from restore.models.filling import Fill, fill_hole

__all__ = [
    "FILL",
    "Activation",
    "Output",
    "ResidualBlock",
    "activation_layer",
    "finish_output",
    "initialise",
    "prepare_inputs",
    "residual_stack",
]

Activation = Literal["elu", "gelu", "leaky_relu", "linear", "relu", "sigmoid", "silu", "tanh"]
"""What a layer does to its sums; `linear` is nothing."""

Output = Literal["linear", "sigmoid"]
"""How the last layer's sums become pixels: 0.5 + sum, or a sigmoid, which never leaves (0, 1)."""

_ACTIVATIONS: dict[Activation, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}

FILL = 0.5
"""What stands in missing pixels, whatever the file holds there, and what networks see as zero."""


def activation_layer(name: Activation) -> nn.Module:
    """The layer of an activation's name.

    Raises:
        UsageError: There is none of that name.
    """
    if name not in _ACTIVATIONS:
        raise UsageError(f"activation: must be one of {', '.join(_ACTIVATIONS)}, not {name}")
    return _ACTIVATIONS[name]()


def finish_output(sums: Tensor, output: Output) -> Tensor:
    """Pixels, as float32, of the last layer's sums; sums of 0 become 0.5 either way."""
    return torch.sigmoid(sums.float()) if output == "sigmoid" else sums.float() + FILL


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(x))): two plain 3x3 convolutions without normalisation (EDSR, Lim et al. 2017).

    Args:
        width: Channels in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, width, H, W)` in and out."""
        # In place: autograd needs neither of the overwritten values, and large images are bound by memory traffic.
        result: Tensor = self.second(self.first(x).relu_()).add_(x)
        return result


def residual_stack(width: int, count: int) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(count)))


def initialise(network: nn.Module, *last: nn.Module) -> None:
    """Draw weights that deep stacks without normalisation train from.

    He et al. 2015 for every convolution, biases 0; the second convolution of each residual block at a tenth of that, so
    that blocks start close to the identity, and those named in `last` at a fiftieth, for a start close to no change.

    Args:
        network: Whose convolutions are set.
        last: Convolutions whose output leaves the network.
    """
    if any(parameter.is_meta for parameter in network.parameters()):
        return  # nothing to set; asked for numbers there, torch imports its compiler: 160 MB and seconds
    scales: dict[nn.Module, float] = dict.fromkeys(last, 0.02)
    scales.update((module.second, 0.1) for module in network.modules() if isinstance(module, ResidualBlock))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            with torch.no_grad():
                module.weight.mul_(scales.get(module, 1.0))


def prepare_inputs(image: Tensor, mask: Tensor, channels: int, fill: Fill = "grey") -> Tensor:
    """Hide what is missing, centre, replicate grey to `channels`, and append the mask.

    Centring is not cosmetic: fed with values around 0.5, the lower levels of the U-Net lost 76 to 100 % of their ReLUs
    for good at a learning rate of 0.001; see the training log.

    Args:
        image: `(B, C, H, W)`, C = 1 or `channels`.
        mask: `(B, 1, H, W)`, 1 = missing.
        channels: Image channels that the network works on.
        fill: What stands where the image is missing.

    Returns:
        `(B, channels + 1, H, W)` float32: the image minus 0.5, the filling where it is missing, and the mask.

    Raises:
        UnsupportedImageError: The image is in colour and the network knows grey alone.
        ValueError: The image has other channels, or the mask another size.
    """
    if image.shape[1] == 3 and channels == 1:
        raise UnsupportedImageError("is in colour, and this network is for grey pictures; convert it, or take another")
    if image.shape[1] not in {1, channels}:
        raise ValueError(f"image: needs 1 or {channels} channels, not {image.shape[1]}")
    if mask.shape != (image.shape[0], 1, *image.shape[2:]):
        raise ValueError(f"mask: needs shape {(image.shape[0], 1, *image.shape[2:])}, not {tuple(mask.shape)}")
    centred = image.float() - FILL
    visible = torch.where(mask > 0.5, fill_hole(centred, mask, fill), centred)
    return torch.cat([visible.expand(-1, channels, -1, -1), mask.float()], dim=1)
