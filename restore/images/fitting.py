"""What each format but TIFF can hold, and a picture and its metadata brought down to that; what is lost is noted."""

from dataclasses import dataclass, replace

import numpy as np

from restore.errors import UnsupportedImageError
from restore.images.colour import inks_from, to_eight, to_srgb
from restore.images.document import Document, Page, shown
from restore.images.formats import format_name
from restore.images.metadata import (
    EXIF_HEAD,
    EXIF_UUID,
    ICC_HEAD,
    PHOTOSHOP_HEAD,
    XMP_HEAD,
    XMP_KEYWORD,
    XMP_UUID,
    Metadata,
)
from restore.images.tiff_layout import foreign_tags

__all__ = ["fitted", "fitted_metadata", "foreign"]

_UNDERSTOOD = (b"JFIF\0", EXIF_HEAD, XMP_HEAD, ICC_HEAD, PHOTOSHOP_HEAD, XMP_KEYWORD + b"\0")
_UNDERSTOOD_CHUNKS = {"iCCP", "pHYs", "eXIf", "sRGB", "sBIT", "bKGD", "tRNS", "sPLT"}


@dataclass(frozen=True)
class _Holds:
    """What a format can hold."""

    modes: frozenset[str]
    alpha: bool = False
    sixteen: bool = False
    icc: bool = False
    exif: bool = False
    xmp: bool = False
    iptc: bool = False
    dpi: bool = False


_HOLDS = {
    "JPEG": _Holds(frozenset({"L", "RGB", "CMYK"}), icc=True, exif=True, xmp=True, iptc=True, dpi=True),
    "PNG": _Holds(frozenset({"1", "L", "P", "RGB"}), alpha=True, sixteen=True, icc=True, exif=True, xmp=True, dpi=True),
    "WEBP": _Holds(frozenset({"RGB"}), alpha=True, icc=True, exif=True, xmp=True),
    "AVIF": _Holds(frozenset({"L", "RGB"}), alpha=True, icc=True, exif=True, xmp=True),
    "BMP": _Holds(frozenset({"1", "L", "P", "RGB"}), dpi=True),
    "PPM": _Holds(frozenset({"1", "L", "RGB"}), sixteen=True),
    "JPEG2000": _Holds(frozenset({"L", "RGB"}), alpha=True, sixteen=True, icc=True, exif=True, xmp=True, dpi=True),
    "GIF": _Holds(frozenset({"P"}), alpha=True),
    "HEIF": _Holds(frozenset({"L", "RGB"}), alpha=True, icc=True, exif=True, xmp=True),
}


def fitted(page: Page, document: Document, file_format: str, notes: list[str]) -> Page:
    """A page as a format can hold it.

    Args:
        page: The picture.
        document: Where it comes from.
        file_format: What it will be written as.
        notes: What is lost is added here.

    Raises:
        UnsupportedImageError: What would be lost is part of the picture.
    """
    holds, name = _HOLDS[file_format], format_name(file_format)
    if page.pixels.dtype == np.float32:
        raise UnsupportedImageError(f"{shown(document.path)}: {name} cannot hold floating-point values; use .tif")
    if page.alpha is not None and not holds.alpha:
        full = np.iinfo(page.alpha.dtype).max
        if (page.alpha != full).any():
            raise UnsupportedImageError(f"{shown(document.path)}: {name} cannot hold transparency; use .png or .tif")
        notes.append(f"{name} holds no alpha channel; it was opaque throughout and is left out")
        page = replace(page, alpha=None)
    if page.extra is not None:
        notes.append(f"{name} cannot hold the extra channels; they are left out")
        page = replace(page, extra=None)
    if page.mode == "CMYK" and "CMYK" not in holds.modes:
        page = _developed(page, document, name, notes)
    if page.pixels.dtype == np.uint16 and not holds.sixteen:
        notes.append(f"{name} holds 8 bits a channel: 16 bits were rounded to 8")
        page = replace(
            page,
            pixels=to_eight(page.pixels),
            alpha=None if page.alpha is None else to_eight(page.alpha),
            inks=None if page.inks is None else to_eight(page.inks),
        )
    if page.mode not in holds.modes and page.mode in {"1", "L"}:
        if "L" not in holds.modes and "RGB" in holds.modes:
            page = _in_colour(page, document, name, notes)
        page = replace(page, mode="L" if "L" in holds.modes else "RGB")
    if page.mode == "P" and "P" not in holds.modes:
        page = replace(page, mode="RGB")
    return page


