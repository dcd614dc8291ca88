"""HEIC and camera raw, which need packages that are not installed by default."""

import io
import struct
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from restore.errors import UnsupportedImageError
from restore.images.containers import colours_by_number
from restore.images.document import Document, Page, check_size, shown, stamp_of
from restore.images.exif import directory_at, exif_from, upright
from restore.images.metadata import Metadata, pillow_metadata
from restore.images.tiff_layout import EXIF_TAGS

__all__ = ["encode_heif", "inspect_heif", "inspect_raw", "read_heif", "read_raw"]


def inspect_heif(path: Path, file: BinaryIO, max_pixels: int) -> Document:
    """Read the header of a HEIC file.

    Raises:
        ImageError: It is damaged, too large, or deeper than 8 bits.
        UnsupportedImageError: The package that reads it is not installed.
    """
    file.seek(0)
    container = _pillow_heif(shown(path)).open_heif(file, convert_hdr_to_8bit=False)
    picture = container[container.primary_index]
    width, height = picture.size
    check_size(path, height, width, max_pixels)
    if picture.mode not in {"L", "LA", "RGB", "RGBA"}:
        raise UnsupportedImageError(f"{shown(path)}: HEIC of more than 8 bits a channel; convert it to TIFF first")
    fields: dict[str, Any] = pillow_metadata(picture.info, height, width, decoder_turns=True)
    fields["orientation"] = 1
    notes = [f"only the main one of {len(container)} pictures is restored"] if len(container) > 1 else []
    notes += [] if fields["icc"] else colours_by_number(file)
    metadata = Metadata(**fields, stamp=stamp_of(file), max_pixels=max_pixels)
    return Document(path, "HEIF", path.suffix, 1, height, width, 8, metadata, tuple(notes))


def read_heif(document: Document, file: BinaryIO) -> Page:
    """Decode a HEIC file."""
    file.seek(0)
    container = _pillow_heif(shown(document.path)).open_heif(file, convert_hdr_to_8bit=False)
    picture = container[container.primary_index]
    pixels = np.asarray(picture)
    if pixels.ndim == 3 and pixels.shape[2] in {2, 4}:
        alpha = np.ascontiguousarray(pixels[..., -1])
        pixels = pixels[..., 0] if pixels.shape[2] == 2 else pixels[..., :3]
    else:
        alpha = None
    pixels = np.array(pixels.squeeze())
    return Page(
        pixels.reshape(document.height, document.width, *pixels.shape[2:]), alpha, "RGB" if pixels.ndim == 3 else "L"
    )


def encode_heif(image: Image.Image, quality: int, options: dict[str, Any]) -> bytes:
    """Encode a picture as HEIC.

    Raises:
        UnsupportedImageError: The package that writes it is not installed.
    """
    heif = _pillow_heif(".heic").from_pillow(image)
    buffer = io.BytesIO()
    heif.save(buffer, quality=quality, chroma=444, **options)
    return buffer.getvalue()


def inspect_raw(path: Path, file: BinaryIO, max_pixels: int) -> Document:
    """Read the header of a camera raw file.

    Raises:
        ImageError: It is damaged or too large.
        UnsupportedImageError: The package that reads it is not installed.
    """
    rawpy = _rawpy(shown(path))
    file.seek(0)
    try:
        with rawpy.imread(file) as raw:
            height, width = raw.sizes.height, raw.sizes.width
            if raw.sizes.flip in {5, 6}:
                height, width = width, height
    except rawpy.LibRawError as error:
        raise UnsupportedImageError(f"{shown(path)}: camera raw that cannot be developed ({error})") from error
    check_size(path, height, width, max_pixels)
    exif = _raw_exif(file, height, width)
    metadata = Metadata(exif=exif, stamp=stamp_of(file), max_pixels=max_pixels)
    notes = ("developed to 16-bit sRGB with the camera's white balance",)
    return Document(path, "RAW", path.suffix, 1, height, width, 16, metadata, notes)


def read_raw(document: Document, file: BinaryIO) -> Page:
    """Develop a camera raw file: upright, 16-bit sRGB, the camera's white balance, no automatic brightness."""
    rawpy = _rawpy(shown(document.path))
    file.seek(0)
    try:
        with rawpy.imread(file) as raw:
            pixels = raw.postprocess(use_camera_wb=True, no_auto_bright=True, output_bps=16)
    except rawpy.LibRawError as error:
        raise UnsupportedImageError(f"{shown(document.path)}: camera raw that cannot be developed ({error})") from error
    return Page(np.ascontiguousarray(pixels), None, "RGB")


def _raw_exif(file: BinaryIO, height: int, width: int) -> bytes | None:
    """EXIF of a raw file that is a TIFF, as most are."""
    file.seek(0)
    data = file.read(64_000_000)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return None
    try:
        exif = exif_from(directory_at(data, struct.unpack_from(order + "I", data, 4)[0], order), EXIF_TAGS)
    except (ValueError, struct.error):
        return None
    return exif and upright(exif, height, width)


def _pillow_heif(what: str) -> ModuleType:
    try:
        import pillow_heif
    except ImportError as error:
        raise UnsupportedImageError(f"{what}: HEIC needs an extra package: pip install 'restore[heic]'") from error
    return pillow_heif


def _rawpy(what: str) -> Any:
    try:
        import rawpy
    except ImportError as error:
        raise UnsupportedImageError(f"{what}: camera raw needs an extra package: pip install 'restore[raw]'") from error
    return rawpy
