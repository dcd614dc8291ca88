"""Reading every format but TIFF and camera raw: Pillow up to 8 bits, imagecodecs above, where Pillow would round."""

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from restore.errors import UnreadableImageError, UnsupportedImageError
from restore.images.colour import Array, as_sixteen, bands, rgb_of_inks, turned
from restore.images.containers import av1_coding, colours_by_number, file_boxes, webp_is_lossless
from restore.images.document import Document, Page, check_size, shown, stamp_of
from restore.images.formats import format_name
from restore.images.jpeg import check_jpeg, checked_jpeg, jpeg_coding, jpeg_tail
from restore.images.metadata import Metadata, jp2_metadata, jpeg_metadata, pillow_metadata, png_metadata
from restore.images.png import checked_png
from restore.images.pnm import pnm_depth, pnm_has_comment, pnm_has_more, pnm_page

__all__ = ["inspect", "read"]

_MODES = {
    "1": "1",
    "L": "L",
    "LA": "L",
    "P": "P",
    "PA": "P",
    "RGB": "RGB",
    "RGBA": "RGB",
    "RGBX": "RGB",
    "YCbCr": "RGB",
    "CMYK": "CMYK",
    "I;16": "L",
    "I;16B": "L",
    "I": "L",
}


@dataclass(frozen=True)
class _Depth:
    """Bits a channel, and the highest value where that is not all ones."""

    bits: int
    highest: int


def inspect(path: Path, file: BinaryIO, file_format: str, max_pixels: int) -> Document:
    """Read a header.

    Args:
        path: The file.
        file: It, opened.
        file_format: What it holds.
        max_pixels: The largest picture.

    Raises:
        ImageError: It is damaged, too large, or of a kind that would lose something.
    """
    if file_format == "JPEG":
        check_jpeg(path, file)
    depth = _depth(path, file, file_format)
    image = _opened(path, file, file_format)
    check_size(path, image.height, image.width, max_pixels)
    mode = image.mode
    if mode not in _MODES:
        raise UnsupportedImageError(f"{shown(path)}: {_kind(mode)} is not supported; convert it to RGB first")
    fields, notes = _metadata(file, image, file_format)
    if mode in {"1", "L", "I", "I;16", "I;16B", "LA"}:
        fields["colours"] = "GRAY"
    elif mode == "CMYK":
        fields["colours"] = "CMYK"
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        notes.append(f"only the first of {frames} frames is restored; the others are left out")
    if 1 < depth.bits < 8 and mode != "P":
        notes.append(f"{depth.bits}-bit grey becomes 8-bit grey")
    if depth.highest != (1 << depth.bits) - 1:
        notes.append(f"values from 0 to {depth.highest} become values from 0 to {255 if depth.bits <= 8 else 65535}")
    metadata = Metadata(**fields, stamp=stamp_of(file), max_pixels=max_pixels)
    height, width = (image.height, image.width) if metadata.orientation < 5 else (image.width, image.height)
    bits = 1 if mode == "1" else depth.bits
    return Document(path, file_format, path.suffix, 1, height, width, bits, metadata, tuple(notes))


def read(document: Document, file: BinaryIO) -> Page:
    """Decode the picture.

    Args:
        document: From `inspect`.
        file: The same file, opened.

    Raises:
        ImageError: It is damaged.
        Exception: Whatever the decoder raises; `restore.images.document.reading` knows what.
    """
    path, metadata = document.path, document.metadata
    if document.format == "JPEG":
        file.seek(0)
        file = io.BytesIO(checked_jpeg(file.read()))
    image = _opened(path, file, document.format)
    check_size(path, image.height, image.width, metadata.max_pixels)
    size = (image.height, image.width)
    if document.bits > 8:
        page = _deep(document, file)
    else:
        image.load()
        page = _from_pillow(image)
        image.close()
    if page.pixels.shape[:2] != size:
        raise UnreadableImageError(f"{shown(path)}: its pixels are not of the size that its header says")
    if page.alpha is None and page.mode != "P":
        page = _with_transparent_colour(document, page)
    return _turned(page, metadata.orientation)


def _opened(path: Path, file: BinaryIO, file_format: str) -> Image.Image:
    file.seek(0)
    try:
        return Image.open(_with_whole_palette(file) if file_format == "BMP" else file, formats=[file_format])
    except UnidentifiedImageError as error:
        raise UnreadableImageError(
            f"{shown(path)}: begins like {format_name(file_format)} but cannot be read; leave it out or repair it"
        ) from error


def _with_whole_palette(file: BinaryIO) -> BinaryIO:
    """A BMP as Pillow reads it right: to it, short palettes of certain greys mean 1 or 8 bits, whatever is said."""
    head = file.read(54)
    file.seek(0)
    if len(head) < 54 or int.from_bytes(head[14:18], "little") < 40:
        return file
    bits, colours = int.from_bytes(head[28:30], "little"), int.from_bytes(head[46:50], "little")
    if not (bits == 8 and colours in {1, 2}) and not (bits == 4 and colours in {0, 16}):
        return file
    data = bytearray(file.read())
    data[46:50] = ((colours or 16) + 1).to_bytes(4, "little")  # what follows is no such grey, and never used
    return io.BytesIO(data)


