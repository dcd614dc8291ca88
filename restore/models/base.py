"""The contract of a restoration network."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from restore.images.tensors import reflect_pad

__all__ = ["Autoencoder", "JsonValue", "Reconstruction", "RestorationNetwork", "composite", "pad_to_multiple"]

JsonValue = None | bool | int | float | str | list["JsonValue"] | dict[str, "JsonValue"]


@dataclass(frozen=True)
class Reconstruction:
    """What a network gives while it trains.

    Attributes:
        image: `(B, C, H, W)` float32, as `RestorationNetwork.forward` returns it, but for sampled codes.
        penalties: Scalars to add to the loss, by the name under which they are logged; already weighted.
    """

    image: Tensor
    penalties: dict[str, Tensor] = field(default_factory=dict)


class RestorationNetwork(nn.Module, ABC):
    """A network from a damaged image and its mask to a restored image.

    * `forward` is deterministic, takes any size from 1 x 1 up, grey or colour, and is what is exported.
    * What the image holds under the mask has no influence on the result.
    * `type(self)(**self.config())` builds the same architecture.

    Attributes:
        size_multiple: Sides are padded to a multiple of this inside `forward`. Two crops whose origins are multiples
            of it line up with the whole image, which is what tiling relies on.
        finds_blur: Whether `forward` looks for the blur of its image, and takes that of the picture that it is a part
            of as a third argument; see `restore.models.blur_estimation`.
        tile: Longest side in pixels of the pieces that a large picture is cut into unless its user says otherwise.
        channels: Image channels that the network works on; one of 3 serves grey images too.
    """

    size_multiple: int
    finds_blur: bool = False
    tile: int = 1128
    channels: int = 3

    @abstractmethod
    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Restore.

        Args:
            image: `(B, C, H, W)` floating point, C = 1 or 3; nominally in [0, 1], may leave it (noise).
            mask: `(B, 1, H, W)`, 1 = missing, 0 = known.

        Returns:
            `(B, C, H, W)` float32; not clamped.
        """

    def reconstruct(self, image: Tensor, mask: Tensor, generator: torch.Generator | None = None) -> Reconstruction:
        """Restore for training: the image, and whatever the network wants added to the loss.

        Args:
            image: As for `forward`.
            mask: As for `forward`.
            generator: On the image's device: where a network that samples or drops out draws from; torch's global one
                if left out. Others leave it alone.
        """
        return Reconstruction(self(image, mask))

    @abstractmethod
    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments, as plain JSON values."""


class Autoencoder(RestorationNetwork):
    """A network in which everything passes through a code.

    A code is a map: of an `(H, W)` image it has `ceil(H / size_multiple)` rows and `ceil(W / size_multiple)` columns,
    and at each position `code_channels` numbers, which stand for a square of `size_multiple` pixels. A network whose
    `size_multiple` is the side of its images gives one such vector for each of them.

    Attributes:
        code_channels: Numbers at each position of the code.
    """

    code_channels: int

    @abstractmethod
    def encode(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The code, without any randomness.

        Args:
            image: `(B, C, H, W)` floating point; nominally in [0, 1].
            mask: `(B, 1, H, W)`, 1 = missing; nothing is missing if left out.

        Returns:
            `(B, code_channels, h, w)`, h = H / size_multiple and w = W / size_multiple, rounded up.
        """

    @abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """The picture of a code: `(B, code_channels, h, w)` to `(B, channels, h size_multiple, w size_multiple)`."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Restore: `(B, C, H, W)` and `(B, 1, H, W)` to `(B, C, H, W)` float32."""
        return self.fit(self.decode(self.encode(image, mask)), image)

    def fit(self, picture: Tensor, image: Tensor) -> Tensor:
        """Cut what `decode` gave to the size of `image`, and to its one channel where that is grey."""
        picture = picture[..., : image.shape[-2], : image.shape[-1]]
        return picture.mean(dim=1, keepdim=True) if image.shape[1] < self.channels else picture


def composite(corrupted: Tensor, restored: Tensor, mask: Tensor) -> Tensor:
    """Known pixels from `corrupted`, bit for bit; missing ones from `restored`.

    Args:
        corrupted: `(B, C, H, W)`.
        restored: `(B, C, H, W)`.
        mask: `(B, 1, H, W)`, 1 = missing.
    """
    return torch.where(mask > 0.5, restored, corrupted)


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Reflect at the bottom and the right until both sides are multiples of `multiple`."""
    height, width = images.shape[-2:]
    return reflect_pad(images, 0, -width % multiple, 0, -height % multiple)
