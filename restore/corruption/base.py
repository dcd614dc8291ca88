"""What a corruption is, and how corruptions combine."""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from restore.errors import UsageError
from restore.types import Corrupted, Interval

__all__ = ["Compose", "Corruption", "Identity", "OneOf", "check_interval", "draw_uniform", "is_grey", "no_mask"]


class Corruption(ABC):
    """Damage that can be drawn again from the same generator state.

    A corruption holds its settings and nothing else. All randomness comes from the generator argument, parameters are
    drawn once per sample, and torch's global random state is neither read nor moved.
    """

    @abstractmethod
    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Corrupt a batch.

        Args:
            images: `(B, C, H, W)` float32, C = 1 or 3; not changed. A sample whose channels are all equal is grey.
            generator: On the same device as `images`.

        Returns:
            The corrupted images, and the mask of missing pixels.
        """

    def __repr__(self) -> str:
        """Class and settings, as they stand in a bundle's card."""
        settings = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"


class Identity(Corruption):
    """No damage: a share of clean pictures teaches a network to leave them alone."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Return the images as they are."""
        return Corrupted(images, no_mask(images))


class Compose(Corruption):
    """One corruption after another; a pixel is missing if any of them took it.

    Args:
        corruptions: In the order in which the damage happens.

    Raises:
        UsageError: There is none.
    """

    def __init__(self, corruptions: list[Corruption]) -> None:
        if not corruptions:
            raise UsageError("corruptions: Compose needs at least one; use Identity for no damage")
        self.corruptions = list(corruptions)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Apply all of them in order."""
        mask = no_mask(images)
        for corruption in self.corruptions:
            images, taken = corruption(images, generator)
            mask = torch.maximum(mask, taken)
        return Corrupted(images, mask)


class OneOf(Corruption):
    """One of several corruptions, chosen anew for every sample.

    Args:
        corruptions: The choices.
        weights: How often each is chosen, relative to the others; equally often if left out.

    Raises:
        UsageError: There is none, or the weights are not one for each, 0 or more and not all 0.
    """

    def __init__(self, corruptions: list[Corruption], weights: list[float] | None = None) -> None:
        if not corruptions:
            raise UsageError("corruptions: OneOf needs at least one choice")
        weights = [1.0] * len(corruptions) if weights is None else list(weights)
        if len(weights) != len(corruptions):
            raise UsageError(f"weights: {len(weights)} given for {len(corruptions)} corruptions")
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or sum(weights) == 0:
            raise UsageError(f"weights: must be 0 or more and not all 0, not {weights}")
        self.corruptions = list(corruptions)
        self.weights = weights

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Choose per sample, and corrupt each group as one batch."""
        weights = torch.tensor(self.weights, dtype=torch.float32, device=images.device)
        choices = torch.multinomial(weights, images.shape[0], replacement=True, generator=generator)
        result, mask = images.clone(), no_mask(images)
        for index, corruption in enumerate(self.corruptions):
            chosen = (choices == index).nonzero().flatten()
            if chosen.numel():
                result[chosen], mask[chosen] = corruption(images[chosen], generator)
        return Corrupted(result, mask)


def no_mask(images: Tensor) -> Tensor:
    """`(B, 1, H, W)` zeros: nothing is missing."""
    return images.new_zeros(images.shape[0], 1, *images.shape[-2:])


def is_grey(images: Tensor) -> Tensor:
    """`(B, 1, 1, 1)` bool: whether all channels of a sample are equal."""
    return (images == images[:, :1]).flatten(1).all(dim=1).view(-1, 1, 1, 1)


def draw_uniform(interval: Interval, images: Tensor, generator: torch.Generator) -> Tensor:
    """One number per sample from a closed interval, `(B,)` float32."""
    low, high = interval
    drawn = torch.rand(images.shape[0], generator=generator, device=images.device)
    return drawn * (high - low) + low


def check_interval(name: str, interval: Interval, low: float, high: float = float("inf")) -> Interval:
    """Return `interval` as a tuple of floats.

    Raises:
        UsageError: It is no pair of numbers, or its ends are out of order or outside [low, high].
    """
    try:
        first, last = (float(end) for end in interval)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: needs two numbers, (low, high), not {interval!r}") from error
    if not low <= first <= last <= high or math.isinf(last):
        limits = f"{low:g} <= low <= high" + ("" if high == float("inf") else f" <= {high:g}")
        raise UsageError(f"{name}: needs {limits}, not ({first:g}, {last:g})")
    return first, last
