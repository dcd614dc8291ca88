"""TIFF: its pages through tifffile, what only libtiff decodes through Pillow, and its tags as bytes."""

import contextlib
import io
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image

from restore.errors import UnreadableImageError, UnsupportedImageError
from restore.images.colour import Array, as_sixteen, bands, rgb_of_inks, straight, turned
from restore.images.document import Document, Page, check_size, shown, stamp_of
from restore.images.exif import directory_at, exif_from, upright
from restore.images.metadata import Metadata, upright_xmp
from restore.images.tiff_layout import EXIF_TAGS, TiffLayout

__all__ = ["inspect", "read"]

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_PHOTOMETRIC_NAMES = {4: "a transparency mask", 8: "Lab colour", 9: "Lab colour", 10: "Lab colour",
    32803: "undeveloped camera data", 32844: "LogL", 32845: "LogLuv", 34892: "undeveloped camera data"}  # fmt: skip
_COLOURS = {_MIN_IS_WHITE: 1, _MIN_IS_BLACK: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _YCBCR: 3}
_CCITT, _JPEG = {2, 3, 4, 32771}, {6, 7}
_DEPTHS = {1: (*range(1, 17),), 3: (16, 32, 64)}
_MAX_PAGES = 10_000


class _FileBytes:
    """A file that is sliced like bytes, so that a directory of a large one can be read without the rest."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self.size)
        self.file.seek(start)
        return self.file.read(max(0, stop - start))


def inspect(path: Path, file: BinaryIO, max_pixels: int) -> Document:
    """Read the tags of all pages.

    Args:
        path: The file.
        file: It, opened.
        max_pixels: The largest page.

    Raises:
        ImageError: It is damaged, a page is too large, or of a kind that would lose something.
    """
    layouts, notes = [], []
    with _tiff(file) as tiff:
        count = len(tiff.pages)
        if not count:
            raise UnreadableImageError(f"{shown(path)}: a TIFF without a page")
        if count > _MAX_PAGES:
            raise UnsupportedImageError(f"{shown(path)}: has {count} pages; split it first")
        if tiff.is_imagej and (tiff.imagej_metadata or {}).get("images", 1) > count:
            raise UnsupportedImageError(f"{shown(path)}: an ImageJ stack in one page; save it as separate pages first")
        data = _FileBytes(file)
        previews = 0
        for number in range(count):
            page = tiff.pages[number]
            assert isinstance(page, tifffile.TiffPage)  # noqa: S101  # useframes is off
            if page.subfiletype & 1 and count > 1:
                previews += 1
                continue
            layout = _layout(path, page, data, tiff)
            check_size(path, layout.height, layout.width, max_pixels)
            _refuse(path, layout, page, number)
            layouts.append(layout)
    if not layouts:
        raise UnsupportedImageError(f"{shown(path)}: holds nothing but previews")
    if previews:
        notes.append(f"{previews} reduced-size pages are left out")
    notes += _notes(layouts)
    first = layouts[0]
    height, width = first.upright_size
    fields = _metadata(first, layouts)
    metadata = Metadata(**fields, stamp=stamp_of(file), max_pixels=max_pixels)
    return Document(path, "TIFF", path.suffix, len(layouts), height, width, first.bits, metadata, tuple(notes))


def read(document: Document, file: BinaryIO, number: int) -> Page:
    """Decode one page.

    Args:
        document: From `inspect`.
        file: The same file, opened.
        number: Of the page, from 0.

    Raises:
        ImageError: It is damaged.
        Exception: Whatever the decoder raises; `restore.images.document.reading` knows what.
    """
    layout = document.metadata.pages[number]
    with _tiff(file) as tiff:
        page = next(page for index in range(len(tiff.pages)) if (page := tiff.pages[index]).offset == layout.offset)
        assert isinstance(page, tifffile.TiffPage)  # noqa: S101  # useframes is off
        if _needs_libtiff(layout):
            samples = _through_libtiff(file, page.index, layout)
        else:
            samples = _samples(document.path, page, layout)
        palette = page.colormap
    return _page(document.path, samples, layout, palette)


@contextlib.contextmanager
def _tiff(file: BinaryIO) -> Iterator[tifffile.TiffFile]:
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:  # it does not close what it did not open
        tiff.pages.useframes = False
        yield tiff


def _layout(path: Path, page: tifffile.TiffPage, data: _FileBytes, tiff: tifffile.TiffFile) -> TiffLayout:
    directory = directory_at(data, page.offset, tiff.byteorder, tiff.is_bigtiff)
    bits, formats = _values(page, 258, 1), _values(page, 339, 1)
    if len(set(bits)) > 1 or len(set(formats)) > 1:
        raise UnsupportedImageError(f"{shown(path)}: its channels have different depths ({', '.join(map(str, bits))})")
    photometric = int(page.tags[262].value) if 262 in page.tags else -1
    samples = int(page.samplesperpixel)
    colours = _COLOURS.get(photometric, 1)
    extra = _values(page, 338, 0) if 338 in page.tags else ()
    if len(extra) > samples - colours:
        raise UnreadableImageError(f"{shown(path)}: damaged or truncated (more extra channels than channels)")
    extra = extra + (0,) * (samples - colours - len(extra))
    orientation = int(page.tags[274].value) if 274 in page.tags else 1
    tile = (int(page.tilelength), int(page.tilewidth)) if page.is_tiled else None
    return TiffLayout(
        offset=page.offset,
        directory=directory,
        height=int(page.imagelength),
        width=int(page.imagewidth),
        bits=int(bits[0]),
        samples=samples,
        sample_format=int(formats[0]),
        photometric=photometric,
        compression=int(page.compression),
        predictor=int(page.predictor),
        planar=page.planarconfig == 2,
        tile=tile,
        rows_per_strip=int(page.rowsperstrip),
        extra=extra,
        orientation=orientation if orientation in range(1, 9) else 1,
    )


def _values(page: tifffile.TiffPage, tag: int, default: int) -> tuple[int, ...]:
    value: Any = page.tags[tag].value if tag in page.tags else default
    return tuple(int(item) for item in value) if isinstance(value, tuple | list) else (int(value),)


def _refuse(path: Path, layout: TiffLayout, page: tifffile.TiffPage, number: int) -> None:
    """Raise what makes a page one that cannot be handled right."""
    reason = ""
    colours = _COLOURS.get(layout.photometric)
    if colours is None:
        name = _PHOTOMETRIC_NAMES.get(layout.photometric, f"photometric interpretation {layout.photometric}")
        reason = f"{name} is not supported; convert it to RGB first"
    elif layout.samples < colours:
        raise UnreadableImageError(f"{shown(path)}: damaged or truncated (page {number + 1} has too few channels)")
    elif layout.bits not in _DEPTHS.get(layout.sample_format, ()):
        kind = {1: "unsigned", 2: "signed", 3: "floating-point"}.get(layout.sample_format, "unusual")
        reason = f"{kind} values of {layout.bits} bits are not supported"
    elif layout.sample_format == 3 and layout.photometric not in {_MIN_IS_BLACK, _RGB}:
        reason = "floating-point values are supported in grey and RGB only"
    elif layout.photometric in {_PALETTE, _YCBCR, _SEPARATED} and layout.bits > (16 if colours == 4 else 8):
        reason = f"{'a palette' if layout.photometric == _PALETTE else 'YCbCr'} of {layout.bits} bits is not supported"
    elif layout.bits < 8 and (colours != 1 or layout.extra):
        reason = f"{layout.bits} bits a channel are supported in grey and palette pictures only"
    elif page.imagedepth > 1:
        reason = "a volume is not a picture"
    elif layout.photometric == _SEPARATED and 332 in page.tags and int(page.tags[332].value) != 1:
        reason = "inks other than cyan, magenta, yellow and black are not supported"
    elif _needs_libtiff(layout) and (layout.extra or layout.bits not in {1, 8}):
        reason = f"compression {layout.compression} with {layout.bits} bits or extra channels is not supported"
    if reason:
        raise UnsupportedImageError(f"{shown(path)}: {reason}")


def _needs_libtiff(layout: TiffLayout) -> bool:
    return (
        layout.compression in _CCITT
        or layout.photometric == _YCBCR
        or (layout.compression in _JPEG and layout.bits == 8)
    )


def _notes(layouts: list[TiffLayout]) -> list[str]:
    notes = []
    if any(1 < layout.bits < 8 and layout.photometric != _PALETTE for layout in layouts):
        notes.append("grey of less than 8 bits becomes 8-bit grey")
    if any(8 < layout.bits < 16 for layout in layouts):
        notes.append("grey of 9 to 15 bits becomes 16-bit, its values spread over the whole range")
    if any(layout.sample_format == 3 and layout.bits == 64 for layout in layouts):
        notes.append("64-bit values are rounded to 32-bit precision")
    if any(len(layout.extra) > (layout.alpha_index is not None) for layout in layouts):
        notes.append("extra channels of unknown meaning are kept as they are")
    return notes


def _metadata(first: TiffLayout, layouts: list[TiffLayout]) -> dict[str, Any]:
    directory = first.directory
    blob = {tag: entry.data for tag in (700, 33723, 34377, 34675) if (entry := directory.find(tag))}
    exif = exif_from(directory, EXIF_TAGS)
    xmp = blob.get(700)
    colours = {_SEPARATED: "CMYK", _MIN_IS_WHITE: "GRAY", _MIN_IS_BLACK: "GRAY"}.get(first.photometric, "RGB")
    return {
        "orientation": first.orientation,
        "exif": exif and upright(exif, *first.upright_size),
        "icc": blob.get(34675),
        "xmp": upright_xmp(xmp) if xmp else None,
        "photoshop": blob.get(34377),
        "iptc": blob.get(33723),
        "dpi": _dpi(first),
        "pages": tuple(layouts),
        "colours": colours,
    }


def _dpi(layout: TiffLayout) -> tuple[float, float] | None:
    across, down = layout.directory.find(282), layout.directory.find(283)
    unit = layout.directory.number(296) or 2
    if across is None or down is None or across.kind != 5 or down.kind != 5 or unit not in {2, 3}:
        return None
    order = "little" if layout.directory.order == "<" else "big"
    values = []
    for entry in (across, down):
        top, bottom = (int.from_bytes(entry.data[part : part + 4], order) for part in (0, 4))  # type: ignore[arg-type]  # "little" or "big"
        if not top or not bottom:
            return None
        values.append(top / bottom * (2.54 if unit == 3 else 1.0))
    return (values[1], values[0]) if layout.orientation > 4 else (values[0], values[1])


def _samples(path: Path, page: tifffile.TiffPage, layout: TiffLayout) -> Array:
    """`(H, W, samples)` as stored, filled strip by strip or tile by tile, none of which may be missing."""
    dtype = page.dtype
    if dtype is None:
        raise UnsupportedImageError(f"{shown(path)}: {layout.bits} bits a channel are not supported")
    expected = math.prod(page.chunked)
    if len(page.dataoffsets) < expected or len(page.databytecounts) < expected:
        raise EOFError("strips or tiles are missing")
    end = page.parent.filehandle.size
    pieces = list(zip(page.dataoffsets[:expected], page.databytecounts[:expected], strict=True))
    if any(not offset or not count or offset + count > end for offset, count in pieces):
        raise EOFError("strips or tiles are missing")
    rows, columns = layout.tile or (min(layout.rows_per_strip, layout.height), layout.width)
    if rows * columns > 4 * max(layout.height * layout.width, 1 << 20):
        raise ValueError("tiles much larger than the picture")
    least = layout.height * math.ceil(layout.width * layout.bits * layout.samples / 8)
    if layout.compression == 1 and sum(count for _, count in pieces) < least:
        raise EOFError("it has fewer bytes than pixels")
    samples: Array = np.empty((layout.height, layout.width, layout.samples), dtype)
    for data, index, shape in page.segments(maxworkers=1):
        if data is None:
            raise EOFError("strips or tiles are missing")
        channel, _, top, left, _ = index
        piece = data[0, : shape[1], : shape[2]]
        piece = piece[: layout.height - top, : layout.width - left]
        channels = slice(channel, channel + 1) if layout.planar else slice(None)
        samples[top : top + piece.shape[0], left : left + piece.shape[1], channels] = piece
    return samples


def _through_libtiff(file: BinaryIO, number: int, layout: TiffLayout) -> Array:
    """`(H, W, samples)` with colours as libtiff gives them: black is 0, and YCbCr is RGB."""
    file.seek(0)
    with Image.open(file, formats=["TIFF"]) as image:
        image.seek(number)
        mode = {"1": "L", "L": "L", "P": "P", "RGB": "RGB", "YCbCr": "RGB", "CMYK": "CMYK"}.get(image.mode)
        if mode is None:
            raise UnsupportedImageError(f"a TIFF of kind {image.mode}")
        image.load()  # turns it upright
        width, height = image.size
        samples = np.empty((height, width, len(Image.new(mode, (1, 1)).getbands())), np.uint8)
        for rows in bands(height):
            band = image.crop((0, rows.start, width, rows.stop))
            samples[rows] = np.asarray(band if band.mode == mode else band.convert(mode)).reshape(
                -1, width, samples.shape[2]
            )
    return turned(samples, {6: 8, 8: 6}.get(layout.orientation, layout.orientation))


def _page(path: Path, samples: Array, layout: TiffLayout, palette: Array | None) -> Page:
    colours = _COLOURS[layout.photometric]
    through_libtiff = _needs_libtiff(layout)
    if through_libtiff:
        colours = samples.shape[2]
    highest = (1 << layout.bits) - 1
    if layout.sample_format == 3:
        samples = samples.astype(np.float32, copy=False)
        if not all(np.isfinite(samples[rows]).all() for rows in bands(len(samples))):
            raise UnsupportedImageError(f"{shown(path)}: has values that are infinite or not numbers")
    elif layout.photometric == _PALETTE:
        return _from_palette(samples, layout, palette)
    elif not through_libtiff:
        if samples.dtype == np.bool_:
            samples = samples.view(np.uint8)
        samples = as_sixteen(samples, highest) if layout.bits not in {8, 16} else samples
    if layout.photometric == _MIN_IS_WHITE and not through_libtiff:
        for rows in bands(len(samples)):
            samples[rows, :, 0] = np.iinfo(samples.dtype).max - samples[rows, :, 0]
    mode = {_SEPARATED: "CMYK", _RGB: "RGB", _YCBCR: "RGB"}.get(layout.photometric, "L")
    mode = "1" if layout.bits == 1 else mode
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
