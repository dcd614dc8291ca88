"""PNM of any highest value: its header, and its pixels above 8 bits, which Pillow would round."""

import io
import re
from typing import BinaryIO

import numpy as np

from restore.images.colour import as_sixteen
from restore.images.document import Page

__all__ = ["pnm_depth", "pnm_has_comment", "pnm_has_more", "pnm_page"]

_NEXT = re.compile(rb"(?:^|\s)P[1-6]\s")


def pnm_depth(file: BinaryIO) -> tuple[int, int]:
    """Bits a channel, and the highest value, which need not be all ones.

    Raises:
        ValueError: The header is not one of PNM.
    """
    _, numbers = _header(file)
    if len(numbers) == 2:
        return 1, 1
    highest = numbers[2]
    if not 0 < highest < 65536:
        raise ValueError(f"its highest value is {highest}")
    return 8 if highest < 256 else 16, highest


def pnm_has_more(file: BinaryIO) -> bool:
    """Whether another picture stands behind the first.

    Raises:
        ValueError: The header is not one of PNM.
    """
    kind, (width, height, *highest) = _header(file)
    if kind in {b"P1", b"P2", b"P3"}:
        return any(_NEXT.search(line.partition(b"#")[0]) for line in file)
    row = (width + 7) // 8 if kind == b"P4" else width * (3 if kind == b"P6" else 1) * (2 if highest[0] > 255 else 1)
    file.seek(row * height, io.SEEK_CUR)
    return _NEXT.match(file.read(64).lstrip()) is not None


def pnm_has_comment(file: BinaryIO) -> bool:
    """Whether its header says more than numbers.

    Raises:
        ValueError: The header is not one of PNM.
    """
    _header(file)
    end = file.tell()
    file.seek(0)
    return b"#" in file.read(end)


def pnm_page(file: BinaryIO) -> Page:
    """A picture of more than 8 bits, binary or in digits, spread over 16.

    Raises:
        EOFError: It is cut short.
        ValueError: Its header or a value is not one of PNM.
    """
    kind, (width, height, highest) = _header(file)
    channels = 3 if kind in {b"P3", b"P6"} else 1
    size = height * width * channels
    if kind in {b"P5", b"P6"}:
        data = file.read(2 * size)
        values = np.frombuffer(data[: len(data) // 2 * 2], ">u2")
    else:
        lines = [line.partition(b"#")[0] for line in file.read().splitlines()]
        values = np.array(b" ".join(lines).split()[:size], np.uint32)
    if len(values) < size:
        raise EOFError("it ends before its pixels do")
    shape = (height, width, 3) if channels == 3 else (height, width)
    return Page(as_sixteen(values.reshape(shape), highest), None, "RGB" if channels == 3 else "L")


def _header(file: BinaryIO) -> tuple[bytes, list[int]]:
    """The kind, and width, height and highest value; the file is left at the first pixel."""
    file.seek(0)
    kind, numbers, token = file.read(2), list[int](), b""
    wanted = 2 if kind in {b"P1", b"P4"} else 3
    while len(numbers) < wanted:
        byte = file.read(1)
        if byte == b"#":
            file.readline(1 << 20)
            byte = b"\n"
        if byte.isdigit() and len(token) < 11:
            token += byte
        elif (byte.isspace() and token) or (not byte and token):
            numbers.append(int(token))
            token = b""
        elif not byte.isspace():
            raise ValueError("its header is not one of PNM")
    return kind, numbers
