"""EXIF as bytes: read and changed in place, so that maker notes and positions stay byte for byte what they were.

EXIF is a small TIFF file without pixels: directories of entries, each with a tag, a type, a count, and either the value
or its offset. Libraries that write it anew move the values, and maker notes, which point at themselves by absolute
offset, do not survive that. So nothing is moved here unless a directory goes into another container.
"""

import contextlib
import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from restore.images.xmp import places_upright

__all__ = [
    "EXCHANGED",
    "Directory",
    "Entry",
    "Sliced",
    "SlicedFile",
    "directory_at",
    "exif_from",
    "main_directory",
    "orientation_of",
    "serialise",
    "table_size",
    "upright",
    "upright_data",
]

ORIENTATION = 0x0112
_CHILDREN = {0x8769, 0x8825, 0xA005}  # the EXIF, GPS and interoperability directories
_SIZES = {0x0100: 1, 0x0101: 0, 0xA002: 1, 0xA003: 0}  # tags that repeat width (1) or height (0)
_AREA, _LOCATION = 0x9214, 0xA214  # of the main subject, in the picture as stored (CIPA DC-008, SubjectArea)
EXCHANGED = {0x011A: 0x011B, 0x011B: 0x011A, 0xA20E: 0xA20F, 0xA20F: 0xA20E}
"""Resolutions across and down, of the picture and of the sensor: exchanged by a quarter turn."""
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_SIZED_NUMBERS = {3: "H", 4: "I"}  # the types that the standard has for orientation, width and height
_MAX_ENTRIES = 4096
"""More entries than any writer makes: a count above it is damage."""


class Sliced(Protocol):
    """Bytes, or a file that is read like bytes."""

    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> bytes: ...


class SlicedFile:
    """A file that is sliced like bytes, so that a directory of a large one is read without the rest."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def __len__(self) -> int:
        return self.file.seek(0, io.SEEK_END)

    def __getitem__(self, part: slice, /) -> bytes:
        start, stop, _ = part.indices(len(self))
        self.file.seek(start)
        return self.file.read(max(0, stop - start))


@dataclass(frozen=True)
class Entry:
    """One tag.

    Attributes:
        tag: Its number.
        kind: Its TIFF type.
        count: How many values of this type.
        data: The values' bytes in the file's byte order.
        place: Where in the file the values are.
        child: The directory it points to, for EXIF, GPS and interoperability.
    """

    tag: int
    kind: int
    count: int
    data: bytes
    place: int
    child: "Directory | None" = None


@dataclass(frozen=True)
class Directory:
    """A directory of tags.

    Attributes:
        order: `<` or `>`.
        big: Whether offsets have 8 bytes, as in BigTIFF.
        entries: The tags, in the file's order.
        next_place: Where the offset of the next directory is written.
        next_offset: That offset, 0 if there is none.
    """

    order: str
    big: bool
    entries: tuple[Entry, ...]
    next_place: int = 0
    next_offset: int = 0

    def find(self, tag: int) -> Entry | None:
        """The entry of a tag, if it is there."""
        return next((entry for entry in self.entries if entry.tag == tag), None)

    def number(self, tag: int) -> int | None:
        """The value of a tag that holds one unsigned number."""
        entry = self.find(tag)
        return None if entry is None else _number(entry, self.order)


def main_directory(exif: bytes) -> Directory:
    """The first directory of an EXIF block with what it points to.

    Args:
        exif: From the byte-order mark on.

    Raises:
        ValueError: It is not EXIF, or damaged.
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None or len(exif) < 8:
        raise ValueError("not an EXIF block")
    return directory_at(exif, _unpack(order + "I", exif, 4), order)


