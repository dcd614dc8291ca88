"""Whole numbers as few bytes: the planes of a quantised code through a kept entropy coder."""

import zlib

import numpy as np
import numpy.typing as npt

from restore.errors import UnreadableImageError

__all__ = ["pack", "unpack"]


def pack(numbers: npt.NDArray[np.int16]) -> bytes:
    """Pack without loss: `(code_channels, rows, columns)` int16 to bytes."""
    return zlib.compress(numbers.astype("<i2").tobytes(), 9)


def unpack(packed: bytes, shape: tuple[int, int, int]) -> npt.NDArray[np.int16]:
    """What `pack` was given.

    Args:
        packed: Its bytes.
        shape: Of the numbers, which is not among the bytes.

    Raises:
        UnreadableImageError: The bytes are not such numbers of that shape.
    """
    size = 2 * shape[0] * shape[1] * shape[2]
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(packed, size + 1)
    except zlib.error as error:
        raise UnreadableImageError(f"its code cannot be unpacked ({error}); leave it out") from error
    if len(data) != size or not unpacker.eof or unpacker.unused_data:
        raise UnreadableImageError("its code is not of the size that its header says; leave it out")
    return np.frombuffer(data, "<i2").astype(np.int16).reshape(shape)
