"""Which JPEGs are read right, whether all of their pixels are there, and room for those that are written.

libjpeg makes up what is missing, and says so in warnings only, which Pillow does not pass on. So a JPEG is looked over
before it is decoded.
"""

import io
import re
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageFile

from restore.errors import UnsupportedImageError
from restore.images.containers import jpeg_segments
from restore.images.document import shown, stamp_of
from restore.images.exif import main_directory
from restore.images.metadata import JpegCoding

__all__ = ["check_jpeg", "checked_jpeg", "jpeg_coding", "jpeg_file", "jpeg_tail"]

_FRAMES = {0xC0 | kind for kind in range(16) if kind not in {4, 8, 12}}
_SEGMENT = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
"""What begins a segment, or the end; 0xFF itself is filling, and the others stand for themselves."""
_END_OF_BITS = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""What ends a scan: neither a byte of 0xFF among its bits nor a restart marker."""
_BITS, _END = 0, 0xD9
_MAX_SCANS = 200  # encoders make a dozen
_HOLE = bytes(512)
"""Zeros in place of bits, as after the loss of a sector; as bits they would be hundreds of equal, senseless blocks."""
_FILLING = b"\xff\x00" * 9
"""What the decoder may look ahead to behind the last block: no code of any table."""

_ROOM = threading.Lock()
_MOST_PER_PIXEL = 12
"""Bytes that a file may take: three channels of four."""


@dataclass(frozen=True)
class _Scan:
    """One scan.

    Attributes:
        components: Their numbers.
        first: The first coefficient, 0 to 63.
        last: The last coefficient.
        bit: The lowest bit of the coefficients that it brings; 0 once they are whole.
        start: Where its bits begin.
        end: Where they end.
        zeros_are_flat: Whether zero bits stand for blocks like the one before, as in the white border of a scan.
    """

    components: bytes
    first: int
    last: int
    bit: int
    start: int
    end: int
    zeros_are_flat: bool


def check_jpeg(path: Path, file: BinaryIO) -> None:
    """Look over the header of a JPEG.

    Raises:
        UnsupportedImageError: It is of a kind that Pillow does not read as it is.
        EOFError: It cannot have bits for all of its pixels.
        ValueError: It would take for ever.
    """
    progressive = False
    for marker, payload in jpeg_segments(file):
        progressive |= marker in {0xC2, 0xCA}
        if marker in _FRAMES:
            if payload[:1] != b"\x08":
                depth = payload[0] if payload else 0
                raise UnsupportedImageError(
                    f"{shown(path)}: a JPEG of {depth} bits a channel; convert it to TIFF or PNG first"
                )
            if marker not in {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}:
                raise UnsupportedImageError(
                    f"{shown(path)}: a lossless or hierarchical JPEG; convert it to TIFF or PNG first"
                )
            # Huffman codes take a bit or more for each block of 8 x 8 pixels; the decoder makes up what is missing.
            height, width = struct.unpack(">HH", payload[1:5])
            if marker < 0xC9 and height * width > 512 * stamp_of(file)[0]:
                raise EOFError("it has fewer bits than blocks")
    if progressive:  # each scan goes over the whole picture, and may take a dozen bytes
        file.seek(0)
        if sum(marker == 0xDA for marker, _, _ in _parts(file.read())) > _MAX_SCANS:
            raise ValueError(f"more than {_MAX_SCANS} scans")


def checked_jpeg(data: bytes) -> bytes:
    """A JPEG as it is to be decoded, so that missing pixels are noticed.

    Of the common kind, with one scan of Huffman codes, everything behind the bits is cut off, the end marker too, and
    the decoder is given nothing more than it may look ahead to: it then ends in an error where it needs more bits,
    and not with grey. The other kinds need their end marker; of those it is made sure that no scan is left out.

    Args:
        data: The file.

    Returns:
        The bytes for the decoder.

    Raises:
        EOFError: Pixels are missing.
    """
    process, numbers, scans = _layout(data)
    if process in {0xC0, 0xC1} and scans and scans[0].components == numbers:
        return _to_the_last_bit(data, scans[0])
    for scan in scans:
        _check_holes(data, scan, scan.end)
    _check_scans(process, numbers, scans)
    return data


def _to_the_last_bit(data: bytes, scan: _Scan) -> bytes:
    bits, has_end = data[: scan.end], scan.end < len(data)
    # Zeros at the end are of a file that was laid out and never filled: the decoder will say whether bits are missing.
    if not has_end or (bits.endswith(_HOLE) and not scan.zeros_are_flat):
        bits = bits.rstrip(b"\0")
    _check_holes(data, scan, len(bits))
    return bits + _FILLING if len(bits) < len(data) else data


def _check_holes(data: bytes, scan: _Scan, end: int) -> None:
    if not scan.zeros_are_flat and data.find(_HOLE, scan.start, end) >= 0:
        raise EOFError("zeros stand where pixels should be")


def jpeg_tail(file: BinaryIO) -> bytes:
    """What stands behind a JPEG and the pictures of its index: the video of a motion photo, say; empty if nothing.

    To spare reading all of every file, one that ends like a JPEG and has no index of pictures has nothing behind it.
    """
    index = any(marker == 0xE2 and payload.startswith(b"MPF\0") for marker, payload in jpeg_segments(file))
    file.seek(-2, io.SEEK_END)
    if file.read(2) == b"\xff\xd9" and not index:
        return b""
    file.seek(0)
    data = file.read()
    end = 0
    for marker, start, stop in _parts(data):
        if marker == _END:
            tail = data[max(stop, end) :]
            return tail if tail.strip(b"\0") else b""
        if marker == 0xE2 and data[start : start + 4] == b"MPF\0":
            end = start + 4 + _end_of_pictures(data[start + 4 : stop])
    return b""


def jpeg_coding(image: Image.Image) -> JpegCoding | None:
    """How a JPEG that Pillow has opened was compressed, where that can be done again."""
    tables, layers = getattr(image, "quantization", {}), getattr(image, "layer", [])
    if not layers or any(layer[3] not in tables or max(tables[layer[3]]) > 255 for layer in layers):
        return None
    chosen = [tuple(tables[layer[3]]) for layer in layers]
    if len(layers) == 4 and image.info.get("adobe_transform") == 2:
        del chosen[1:]  # of luma and colour differences, and what is written are inks
    while len(chosen) > 1 and chosen[-1] == chosen[-2]:
        chosen.pop()
    factors = [layer[1:3] for layer in layers]
    subsampling = 0
    if len(factors) == 3 and factors[1] == factors[2] == (1, 1):
        subsampling = {(2, 1): 1, (2, 2): 2}.get(factors[0], 0)
    ids = [layer[0] for layer in layers]
    # In libjpeg's order: a JFIF file is YCbCr, whatever else it says.
    says_rgb = image.info["adobe_transform"] == 0 if "adobe" in image.info else ids == list(b"RGB")
    is_rgb = len(layers) == 3 and "jfif" not in image.info and says_rgb
    # libjpeg subsamples colour differences only.
    return JpegCoding(tuple(chosen), 0 if is_rgb else subsampling, "progressive" in image.info, is_rgb)


def _parts(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, and where the payload begins and ends, of each segment of a JPEG; the bits of a scan come as marker 0.

    What stands inside segments, such as a thumbnail, and behind the end is not looked at.
    """
    place = 2
    while (found := _SEGMENT.search(data, place)) is not None:
        marker, start = found[0][1], found.end() + 2
        if marker == _END:
            yield _END, found.end(), found.end()
            return
        stop = place = max(start, found.end() + int.from_bytes(data[found.end() : start], "big"))
        yield marker, start, stop
        if marker == 0xDA:
            after = _END_OF_BITS.search(data, stop)
            place = after.start() if after else len(data)
            yield _BITS, stop, place


