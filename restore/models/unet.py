"""The restoration workhorse: a residual U-Net at half resolution."""

import itertools
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import UsageError
from restore.models.base import JsonValue, RestorationNetwork, pad_to_multiple
from restore.models.blocks import FILL, initialise, prepare_inputs, residual_stack
from restore.models.blur_estimation import Blur, estimate_blur
from restore.models.deconvolution import deconvolve, reconcile
from restore.models.filling import Fill

__all__ = ["UNet"]

_SHUFFLE = 2
_BOLD, _CAUTIOUS = 2.0, 20.0
"""How many times the noise is counted when the blur is undone."""
_THIN, _TILE_OF_THIN = 32, 1664
"""Channels of the first level, up to which pieces have so many pixels a side; they need 300 MB more than others do."""


class UNet(RestorationNetwork):
    """A U-Net that predicts the damage and subtracts it.

    The image and its mask are rearranged to half resolution (pixel-unshuffle), so that the widest feature maps cost a
    quarter; each level has residual blocks of plain 3x3 convolutions on the way down and on the way up; skips are
    added. One network serves grey and colour: grey is replicated in and averaged out. After Ronneberger et al. 2015
    (U-Net), Lim et al. 2017 (blocks) and Zhang et al. 2021 (DRUNet: residual blocks in a U-Net for denoising).

    Args:
        widths: Channels of each level, from half resolution down; multiples of 32 compute up to ten times faster in
            bfloat16 on a CPU than other numbers do. Every level more doubles how far the network sees.
        blocks: Residual blocks, down and up each, of every level or of each in turn; the lowest has them once.
        channels: Image channels; 3 serves grey images too.
        fill: What the network starts from in a hole; "smooth" spares it to carry colours inwards, "spline" also slopes.
        deconvolve: Whether the blur is looked for first and undone in the frequency domain. Where it was motion or a
            lens out of focus, the network starts from the result, else from the picture as it came; it sees both, and
            a more cautious attempt. After Schuler et al. 2013 and Dong et al. 2020 (networks behind a deconvolution).

    Raises:
        UsageError: A setting is out of its range.
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256),
        blocks: int | Sequence[int] = 2,
        channels: int = 3,
        fill: Fill = "grey",
        deconvolve: bool = False,
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise UsageError(f"widths: needs at least one level of at least one channel, not {list(widths)}")
        counts = [blocks] * len(widths) if isinstance(blocks, int) else list(blocks)
        if len(counts) != len(widths):
            raise UsageError(f"blocks: needs one number, or one for each of the {len(widths)} levels, not {counts}")
        if fill not in get_args(Fill):
            raise UsageError(f"fill: must be one of {', '.join(get_args(Fill))}, not {fill}")
        if min(counts) < 1 or channels < 1:
            raise UsageError(f"blocks and channels: must be 1 or more, not {blocks} and {channels}")
        self.widths, self.channels, self.fill, self.finds_blur = tuple(widths), channels, fill, deconvolve
        self.blocks = blocks if isinstance(blocks, int) else tuple(blocks)
        self.size_multiple = _SHUFFLE * 2 ** (len(widths) - 1)
        if widths[0] <= _THIN:
            self.tile = _TILE_OF_THIN
        seen = (3 if deconvolve else 1) * channels + 1
        self.head = nn.Conv2d(seen * _SHUFFLE**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(map(residual_stack, widths[:-1], counts))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in itertools.pairwise(widths))
        self.bottom = residual_stack(widths[-1], counts[-1])
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList(map(residual_stack, widths[:-1], counts))
        self.tail = nn.Conv2d(widths[0], channels * _SHUFFLE**2, 3, padding=1)
        initialise(self, self.tail)

    def forward(self, image: Tensor, mask: Tensor, blur: Blur | None = None) -> Tensor:
        """Restore.

        Args:
            image: `(B, C, H, W)`.
            mask: `(B, 1, H, W)`, 1 = missing.
            blur: Of the picture that this is a part of; looked for in the image itself if left out.

        Returns:
            `(B, C, H, W)` float32.
        """
        height, width = image.shape[-2:]
        inputs = prepare_inputs(image, mask, self.channels, self.fill)
        picture = inputs[:, : self.channels]
        if self.finds_blur:
            with torch.no_grad(), torch.autocast(inputs.device.type, enabled=False):
                blur = estimate_blur(picture) if blur is None else blur
                inputs = self._sharpen(inputs, blur)
        x = self._first(F.pixel_unshuffle(pad_to_multiple(inputs, self.size_multiple), _SHUFFLE))
        skips: list[Tensor] = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            x = blocks(x)
            skips.append(x)
            x = shrink(x)
        x = self.bottom(x)
        for blocks, grow in zip(reversed(self.up), reversed(self.grow), strict=True):
            x = blocks(grow(x).add_(skips.pop()))
        residual = F.pixel_shuffle(self.tail(x), _SHUFFLE)[..., :height, :width]
        # In float32: a bfloat16 sum would cap the result at 62 dB even where nothing is to be changed.
        restored = inputs[:, : self.channels] + (residual.float() + FILL)
        if blur is not None and self.finds_blur:
            with torch.autocast(inputs.device.type, enabled=False):
                restored = reconcile(restored, picture + FILL, blur)
        return restored.mean(dim=1, keepdim=True) if image.shape[1] < self.channels else restored

    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments."""
        return {
            "widths": list(self.widths),
            "blocks": self.blocks if isinstance(self.blocks, int) else list(self.blocks),
            "channels": self.channels,
            "fill": self.fill,
            "deconvolve": self.finds_blur,
        }

    def _first(self, folded: Tensor) -> Tensor:
        """The first convolution."""
        kind = folded.device.type
        if not (self.finds_blur and torch.is_autocast_enabled(kind)):
            return self.head(folded)  # type: ignore[no-any-return]  # modules are untyped when called
        # In float32: a tile undoes the blur a little differently, of which bfloat16 would make whole steps.
        with torch.autocast(kind, enabled=False):
            x: Tensor = self.head(folded.float())
        return x.to(torch.get_autocast_dtype(kind))

    def _sharpen(self, inputs: Tensor, blur: Blur) -> Tensor:
        """What the network starts from, the mask, and what it sees beside them."""
        picture, mask = inputs[:, : self.channels], inputs[:, self.channels :]
        bold, cautious = deconvolve(picture, blur, _BOLD, _CAUTIOUS)
        undone = blur.has_edge().view(-1, 1, 1, 1)
        start, other = torch.where(undone, bold, picture), torch.where(undone, picture, bold)
        return torch.cat([start, mask, other, cautious], dim=1)