def _developed(page: Page, document: Document, name: str, notes: list[str]) -> Page:
    """A CMYK page as RGB for good: through its profile if it has one."""
    profile = document.metadata.icc
    if profile and document.metadata.colours == "CMYK":
        try:
            pixels = to_srgb(inks_from(page.pixels, page.inks), profile)
        except (RuntimeError, ValueError) as error:
            raise UnsupportedImageError(
                f"{shown(document.path)}: its CMYK profile cannot be used ({error}); keep the format or use .tif"
            ) from error
        notes.append(f"{name} holds no CMYK: converted to sRGB through its colour profile")
        return replace(page, pixels=pixels, mode="RGB", inks=None)
    notes.append(f"{name} holds no CMYK, and there is no profile: converted to RGB by plain arithmetic")
    return replace(page, mode="RGB", inks=None)


def _in_colour(page: Page, document: Document, name: str, notes: list[str]) -> Page:
    """A grey page as RGB: through its profile if that is one of grey, which does not hold for RGB."""
    profile = document.metadata.icc
    if profile and _is_of_grey(profile):
        try:
            pixels = to_srgb(page.pixels, profile)
        except (RuntimeError, ValueError):
            notes.append("its grey profile cannot be used and is left out")
        else:
            notes.append(f"{name} has no grey: converted to sRGB through its colour profile")
            return replace(page, pixels=pixels)
    notes.append(f"{name} has no grey: written as RGB of three equal channels")
    return replace(page, pixels=np.repeat(page.pixels[..., None], 3, axis=2))


def _is_of_grey(profile: bytes) -> bool:
    return profile[16:20] == b"GRAY"


def fitted_metadata(document: Document, page: Page, file_format: str, notes: list[str]) -> Metadata:
    """The metadata to be written with a page.

    Args:
        document: Where the page comes from.
        page: The picture, as `fitted` made it.
        file_format: What it will be written as.
        notes: What is lost is added here.

    Returns:
        The document's own, without a profile that no longer fits the colours.
    """
    metadata, holds, name = document.metadata, _HOLDS[file_format], format_name(file_format)
    if metadata.icc and metadata.colours == "CMYK" and page.mode != "CMYK":
        metadata = replace(metadata, icc=None)  # said where the colours were converted
    if metadata.icc and _is_of_grey(metadata.icc) and metadata.colours == "GRAY" and page.pixels.ndim == 3:
        metadata = replace(metadata, icc=None)  # likewise
    lost = [
        what
        for what, value, held in (
            ("colour profile", metadata.icc, holds.icc),
            ("EXIF", metadata.exif, holds.exif),
            ("XMP", metadata.xmp, holds.xmp),
            ("IPTC", metadata.photoshop or metadata.iptc, holds.iptc),
            ("resolution", metadata.dpi, holds.dpi or (metadata.exif and holds.exif)),
        )
        if value and not held
    ]
    if file_format != document.format:
        lost += foreign(document)
    if lost:
        notes.append(f"{name} cannot hold: {', '.join(lost)}")
    return metadata


def foreign(document: Document) -> list[str]:
    """What only the source's own format holds, in words."""
    found = [_foreign_block(name, data) for name, data in document.metadata.blocks]
    tags = [tag for layout in document.metadata.pages for tag in foreign_tags(layout)]
    if tags:
        found.append(f"TIFF tags ({', '.join(map(str, dict.fromkeys(tags)))})")
    return list(dict.fromkeys(what for what in found if what))


def _foreign_block(name: str, data: bytes) -> str:
    """What a segment, chunk or box is, or nothing if it has been understood or is about display only."""
    words = {
        "FE": "comments", "comment": "comments", "tEXt": "PNG text", "zTXt": "PNG text", "iTXt": "PNG text",
        "gAMA": "PNG gamma", "cHRM": "PNG chromaticities", "tail": "what stands behind the photo, such as a video",
        **dict.fromkeys(("uuid", "xml ", "uinf", "jp2i", "asoc", "lbl "), "JPEG 2000 boxes"),
    }  # fmt: skip
    if name in _UNDERSTOOD_CHUNKS or data.startswith(_UNDERSTOOD) or data[8:24] in {EXIF_UUID, XMP_UUID}:
        return ""
    if data.startswith(b"http://ns.adobe.com/xmp/extension/\0"):
        return "extended XMP"
    if name in words:
        return words[name]
    if len(name) == 2:
        return f"JPEG segment APP{int(name, 16) & 15}" if name.startswith("E") else f"JPEG segment {name}"
    return f"PNG chunk {name}"
