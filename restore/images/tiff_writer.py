"""Writing TIFF: tifffile lays down the pixels as they were laid out; then every directory gets its old tags back."""

import io
import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
import tifffile

from restore.images.colour import Array, bands, inks_from, palette_of, premultiplied
from restore.images.document import Document, Page
from restore.images.exif import Directory, Entry, SlicedFile, directory_at, main_directory, serialise, table_size
from restore.images.fitting import foreign
from restore.images.metadata import STALE_THUMBNAIL, iptc_of, without_thumbnails
from restore.images.tiff_layout import CODING_TAGS, TiffLayout, kept_entries
from restore.images.xmp import upright_xmp

__all__ = ["write_tiff"]

_COMPRESSIONS = {1: "none", 5: "lzw", 8: "adobe_deflate", 32946: "deflate", 32773: "packbits", 50000: "zstd"}
_MAKER_NOTE = 0x927C
_MOVED_MAKER_NOTE = (
    "the camera's maker notes stand at another place of the file; what they name by its position cannot be found"
)
_LOSSLESS_INSTEAD = "adobe_deflate"
_CLASSIC_LIMIT = 4_000_000_000
_AT_A_TIME = 1 << 24  # bytes that are compressed together; it would be 512 MB


def write_tiff(document: Document, pages: Iterable[Page], quality: int | None) -> tuple[bytes, list[str]]:
    """Encode pages as one TIFF.

    Args:
        document: Where the pages come from; a TIFF's layout and tags are used again page by page.
        pages: In order.
        quality: Of JPEG inside TIFF; without it, such pages are written without loss.

    Returns:
        The file's bytes and what could not be kept.

    Raises:
        ValueError: More or fewer pages come than the document has.
    """
    layouts = document.metadata.pages
    order, big = _container(document)
    lost = foreign(document) if document.format != "TIFF" else []
    buffer, notes, entries = io.BytesIO(), list[str](), list[tuple[Entry, ...]]()
    with tifffile.TiffWriter(buffer, bigtiff=big, byteorder="<" if order == "<" else ">") as writer:
        for number, page in enumerate(pages):
            if number >= document.page_count:
                raise ValueError(f"more than its {document.page_count} pages")
            layout = layouts[number] if layouts else None
            same = _write_page(writer, page, layout, quality, notes)
            kept, stale = kept_entries(layout, same) if layout else (_entries_from(document, order, notes), [])
            if layout is not None and layout.orientation != 1:
                kept = _upright(kept, layout)
            entries.append(_without_thumbnails(kept, notes))
            if any(entry.child is not None and entry.child.find(_MAKER_NOTE) for entry in kept):
                notes.append(_MOVED_MAKER_NOTE)
            notes += stale
    if len(entries) < document.page_count:
        raise ValueError(f"{len(entries)} of its {document.page_count} pages")
    _retag(buffer, entries, order, big)
    if lost:
        notes.append(f"TIFF cannot hold: {', '.join(lost)}")
    return buffer.getvalue(), list(dict.fromkeys(notes))


def _container(document: Document) -> tuple[str, bool]:
    if document.metadata.pages:
        directory = document.metadata.pages[0].directory
        return directory.order, directory.big
    order = "<"
    if document.metadata.exif:
        order = "<" if document.metadata.exif.startswith(b"II") else ">"
    size = document.height * document.width * 4 * (2 if document.bits > 8 else 1)
    return order, size > _CLASSIC_LIMIT


