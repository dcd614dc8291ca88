"""JPEG segments, PNG chunks and JPEG 2000 boxes, copied as bytes: what is not understood is not touched.

Writing a picture anew through a library keeps the metadata that the library knows. Here everything around the pixels is
taken from the source as it is, and put around the new pixels.
"""

import io
import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import BinaryIO

__all__ = [
    "PNG_SIGNATURE",
    "av1_coding",
    "colours_by_number",
    "file_boxes",
    "jp2_boxes",
    "jp2_with",
    "jpeg_segments",
    "jpeg_with",
    "jpeg_written",
    "png_chunks",
    "png_with",
    "segment",
    "webp_is_lossless",
]

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_MAX_CHUNK = 64_000_000
"""No metadata is larger: a chunk that claims more is passed over."""


def jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment of a JPEG up to its first scan.

    Args:
        file: Positioned at its first byte.

    Raises:
        EOFError: The file ends before a scan begins.
    """
    file.seek(2)
    while True:
        byte = file.read(1)
        while byte and byte != b"\xff":  # some writers leave filling between segments
            byte = file.read(1)
        while byte == b"\xff":
            byte = file.read(1)
        if not byte:
            raise EOFError("it ends before its pixels")
        marker = byte[0]
        if marker in {0xDA, 0xD9}:
            return
        if marker == 0 or 0xD0 <= marker <= 0xD8 or marker == 0x01:
            continue  # without a payload
        length = struct.unpack(">H", file.read(2).rjust(2, b"\0"))[0]
        payload = file.read(length - 2) if length > 2 else b""
        if len(payload) != max(0, length - 2):
            raise EOFError("it ends before its pixels")
        yield marker, payload


def segment(marker: int, payload: bytes) -> bytes:
    """A JPEG segment as it stands in a file.

    Raises:
        ValueError: The payload is larger than a segment can be.
    """
    if len(payload) > 65533:
        raise ValueError("larger than a JPEG segment")
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def jpeg_written(data: bytes) -> tuple[bytes, bytes]:
    """The JFIF segment of a JPEG that has just been encoded, empty if there is none, and all that follows it."""
    if data[2:4] != b"\xff\xe0":
        return b"", data[2:]
    end = 4 + struct.unpack_from(">H", data, 4)[0]
    return data[2:end], data[end:]


def jpeg_with(data: bytes, segments: Iterable[bytes]) -> bytes:
    """A freshly encoded JPEG with segments put in front of its tables.

    Args:
        data: The JPEG.
        segments: Whole segments; where the first is a JFIF segment, it replaces the encoder's.
    """
    jfif, rest = jpeg_written(data)
    blocks = list(segments)
    if jfif and not any(block[4:9] == b"JFIF\0" for block in blocks):
        blocks.insert(0, jfif)
    return b"".join([b"\xff\xd8", *blocks, rest])


def png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, bytes]]:
    """Name and payload of each chunk of a PNG; pixels are passed over, with an empty payload.

    Args:
        file: Positioned anywhere.

    Raises:
        EOFError: The file ends within a chunk.
        ValueError: A chunk's checksum is wrong.
    """
    file.seek(8)
    while head := file.read(8):
        if len(head) < 8:
            raise EOFError("it ends within a chunk")
        length, name = struct.unpack(">I4s", head)
        if name in {b"IDAT", b"fdAT"} or length > _MAX_CHUNK:
            file.seek(length + 4, 1)
            yield name, b""
            continue
        payload, checksum = file.read(length), file.read(4)
        if len(payload) < length or len(checksum) < 4:
            raise EOFError("it ends within a chunk")
        if zlib.crc32(name + payload) != struct.unpack(">I", checksum)[0]:
            if name[0] & 0x20:
                continue  # a damaged remark is no reason to give up the picture
            raise ValueError(f"wrong checksum in chunk {name.decode('latin-1')!r}")
        yield name, payload
        if name == b"IEND":
            return


def png_with(data: bytes | bytearray, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A freshly encoded PNG with chunks put behind its header."""
    end = 8 + 25  # the signature and IHDR, whose size is fixed
    parts = [bytes(data[:end])]
    for name, payload in chunks:
        parts += [struct.pack(">I", len(payload)), name, payload, struct.pack(">I", zlib.crc32(name + payload))]
    return b"".join([*parts, memoryview(data)[end:]])


