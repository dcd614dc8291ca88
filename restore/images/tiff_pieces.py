"""Whether the strips and tiles of a TIFF are all there, and whole where their decoder makes up what is missing.

libtiff, which alone decodes JPEG and fax strips here, says so in warnings only, which Pillow does not pass on.
"""

import math
from io import BytesIO

import tifffile
from PIL import Image

from restore.images.jpeg import checked_jpeg
from restore.images.tiff_layout import TiffLayout

__all__ = ["check_pieces", "places_of"]

_JPEG = 7
_T4 = 3
_FAX = {2, _T4, 4, 32771}
_NO_CODE = 8
"""Bytes of zeros in a row that no code of a fax has."""
_NO_FILL = 512
"""The same for Group 3, whose lines may be filled up with zeros to the time that a printer took for them."""
_END_OF_LINE = 0b000000000001


def places_of(page: tifffile.TiffPage) -> list[tuple[int, int]]:
    """Offset and length of each strip or tile.

    Raises:
        EOFError: Some are missing, or lie beyond the end of the file.
    """
    expected = math.prod(page.chunked)
    if len(page.dataoffsets) < expected or len(page.databytecounts) < expected:
        raise EOFError("strips or tiles are missing")
    end = page.parent.filehandle.size
    places = list(zip(page.dataoffsets[:expected], page.databytecounts[:expected], strict=True))
    if any(not offset or not count or offset + count > end for offset, count in places):
        raise EOFError("strips or tiles are missing")
    return places


def check_pieces(page: tifffile.TiffPage, layout: TiffLayout) -> None:
    """Look over what libtiff is to decode.

    Raises:
        EOFError: Strips or tiles are missing, or zeros stand where pixels should be.
        OSError: A strip of JPEG is cut short.
    """
    if layout.compression != _JPEG and layout.compression not in _FAX:
        return
    file = page.parent.filehandle
    for offset, count in places_of(page):
        file.seek(offset)
        data = file.read(count)
        if layout.compression == _JPEG:
            tables = (page.jpegtables or b"").removesuffix(b"\xff\xd9")
            _check_jpeg(tables + data[2:] if tables else data)
        else:
            _check_fax(data, _NO_FILL if layout.compression == _T4 else _NO_CODE)


def _check_jpeg(data: bytes) -> None:
    with Image.open(BytesIO(checked_jpeg(data)), formats=["JPEG"]) as image:
        if image.width * image.height > 512 * len(data):  # as for a file of its own
            raise EOFError("it has fewer bits than blocks")
        image.draft(image.mode, (max(1, image.width // 8), max(1, image.height // 8)))  # all bits, few pixels
        image.load()


def _check_fax(data: bytes, most: int) -> None:
    bits = data.rstrip(b"\0")
    never_written = len(data) - len(bits) >= most and not _ends_a_line(bits)
    if never_written or bits.find(bytes(most)) >= 0:
        raise EOFError("zeros stand where pixels should be")


def _ends_a_line(bits: bytes) -> bool:
    """Whether the last one ends the code at the end of a line, or of a page, in either order of bits."""
    last = int.from_bytes(bits[-3:])
    mirrored = int.from_bytes(int(f"{byte:08b}"[::-1], 2) for byte in bits[-3:])
    return any(value and value // (value & -value) & 0xFFF == _END_OF_LINE for value in (last, mirrored))
