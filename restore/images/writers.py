"""Writing every format but TIFF, with the source's metadata around the new pixels."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from restore.images.colour import Array, as_bits, inks_from, palette_of
from restore.images.containers import jp2_with, jpeg_with, png_with, segment
from restore.images.document import Document, Page
from restore.images.exif import main_directory
from restore.images.fitting import fitted_metadata
from restore.images.heif import encode_heif
from restore.images.jpeg import jpeg_file
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

__all__ = ["write"]


@dataclass(frozen=True)
class _Job:
    """One picture to be written.

    Attributes:
        document: Where it comes from.
        page: The picture, as the format can hold it.
        metadata: What the format can hold of the source's.
        quality: As asked for.
        notes: What is lost is added here.
    """

    document: Document
    page: Page
    metadata: Metadata
    quality: int | None
    notes: list[str]


_QUALITY = 95
_AVIF_QUALITY = 90


def write(document: Document, page: Page, file_format: str, quality: int | None) -> tuple[bytes, list[str]]:
    """Encode one picture.

    Args:
        document: Where it comes from.
        page: The picture, as `fitted` made it.
        file_format: What to write.
        quality: 1 to 100; the source's own where it can be told, else high.

    Returns:
        The file's bytes, and what could not be kept.

    Raises:
        Exception: Whatever the encoder raises for a picture that the format cannot hold.
    """
    notes: list[str] = []
    metadata = fitted_metadata(document, page, file_format, notes)
    return _WRITERS[file_format](_Job(document, page, metadata, quality, notes)), notes


def _planes(page: Page) -> Array:
    """Colours and alpha in one array, `(H, W)` or `(H, W, C)`."""
    if page.alpha is None:
        return np.ascontiguousarray(page.pixels)
    return np.dstack([page.pixels, page.alpha])


def _image(page: Page) -> Image.Image:
    """The page as Pillow has it; 8 bits."""
    if page.mode == "CMYK":
        return Image.fromarray(np.ascontiguousarray(inks_from(page.pixels, page.inks)), "CMYK")
    return Image.fromarray(_planes(page))


def _indexed(page: Page, notes: list[str]) -> Image.Image:
    """The page with a palette, or black and white, where it had one and can have it again."""
    if page.mode == "1" and page.alpha is not None:
        notes.append("black and white with transparency is written as grey with an alpha channel")
    elif page.mode == "1" and page.pixels.ndim == 2:
        notes.append("black and white again: the restored greys were cut at the middle")
        grey = (page.pixels > 127).view(np.uint8) * np.uint8(255)
        return Image.fromarray(grey).convert("1", dither=Image.Dither.NONE)
    if page.mode == "P" and page.pixels.ndim == 3:
        found = palette_of(page.pixels) if page.alpha is None else None
        if found is not None:
            image = Image.fromarray(found[0])
            image.putpalette(found[1].tobytes())
            return image
        notes.append(
            "a palette cannot hold the restored colours: written as RGB"
            if page.alpha is None
            else "a palette with transparency is written as RGB with an alpha channel"
        )
    return _image(page)


def _saved(image: Image.Image, file_format: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _write_jpeg(job: _Job) -> bytes:
    coding = job.metadata.jpeg
    options: dict[str, Any] = {"quality": _QUALITY if job.quality is None else job.quality, "subsampling": 0}
    if coding is not None:
        options |= {"subsampling": coding.subsampling, "progressive": coding.progressive, "keep_rgb": coding.is_rgb}
        if job.quality is None:
            del options["quality"]
            options["qtables"] = [list(table) for table in coding.tables]
    if job.page.mode == "CMYK":
        job.notes.append("CMYK was restored as RGB and turned back into inks")
    elif job.page.pixels.ndim == 2:
        del options["subsampling"]
    if job.metadata.dpi and job.document.format != "JPEG":
        options["dpi"] = tuple(round(value) for value in job.metadata.dpi)
    blocks = job.metadata.blocks if job.document.format == "JPEG" else _jpeg_blocks(job.metadata, job.notes)
    segments = []
    tail = b"".join(data for name, data in blocks if name == "tail")
    for name, data in blocks:
        if name == "tail":
            continue
        try:
            segments.append(segment(int(name, 16), data))
        except ValueError:
            job.notes.append("JPEG cannot hold a block of metadata of more than 64 kB; it is left out")
    return jpeg_with(jpeg_file(_image(job.page), options), segments) + tail


def _jpeg_blocks(metadata: Metadata, notes: list[str]) -> list[tuple[str, bytes]]:
    blocks = []
    if metadata.exif:
        blocks.append(("E1", EXIF_HEAD + metadata.exif))
    if metadata.xmp:
        blocks.append(("E1", XMP_HEAD + metadata.xmp))
    if metadata.icc:
        step = 65519
        parts = [metadata.icc[start : start + step] for start in range(0, len(metadata.icc), step)]
        if len(parts) > 255:
            notes.append("JPEG cannot hold a colour profile of this size; it is left out")
        else:
            blocks += [("E2", ICC_HEAD + bytes([n, len(parts)]) + part) for n, part in enumerate(parts, 1)]
    photoshop = metadata.photoshop
    if not photoshop and metadata.iptc:
        size = len(metadata.iptc)
        photoshop = b"8BIM\x04\x04\0\0" + struct.pack(">I", size) + metadata.iptc + bytes(size % 2)
    if photoshop:
        blocks.append(("ED", PHOTOSHOP_HEAD + photoshop))
    return blocks


def _write_png(job: _Job) -> bytes:
    if job.page.mode in {"1", "P"} and job.page.pixels.dtype == np.uint8:
        data: bytes | bytearray = _saved(_indexed(job.page, job.notes), "PNG", {"compress_level": 6})
    else:
        import imagecodecs  # here, since most photos do without

        data = imagecodecs.png_encode(_planes(job.page), level=6)
    chunks: list[tuple[bytes, bytes]] = []
    if job.document.format == "PNG":
        depth, colour_type = data[24], data[25]
        same = colour_type == job.metadata.colour_type and (colour_type == 3 or depth == job.document.bits)
        stale = set[str]() if same else {"bKGD", "sBIT"}  # both are in the values of the pixels as stored
        stale |= {"bKGD"} if colour_type == 3 else set()  # a palette is sorted anew
        for name, block in job.metadata.blocks:
            if name in stale:
                job.notes.append(f"the PNG chunk {name} no longer holds and is left out")
            elif name != "tRNS":
                chunks.append((name.encode("latin-1"), block))
    else:
        chunks = _png_chunks(job.metadata)
    return png_with(data, chunks)


def _png_chunks(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    chunks = []
    if metadata.icc:
        chunks.append((b"iCCP", b"ICC Profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi:
        across, down = (round(value / 0.0254) for value in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", across, down, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append((b"iTXt", XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp))
    return chunks


def _write_webp(job: _Job) -> bytes:
    options: dict[str, Any] = {"quality": _QUALITY if job.quality is None else job.quality, "method": 4, "exact": True}
    if job.metadata.lossless and job.quality is None:
        options |= {"lossless": True, "quality": 75}
    return _saved(_image(job.page), "WEBP", options | _pillow_options(job.metadata))


def _write_avif(job: _Job) -> bytes:
    subsampling = job.metadata.chroma or "4:4:4"
    if job.page.pixels.ndim == 2:
        subsampling = "4:0:0"
    elif subsampling == "4:0:0":
        subsampling = "4:4:4"
    options: dict[str, Any] = {
        "quality": _AVIF_QUALITY if job.quality is None else job.quality,
        "subsampling": subsampling,
    }
    options |= _pillow_options(job.metadata)
    hidden = options.get("exif", b"")
    if hidden:
        options["exif"] = placeholder = _renamed_orientation(hidden)
        return _saved(_image(job.page), "AVIF", options).replace(placeholder, hidden, 1)
    return _saved(_image(job.page), "AVIF", options)


def _renamed_orientation(exif: bytes) -> bytes:
    """EXIF with the orientation tag under another number: Pillow would take it out and move everything behind it."""
    changed = bytearray(exif)
    try:
        entry = main_directory(exif).find(0x0112)
    except (ValueError, struct.error):
        return exif
    if entry is not None:
        order = "little" if exif.startswith(b"II") else "big"
        changed[entry.place - 8 : entry.place - 6] = (0xFDE8).to_bytes(2, order)  # type: ignore[arg-type]  # a literal
    return bytes(changed)


def _pillow_options(metadata: Metadata) -> dict[str, Any]:
    found = {"exif": metadata.exif, "xmp": metadata.xmp, "icc_profile": metadata.icc}
    return {name: value for name, value in found.items() if value}


def _write_bmp(job: _Job) -> bytes:
    options = {"dpi": job.metadata.dpi} if job.metadata.dpi else {}
    image = _indexed(job.page, job.notes)
    if image.mode == "P":  # whole: Pillow misreads black and white alone
        image.putpalette(bytes(image.getpalette() or []).ljust(768, b"\0"))
    return _saved(image, "BMP", options)


def _write_pnm(job: _Job) -> bytes:
    if job.page.pixels.dtype == np.uint16:
        kind = b"P5" if job.page.pixels.ndim == 2 else b"P6"
        height, width = job.page.pixels.shape[:2]
        return kind + b"\n%d %d\n65535\n" % (width, height) + job.page.pixels.astype(">u2").tobytes()
    return _saved(_indexed(job.page, job.notes), "PPM", {})


def _write_jp2(job: _Job) -> bytes:
    import imagecodecs  # here, since most photos do without

    planes = _planes(job.page)
    bits = 8 if planes.dtype == np.uint8 else 16
    if job.document.format == "JPEG2000" and bits == 16:
        bits, planes = job.document.bits, as_bits(planes, job.document.bits)
    if job.quality is not None:
        job.notes.append("JPEG 2000 is written without loss; the quality is not used")
    bare = job.metadata.bare  # which only a JPEG 2000 is
    data = bytes(
        imagecodecs.jpeg2k_encode(
            planes,
            level=0,
            reversible=True,
            codecformat="j2k" if bare else "jp2",
            bitspersample=bits,
        )
    )
    if bare:
        return data
    if job.document.format == "JPEG2000":
        blocks = [block for _, block in job.metadata.blocks]
    else:
        blocks = [
            struct.pack(">I4s", len(head) + len(value) + 8, b"uuid") + head + value
            for head, value in ((EXIF_UUID, job.metadata.exif), (XMP_UUID, job.metadata.xmp))
            if value
        ]
    return jp2_with(data, job.metadata.icc, job.metadata.dpi) + b"".join(blocks)


def _write_gif(job: _Job) -> bytes:
    image = _indexed(replace(job.page, mode="P"), []) if job.page.pixels.ndim == 3 else _image(job.page)
    if image.mode != "P" and image.mode != "L":
        job.notes.append("GIF holds 256 colours: the restored ones were reduced to its palette")
        if job.page.alpha is not None and ((job.page.alpha != 0) & (job.page.alpha != 255)).any():
            job.notes.append("GIF has no half transparency: it was cut at the middle")
        opaque = job.page.alpha is None
        image = image.quantize(256, dither=Image.Dither.NONE) if opaque else _with_clear_index(job.page)
    comment = next((data for name, data in job.metadata.blocks if name == "comment"), None)
    options: dict[str, Any] = {"comment": comment} if comment else {}
    if image.info.get("transparency") is not None:
        options["transparency"] = image.info["transparency"]
    return _saved(image, "GIF", options)


def _with_clear_index(page: Page) -> Image.Image:
    """255 colours, and the last index for what is invisible."""
    assert page.alpha is not None  # noqa: S101  # the caller has looked
    pixels: Array = page.pixels.copy() if page.pixels.ndim == 3 else np.repeat(page.pixels[..., None], 3, axis=2)
    visible = page.alpha >= 128
    if visible.any():
        pixels[~visible] = pixels[visible][0]  # a colour that nobody sees needs no index
    found = palette_of(pixels)
    if found is not None and len(found[1]) < 256:
        indices, palette = found[0].copy(), found[1].tobytes()
    else:
        reduced = Image.fromarray(np.ascontiguousarray(pixels)).quantize(255, dither=Image.Dither.NONE)
        indices, palette = np.array(reduced), bytes(reduced.getpalette() or [])[: 255 * 3]
    indices[~visible] = 255
    image = Image.fromarray(indices)
    image.putpalette(palette.ljust(768, b"\0"))
    image.info["transparency"] = 255
    return image


def _write_heif(job: _Job) -> bytes:
    return encode_heif(
        _image(job.page), _AVIF_QUALITY if job.quality is None else job.quality, _pillow_options(job.metadata)
    )


_WRITERS: dict[str, Callable[[_Job], bytes]] = {
    "JPEG": _write_jpeg,
    "PNG": _write_png,
    "WEBP": _write_webp,
    "AVIF": _write_avif,
    "BMP": _write_bmp,
    "PPM": _write_pnm,
    "JPEG2000": _write_jp2,
    "GIF": _write_gif,
    "HEIF": _write_heif,
}
