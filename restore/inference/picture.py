"""Pictures of any kind as what tiles are read from and written to."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from restore.errors import UsageError
from restore.images.tensors import LEVELS, to_float, to_integers

__all__ = ["ArrayPicture", "MaskLike", "Picture", "TensorPicture", "as_mask"]

MaskLike = Tensor | npt.NDArray[np.generic] | Image.Image
"""`(H, W)` or `(1, H, W)`; missing where True, 1, or 255."""


class Picture(Protocol):
    """What is restored, and where the result goes."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""

    @property
    def in_place(self) -> bool:
        """Whether the result overwrites the picture."""

    def read(self, rows: slice, columns: slice, device: torch.device) -> Tensor:
        """A part of it, `(C, H, W)` float32; the full range of integers is [0, 1]."""

    def quantised(self, restored: Tensor) -> Tensor:
        """The same as the picture can hold it, on the same device."""

    def unquantised(self, kept: Tensor) -> Tensor:
        """The other way round, as `read` gives it."""

    def write(self, rows: slice, columns: slice, kept: Tensor) -> None:
        """Keep what `quantised` gave, from the computer's memory."""


@dataclass(frozen=True)
class ArrayPicture:
    """Integers, `(H, W)` or `(H, W, 3)`, uint8 or uint16.

    Args:
        image: What is read.
        result: What is written; may be the image itself.
    """

    image: npt.NDArray[np.generic]
    result: npt.NDArray[np.generic]

    def __post_init__(self) -> None:
        image, result = self.image, self.result
        if image.dtype not in LEVELS or image.ndim not in {2, 3} or image.shape[2:] not in {(), (3,)} or not image.size:
            raise UsageError(
                f"image: arrays must be (H, W) or (H, W, 3), uint8 or uint16, not {image.shape} {image.dtype}; "
                "pass floats as a tensor (C, H, W)"
            )
        if (result.shape, result.dtype) != (image.shape, image.dtype):
            expected = f"{image.shape} {image.dtype}"
            raise UsageError(f"out: must be {expected} like the image, not {result.shape} {result.dtype}")
        if not result.flags.writeable or (result is not image and np.may_share_memory(result, image)):
            raise UsageError("out: must be writable, and either the image itself or apart from it")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def in_place(self) -> bool:
        """Whether the result overwrites the picture."""
        return self.result is self.image

    @property
    def _levels(self) -> int:
        return LEVELS[self.image.dtype]

    def read(self, rows: slice, columns: slice, device: torch.device) -> Tensor:
        """A part of it, in [0, 1]; integers, which are smaller, travel to the device as such."""
        piece = self.image[rows, columns]
        planes = torch.from_numpy(piece.copy() if self._levels == 255 else piece.astype(np.int32))
        planes = planes.unsqueeze(0) if planes.ndim == 2 else planes.permute(2, 0, 1)
        return to_float(planes.to(device), self._levels)

    def quantised(self, restored: Tensor) -> Tensor:
        """As integers, uint8 or int32."""
        return to_integers(restored, self._levels)

    def unquantised(self, kept: Tensor) -> Tensor:
        """As `read` gives it."""
        return to_float(kept, self._levels)

    def write(self, rows: slice, columns: slice, kept: Tensor) -> None:
        """Keep a part of the result."""
        self.result[rows, columns] = (kept[0] if self.result.ndim == 2 else kept.permute(1, 2, 0)).numpy()


@dataclass(frozen=True)
class TensorPicture:
    """`(C, H, W)`, C = 1 or 3, float32 nominally in [0, 1] or uint8.

    Args:
        image: What is read.
        result: What is written.
    """

    image: Tensor
    result: Tensor

    in_place = False

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[0] not in {1, 3} or 0 in self.image.shape:
            raise UsageError(f"image: must be (C, H, W) with 1 or 3 channels, not {tuple(self.image.shape)}")
        if self.image.dtype not in {torch.float32, torch.uint8}:
            raise UsageError(f"image: must be float32 or uint8, not {self.image.dtype}")

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.image.shape[1], self.image.shape[2]

    def read(self, rows: slice, columns: slice, device: torch.device) -> Tensor:
        """A part of it."""
        return self.unquantised(self.image[:, rows, columns].to(device))

    def quantised(self, restored: Tensor) -> Tensor:
        """Floats as they are."""
        return to_integers(restored, 255) if self.image.dtype == torch.uint8 else restored

    def unquantised(self, kept: Tensor) -> Tensor:
        """As `read` gives it."""
        return to_float(kept) if kept.dtype == torch.uint8 else kept

    def write(self, rows: slice, columns: slice, kept: Tensor) -> None:
        """Keep a part of the result."""
        self.result[:, rows, columns] = kept.to(self.result.device)


def as_mask(mask: MaskLike, size: tuple[int, int]) -> Tensor:
    """A mask of any kind, checked against the size of its picture: `(1, H, W)` bool, True = missing.

    Raises:
        UsageError: It has another size, or is no mask at all.
    """
    if isinstance(mask, Image.Image):
        mask = np.asarray(mask.convert("L"))
    if not isinstance(mask, np.ndarray | Tensor):
        raise UsageError(f"mask: must be a tensor, an array or a PIL image, not a {type(mask).__name__}")
    tensor = torch.from_numpy(np.require(mask, requirements=["C", "W"])) if isinstance(mask, np.ndarray) else mask
    if tuple(tensor.shape) not in {size, (1, *size)}:
        raise UsageError(f"mask: must be {size} or {(1, *size)} like the image, not {tuple(tensor.shape)}")
    if tensor.dtype == torch.bool:
        missing = tensor
    elif tensor.is_floating_point():
        missing = tensor > 0.5
    else:
        levels = tensor if tensor.dtype == torch.uint8 else tensor.to(torch.int64)  # others cannot tell their maximum
        missing = levels > (127 if int(levels.max()) > 1 else 0)
    return missing.reshape(1, *size)
