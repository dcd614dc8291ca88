"""The pixels of a TIFF page: through tifffile piece by piece, or through Pillow what only libtiff decodes."""

import math
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC

from restore.errors import UnsupportedImageError
from restore.images.colour import Array, as_sixteen, bands, rgb_of_inks, straight, turned
from restore.images.document import Page, shown
from restore.images.png import checked_png
from restore.images.tiff_layout import COLOURS, TiffLayout
from restore.images.tiff_pieces import check_pieces, places_of

__all__ = ["page_from"]

_READ_BYTES = 1 << 24  # of a file at a time; it would be 256 MB


def page_from(path: Path, file: BinaryIO, page: tifffile.TiffPage, layout: TiffLayout) -> Page:
    """Decode one page.

    Args:
        path: The file.
        file: It, opened.
        page: As tifffile has it.
        layout: The same page, looked over.

    Raises:
        ImageError: It is damaged.
        Exception: Whatever the decoder raises; `restore.images.document.reading` knows what.
    """
    if layout.needs_libtiff:
        check_pieces(page, layout)
        samples = _through_libtiff(file, page.index)
        colours = samples.shape[2]
    else:
        samples = _samples(path, page, layout)
        colours = COLOURS[layout.photometric]
    highest = (1 << layout.bits) - 1
    if layout.sample_format == 3:
        samples = samples.astype(np.float32, copy=False)
        if not all(np.isfinite(samples[rows]).all() for rows in bands(len(samples))):
            raise UnsupportedImageError(f"{shown(path)}: has values that are infinite or not numbers")
    elif layout.photometric == PHOTOMETRIC.PALETTE:
        return _from_palette(samples, layout, page.colormap)
    elif not layout.needs_libtiff:
        if samples.dtype == np.bool_:
            samples = samples.view(np.uint8)
        samples = as_sixteen(samples, highest) if layout.bits not in {8, 16} else samples
    if layout.photometric == PHOTOMETRIC.MINISWHITE and not layout.needs_libtiff:
        for rows in bands(len(samples)):
            samples[rows, :, 0] = np.iinfo(samples.dtype).max - samples[rows, :, 0]
    mode = "1" if layout.bits == 1 else {1: "L", 3: "RGB", 4: "CMYK"}[COLOURS[layout.photometric]]
    alpha, extra = _beyond(samples[..., colours:], layout)
    pixels = samples[..., 0] if colours == 1 else samples[..., :colours]
    pixels = np.ascontiguousarray(pixels)
    if alpha is not None and layout.extra[layout.alpha_index or 0] == 1 and mode != "CMYK":
        pixels = straight(pixels, alpha)
    planes = [plane if plane is None else turned(plane, layout.orientation) for plane in (pixels, alpha, extra)]
    pixels = planes[0] if planes[0] is not None else pixels
    if mode == "CMYK":
        return Page(rgb_of_inks(pixels), planes[1], mode, pixels, planes[2])
    return Page(pixels, planes[1], mode, None, planes[2])


def _samples(path: Path, page: tifffile.TiffPage, layout: TiffLayout) -> Array:
    """`(H, W, samples)` as stored, filled strip by strip or tile by tile, none of which may be missing."""
    dtype = page.dtype
    if dtype is None:
        raise UnsupportedImageError(f"{shown(path)}: {layout.bits} bits a channel are not supported")
    pieces = places_of(page)
    rows, columns = layout.tile or (min(layout.rows_per_strip, layout.height), layout.width)
    if rows * columns > 4 * max(layout.height * layout.width, 1 << 20):
        raise ValueError("tiles much larger than the picture")
    least = layout.height * math.ceil(layout.width * layout.bits * layout.samples / 8)
    if layout.compression == 1 and sum(count for _, count in pieces) < least:
        raise EOFError("it has fewer bytes than pixels")
    if layout.compression == COMPRESSION.PNG:
        for offset, count in pieces:
            page.parent.filehandle.seek(offset)
            checked_png(BytesIO(page.parent.filehandle.read(count)))
    samples: Array = np.empty((layout.height, layout.width, layout.samples), dtype)
    if page.is_final and not layout.planar:  # the pixels as they are, mostly in one strip of the whole picture
        stored = dtype.newbyteorder(page.parent.byteorder)
        page.parent.filehandle.read_array(stored, samples.size, page.dataoffsets[0], out=samples)
        return samples
    for data, index, shape in page.segments(maxworkers=1, buffersize=_READ_BYTES):
        if data is None:
            raise EOFError("strips or tiles are missing")
        channel, _, top, left, _ = index
        piece = data[0, : shape[1], : shape[2]]
        piece = piece[: layout.height - top, : layout.width - left]
        channels = slice(channel, channel + 1) if layout.planar else slice(None)
        samples[top : top + piece.shape[0], left : left + piece.shape[1], channels] = piece
    return samples


def _through_libtiff(file: BinaryIO, number: int) -> Array:
    """`(H, W, samples)` as stored, with colours as libtiff gives them: black is 0, and YCbCr is RGB."""
    file.seek(0)
    with Image.open(file, formats=["TIFF"]) as image:
        image.seek(number)
        mode = {"1": "L", "L": "L", "P": "P", "RGB": "RGB", "YCbCr": "RGB", "CMYK": "CMYK"}.get(image.mode)
        if mode is None:
            raise UnsupportedImageError(f"a TIFF of kind {image.mode}")
        seen = image.getexif().get(0x0112, 1)  # of XMP, where the tag is missing
        image.load()  # turns it upright by that
        width, height = image.size
        samples = np.empty((height, width, len(Image.new(mode, (1, 1)).getbands())), np.uint8)
        for rows in bands(height):
            band = image.crop((0, rows.start, width, rows.stop))
            samples[rows] = np.asarray(band if band.mode == mode else band.convert(mode)).reshape(
                -1, width, samples.shape[2]
            )
    return turned(samples, {6: 8, 8: 6}.get(int(seen), int(seen)) if seen in range(1, 9) else 1)


def _beyond(samples: Array, layout: TiffLayout) -> tuple[Array | None, Array | None]:
    """The alpha channel, and the other extra channels."""
    place = layout.alpha_index
    if place is None:
        return None, np.ascontiguousarray(samples) if samples.shape[2] else None
    rest = np.delete(samples, place, axis=2)
    return np.ascontiguousarray(samples[..., place]), rest if rest.shape[2] else None


def _from_palette(samples: Array, layout: TiffLayout, palette: Array | None) -> Page:
    if palette is None or palette.shape != (3, 1 << layout.bits):
        raise ValueError("its palette is missing or of the wrong size")
    if samples.shape[2] != 1 and layout.alpha_index is None:
        raise UnsupportedImageError("a palette with further channels")
    # Some writers give the palette in 8 bits though the standard says 16.
    table = palette if palette.max() < 256 else palette // 256
    table = table.astype(np.uint8).T
    pixels = np.empty((*samples.shape[:2], 3), np.uint8)
    for rows in bands(len(samples)):
        pixels[rows] = table[samples[rows, :, 0].astype(np.intp)]
    alpha, extra = _beyond(samples[..., 1:], layout)
    page = Page(turned(pixels, layout.orientation), None, "P")
    if alpha is not None:
        page = replace(page, alpha=turned(alpha, layout.orientation))
    return page if extra is None else replace(page, extra=turned(extra, layout.orientation))
