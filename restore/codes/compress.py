"""Photos as quantised codes, and back: what the decoder gives is what comes out, bit for bit."""

import math

import numpy as np
import torch
from torch import Tensor

from restore.codes.container import CompressedPhoto, bundle_fingerprint
from restore.codes.encoder import Encoder
from restore.codes.packing import pack, unpack
from restore.errors import BundleError, UnreadableImageError, UnsupportedImageError, UsageError
from restore.images.document import MAX_PIXELS

__all__ = ["Compressor"]

_LARGEST = 2**15 - 1


class Compressor:
    """A bundle as a coder of photos.

    The code is divided by a step and rounded; the whole numbers are packed without loss. The decoder gets them times
    the step. One photo at a time, in float32: the sums of a convolution can depend on what else is in its batch.

    Args:
        encoder: The bundle.
    """

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.fingerprint = bundle_fingerprint(encoder.card)

    def compress(self, image: Tensor, step: float) -> CompressedPhoto:
        """Encode and quantise.

        Args:
            image: `(C, H, W)` float32 in [0, 1]; grey, or with the channels of the network.
            step: Size of the steps that numbers of the code are rounded to.

        Raises:
            UsageError: The step is not above 0, or so small that a number of the code does not fit into 16 bits.
            UnsupportedImageError: The photo is in colour and the network knows grey alone, or it is too large.
        """
        if not (math.isfinite(step) and step > 0.0):
            raise UsageError(f"step: must be above 0, not {step:g}")
        channels, height, width = image.shape
        if channels not in {1, self.encoder.channels}:
            raise UnsupportedImageError(
                f"is in colour, and {self.encoder.card.name} is for grey pictures; convert it, or name another bundle"
            )
        code = self.encoder.encode(image[None])[0].double() / step
        if not float(code.abs().max()) <= _LARGEST:
            raise UsageError(f"step: {step:g} is too small for this bundle's code; 16 bits do not hold its numbers")
        numbers = code.round().to(torch.int16).numpy()
        return CompressedPhoto(self.fingerprint, channels, height, width, step, pack(numbers))

    def decompress(self, photo: CompressedPhoto) -> Tensor:
        """Decode.

        Args:
            photo: From `compress`, or from a file.

        Returns:
            `(C, H, W)` float32 in [0, 1].

        Raises:
            BundleError: It was made with another bundle.
            UnreadableImageError: Size and code contradict each other.
        """
        if photo.fingerprint != self.fingerprint:
            raise BundleError(
                f"was compressed with another bundle than {self.encoder.card.name} (its fingerprint is "
                f"{photo.fingerprint.hex()}, not {self.fingerprint.hex()}); name that one with --bundle"
            )
        network = self.encoder.network
        multiple = network.size_multiple
        rows, columns = -(-photo.height // multiple), -(-photo.width // multiple)
        if not 0 < photo.height * photo.width <= MAX_PIXELS or photo.channels > max(network.channels, 1):
            raise UnreadableImageError(f"says that it has {photo.width} x {photo.height} pixels; leave it out")
        numbers = unpack(photo.packed, (network.code_channels, rows, columns))
        code = (torch.from_numpy(numbers.astype(np.float64)) * photo.step).float()
        picture = self.encoder.decode(code[None])
        like = torch.empty(1, photo.channels, photo.height, photo.width, device="meta")
        return network.fit(picture, like)[0].clamp(0.0, 1.0)