def _write_page(
    writer: tifffile.TiffWriter,
    page: Page,
    layout: TiffLayout | None,
    quality: int | None,
    notes: list[str],
) -> bool:
    """Write the pixels; whether their values mean what the source's did: in the same colours and depth."""
    options: dict[str, Any] = {"metadata": None, "software": False, "contiguous": False, "buffersize": _AT_A_TIME}
    pixels, photometric, same = _coloured(page, layout, options, notes)
    alpha, extra, kinds = page.alpha, page.extra, list[int]()
    channels = [pixels] if pixels.ndim == 3 else [pixels[..., None]]
    if alpha is not None and photometric != "palette":
        place = layout.alpha_index if layout else None
        kind = layout.extra[place] if layout and place is not None else 2
        if kind == 1 and photometric != "separated":
            channels[0] = premultiplied(channels[0], alpha)
        planes = [alpha[..., None]] if extra is None else [extra[..., :place], alpha[..., None], extra[..., place:]]
        channels += planes
        kinds = [kind] if layout is None else list(layout.extra) or [kind]
    elif extra is not None and photometric != "palette":
        channels.append(extra)
        kinds = list(layout.extra) if layout else [0] * extra.shape[2]
    elif extra is not None:
        notes.append("extra channels of a palette picture are left out")
    samples: Array = channels[0] if len(channels) == 1 else np.concatenate(channels, axis=2)
    if samples.shape[2] == 1:
        samples = samples[..., 0]
    if layout is not None and layout.sample_format == 3 and samples.dtype == np.float32:
        samples = samples.astype({16: np.float16, 64: np.float64}.get(layout.bits, np.float32), copy=False)
    if kinds:
        options["extrasamples"] = kinds
    _coding(options, samples, layout, quality, notes)
    planar = layout is not None and layout.planar and samples.ndim == 3
    if planar:
        options["planarconfig"] = "separate"
        samples = np.ascontiguousarray(np.moveaxis(samples, 2, 0))
    elif samples.ndim == 3:
        options["planarconfig"] = "contig"
    if "compression" in options or "tile" in options or samples.dtype == np.bool_:
        writer.write(samples, photometric=photometric, **options)
    else:  # of a whole array it would make a copy
        parts = (part[rows] for part in (samples if planar else [samples]) for rows in bands(len(part)))
        writer.write(parts, shape=samples.shape, dtype=samples.dtype, photometric=photometric, **options)
    return same and (layout is None or layout.bits == (1 if samples.dtype == np.bool_ else 8 * samples.dtype.itemsize))


def _coloured(
    page: Page, layout: TiffLayout | None, options: dict[str, Any], notes: list[str]
) -> tuple[Array, str, bool]:
    """Pixels in the kind of colours that the page had, the name of that kind, and whether it is the same."""
    if page.mode == "CMYK":
        notes.append("CMYK was restored as RGB and turned back into inks")
        return inks_from(page.pixels, page.inks), "separated", True
    if page.mode == "1" and page.alpha is not None:
        notes.append("black and white with transparency is written as grey with an alpha channel")
    elif page.mode == "1" and page.pixels.ndim == 2 and page.pixels.dtype == np.uint8:
        notes.append("black and white again: the restored greys were cut at the middle")
        bilevel = page.pixels > 127
        white_is_zero = layout is not None and layout.photometric == 0
        return ~bilevel if white_is_zero else bilevel, "miniswhite" if white_is_zero else "minisblack", True
    if page.mode == "P" and page.pixels.ndim == 3 and page.pixels.dtype == np.uint8:
        found = palette_of(page.pixels) if page.alpha is None else None
        if found is not None:
            indices, table = found
            colormap = np.zeros((3, 256), np.uint16)
            colormap[:, : len(table)] = table.T.astype(np.uint16) * 257
            options["colormap"] = colormap
            return indices, "palette", True
        notes.append("a palette cannot hold the restored colours: written as RGB")
        return page.pixels, "rgb", False
    if page.pixels.ndim == 3:
        return page.pixels, "rgb", True
    if layout is not None and layout.photometric == 0 and page.pixels.dtype != np.float32:
        inverted = np.empty_like(page.pixels)
        for rows in bands(len(inverted)):
            inverted[rows] = np.iinfo(page.pixels.dtype).max - page.pixels[rows]
        return inverted, "miniswhite", True
    return page.pixels, "minisblack", True