def webp_is_lossless(file: BinaryIO) -> bool:
    """Whether the picture of a WebP, of a film the first one, is coded without loss."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name in {b"VP8 ", b"VP8L"}:
            return bool(name == b"VP8L")
        file.seek(16 if name == b"ANMF" else size + size % 2, io.SEEK_CUR)  # the chunks of a frame are inside it
    return False


def file_boxes(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, and where the content begins and ends, of each outermost box of a JP2 or AVIF.

    Args:
        file: Positioned anywhere; a box that claims more than the file has ends with it.
    """
    end, place = file.seek(0, io.SEEK_END), 0
    while place + 8 <= end:
        file.seek(place)
        size, name = struct.unpack(">I4s", file.read(8))
        start = place + 8
        if size == 1 and start + 8 <= end:
            (size,), start = struct.unpack(">Q", file.read(8)), start + 8
        stop = end if size == 0 else min(place + size, end)
        if stop < start:
            return
        yield name, start, stop
        place = stop


def av1_coding(file: BinaryIO) -> int | None:
    """The byte of an AVIF's configuration with its depth and subsampling; of a film, the first track's."""
    found = _property(file, b"av1C\x81", 7)  # which is how every one begins
    return None if found is None else found[6]


def _property(file: BinaryIO, mark: bytes, size: int) -> bytes | None:
    for name, start, stop in file_boxes(file):
        if name in {b"meta", b"moov"}:
            file.seek(start)
            content = file.read(min(stop - start, _MAX_CHUNK))
            place = content.find(mark)
            if 0 <= place <= len(content) - size:
                return content[place : place + size]
    return None


def colours_by_number(file: BinaryIO) -> list[str]:
    """What to say of an AVIF or HEIC without a profile whose colours are not sRGB's: its encoder writes these."""
    found = _property(file, b"colrnclx", 10)
    number = 1 if found is None else int.from_bytes(found[8:10])  # ITU-T H.273
    if number in {1, 2}:
        return []
    name = "Display P3" if number == 12 else f"primaries {number}"
    return [
        f"its colours ({name}) are named by a number, which is not kept: they will be shown as sRGB; convert it first"
    ]


def jp2_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and whole bytes of each box of a JP2 file, at its outermost level; a bare codestream has none."""
    place = 0
    if data[4:8] != b"jP  ":
        return
    while place + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, place)
        if size == 1 and place + 16 <= len(data):
            (size,) = struct.unpack_from(">Q", data, place + 8)
        end = len(data) if size == 0 else place + size
        if end <= place or end > len(data):
            return
        yield name, data[place:end]
        place = end


def jp2_with(data: bytes, icc: bytes | None, dpi: tuple[float, float] | None) -> bytes:
    """A freshly encoded JP2 with a colour profile in place of its enumerated colour space, and with a resolution.

    Of two or four channels, it says that the last is the opacity.

    Args:
        data: The JP2.
        icc: The profile, if there is one.
        dpi: Pixels per inch, across and down, if they are known.
    """
    parts = []
    for name, box in jp2_boxes(data):
        if name != b"jp2h":
            parts.append(box)
            continue
        body, place = box[8:], box.find(b"colr") - 8
        if icc and place >= 4:
            size = struct.unpack_from(">I", body, place - 4)[0]
            body = body[: place - 4] + _box(b"colr", struct.pack(">BBB", 2, 0, 0) + icc) + body[place - 4 + size :]
        channels = int.from_bytes(body[16:18])  # of the image header, which comes first
        if channels in {2, 4}:
            kinds = [(index, 0, index + 1) for index in range(channels - 1)] + [(channels - 1, 1, 0)]
            body += _box(b"cdef", struct.pack(f">{1 + 3 * channels}H", channels, *itertools.chain(*kinds)))
        if dpi:
            (across, across_by, across_ten), (down, down_by, down_ten) = map(_per_metre, dpi)
            capture = struct.pack(">HHHHbb", down, down_by, across, across_by, down_ten, across_ten)
            body += _box(b"res ", _box(b"resc", capture))
        parts.append(_box(b"jp2h", body))
    return b"".join(parts)


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), name) + content


def _per_metre(dpi: float) -> tuple[int, int, int]:
    """Pixels per metre: numerator and denominator, of 16 bits each, and the power of ten."""
    value, ten = dpi / 0.0254, 0
    while value > 65535.0:
        value, ten = value / 10.0, ten + 1
    by = min(65535, int(65535.0 / value))
    return max(1, round(value * by)), by, ten