def _kind(mode: str) -> str:
    return {"LAB": "Lab colour", "F": "a picture of floating-point values", "HSV": "HSV colour"}.get(
        mode, f"a picture of kind {mode}"
    )


def _depth(path: Path, file: BinaryIO, file_format: str) -> _Depth:
    """What a format says of its depth, which Pillow does not pass on."""
    bits = 8
    if file_format == "PNG":
        file.seek(24)
        bits = (file.read(1) or b"\x08")[0]
    elif file_format == "PPM":
        return _Depth(*pnm_depth(file))
    elif file_format == "JPEG2000":
        header, head = _jpeg2000_heads(file)
        if not head.startswith(b"\xff\x4f\xff\x51"):
            raise UnreadableImageError(f"{shown(path)}: has no JPEG 2000 codestream; leave it out or repair it")
        (count,) = struct.unpack_from(">H", head, 40)
        depths = {head[42 + 3 * channel] for channel in range(count)}
        if max(depths) & 0x80 or len(depths) != 1 or max(depths) >= 16:
            raise UnsupportedImageError(
                f"{shown(path)}: JPEG 2000 with signed values, more than 16 bits, or channels of several depths"
            )
        bits = depths.pop() + 1
        if bits < 8:
            raise UnsupportedImageError(
                f"{shown(path)}: JPEG 2000 of {bits} bits a channel; convert it to 8 bits first"
            )
        colours = header.find(b"colr")
        # By number, and neither sRGB nor grey: Pillow knows how to convert inks and YCC, at 8 bits only.
        known = {12, 16, 17, 18} if bits == 8 else {16, 17}
        if (
            colours >= 0
            and header[colours + 4] == 1
            and int.from_bytes(header[colours + 7 : colours + 11]) not in known
        ):
            raise UnsupportedImageError(
                f"{shown(path)}: JPEG 2000 of {bits} bits a channel that is neither grey nor RGB; convert it first"
            )
    elif file_format == "AVIF":
        coding = av1_coding(file)
        if coding is not None and coding & 0x40:
            bits = 12 if coding & 0x20 else 10
            raise UnsupportedImageError(
                f"{shown(path)}: AVIF of {bits} bits a channel; convert it to 16-bit PNG or TIFF first"
            )
    return _Depth(bits, (1 << bits) - 1)


def _jpeg2000_heads(file: BinaryIO) -> tuple[bytes, bytes]:
    """The header box of a JP2, empty for a bare codestream, and the beginning of its codestream."""
    places = dict[bytes, tuple[int, int]]()
    for name, begin, end in file_boxes(file):
        places.setdefault(name, (begin, end))
    start, stop = places.get(b"jp2h", (0, 0))
    file.seek(start)
    header = file.read(stop - start)
    file.seek(places.get(b"jp2c", (0, 0))[0])
    return header, file.read(65536)  # the size of a channel's entry is 3, and there are at most 16384


def _metadata(file: BinaryIO, image: Image.Image, file_format: str) -> tuple[dict[str, Any], list[str]]:
    height, width = image.height, image.width
    fields: dict[str, Any] = {}
    notes: list[str] = []
    if file_format == "JPEG":
        fields, notes = jpeg_metadata(file, height, width)
        fields["jpeg"] = jpeg_coding(image)
        if tail := jpeg_tail(file):
            fields["blocks"] += (("tail", tail),)
    elif file_format == "PNG":
        fields, notes = png_metadata(file, height, width)
        if file.read(4096).strip(b"\0"):
            notes.append("what stands behind the end of this PNG is left out")
        file.seek(25)
        fields["colour_type"] = file.read(1)[0]
    elif file_format in {"WEBP", "AVIF", "GIF"}:
        fields = pillow_metadata(image.info, height, width)
        if file_format == "WEBP":
            fields["lossless"] = webp_is_lossless(file)
        elif file_format == "AVIF":
            coding = av1_coding(file) or 0
            code = coding >> 2 & 7  # monochrome, and half the chroma across and down
            notes = [] if fields["icc"] else colours_by_number(file)
            fields["chroma"] = "4:0:0" if code & 4 else {3: "4:2:0", 2: "4:2:2"}.get(code, "4:4:4")
        else:
            comment = image.info.get("comment")
            fields["blocks"] = (("comment", bytes(comment)),) if comment else ()
            file.seek(0)
            notes = ["XMP of a GIF is left out"] if b"XMP DataXMP" in file.read() else []
    elif file_format == "PPM":
        notes = ["comments in the header of a PNM are left out"] if pnm_has_comment(file) else []
        if pnm_has_more(file):
            notes.append("only the first picture of this file is restored; those behind it are left out")
    elif file_format == "BMP":
        file.seek(70)
        notes = ["the colour profile of a BMP is left out"] if file.read(4) in {b"DEBM", b"KNIL"} else []
    elif file_format == "JPEG2000":
        file.seek(0)
        fields, notes = jp2_metadata(file.read())
    dpi = image.info.get("dpi")
    if "dpi" not in fields and dpi and all(0 < float(value) < 1e6 for value in dpi):
        across, down = (float(value) for value in dpi)
        fields["dpi"] = (down, across) if fields.get("orientation", 1) > 4 else (across, down)
    return fields, notes


