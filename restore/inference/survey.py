"""What is found out about a picture of many tiles before the first one."""

from typing import NamedTuple

from torch import Tensor

from restore.inference.picture import Picture
from restore.models.blur_estimation import Blur, estimate_blur

__all__ = ["Whole", "find_blur"]


class Whole(NamedTuple):
    """What a tile is told of the whole picture."""

    level: Tensor | None = None
    blur: Blur | None = None


def find_blur(picture: Picture, parts: Tensor, large: bool) -> Blur:
    """The one blur of a picture: by its size and not by the tile's, so that no tile makes a difference.

    Args:
        picture: Of any size.
        parts: Windows of it, `(B, C, H, W)`, on the device that is to look.
        large: Whether to look at these alone, rather than at all of it.
    """
    everything = slice(None), slice(None)
    seen = parts if large else picture.read(*everything, parts.device).unsqueeze(0)
    return estimate_blur(seen, together=True)
