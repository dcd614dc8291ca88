"""All pictures of a source in memory, with what each shows."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from restore.codes.pictures import OnFailure, PictureSource
from restore.errors import DataError

__all__ = ["Gathered", "class_of", "gather"]


@dataclass(frozen=True)
class Gathered:
    """Pictures of one size, in memory.

    Attributes:
        images: `(N, C, H, W)` float32 in [0, 1].
        labels: `N` names of what each shows; None where nothing says so.
    """

    images: Tensor
    labels: list[str] | None

    def chosen(self, indices: Tensor) -> "Gathered":
        """Some of them."""
        labels = None if self.labels is None else [self.labels[index] for index in indices.tolist()]
        return Gathered(self.images[indices], labels)


def gather(
    source: PictureSource, advance: Callable[[int], None] = lambda _: None, on_failure: OnFailure | None = None
) -> Gathered:
    """Read all pictures of a source.

    Args:
        source: Opened with a size, unless all its pictures have one.
        advance: Told how many more have been read.
        on_failure: Told of photos that cannot be read.

    Raises:
        DataError: They differ in size, or none can be read.
        ImageError: One cannot be read, and there is no `on_failure`.
    """
    images: list[Tensor] = []
    labels: list[str | None] = []
    for batch in source.batches(256, on_failure):
        if images and batch.images.shape[1:] != images[0].shape[1:]:
            raise DataError(f"{source.name}: pictures of several sizes; give one size to bring them to")
        images.append(batch.images)
        labels += map(class_of, batch.names) if batch.labels is None else map(str, batch.labels.tolist())
        advance(len(batch.names))
    if not images:
        raise DataError(f"{source.name}: none of its {len(source)} pictures can be read")
    known = [label for label in labels if label is not None]
    return Gathered(torch.cat(images), known if len(known) == len(labels) else None)


def class_of(name: str) -> str | None:
    """The class of a photo: the folder that it lies in below the searched one, `cats` for `cats/1.jpg`."""
    first, slash, _ = name.partition("/")
    return first if slash else None
