"""A large scan is in memory once, and so is the file that is made of it."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from restore.images.codec import encode_document, open_document, read_pages

PIXELS = np.random.default_rng(0).integers(0, 65536, (2000, 1000, 3), dtype=np.uint16)


def peak(function: Callable[[], Any]) -> tuple[Any, int]:
    """What a function gives, and the most bytes that Python and NumPy took for it."""
    tracemalloc.start()
    try:
        return function(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pixels", [PIXELS, (PIXELS >> 8).astype(np.uint8)], ids=["16 bits", "8 bits"])
@pytest.mark.parametrize(
    "options",
    [{}, {"rowsperstrip": 16}, {"byteorder": ">"}],
    ids=["one strip", "strips", "big-endian"],
)
def test_of_a_tiff_there_is_no_second_copy(
    pixels: np.ndarray[Any, Any], options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "scan.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", metadata=None, **options)
    document = open_document(path)
    page, taken = peak(lambda: next(read_pages(document)))
    assert np.array_equal(page.pixels, pixels)
    assert taken < 1.1 * pixels.nbytes + 4e6
    encoded, taken = peak(lambda: encode_document(document, [page], ".tif"))
    assert taken < 1.2 * len(encoded.data) + 4e6  # it grows by an eighth at a time


def test_of_a_png_of_16_bits_there_is_no_second_copy(tmp_path: Path) -> None:
    path = tmp_path / "scan.png"
    path.write_bytes(imagecodecs.png_encode(PIXELS, level=1))
    document = open_document(path)
    page, taken = peak(lambda: next(read_pages(document)))
    assert np.array_equal(page.pixels, PIXELS)
    assert taken < 1.1 * PIXELS.nbytes + path.stat().st_size
