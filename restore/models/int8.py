"""Residual blocks in 8-bit integers, for CPUs: twice as fast as bfloat16 where the processor multiplies them.

Weights are quantised per output channel, activations per tensor, with ranges measured once and kept on the bundle's
card (static post-training quantisation, Jacob et al. 2018). What runs along the skips stays in bfloat16, and so do the
first and the last convolution: only what a block adds is coarse. docs/performance.md has the speed and what it costs.
"""

from typing import Any

import torch
from torch import Tensor, nn

from restore.errors import BundleError
from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.images.tensors import to_float
from restore.models.base import RestorationNetwork
from restore.models.blocks import ResidualBlock
from restore.seeds import generator_for

__all__ = ["Ranges", "measure_ranges", "quantise_blocks"]

Ranges = dict[str, list[float]]
"""For each residual block by name: the magnitudes at which its input, and that of its second convolution, are cut."""

_NOISE = (0, 15, 50)
_CROP = 160
_KEPT = 0.75
"""Of the largest activation; what is beyond is cut. Finer steps pay: 0.04 dB lost at sigma 5 instead of 0.06."""
_ZERO = 128
"""What stands for 0 in an unsigned activation of either sign."""
_BAND = 32
"""Rows that are quantised at a time, so that the steps in between stay in the cache."""


class _Int8Block(nn.Module):
    """A residual block that computes in integers where it gets bfloat16, and as it was where it gets anything else."""

    def __init__(self, block: ResidualBlock, cut: list[float]) -> None:
        super().__init__()
        self.block = block
        self.step = max(cut[0], 1e-6) / 127.0
        self.inner_step = max(cut[1], 1e-6) / 255.0
        self.first = _packed(block.first, self.step, _ZERO)
        self.second = _packed(block.second, self.inner_step, 0)

    def forward(self, x: Tensor) -> Tensor:
        """`(B, width, H, W)` in and out."""
        if x.dtype != torch.bfloat16 or x.device.type != "cpu":
            result: Tensor = self.block(x)
            return result
        ones, none = [1, 1], ""
        weight, scales, zeros, bias = self.first
        inner = torch.ops.onednn.qconv2d_pointwise(
            *(_quantised(x, self.step), self.step, _ZERO, weight, scales, zeros, bias, ones, ones, ones, 1),
            *(self.inner_step, 0, torch.uint8, "relu", [], none),
        )
        weight, scales, zeros, bias = self.second
        added: Tensor = torch.ops.onednn.qconv2d_pointwise(
            *(inner, self.inner_step, 0, weight, scales, zeros, bias, ones, ones, ones, 1),
            *(1.0, 0, torch.bfloat16, "none", [], none),
        )
        return added.add_(x)


def measure_ranges(network: RestorationNetwork) -> Ranges:
    """How large activations get on scikit-image's sample photos, clean and with white noise of sigma 15 and 50.

    Args:
        network: In evaluation mode, float32, on the CPU.

    Returns:
        Nothing if it has no residual blocks.
    """
    largest: Ranges = {}

    def note(name: str, place: int) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            largest[name][place] = max(largest[name][place], float(inputs[0].abs().max()))

        return hook

    hooks = []
    for name, block in _blocks(network):
        largest[name] = [0.0, 0.0]
        hooks += [block.register_forward_pre_hook(note(name, 0)), block.second.register_forward_pre_hook(note(name, 1))]
    try:
        for photo in sample_photos() if hooks else ():
            image = to_float(decode(photo.path).pixels)
            image = image.mean(0, keepdim=True) if network.channels == 1 else image
            top, left = ((side - min(side, _CROP)) // 2 for side in image.shape[-2:])
            crop = image[None, :, top : top + _CROP, left : left + _CROP]
            for sigma in _NOISE:
                noise = torch.randn(crop.shape, generator=generator_for("ranges", photo.relative.as_posix(), sigma))
                with torch.inference_mode():
                    network(crop + noise * (sigma / 255.0), crop.new_zeros(1, 1, *crop.shape[-2:]))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: [round(_KEPT * value, 5) for value in pair] for name, pair in largest.items()}


def quantise_blocks(network: RestorationNetwork, ranges: Ranges) -> None:
    """Have every residual block compute in integers wherever the network runs in bfloat16 on a CPU.

    Args:
        network: In evaluation mode, float32, on the CPU; changed in place.
        ranges: From `measure_ranges`.

    Raises:
        BundleError: They are of another network.
    """
    blocks = _blocks(network)
    if set(ranges) != {name for name, _ in blocks} or any(len(pair) != 2 for pair in ranges.values()):
        raise BundleError(
            "the ranges on the card are of another network: use --precision auto, or make the bundle again"
        )
    for name, block in blocks:
        parent, _, last = name.rpartition(".")
        setattr(network.get_submodule(parent), last, _Int8Block(block, ranges[name]))


def _blocks(network: nn.Module) -> list[tuple[str, ResidualBlock]]:
    return [(name, module) for name, module in network.named_modules() if isinstance(module, ResidualBlock)]


def _packed(convolution: nn.Conv2d, step: float, zero: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    weight = convolution.weight.detach()
    scales = (weight.abs().amax(dim=(1, 2, 3)) / 127.0).clamp(min=1e-12)
    integers = (weight / scales.view(-1, 1, 1, 1)).round_().to(torch.int8)
    packed = torch.ops.onednn.qconv_prepack(integers, scales, step, zero, [1, 1], [1, 1], [1, 1], 1, None)
    bias = torch.zeros(len(weight)) if convolution.bias is None else convolution.bias.detach()
    return packed, scales, torch.zeros(len(weight), dtype=torch.int64), bias


def _quantised(x: Tensor, step: float) -> Tensor:
    """As unsigned integers, 128 for 0; in bands of rows."""
    result = torch.empty_like(x, dtype=torch.uint8)
    for top in range(0, x.shape[2], _BAND):
        rows = (slice(None), slice(None), slice(top, top + _BAND))
        signed = x[rows].mul(1.0 / step).clamp_(-_ZERO, _ZERO - 1).round_().to(torch.int8)
        # 128 more, and much faster than from floats.
        torch.bitwise_xor(signed.view(torch.uint8), _ZERO, out=result[rows])
    return result
