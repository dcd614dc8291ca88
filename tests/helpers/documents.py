"""Pictures of noise, and files sent through the codec."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from restore.images.codec import Document, Encoded, Page, encode_document, open_document, read_pages

__all__ = ["Array", "few_bits_png", "noise", "opened", "pillow", "returned"]

Array = npt.NDArray[Any]


def noise(dtype: npt.DTypeLike = np.uint8, channels: int = 3, height: int = 37, width: int = 53) -> Array:
    generator = np.random.default_rng(0)
    shape = (height, width) if channels == 1 else (height, width, channels)
    if np.dtype(dtype).kind == "f":
        return (generator.random(shape) * 3 - 1).astype(dtype)
    return generator.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def returned(path: Path, suffix: str | None = None, quality: int | None = None) -> tuple[Document, list[Page], Encoded]:
    """A file through the codec, its pixels untouched."""
    document = open_document(path)
    pages = list(read_pages(document))
    return document, pages, encode_document(document, pages, suffix or path.suffix, quality)


def opened(encoded: Encoded) -> Image.Image:
    image = Image.open(io.BytesIO(encoded.data))
    image.load()
    return image


def pillow(mode: str) -> Image.Image:
    if mode == "P":
        return Image.fromarray(noise()).quantize(32)
    image = Image.fromarray(noise()).convert(mode)
    if "A" in mode:
        image.putalpha(Image.fromarray(noise(channels=1)))
    return image


def few_bits_png(picture: Array, bits: int, clear: int | None = None) -> bytes:
    """A grey PNG of 1, 2 or 4 bits, by the standard."""
    import struct
    import zlib

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    planes = np.unpackbits(picture[..., None], axis=2)[..., 8 - bits :].reshape(len(picture), -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(planes, axis=1))
    header = struct.pack(">IIBBBBB", picture.shape[1], picture.shape[0], bits, 0, 0, 0, 0)
    transparent = b"" if clear is None else chunk(b"tRNS", struct.pack(">H", clear))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), transparent, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    )
