"""A PNG taken apart and checked before a decoder sees it: what holds of the pixels, and nothing else."""

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from restore.images.containers import PNG_SIGNATURE

__all__ = ["checked_png"]

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PIECE = 1 << 20

# Of the seven passes of an interlaced PNG (Adam7): first row and column, and the steps between rows and columns.
_PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def checked_png(file: BinaryIO) -> bytearray:
    """Header and pixels of a PNG, without its palette and remarks, once it is certain that a decoder can read them.

    imagecodecs 2026.3.6 loses a reference to `None` with every PNG that it refuses, and Python before 3.12 ends
    with "deallocating None" after some thousand of them: so it only gets what it need not refuse. Checksums, order,
    the size of the unpacked rows and their filters are checked; the PNG specification (W3C 2003) says what must hold.

    Args:
        file: The PNG, positioned anywhere.

    Returns:
        A PNG of nothing but `IHDR`, `IDAT` and `IEND`.

    Raises:
        EOFError: It ends early.
        ValueError: It is not as the specification has it.
        zlib.error: Its pixels cannot be unpacked.
    """
    end = file.seek(0, 2)
    file.seek(0)
    result = bytearray(file.read(8))
    if result != PNG_SIGNATURE:
        raise ValueError("it is no PNG")
    rows: _Rows | None = None
    name = b""
    while name != b"IEND":
        head = file.read(8)
        if len(head) < 8:
            raise EOFError("it ends before its last chunk")
        length, name = struct.unpack(">I4s", head)
        if length + 4 > end - file.tell():
            raise EOFError("it ends within a chunk")
        if (rows is None) != (name == b"IHDR"):
            raise ValueError("its header is not the first chunk, or not the only one")
        if name not in {b"IHDR", b"IDAT", b"IEND"}:
            if not name[0] & 0x20 and name != b"PLTE":
                raise ValueError(f"unknown chunk {name.decode('latin-1')!r}")
            file.seek(length + 4, 1)
            continue
        result += head
        checksum = zlib.crc32(name)
        for piece in _pieces(file, length):
            checksum = zlib.crc32(piece, checksum)
            result += piece
            if name == b"IHDR":
                rows = _Rows(piece)
            elif name == b"IDAT" and rows is not None:
                rows.feed(piece)
        result += (checked := file.read(4))
        if checked != struct.pack(">I", checksum):
            raise ValueError(f"wrong checksum in chunk {name.decode('latin-1')!r}")
    if rows is None or not rows.are_complete:
        raise EOFError("its pixels end early")
    return result


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    for start in range(0, length, _PIECE):
        yield file.read(min(_PIECE, length - start))


class _Rows:
    """Unpacks the pixels, keeps none, and checks that each row begins with a filter that there is.

    Args:
        header: The payload of `IHDR`.

    Raises:
        ValueError: There is no such picture.
    """

    def __init__(self, header: bytes) -> None:
        width, height, depth, colours, compression, filters, interlaced = struct.unpack(">IIBBBBB", header)
        if not (0 < width < 1 << 31 and 0 < height < 1 << 31) or compression or filters or interlaced > 1:
            raise ValueError("its header is damaged")
        if colours not in _CHANNELS or depth not in {1, 2, 4, 8, 16}:
            raise ValueError("its header is damaged")
        bits = _CHANNELS[colours] * depth
        passes = _PASSES if interlaced else ((0, 0, 1, 1),)
        sizes = [(-(-(height - top) // down), -(-(width - left) // across)) for top, left, down, across in passes]
        self._passes = [(count, 1 + -(-wide * bits // 8)) for count, wide in sizes if count > 0 and wide > 0]
        self._place = 0
        self._unpacked = zlib.decompressobj(wbits=0)  # with the window that it declares, as libpng has it

    @property
    def are_complete(self) -> bool:
        """Whether all rows were there, and the checksum behind them."""
        return not self._passes and self._unpacked.eof

    def feed(self, data: bytes) -> None:
        """Go on with the compressed rows.

        Raises:
            ValueError: A row has an unknown filter.
            zlib.error: They cannot be unpacked.
        """
        while data and not self._unpacked.eof:
            self._check(self._unpacked.decompress(data, _PIECE))
            data = self._unpacked.unconsumed_tail

    def _check(self, unpacked: bytes) -> None:
        while unpacked and self._passes:
            count, length = self._passes[0]
            here = unpacked[: count * length - self._place]
            if max(here[-self._place % length :: length], default=0) > 4:
                raise ValueError("a row has an unknown filter")
            self._place += len(here)
            if self._place == count * length:
                self._place = 0
                del self._passes[0]
            unpacked = unpacked[len(here) :]
