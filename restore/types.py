"""The one statement of ranges, layout and mask polarity.

Images are RGB or grey, channels first, float32 in [0, 1]. Clean images lie in that range; corrupted ones may leave it
(noise that is not clipped). Masks are `(B, 1, H, W)` float32 of zeros and ones: **1 = missing, 0 = known**.
"""

from typing import NamedTuple, TypedDict

from torch import Tensor

__all__ = ["Batch", "Corrupted", "Interval", "ScoredBatch"]

Interval = tuple[float, float]
"""A closed interval `(low, high)`; a value is drawn from it uniformly, and equal ends fix it."""


class Corrupted(NamedTuple):
    """What a corruption returns.

    Attributes:
        image: `(B, C, H, W)` float32, as the clean images; may leave [0, 1].
        mask: `(B, 1, H, W)` float32, 1 = missing, 0 = known; zeros where nothing is missing.
    """

    image: Tensor
    mask: Tensor


class Batch(TypedDict):
    """What a task receives.

    Keys:
        clean: `(B, C, H, W)` float32 in [0, 1].
        corrupted: as `clean`; may leave [0, 1].
        mask: `(B, 1, H, W)` float32, 1 = missing; zeros where nothing is missing.
    """

    clean: Tensor
    corrupted: Tensor
    mask: Tensor


class ScoredBatch(Batch):
    """What validation, testing and prediction receive.

    Keys:
        name: The photos' paths below their folder, with forward slashes.
    """

    name: str | list[str]
