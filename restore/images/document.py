"""What a picture file is in memory, and how one is opened without hanging, lying or falling over."""

import contextlib
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from PIL import Image, PngImagePlugin

from restore.errors import ImageError, UnreadableImageError
from restore.images.colour import Array
from restore.images.metadata import Metadata

__all__ = [
    "MAX_PIXELS",
    "Array",
    "Document",
    "Encoded",
    "Page",
    "check_size",
    "open_regular",
    "reading",
    "shown",
    "stamp_of",
]

MAX_PIXELS = 500_000_000
"""Larger pictures are refused: 1.5 GB decoded. A header may lie about its size, and this is where the lie ends."""

# What is wrong with a file is said once, in its own line.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# Every size is checked here against the caller's own limit; Pillow's is one for the whole process, and lower.
Image.MAX_IMAGE_PIXELS = None
# A PNG's profiles and texts may be larger than the megabyte that Pillow unpacks; together they stay below its 64.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY
# Blocks above 32 MiB go back to the system at once (restore.memory); Pillow's own 16 would stay with each thread.
Image.core.set_block_size(1 << 26)  # type: ignore[attr-defined]  # not in its stubs, but in its documentation


@dataclass(frozen=True)
class Page:
    """One upright picture.

    Attributes:
        pixels: `(H, W)` for grey, `(H, W, 3)` for RGB; uint8, uint16 (0 to 65535 whatever the file's depth), or float32
            with the values of a float TIFF.
        alpha: `(H, W)`, the same type, straight (colours are not multiplied by it); None if the file has none.
        mode: What the file holds, so that it can go out the same: `1`, `L`, `P`, `RGB` or `CMYK`; `alpha` says
            whether there is transparency on top.
        inks: `(H, W, 4)`: the inks of a CMYK picture as they were, from which those of the restored one are made.
        extra: `(H, W, N)`: channels beyond colour and alpha, such as saved selections; they go out as they came.
    """

    pixels: Array
    alpha: Array | None = None
    mode: str = "RGB"
    inks: Array | None = None
    extra: Array | None = None


@dataclass(frozen=True)
class Document:
    """Everything of a file that is not the pixels of a page.

    Attributes:
        path: The file.
        format: What it holds, in Pillow's words (`JPEG`, `PNG`); `RAW` for camera raw.
        suffix: Of its name, with the dot, as written.
        page_count: How many pictures `read_pages` gives.
        height: Of the first page, upright.
        width: Of the first page, upright.
        bits: Bits a channel of the first page: 1 to 16, or 16 to 64 for floats.
        metadata: What goes along with the pixels; opaque.
        notes: What reading could not keep, in sentences for a report.
    """

    path: Path
    format: str
    suffix: str
    page_count: int
    height: int
    width: int
    bits: int
    metadata: Metadata = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """A file's bytes.

    Attributes:
        data: The whole file.
        notes: What could not be kept, in sentences for a report.
    """

    data: bytes = field(repr=False)
    notes: tuple[str, ...] = ()


# What the decoders raise on damaged files: found by cutting files short and overwriting their bytes.
_DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def shown(path: Path) -> str:
    """A path as one printable line: control characters and bytes that are not UTF-8 are escaped."""
    text = os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else repr(character)[1:-1].replace("\\\\", "\\") for character in text
    )


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading, and nothing else: no folder, pipe, socket or device.

    Raises:
        UnreadableImageError: It is missing, empty, not a regular file, or may not be read.
    """
    # Without waiting, or a pipe would hold everything up until somebody writes into it.
    further = getattr(os, "O_NONBLOCK", 0)
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | further))  # noqa: SIM115
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UnreadableImageError(f"{shown(path)}: cannot be opened ({reason})") from error
    with file:
        kind = os.fstat(file.fileno())
        if not stat.S_ISREG(kind.st_mode):
            raise UnreadableImageError(f"{shown(path)}: is a pipe or a device, not a picture file")
        if kind.st_size == 0:
            raise UnreadableImageError(f"{shown(path)}: is empty")
        yield file


def stamp_of(file: BinaryIO) -> tuple[int, int]:
    """Size and time of the last change, to notice a file that changes between its header and its pixels."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises on a damaged file into one error.

    Raises:
        UnreadableImageError: In place of it.
    """
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise UnreadableImageError(f"{shown(path)}: needs more memory than there is") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImageError(
            f"{shown(path)}: damaged or truncated ({reason}); leave it out or repair it"
        ) from error


def check_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    """Refuse a picture before memory is taken for it.

    Raises:
        UnreadableImageError: It has no pixels, or more than `max_pixels`.
    """
    if height < 1 or width < 1:
        raise UnreadableImageError(f"{shown(path)}: has no pixels ({width} x {height})")
    if height * width > max_pixels:
        raise UnreadableImageError(
            f"{shown(path)}: {width} x {height} pixels, more than the limit of {max_pixels:,} pixels"
        )
