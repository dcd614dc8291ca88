"""Reading TIFF: what its pages say and which of them can be handled; its tags as bytes."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import tifffile
from tifffile import PHOTOMETRIC

from restore.errors import UnreadableImageError, UnsupportedImageError
from restore.images.document import Document, Page, check_size, shown, stamp_of
from restore.images.exif import SlicedFile, directory_at, exif_from, upright
from restore.images.metadata import Metadata, without_thumbnails
from restore.images.tiff_layout import COLOURS, EXIF_TAGS, TiffLayout
from restore.images.tiff_pixels import page_from
from restore.images.xmp import upright_xmp

__all__ = ["inspect", "read"]

_PHOTOMETRIC_NAMES = {4: "a transparency mask", 8: "Lab colour", 9: "Lab colour", 10: "Lab colour",
    32803: "undeveloped camera data", 32844: "LogL", 32845: "LogLuv", 34892: "undeveloped camera data"}  # fmt: skip
_PROFILES = {1: "GRAY", 3: "RGB", 4: "CMYK"}  # kind of colours by their number, in the words of ICC
_DEPTHS = {1: (*range(1, 17),), 3: (16, 32, 64)}
_MAX_PAGES = 10_000

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # or what it says of odd tags goes to standard error


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
        data = SlicedFile(file)
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
        following = directory_at(data, page.offset, tiff.byteorder, tiff.is_bigtiff).next_offset
        if following and following not in {tiff.pages[number].offset for number in range(count)}:
            raise EOFError(f"page {count + 1} is missing")
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
        return page_from(document.path, file, page, layout)


@contextlib.contextmanager
def _tiff(file: BinaryIO) -> Iterator[tifffile.TiffFile]:
    file.seek(0)
    with tifffile.TiffFile(file) as tiff:  # it does not close what it did not open
        tiff.pages.useframes = False
        yield tiff


def _layout(path: Path, page: tifffile.TiffPage, data: SlicedFile, tiff: tifffile.TiffFile) -> TiffLayout:
    directory = directory_at(data, page.offset, tiff.byteorder, tiff.is_bigtiff)
    bits, formats = _values(page, 258, 1), _values(page, 339, 1)
    if len(set(bits)) > 1 or len(set(formats)) > 1:
        raise UnsupportedImageError(f"{shown(path)}: its channels have different depths ({', '.join(map(str, bits))})")
    photometric = int(page.tags[262].value) if 262 in page.tags else -1
    samples = int(page.samplesperpixel)
    colours = COLOURS.get(photometric, 1)
    extra = _values(page, 338, 0) if 338 in page.tags else ()
    if len(extra) > samples - colours:
        raise UnreadableImageError(f"{shown(path)}: damaged or truncated (more extra channels than channels)")
    extra = extra + (0,) * (samples - colours - len(extra))
    orientation = directory.number(274)
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
        orientation=orientation if orientation is not None and 1 <= orientation <= 8 else 1,
    )


def _values(page: tifffile.TiffPage, tag: int, default: int) -> tuple[int, ...]:
    value: Any = page.tags[tag].value if tag in page.tags else default
    return tuple(int(item) for item in value) if isinstance(value, tuple | list) else (int(value),)


def _refuse(path: Path, layout: TiffLayout, page: tifffile.TiffPage, number: int) -> None:
    """Raise what makes a page one that cannot be handled right."""
    reason = ""
    colours = COLOURS.get(layout.photometric)
    if colours is None:
        name = _PHOTOMETRIC_NAMES.get(layout.photometric, f"photometric interpretation {layout.photometric}")
        reason = f"{name} is not supported; convert it to RGB first"
    elif layout.samples < colours:
        raise UnreadableImageError(f"{shown(path)}: damaged or truncated (page {number + 1} has too few channels)")
    elif layout.bits not in _DEPTHS.get(layout.sample_format, ()):
        kind = {1: "unsigned", 2: "signed", 3: "floating-point"}.get(layout.sample_format, "unusual")
        reason = f"{kind} values of {layout.bits} bits are not supported"
    elif layout.sample_format == 3 and layout.photometric not in {PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB}:
        reason = "floating-point values are supported in grey and RGB only"
    elif layout.photometric in {PHOTOMETRIC.PALETTE, PHOTOMETRIC.YCBCR, PHOTOMETRIC.SEPARATED} and layout.bits > (
        16 if colours == 4 else 8
    ):
        reason = f"{'a palette' if colours == 1 else 'YCbCr'} of {layout.bits} bits is not supported"
    elif layout.bits < 8 and (colours != 1 or layout.extra):
        reason = f"{layout.bits} bits a channel are supported in grey and palette pictures only"
    elif page.imagedepth > 1:
        reason = "a volume is not a picture"
    elif layout.photometric == PHOTOMETRIC.SEPARATED and 332 in page.tags and int(page.tags[332].value) != 1:
        reason = "inks other than cyan, magenta, yellow and black are not supported"
    elif layout.needs_libtiff and (layout.extra or layout.bits not in {1, 8}):
        reason = f"compression {layout.compression} with {layout.bits} bits or extra channels is not supported"
    if reason:
        raise UnsupportedImageError(f"{shown(path)}: {reason}")


def _notes(layouts: list[TiffLayout]) -> list[str]:
    notes = []
    if any(1 < layout.bits < 8 and layout.photometric != PHOTOMETRIC.PALETTE for layout in layouts):
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
    colours = "RGB" if first.photometric == PHOTOMETRIC.PALETTE else _PROFILES[COLOURS[first.photometric]]
    return {
        "orientation": first.orientation,
        "exif": exif and upright(exif, *first.upright_size, first.orientation),
        "icc": blob.get(34675),
        "xmp": upright_xmp(xmp, first.orientation, *first.upright_size) if xmp else None,
        "photoshop": without_thumbnails(blob.get(34377, b"")) or None,
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
