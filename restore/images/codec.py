"""The one decoder and encoder: datasets, batch restoration, evaluation and pages all come through here."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from restore.errors import UnreadableImageError, UnsupportedImageError
from restore.images import heif, raster, tiff
from restore.images.colour import bands, bleed_under_alpha, to_eight
from restore.images.document import MAX_PIXELS, Document, Encoded, Page, open_regular, reading, shown, stamp_of
from restore.images.fitting import fitted
from restore.images.formats import FORMATS, MULTIPAGE_FORMATS, RAW_SUFFIXES, format_name, sniff
from restore.images.metadata import Metadata
from restore.images.tiff_writer import write_tiff
from restore.images.writers import write

__all__ = [
    "ENCODABLE_SUFFIXES",
    "MAX_PIXELS",
    "READABLE_SUFFIXES",
    "WRITABLE_SUFFIXES",
    "DecodedImage",
    "Document",
    "Encoded",
    "Page",
    "bleed_under_alpha",
    "decode",
    "encode",
    "encode_document",
    "has_several_pages",
    "open_document",
    "read_opaque",
    "read_pages",
]

WRITABLE_SUFFIXES = frozenset(FORMATS)
"""What `encode_document` writes; HEIC needs an extra package."""
READABLE_SUFFIXES = WRITABLE_SUFFIXES | RAW_SUFFIXES
"""What is looked for in folders; HEIC and camera raw need extra packages."""
ENCODABLE_SUFFIXES = frozenset(suffix for suffix, name in FORMATS.items() if name not in {"GIF", "HEIF"})
"""What `encode` writes: everything that holds grey or RGB of any number of colours without extra packages."""

# What the encoders raise for a picture that a format cannot hold.
_ENCODER_ERRORS = (OSError, ValueError, RuntimeError, OverflowError, TypeError)


@dataclass(frozen=True)
class DecodedImage:
    """A picture in memory, upright.

    Attributes:
        pixels: `(H, W)` uint8 for grey, `(H, W, 3)` uint8 for RGB.
        format: The container it came from, in Pillow's words (`JPEG`, `PNG`).
    """

    pixels: npt.NDArray[np.uint8]
    format: str


def open_document(path: Path, max_pixels: int = MAX_PIXELS) -> Document:
    """Read everything of a picture file but its pixels.

    Args:
        path: The file. What it holds decides, not its suffix; only camera raw is known by its suffix.
        max_pixels: A picture with more is refused.

    Returns:
        What the file says, before any memory is taken for pixels.

    Raises:
        UnreadableImageError: The file is missing, empty, not a regular file, damaged, too large, or not an image.
        UnsupportedImageError: It is of a kind that could not be handled without losing something.
    """
    with open_regular(path) as file, reading(path):
        name = sniff(file.read(64), path.suffix.lower())
        if name is None:
            raise UnreadableImageError(f"{shown(path)}: not an image that can be read; leave it out")
        if name == "TIFF":
            return tiff.inspect(path, file, max_pixels)
        if name == "HEIF":
            return heif.inspect_heif(path, file, max_pixels)
        if name == "RAW":
            return heif.inspect_raw(path, file, max_pixels)
        return raster.inspect(path, file, name, max_pixels)


def read_pages(document: Document) -> Iterator[Page]:
    """Decode the pictures of a file one after the other, each upright.

    Args:
        document: From `open_document`.

    Yields:
        `document.page_count` pages.

    Raises:
        UnreadableImageError: The file is damaged, gone, or has changed since its header was read.
        UnsupportedImageError: It turns out to be of a kind that could not be handled without losing something.
    """
    for number in range(document.page_count):
        yield _read_page(document, number)


def _read_page(document: Document, number: int) -> Page:
    path = document.path
    with open_regular(path) as file, reading(path):
        if stamp_of(file) != document.metadata.stamp:
            raise UnreadableImageError(f"{shown(path)}: changed while it was being read; try again")
        if document.format == "TIFF":
            return tiff.read(document, file, number)
        if document.format == "HEIF":
            return heif.read_heif(document, file)
        if document.format == "RAW":
            return heif.read_raw(document, file)
        return raster.read(document, file)


def encode_document(
    document: Document, pages: Iterable[Page], suffix: str, quality: int | None = None, as_named: bool = False
) -> Encoded:
    """Encode restored pages as what they came from, or as the format of another suffix.

    Args:
        document: Where the pages come from: its metadata goes along.
        pages: The restored pages, as `read_pages` gave them but for their pixels and alpha.
        suffix: Of the file to be written, with its dot, in any case. The document's own suffix keeps the document's
            format, even where that is not what the suffix says.
        quality: 1 to 100, for formats that lose something. If left out, a JPEG keeps its own quantisation tables and
            others are written at 90 to 95.
        as_named: Write what the suffix says even where the document is something else under the same suffix.

    Returns:
        The file's bytes and what could not be kept.

    Raises:
        UnsupportedImageError: The format cannot hold the picture: transparency in a JPEG, several pages in anything
            but a TIFF, floating-point values, too many pixels; or there is no encoder for the suffix.
    """
    path = document.path
    own = suffix.lower() == document.suffix.lower() and document.format != "RAW"
    own = own and not (as_named and FORMATS.get(suffix.lower()) != document.format)
    name = document.format if own else FORMATS.get(suffix.lower())
    if name is None:
        if suffix.lower() in RAW_SUFFIXES:
            raise UnsupportedImageError(f"{shown(path)}: camera raw is never written; choose .tif or .jpg")
        raise UnsupportedImageError(f"cannot write {suffix!r} files: use one of {', '.join(sorted(FORMATS))}")
    if document.page_count > 1 and name not in MULTIPAGE_FORMATS:
        raise UnsupportedImageError(
            f"{shown(path)}: {format_name(name)} cannot hold {document.page_count} pages; use .tif"
        )
    if not own:  # a codestream on its own keeps that form under its own name alone
        document = replace(document, metadata=replace(document.metadata, bare=False))
    notes: list[str] = []
    if own and FORMATS.get(suffix.lower(), name) != name:
        notes.append(f"named {suffix} but holds {format_name(name)}, and so does the result")
    try:
        if name == "TIFF":
            data, said = write_tiff(document, pages, quality)
        else:
            page = next(iter(pages))
            data, said = write(document, fitted(page, document, name, notes), name, quality)
    except _ENCODER_ERRORS as error:
        if isinstance(error, UnsupportedImageError | UnreadableImageError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnsupportedImageError(
            f"{shown(path)}: cannot write {document.width} x {document.height} pixels as {suffix} ({reason}); "
            "use another format"
        ) from error
    return Encoded(data, tuple(dict.fromkeys([*notes, *said])))


def decode(path: Path) -> DecodedImage:
    """Read a picture as 8-bit grey or RGB, turned upright by its orientation tag.

    Args:
        path: The file. 16 bits are rounded to 8; bilevel becomes grey; palette and CMYK become RGB; an alpha channel
            that is opaque throughout is dropped.

    Returns:
        The picture.

    Raises:
        UnreadableImageError: The file is missing, truncated, too large, or not an image.
        UnsupportedImageError: The picture has floating-point values, transparency, or several pages: reading it here
            would silently lose them.
    """
    document, page = read_opaque(path)
    return DecodedImage(to_eight(page.pixels), document.format)


def read_opaque(path: Path, max_pixels: int = MAX_PIXELS) -> tuple[Document, Page]:
    """Read a picture of one page at its own depth: grey or RGB, 8 or 16 bits, nothing transparent, upright.

    Args:
        path: The file.
        max_pixels: Larger pictures are refused.

    Raises:
        UnreadableImageError: As for `decode`.
        UnsupportedImageError: As for `decode`.
    """
    document = open_document(path, max_pixels)
    if has_several_pages(document):
        raise UnsupportedImageError(f"{shown(path)}: several pages or frames; split them first")
    page = next(read_pages(document))
    if page.pixels.dtype == np.float32:
        raise UnsupportedImageError(f"{shown(path)}: has floating-point values; convert it to 8 or 16 bits first")
    if page.alpha is not None:
        full = np.iinfo(page.alpha.dtype).max
        if any((page.alpha[rows] != full).any() for rows in bands(len(page.alpha))):
            raise UnsupportedImageError(f"{shown(path)}: has transparent pixels; flatten it first")
    return document, page


def has_several_pages(document: Document) -> bool:
    """Whether it holds more than one picture, of which one alone would be read."""
    return document.page_count > 1 or any("frames is restored" in note for note in document.notes)


def encode(pixels: npt.NDArray[np.uint8], suffix: str) -> bytes:
    """Encode a picture in the format that a file suffix names.

    JPEG and WebP are written at quality 95 (JPEG without chroma subsampling), AVIF at 90, the others without loss.

    Args:
        pixels: `(H, W)` or `(H, W, 3)` uint8.
        suffix: With its dot, in any case: `.jpg`.

    Returns:
        The file's bytes.

    Raises:
        UnsupportedImageError: No encoder for this suffix, or a picture larger than the format can hold.
    """
    if suffix.lower() not in ENCODABLE_SUFFIXES:
        raise UnsupportedImageError(
            f"cannot write {suffix!r} files: use one of {', '.join(sorted(ENCODABLE_SUFFIXES))}"
        )
    height, width = pixels.shape[:2]
    document = Document(Path(f"picture{suffix}"), "", "", 1, height, width, 8, Metadata())
    page = Page(pixels, None, "L" if pixels.ndim == 2 else "RGB")
    try:
        return encode_document(document, itertools.repeat(page, 1), suffix).data
    except UnsupportedImageError as error:
        message = str(error).removeprefix(f"{shown(document.path)}: ")
        raise UnsupportedImageError(message) from error