def directory_at(data: Sliced, offset: int, order: str, big: bool = False, depth: int = 0) -> Directory:
    """Read a directory and the EXIF, GPS and interoperability directories below it.

    Args:
        data: The whole file or EXIF block.
        offset: Where the directory begins.
        order: `<` or `>`.
        big: Whether this is BigTIFF.
        depth: How many directories this one is below the first.

    Raises:
        ValueError: The directory does not lie within the data, or claims more than the data can hold.
    """
    head, step, inline = _layout(big)
    if offset < 8 or offset + head > len(data):
        raise ValueError("a directory lies outside the file")
    count = _unpack(order + ("Q" if big else "H"), data, offset)
    end = offset + head + count * step
    if count > _MAX_ENTRIES or end > len(data):
        raise ValueError("a directory lies outside the file")
    entries, budget = [], 2 * len(data)
    for place in range(offset + head, end, step):
        tag, kind, values = struct.unpack(order + ("HHQ" if big else "HHI"), data[place : place + step - inline])
        size = _TYPE_SIZES.get(kind, 0) * values
        at = place + step - inline
        if size > inline:
            at = _unpack(order + ("Q" if big else "I"), data, at)
        if not size or at + size > len(data):
            continue  # of an unknown type, or outside: other readers pass over it as well
        budget -= size
        if budget < 0:
            raise ValueError("a directory claims more values than the file has bytes")
        child = None
        if tag in _CHILDREN and values == 1 and depth < 2 and size in {4, 8}:
            with contextlib.suppress(ValueError):  # a pointer to nowhere stays a number
                child = directory_at(
                    data, _unpack(order + ("Q" if size == 8 else "I"), data, at), order, big, depth + 1
                )
        entries.append(Entry(tag, kind, values, data[at : at + size], at, child))
    following = _unpack(order + ("Q" if big else "I"), data, end) if end + inline <= len(data) else 0
    return Directory(order, big, tuple(entries), end, following)


def orientation_of(exif: bytes | None) -> int:
    """The orientation that an EXIF block gives, 1 to 8; 1 where it gives none that can be understood."""
    if not exif:
        return 1
    try:
        directory = main_directory(exif)
    except (ValueError, struct.error):
        return 1
    entry = directory.find(ORIENTATION)
    if entry is None or entry.kind not in _SIZED_NUMBERS:  # of another type, viewers do not follow it
        return 1
    value = _number(entry, directory.order)
    return value if value is not None and 1 <= value <= 8 else 1


def upright(exif: bytes, height: int, width: int, orientation: int | None = None) -> bytes:
    """An EXIF block for a picture that has been turned upright.

    The orientation becomes 1; sizes, resolutions and the place of the main subject become those of the upright
    picture; and the thumbnail, which shows the picture as it was, is cut off. All other bytes stay where and what
    they are.

    Args:
        exif: From the byte-order mark on.
        height: Of the upright picture.
        width: Of the upright picture.
        orientation: How it was stored, 1 to 8, where the block does not say it, as that of a TIFF.

    Returns:
        The block; unchanged if it is damaged, since other readers may make something of it.
    """
    try:
        first = main_directory(exif)
    except (ValueError, struct.error):
        return exif
    changed = bytearray(exif)
    orientation = orientation_of(exif) if orientation is None else orientation
    directories = [first, *(entry.child for entry in first.entries if entry.tag == 0x8769 and entry.child)]
    for directory in directories:
        for entry in directory.entries:
            other = directory.find(EXCHANGED.get(entry.tag, 0)) if orientation > 4 else None
            if other is not None and (other.kind, other.count) == (entry.kind, entry.count):
                data: bytes | None = other.data
            elif entry.tag == ORIENTATION and entry.count == 1 and entry.kind in _SIZED_NUMBERS:
                data = struct.pack(directory.order + _SIZED_NUMBERS[entry.kind], 1)
            else:
                data = upright_data(entry, directory.order, orientation, height, width)
            if data is not None:
                changed[entry.place : entry.place + len(data)] = data
    return bytes(_without_thumbnail(changed, first))


