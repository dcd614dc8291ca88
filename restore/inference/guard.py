"""A limit on what a denoiser takes away: no more than a little above the noise that it finds in flat parts.

Noise is everywhere in a photo; fine texture is not. What a network removes where the picture is flat can only be noise,
and so tells how much of it there is. Where it removes far more than that, it takes texture for noise. Limiting the
change there keeps clean photos as they are and helps noisy ones, too; `docs/models.md` has the figures.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "LIMIT",
    "WINDOW",
    "flattest_windows",
    "limit_change",
    "noise_level",
    "noise_level_of_windows",
    "window_places",
]

WINDOW = 128
"""Side in pixels of the windows in which the noise of a large picture is measured."""

LIMIT = 1.2
"""How much more than in the flattest parts may be taken away elsewhere: noise depends on the brightness, too."""
_LEAST = 0.5 / 255.0
"""A change that is always allowed, root mean square."""
_BLOCK = 16
_FLATTEST = 0.05
"""Share of a picture's blocks of 16 x 16 pixels that count as flat."""
_FEWEST = 4
_DARKEST, _BRIGHTEST = 12.0 / 255.0, 243.0 / 255.0
"""Blocks beyond are left out if there are others: clipping has taken the noise away."""
_STEP = 4
_NEIGHBOURHOOD = 9
"""The change is measured in squares of 4 pixels, and the mean over 9 x 9 of these is what is limited."""
_GRID = 8
"""Windows are looked at in this many rows and columns at most."""
_WINDOWS = 12
"""So many of them, the flattest, go through the network."""


def noise_level(image: Tensor, restored: Tensor, share: float = _FLATTEST) -> Tensor:
    """Root mean square of what was removed in the flattest blocks, the median over these.

    Args:
        image: `(B, C, H, W)` as it came.
        restored: As the network gave it, from which it is seen what is flat.
        share: Of the blocks that count as flat.

    Returns:
        `(B,)`, in the image's units.
    """
    change = (restored - image).square().mean(dim=1, keepdim=True)
    if min(image.shape[-2:]) < _BLOCK:
        return change.mean(dim=(1, 2, 3)).sqrt()
    grey = restored.mean(dim=1, keepdim=True)
    activity, power, brightness = (F.avg_pool2d(plane, _BLOCK).flatten(1) for plane in (_steepness(grey), change, grey))
    usable = (brightness > _DARKEST) & (brightness < _BRIGHTEST)
    levels = []
    for steep, removed, chosen in zip(activity, power, usable, strict=True):
        kept = chosen if int(chosen.sum()) >= 2 * _FEWEST else torch.ones_like(chosen)
        count = min(max(_FEWEST, round(share * int(kept.sum()))), int(kept.sum()))
        flat = steep[kept].topk(count, largest=False).indices
        levels.append(removed[kept][flat].median())
    return torch.stack(levels).sqrt()


def noise_level_of_windows(windows: Tensor, restored: Tensor, sampled: int) -> Tensor:
    """The same of a whole picture, from its flattest windows.

    Args:
        windows: `(M, C, H, W)`, from `flattest_windows`.
        restored: As the network gave them.
        sampled: How many windows they were chosen from.

    Returns:
        `(1,)`, in the image's units.
    """
    # One tall picture of them all, so that the flattest of all their blocks count.
    before, after = (images.permute(1, 0, 2, 3).flatten(1, 2).unsqueeze(0) for images in (windows, restored))
    return noise_level(before, after, share=_FLATTEST * sampled / len(windows))


def limit_change(image: Tensor, restored: Tensor, level: Tensor) -> Tensor:
    """Shrink the change wherever it is, in a neighbourhood, more than 1.2 times the noise.

    Args:
        image: `(B, C, H, W)` as it came.
        restored: As the network gave it.
        level: `(B,)`, from `noise_level`.

    Returns:
        `(B, C, H, W)`, between the two.
    """
    power = F.avg_pool2d((restored - image).square_().mean(dim=1, keepdim=True), _STEP, ceil_mode=True)
    around = F.avg_pool2d(power, _NEIGHBOURHOOD, stride=1, padding=_NEIGHBOURHOOD // 2, count_include_pad=False)
    most = (LIMIT * level).clamp(min=_LEAST).view(-1, 1, 1, 1)
    kept = (most / around.sqrt().clamp(min=1e-6)).clamp(max=1.0)
    kept = F.interpolate(kept, scale_factor=_STEP, mode="bilinear", align_corners=False)
    return torch.lerp(image, restored, kept[..., : image.shape[-2], : image.shape[-1]])


def flattest_windows(windows: Tensor) -> Tensor:
    """Choose the windows of a picture in which noise shows best.

    Args:
        windows: `(N, C, H, W)`, from all over the picture.

    Returns:
        The flattest of them, `(M, C, H, W)`, M up to 12, and those near black and white last.
    """
    side = min(4, *windows.shape[-2:])
    grey = F.avg_pool2d(windows.mean(dim=1, keepdim=True), side)  # a sixteenth of the noise, and most of the picture
    activity = _steepness(grey).mean(dim=(1, 2, 3))
    brightness = grey.mean(dim=(1, 2, 3))
    clipped = (brightness <= _DARKEST) | (brightness >= _BRIGHTEST)
    return windows[(activity + clipped).argsort(stable=True)[:_WINDOWS]]


def window_places(height: int, width: int) -> list[tuple[slice, slice]]:
    """Up to 8 x 8 windows, evenly spaced from border to border; as high or wide as the picture where that is less."""
    rows, columns = (_spread(height), _spread(width))
    return [(row, column) for row in rows for column in columns]


def _spread(side: int) -> list[slice]:
    count = min(_GRID, max(1, side // WINDOW))
    last = max(0, side - WINDOW)
    starts = [round(index * last / max(1, count - 1)) for index in range(count)]
    return [slice(start, min(side, start + WINDOW)) for start in starts]


def _steepness(grey: Tensor) -> Tensor:
    """Squared slope of a slightly blurred picture, `(B, 1, H, W)`."""
    profile = grey.new_tensor([0.054, 0.244, 0.404, 0.244, 0.054])
    smooth = F.conv2d(F.pad(grey, (2, 2, 2, 2), mode="replicate"), (profile[:, None] * profile)[None, None])
    padded = F.pad(smooth, (1, 1, 1, 1), mode="replicate")
    across = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    down = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return across.square() + down.square()