def _from_pillow(image: Image.Image) -> Page:
    mode = _MODES[image.mode]
    if mode == "CMYK":
        inks = _pixels(image, "CMYK")
        return Page(rgb_of_inks(inks), None, "CMYK", inks=inks)
    # The transparent colour of a grey or RGB PNG is in units of the file, and applied where those are known.
    has_index = image.mode == "P" or (image.mode == "L" and image.format == "GIF")  # Pillow makes grey of grey palettes
    has_alpha = image.mode in {"LA", "PA", "RGBA"} or (has_index and image.has_transparency_data)
    if not has_alpha:
        return Page(_pixels(image, "L" if mode in {"1", "L"} else "RGB"), None, mode)
    both = _pixels(image, "LA" if mode == "L" else "RGBA")
    alpha = np.ascontiguousarray(both[..., -1])
    return Page(np.ascontiguousarray(both[..., 0] if mode == "L" else both[..., :3]), alpha, mode)


def _pixels(image: Image.Image, mode: str) -> npt.NDArray[np.uint8]:
    """`(H, W)` or `(H, W, C)`, converted and copied in bands: Pillow and NumPy would hold the whole twice more."""
    channels = {"L": (), "LA": (2,), "RGB": (3,), "RGBA": (4,), "CMYK": (4,)}[mode]
    pixels = np.empty((image.height, image.width, *channels), np.uint8)
    for rows in bands(image.height):
        band = image.crop((0, rows.start, image.width, rows.stop))
        if mode in {"L", "RGB"}:
            band.info.pop("transparency", None)
        pixels[rows] = np.asarray(band if band.mode == mode else band.convert(mode))
    return pixels


def _deep(document: Document, file: BinaryIO) -> Page:
    """A picture of more than 8 bits, spread over 16."""
    file.seek(0)
    if document.format == "PPM":
        return pnm_page(file)
    import imagecodecs  # here, since most photos do without

    if document.format == "PNG":
        pixels: Array = imagecodecs.png_decode(checked_png(file))
    else:
        pixels = imagecodecs.jpeg2k_decode(file.read())
    if pixels.dtype != np.uint16:
        raise UnreadableImageError(f"{shown(document.path)}: its pixels are not of the depth that its header says")
    pixels = as_sixteen(pixels, (1 << document.bits) - 1)
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels not in {1, 2, 3, 4}:
        raise UnsupportedImageError(f"{shown(document.path)}: has {channels} channels")
    alpha = np.ascontiguousarray(pixels[..., -1]) if channels in {2, 4} else None
    if channels in {2, 4}:
        pixels = pixels[..., 0] if channels == 2 else pixels[..., :3]
    elif channels == 1:
        pixels = pixels.reshape(pixels.shape[:2])
    return Page(np.ascontiguousarray(pixels), alpha, "L" if pixels.ndim == 2 else "RGB")


def _with_transparent_colour(document: Document, page: Page) -> Page:
    """Give a PNG whose `tRNS` chunk names one transparent colour its alpha channel."""
    block = next((data for name, data in document.metadata.blocks if name == "tRNS"), None)
    channels = 1 if page.pixels.ndim == 2 else 3
    if block is None or document.format != "PNG":
        return page
    if len(block) < 2 * channels:
        raise UnreadableImageError(f"{shown(document.path)}: damaged or truncated (tRNS chunk)")
    file_highest, full = (1 << document.bits) - 1, np.iinfo(page.pixels.dtype).max
    colour = np.array(struct.unpack(f">{channels}H", block[: 2 * channels]), np.uint64) & np.uint64(file_highest)
    wanted = (colour * np.uint64(full) // np.uint64(file_highest)).astype(page.pixels.dtype)
    alpha = np.empty(page.pixels.shape[:2], page.pixels.dtype)
    for rows in bands(len(alpha)):
        hit = page.pixels[rows] == (wanted[0] if channels == 1 else wanted)
        alpha[rows] = np.where(hit if channels == 1 else hit.all(axis=2), 0, full)
    return Page(page.pixels, alpha, page.mode)


def _turned(page: Page, orientation: int) -> Page:
    if orientation == 1:
        return page
    planes = [None if plane is None else turned(plane, orientation) for plane in (page.alpha, page.inks, page.extra)]
    return Page(turned(page.pixels, orientation), planes[0], page.mode, planes[1], planes[2])
