"""A trained autoencoder at work: pictures to codes, codes to pictures, in float32, so that codes compare."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from restore.codes.pictures import OnFailure, PictureSource
from restore.devices import choose_device, computing_in
from restore.errors import BundleError, DataError
from restore.models.base import Autoencoder
from restore.models.bundle import ModelCard, load_bundle

__all__ = ["Codes", "Encoder"]


@dataclass(frozen=True)
class Codes:
    """The codes of many pictures, in rows.

    Attributes:
        names: `N` names.
        vectors: `(N, numbers)` float32; maps are flattened, number by number.
        labels: `(N,)` int64: what each picture shows; None for photos.
        shape: `(code_channels, rows, columns)` of one code.
    """

    names: list[str]
    vectors: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64] | None
    shape: tuple[int, int, int]


class Encoder:
    """A bundle with a code, on a device.

    Everything is computed in float32 without autocast.

    Args:
        network: In evaluation mode.
        card: Of its bundle.
        device: Where it runs.
    """

    def __init__(self, network: Autoencoder, card: ModelCard, device: torch.device) -> None:
        self.network, self.card, self.device = network.to(device).eval(), card, device

    @classmethod
    def from_bundle(cls, bundle: str | Path, device: str = "auto") -> "Encoder":
        """Load a bundle.

        Args:
            bundle: A shipped name, or a folder.
            device: As for `choose_device`.

        Raises:
            BundleError: It is missing or damaged, or its network has no code.
            UsageError: The device is not there.
        """
        loaded = load_bundle(bundle)
        if not isinstance(loaded.network, Autoencoder):
            raise BundleError(
                f"{loaded.path}: holds a {loaded.card.network['name']}, which has no code; "
                "name the bundle of an autoencoder, such as `restore fit --config conv` makes"
            )
        return cls(loaded.network, loaded.card, choose_device(device))

    @property
    def channels(self) -> int:
        """Image channels that the network works on."""
        return self.network.channels

    @property
    def size(self) -> int:
        """Side of the pictures it was trained on, in pixels, up to the next multiple that the network works on.

        Pictures of this size are what its codes describe best, and all have codes of one length.
        """
        multiple = self.network.size_multiple
        trained = self.card.training.get("crop_size")
        side = trained if isinstance(trained, int) and trained > 0 else multiple
        return -(-side // multiple) * multiple

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The codes of pictures.

        Args:
            images: `(B, C, H, W)` float32 in [0, 1], C = 1 or `channels`.

        Returns:
            `(B, code_channels, h, w)` float32 on the CPU, one vector for each `size_multiple` pixels, rounded up.
        """
        with computing_in("32", self.device):
            return self.network.encode(images.to(self.device)).float().cpu()

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """The pictures of codes.

        Args:
            codes: `(B, code_channels, h, w)` float32.

        Returns:
            `(B, channels, h size_multiple, w size_multiple)` float32 on the CPU; not clamped.
        """
        with computing_in("32", self.device):
            return self.network.decode(codes.to(self.device)).float().cpu()

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Pictures through their codes and back.

        Args:
            images: As for `encode`.

        Returns:
            As `images`: float32 on the CPU; not clamped.
        """
        images = images.to(self.device)
        with computing_in("32", self.device):
            return self.network.fit(self.network.decode(self.network.encode(images)), images).float().cpu()

    def encode_all(
        self,
        source: PictureSource,
        batch_size: int = 64,
        on_failure: OnFailure | None = None,
        on_batch: Callable[[int], None] | None = None,
    ) -> Codes:
        """The codes of all pictures of a source, which must bring them to one size.

        Args:
            source: Opened with this encoder's `channels`, and a `size`.
            batch_size: Pictures at a time.
            on_failure: Told of photos that cannot be read; they have no row.
            on_batch: Told how many pictures each batch had, when it is done.

        Raises:
            DataError: No picture can be read, or they differ in size.
            ImageError: One cannot be read, and there is no `on_failure`.
        """
        names: list[str] = []
        parts: list[Tensor] = []
        labels: list[Tensor] = []
        for batch in source.batches(batch_size, on_failure):
            code = self.encode(batch.images)
            if parts and code.shape[1:] != parts[0].shape[1:]:
                raise DataError(f"{source.name}: its pictures differ in size, and so do their codes; name one size")
            names += batch.names
            parts.append(code)
            labels += [] if batch.labels is None else [batch.labels]
            if on_batch is not None:
                on_batch(len(batch.names))
        if not parts:
            raise DataError(f"{source.name}: none of its {len(source)} pictures can be read")
        numbers, rows, columns = parts[0].shape[1:]
        vectors = torch.cat(parts).flatten(1).numpy()
        return Codes(names, vectors, torch.cat(labels).numpy() if labels else None, (numbers, rows, columns))
