"""Whole numbers as few bytes: the planes of a quantised code as one grey picture, in lossless JPEG XL.

JPEG XL (ISO 18181) predicts each value from its neighbours and learns which of them tell most: on codes of photos it
needs 9 % less than the best of zlib, bz2, LZMA, Zstandard and Brotli; docs/codes.md has the figures. imagecodecs, which
carries libjxl, is there for TIFF anyway.
"""

import struct

import imagecodecs
import numpy as np
import numpy.typing as npt

from restore.errors import UnreadableImageError

__all__ = ["pack", "unpack"]

_HEAD = struct.Struct("<hB")
_EFFORT = 7
"""Of 1 to 10: 9 takes many times as long and gives files that are smaller by 1 to 3 %."""
_DEPTHS: dict[int, type[np.uint8] | type[np.uint16]] = {8: np.uint8, 16: np.uint16}


def pack(numbers: npt.NDArray[np.int16]) -> bytes:
    """Pack without loss.

    Args:
        numbers: `(code_channels, rows, columns)`.

    Returns:
        The lowest number in two bytes, the bits that hold what all are above it, 8 or 16, in one, and a JPEG XL
        codestream of that: the channels below each other.
    """
    lowest = int(numbers.min())
    above = numbers.astype(np.int32) - lowest
    bits = 8 if above.max() < 256 else 16
    tall = np.ascontiguousarray(above.reshape(-1, numbers.shape[2]).astype(_DEPTHS[bits]))
    return _HEAD.pack(lowest, bits) + bytes(imagecodecs.jpegxl_encode(tall, lossless=True, effort=_EFFORT))


def unpack(packed: bytes, shape: tuple[int, int, int]) -> npt.NDArray[np.int16]:
    """What `pack` was given.

    Args:
        packed: Its bytes.
        shape: Of the numbers, which is not among the bytes.

    Raises:
        UnreadableImageError: The bytes are not such numbers of that shape.
    """
    try:
        lowest, bits = _HEAD.unpack_from(packed)
        # A picture of another size does not fit, and takes no memory.
        above: npt.NDArray[np.integer] = np.empty((shape[0] * shape[1], shape[2]), _DEPTHS[bits])
        imagecodecs.jpegxl_decode(packed[_HEAD.size :], out=above)
    except (struct.error, LookupError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UnreadableImageError(f"its code cannot be unpacked ({reason}); leave it out") from error
    numbers: npt.NDArray[np.int16] = (above.astype(np.int32) + lowest).astype(np.int16)
    return numbers.reshape(shape)