def upright_data(entry: Entry, order: str, orientation: int, height: int, width: int) -> bytes | None:
    """The bytes of a tag for a picture that has been turned upright, as many as before.

    Args:
        entry: The tag.
        order: `<` or `>`.
        orientation: How the picture was stored, 1 to 8.
        height: Of the upright picture.
        width: Of the upright picture.

    Returns:
        Those of a tag that repeats its size, or says where its subject is; None for others.
    """
    code = _SIZED_NUMBERS.get(entry.kind)
    if code is None:
        return None
    form = f"{order}{entry.count}{code}"
    values = list(struct.unpack(form, entry.data))
    if entry.tag in _SIZES and len(values) == 1 and values[0] in {height, width}:
        values = [(height, width)[_SIZES[entry.tag]]]
    elif (entry.tag == _AREA and 2 <= len(values) <= 4) or (entry.tag == _LOCATION and len(values) == 2):
        stored = (height, width) if orientation > 4 else (width, height)  # its width and height
        place = places_upright(values[0], values[1], orientation, stored[0] - 1, stored[1] - 1)
        sides = values[2:][::-1] if orientation > 4 else values[2:]
        values = [*(max(0, round(value)) for value in place), *sides]
    else:
        return None
    return struct.pack(form, *values) if max(values) < 1 << 8 * (len(entry.data) // entry.count) else None


def _without_thumbnail(exif: bytearray, first: Directory) -> bytearray:
    if not first.next_offset:
        return exif
    struct.pack_into(first.order + "I", exif, first.next_place, 0)
    try:
        second = directory_at(bytes(exif), first.next_offset, first.order)
    except (ValueError, struct.error):
        return exif
    place, size = second.number(0x0201), second.number(0x0202)
    if place and size and place + size <= len(exif) and place > first.next_offset:
        exif[place : place + size] = bytes(size)
        if place + size >= len(exif) - 1:  # at the end, where cameras put it: nothing behind it can move
            del exif[place:]
    return exif


def exif_from(directory: Directory, tags: Iterable[int]) -> bytes | None:
    """An EXIF block out of a TIFF directory.

    Args:
        directory: The TIFF's.
        tags: Which tags to take; the EXIF and GPS directories come along with theirs.

    Returns:
        The block, or None if none of the tags is there.
    """
    wanted = set(tags)
    entries = tuple(entry for entry in directory.entries if entry.tag in wanted)
    if not entries:
        return None
    mark = b"II*\x00" if directory.order == "<" else b"MM\x00*"
    header = mark + struct.pack(directory.order + "I", 8)
    return header + serialise(Directory(directory.order, False, entries), 8)


def table_size(directory: Directory) -> int:
    """Bytes that the table of a directory takes, up to where the offset of the next one is written."""
    head, step, _ = _layout(directory.big)
    return head + step * len(directory.entries)


def serialise(directory: Directory, base: int) -> bytes:
    """Write a directory and those below it anew.

    Args:
        directory: What to write; the values keep their bytes.
        base: Where in the file it will begin, an even number.

    Returns:
        Its bytes, of even length. It names no next directory.
    """
    order, big, inline = directory.order, directory.big, _layout(directory.big)[2]
    pointer, pointer_kind = ("Q", 18) if big else ("I", 4)
    entries = sorted(directory.entries, key=lambda entry: entry.tag)
    table = bytearray(struct.pack(order + ("Q" if big else "H"), len(entries)))
    start = base + table_size(directory) + inline
    start += start % 2
    values = bytearray()
    for entry in entries:
        kind, count, data = entry.kind, entry.count, entry.data
        if entry.child is not None:
            place = start + len(values)
            values += serialise(Directory(order, big, entry.child.entries), place)
            kind, count, data = pointer_kind, 1, struct.pack(order + pointer, place)
        elif len(data) > inline:
            place = start + len(values)
            values += data + bytes(len(data) % 2)
            data = struct.pack(order + pointer, place)
        table += struct.pack(order + ("HHQ" if big else "HHI"), entry.tag, kind, count) + data.ljust(inline, b"\0")
    return bytes(table + bytes(start - base - len(table)) + values)


def _layout(big: bool) -> tuple[int, int, int]:
    """Bytes of a directory's count, of an entry, and of the value or offset at an entry's end."""
    return (8, 20, 8) if big else (2, 12, 4)


def _unpack(form: str, data: Sliced, place: int) -> int:
    return int(struct.unpack(form, data[place : place + struct.calcsize(form)])[0])


def _number(entry: Entry, order: str) -> int | None:
    code = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(entry.kind)
    return None if code is None or entry.count != 1 else int(struct.unpack(order + code, entry.data)[0])