def _coding(
    options: dict[str, Any],
    samples: Array,
    layout: TiffLayout | None,
    quality: int | None,
    notes: list[str],
) -> None:
    name = _LOSSLESS_INSTEAD if layout is None else _COMPRESSIONS.get(layout.compression)
    is_jpeg = layout is not None and layout.compression in {6, 7}
    if is_jpeg and quality is not None and samples.dtype == np.uint8 and samples.shape[2:] in {(), (3,)}:
        options |= {"compression": "jpeg", "compressionargs": {"level": quality}}
        return
    if name is None:
        name = _LOSSLESS_INSTEAD
        what = "JPEG inside TIFF" if is_jpeg else f"TIFF compression {layout.compression if layout else 0}"
        notes.append(f"{what} is written as Deflate, without further loss")
    if name != "none":
        options["compression"] = name
    if layout is None or layout.predictor not in {2, 3} or name in {"none", "packbits"}:
        options["predictor"] = False
    else:
        fits = (layout.predictor == 3) == (samples.dtype.kind == "f") and samples.dtype != np.bool_
        options["predictor"] = layout.predictor if fits else False
    turned = layout is not None and layout.orientation > 4
    if layout is not None and layout.tile is not None and not any(side % 16 for side in layout.tile):
        options["tile"] = layout.tile
    elif layout is not None and not turned and layout.rows_per_strip < layout.height:
        options["rowsperstrip"] = layout.rows_per_strip


def _entries_from(document: Document, order: str, notes: list[str]) -> tuple[Entry, ...]:
    """Tags for a picture that comes from another format."""
    metadata, entries = document.metadata, dict[int, Entry]()
    if metadata.exif:
        try:
            directory = main_directory(metadata.exif)
            lasting = (entry for entry in directory.entries if entry.child or entry.tag not in CODING_TAGS)
            entries = {entry.tag: entry for entry in lasting}
        except (ValueError, struct.error):
            notes.append("the EXIF block is damaged and left out")
    if metadata.dpi and not {282, 283} <= set(entries):
        for tag, value in zip((282, 283), metadata.dpi, strict=True):
            entries[tag] = Entry(tag, 5, 1, struct.pack(order + "II", round(value * 10000), 10000), 0)
        entries[296] = Entry(296, 3, 1, struct.pack(order + "H", 2), 0)
    iptc = metadata.iptc or (iptc_of(metadata.photoshop) if metadata.photoshop else None)
    for tag, data in ((700, metadata.xmp), (33723, iptc), (34377, metadata.photoshop), (34675, metadata.icc)):
        if data:
            entries[tag] = Entry(tag, 7, len(data), data, 0)
    return tuple(entries.values())


def _upright(entries: Iterable[Entry], layout: TiffLayout) -> tuple[Entry, ...]:
    def turned(xmp: Entry) -> Entry:
        data = upright_xmp(xmp.data, layout.orientation, *layout.upright_size)
        return replace(xmp, data=data, count=xmp.count + len(data) - len(xmp.data))

    return tuple(turned(entry) if entry.tag == 700 and entry.kind in {1, 2, 7} else entry for entry in entries)


def _without_thumbnails(entries: Iterable[Entry], notes: list[str]) -> tuple[Entry, ...]:
    """Tags with Photoshop's resources (34377) freed from pictures of the picture as it was."""
    result = []
    for entry in entries:
        if entry.tag == 34377 and entry.count == len(entry.data):
            data = without_thumbnails(entry.data)
            if len(data) < len(entry.data):
                notes.append(STALE_THUMBNAIL)
                entry = replace(entry, count=len(data), data=data)
        if entry.count:
            result.append(entry)
    return tuple(result)


def _retag(buffer: BinaryIO, additions: list[tuple[Entry, ...]], order: str, big: bool) -> None:
    """Write each directory again at the end of the file, with the tags that tifffile would not write as they were."""
    data = SlicedFile(buffer)
    pointer, link = ("Q", 8) if big else ("I", 4)
    for entries in additions:
        (offset,) = struct.unpack(order + pointer, data[link : link + (8 if big else 4)])
        directory = directory_at(data, offset, order, big)
        own = {entry.tag: entry for entry in directory.entries if entry.tag not in {282, 283, 296}}
        merged = Directory(order, big, tuple({**{entry.tag: entry for entry in entries}, **own}.values()))
        place = len(data) + len(data) % 2
        written = bytearray(serialise(merged, place))
        struct.pack_into(order + pointer, written, table_size(merged), directory.next_offset)
        buffer.seek(place)
        buffer.write(written)
        buffer.seek(link)
        buffer.write(struct.pack(order + pointer, place))
        link = place + table_size(merged)
