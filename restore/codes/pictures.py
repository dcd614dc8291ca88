"""Pictures from wherever they are, named by a text: photos of any kind, or a small picture set."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.errors import ImageError, UsageError
from restore.images.codec import decode
from restore.images.document import shown
from restore.images.search import FoundImage, Problem, search
from restore.images.sets import PICTURE_SETS, Part, Pictures, load_pictures
from restore.images.tensors import to_float, to_pixels

__all__ = ["OnFailure", "PictureBatch", "PictureSource", "as_channels", "open_pictures", "squeezed", "thumbnail"]

OnFailure = Callable[[FoundImage, ImageError], None]
"""Told of a photo that cannot be read; the others go on."""

_MOST_PIXELS = 2**22
"""Of one batch, unless one picture alone has more: 48 MB as RGB in float32."""

_LUMA = (0.299, 0.587, 0.114)
"""Grey of red, green and blue: ITU-R BT.601, as Pillow and OpenCV convert."""


@dataclass(frozen=True)
class PictureBatch:
    """Some pictures of one size.

    Attributes:
        names: Of each picture: a photo's path below its folder, `test-00042` in a set.
        images: `(B, C, H, W)` float32 in [0, 1].
        labels: `(B,)` int64: what each shows; None for photos.
    """

    names: list[str]
    images: Tensor
    labels: Tensor | None


class PictureSource:
    """Pictures of a set or of a folder, in a fixed order, read as they are asked for.

    Args:
        name: For titles and tables.
        pictures: Photos, or a set that lies in memory.
        channels: 1 or 3: what all pictures are brought to; see `as_channels`. None leaves them as they are.
        size: Side of the square that every picture is squeezed into, in pixels: all of it is seen, its sides' ratio is
            lost. None leaves photos as they are.
        problems: Places that could not be searched for photos.
    """

    def __init__(
        self,
        name: str,
        pictures: Sequence[FoundImage] | Pictures,
        channels: int | None,
        size: int | None,
        problems: Sequence[Problem] = (),
    ) -> None:
        if size is not None and size < 1:
            raise UsageError(f"size: must be 1 or more pixels, not {size}")
        self.name, self.channels, self.size, self.problems = name, channels, size, problems
        self._pictures = pictures

    def __len__(self) -> int:
        """How many there are, those among them that cannot be read."""
        return len(self._pictures)

    @property
    def names(self) -> list[str]:
        """Of all pictures, those among them that cannot be read, in their order."""
        return list(self._numbers)

    @property
    def photos(self) -> list[FoundImage]:
        """The files; none for a set."""
        return [] if isinstance(self._pictures, Pictures) else list(self._pictures)

    def batches(self, batch_size: int = 64, on_failure: OnFailure | None = None) -> Iterator[PictureBatch]:
        """The pictures, in batches of one size each; every call begins anew.

        At most a batch is in memory beside a set's own 8-bit values. A photo of another size begins a new batch, and so
        does one that would bring it beyond 4 megapixels.

        Args:
            batch_size: Most pictures of a batch.
            on_failure: Told of photos that cannot be read.

        Raises:
            ImageError: A photo cannot be read, and there is no `on_failure`.
        """
        names: list[str] = []
        images: list[Tensor] = []
        labels: list[int] = []
        for name, image, label in self._each(on_failure):
            full = len(names) == batch_size or (len(names) + 1) * image[0].numel() > _MOST_PIXELS
            if names and (full or image.shape != images[0].shape):
                yield _batch(names, images, labels)
                names, images, labels = [], [], []
            names.append(name)
            images.append(image)
            labels += [] if label is None else [label]
        if names:
            yield _batch(names, images, labels)

    def name_of(self, text: str) -> str | None:
        """The name of the picture that a text means: its name here, or the path of its file; None if it is not here."""
        names = self._numbers
        if text in names or isinstance(self._pictures, Pictures):
            return text if text in names else None
        path = os.path.realpath(text)
        return next((name for name, index in names.items() if os.path.realpath(self._path(index)) == path), None)

    def image(self, name: str) -> Tensor:
        """One picture as batches have it: `(C, H, W)` float32 in [0, 1].

        Raises:
            ImageError: It cannot be read.
        """
        return self._fitted(self._pixels(name))

    def thumbnail(self, name: str, side: int) -> npt.NDArray[np.uint8]:
        """One picture made to fit into a square, its sides' ratio kept.

        Args:
            name: As in a batch.
            side: Of the square, in pixels.

        Returns:
            `(H, W, 3)` uint8.

        Raises:
            ImageError: It cannot be read.
        """
        return thumbnail(self._pixels(name), side)

    def _pixels(self, name: str) -> Tensor:
        index = self._numbers[name]
        return to_float(
            self._pictures[index] if isinstance(self._pictures, Pictures) else decode(self._path(index)).pixels
        )

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        if isinstance(self._pictures, Pictures):
            return {self._pictures.name(index): index for index in range(len(self._pictures))}
        return {photo.relative.as_posix(): index for index, photo in enumerate(self._pictures)}

    def _path(self, index: int) -> Path:
        return cast("Sequence[FoundImage]", self._pictures)[index].path

    def _each(self, on_failure: OnFailure | None) -> Iterator[tuple[str, Tensor, int | None]]:
        if isinstance(self._pictures, Pictures):
            for index, label in enumerate(self._pictures.labels.tolist()):
                yield self._pictures.name(index), self._fitted(to_float(self._pictures[index])), label
            return
        for photo in self._pictures:
            try:
                image = to_float(decode(photo.path).pixels)
            except ImageError as error:
                if on_failure is None:
                    raise
                on_failure(photo, error)
                continue
            yield photo.relative.as_posix(), self._fitted(image), None

    def _fitted(self, image: Tensor) -> Tensor:
        images = image[None] if self.channels is None else as_channels(image[None], self.channels)
        return (images if self.size is None else squeezed(images, self.size))[0]


def open_pictures(text: str, channels: int | None = 3, size: int | None = None) -> PictureSource:
    """Find the pictures that a text names, without reading photos yet.

    Args:
        text: A photo, a folder that is searched to the bottom, or a pattern; or `digits`, `mnist:FOLDER`,
            `fashion:FOLDER` or `cifar10:FOLDER`, with `:train` behind it for the training part, and `:test` or nothing
            for the test part. A folder of such a name is meant by `./digits`.
        channels: 1 or 3: what all pictures are brought to; None leaves them as they are.
        size: Side of the square that every picture is squeezed into, in pixels; None leaves them as they are.

    Raises:
        UsageError: The text names nothing, or no pictures.
        DataError: The set's files are not there.
    """
    kind, _, rest = text.partition(":")
    if kind in PICTURE_SETS:
        folder, part = _folder_and_part(rest)
        if (kind == "digits") != (folder is None):
            example = "digits or digits:train" if kind == "digits" else f"{kind}:FOLDER or {kind}:FOLDER:train"
            raise UsageError(f"{text}: write {example}; a folder of that name is ./{kind}")
        return PictureSource(f"{kind} ({part})", load_pictures(kind, part, folder), channels, size)
    found = search([Path(text)])
    if not found.images:
        reasons = (f"; {shown(problem.path)}: {problem.reason}" for problem in found.problems)
        raise UsageError(f"{shown(Path(text))}: holds no photos{next(reasons, '')}")
    return PictureSource(shown(Path(Path(text).name or text)), found.images, channels, size, found.problems)


def as_channels(images: Tensor, channels: int) -> Tensor:
    """Grey as RGB of three equal channels, or RGB as grey: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601).

    Args:
        images: `(B, 1, H, W)` or `(B, 3, H, W)` float32.
        channels: 1 or 3.

    Returns:
        `(B, channels, H, W)`.

    Raises:
        UsageError: `channels` is another number.
    """
    if channels not in {1, 3}:
        raise UsageError(f"channels: pictures have 1 or 3, and the network takes {channels}")
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    return (images * images.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def squeezed(images: Tensor, size: int) -> Tensor:
    """Pictures as squares of `size` pixels, with nothing cut away: `(B, C, H, W)` to `(B, C, size, size)` in [0, 1]."""
    if images.shape[-2:] == (size, size):
        return images
    resized = F.interpolate(images, size=(size, size), mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp_(0.0, 1.0)


def thumbnail(image: Tensor, side: int) -> npt.NDArray[np.uint8]:
    """A picture made to fit into a square, its sides' ratio kept: `(C, H, W)` in [0, 1] to `(h, w, 3)` uint8.

    Smaller ones are enlarged by whole pixels.
    """
    height, width = image.shape[-2:]
    image = as_channels(image[None].clamp(0.0, 1.0), 3)
    scale = side / max(height, width)
    if scale >= 2.0:
        image = image.repeat_interleave(int(scale), dim=2).repeat_interleave(int(scale), dim=3)
    elif scale < 1.0:
        size = (max(round(height * scale), 1), max(round(width * scale), 1))
        image = F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)
    return to_pixels(image[0])


def _batch(names: list[str], images: list[Tensor], labels: list[int]) -> PictureBatch:
    return PictureBatch(names, torch.stack(images), torch.tensor(labels) if labels else None)


def _folder_and_part(rest: str) -> tuple[Path | None, Part]:
    folder, colon, last = rest.rpartition(":")
    if last in get_args(Part):
        return (Path(folder) if folder else None), cast("Part", last)
    whole = folder + colon + last
    return (Path(whole) if whole else None), "test"