def _layout(data: bytes) -> tuple[int, bytes, list[_Scan]]:
    """The kind of a JPEG, by its marker, the numbers of its components, and its scans."""
    process, numbers, scans = 0, b"", list[_Scan]()
    symbols, header = dict[int, int](), b""
    for marker, start, stop in _parts(data):
        payload = data[start:stop] if marker != _BITS else b""
        if marker in _FRAMES and not process:
            process, numbers = marker, payload[6::3]
        elif marker == 0xC4:
            symbols |= _first_symbols(payload)
        elif marker == 0xDA:
            header = payload
        elif marker == _BITS and len(header) >= 6:
            scans.append(_scan(header, start, stop, symbols))
    return process, numbers, scans


def _first_symbols(payload: bytes) -> dict[int, int]:
    """Of each Huffman table in a segment, by its number: what a code of nothing but zeros stands for."""
    symbols, place = dict[int, int](), 0
    while place + 17 < len(payload):
        symbols[payload[place]] = payload[place + 17]
        place += 17 + sum(payload[place + 1 : place + 17])
    return symbols


def _scan(header: bytes, start: int, stop: int, symbols: dict[int, int]) -> _Scan:
    count = header[0]
    first, last, bits = header[-3:]
    tables = list[int]()  # which it uses: those of the first coefficient, and those of the others
    for both in header[2 : 2 + 2 * count : 2]:
        tables += [both >> 4] if first == 0 and bits >> 4 == 0 else []
        tables += [0x10 | both & 15] if last > 0 else []
    flat = all(symbols.get(table, 0) & 15 == 0 for table in tables)
    return _Scan(header[1 : 1 + 2 * count : 2], first, last, bits & 15, start, stop, flat)


def _check_scans(process: int, numbers: bytes, scans: list[_Scan]) -> None:
    """Raise EOFError where a component has no scan, or a progressive one no whole luminance."""
    seen = {number for scan in scans if scan.first == 0 for number in scan.components}
    if not seen.issuperset(numbers):
        raise EOFError("scans are missing")
    if process not in {0xC2, 0xCA}:
        return
    lowest = [1] * 64
    for scan in scans:
        if numbers[:1] in {bytes([number]) for number in scan.components}:
            for coefficient in range(scan.first, min(scan.last, 63) + 1):
                lowest[coefficient] = scan.bit
    if any(lowest):
        raise EOFError("scans are missing")


def _end_of_pictures(index: bytes) -> int:
    """Where the last picture of an index (MPF) ends, counted from the index; 0 if that cannot be told."""
    try:
        directory = main_directory(index)
    except (ValueError, struct.error):
        return 0
    entries = directory.find(0xB002)
    if entries is None:
        return 0
    records = struct.iter_unpack(directory.order + "IIIHH", entries.data[: len(entries.data) // 16 * 16])
    return max((size + offset for _, size, offset, _, _ in records if offset), default=0)


def jpeg_file(image: Image.Image, options: dict[str, Any]) -> bytes:
    """Encode a picture; `options` are Pillow's."""

    def saved() -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", **options)
        return buffer.getvalue()

    try:
        return saved()
    except OSError:
        if not options.get("progressive"):
            raise
    # Pillow has 2 bytes a pixel ready for a progressive file; noise at the highest quality takes more.
    with _ROOM:
        before = ImageFile.MAXBLOCK
        ImageFile.MAXBLOCK = _MOST_PER_PIXEL * image.width * image.height + 65536
        try:
            return saved()
        finally:
            ImageFile.MAXBLOCK = before
