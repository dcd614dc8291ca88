"""What a PNG decoder gets to see is whole: imagecodecs loses a reference with every PNG that it refuses."""

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.errors import UnreadableImageError
from restore.images.png import checked_png
from tests.helpers.documents import returned

Pixels = npt.NDArray[np.uint16]

PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
TIME = (b"tIME", bytes(7))


def noise(channels: int = 3, height: int = 13, width: int = 11) -> Pixels:
    return np.random.default_rng(0).integers(0, 65536, (height, width, channels), dtype=np.uint16)


def chunk(name: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + name + payload + struct.pack(">I", zlib.crc32(name + payload))


def rows(pixels: Pixels, kind: int = 0) -> bytes:
    return b"".join(bytes([kind]) + row.astype(">u2").tobytes() for row in pixels if row.size)


def header(pixels: Pixels, interlaced: bool = False) -> bytes:
    height, width, channels = pixels.shape
    return struct.pack(">IIBBBBB", width, height, 16, COLOURS[channels], 0, 0, interlaced)


def png(
    pixels: Pixels,
    *,
    interlaced: bool = False,
    packed: bytes | None = None,
    pieces: int = 1,
    more: Iterable[tuple[bytes, bytes]] = (TIME,),
) -> bytes:
    if packed is None:
        parts = [pixels[top::down, left::across] for top, left, down, across in PASSES] if interlaced else [pixels]
        packed = zlib.compress(b"".join(rows(part) for part in parts))
    size = -(-len(packed) // pieces)
    chunks = [(b"IHDR", header(pixels, interlaced)), *more]
    chunks += [(b"IDAT", packed[start : start + size]) for start in range(0, len(packed), size)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in [*chunks, (b"IEND", b"")])


def decodes(data: bytes) -> bool:
    """Whether the PNG was let through; if so, the decoder must read it."""
    try:
        whole = checked_png(io.BytesIO(data))
    except (EOFError, ValueError, struct.error, zlib.error):
        return False
    imagecodecs.png_decode(whole)
    return True


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("size", [(13, 11), (1, 1), (1, 9), (8, 8), (3, 5)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pixels_go_through_whole(channels: int, size: tuple[int, int], interlaced: bool) -> None:
    pixels = noise(channels, *size)
    data = png(pixels, interlaced=interlaced, pieces=5)
    found = imagecodecs.png_decode(checked_png(io.BytesIO(data)))
    assert np.array_equal(found.reshape(pixels.shape), pixels)


def test_more_rows_than_one_piece_go_through_whole() -> None:
    pixels = noise(3, 700, 600)  # 2.5 million bytes
    assert np.array_equal(imagecodecs.png_decode(checked_png(io.BytesIO(png(pixels, pieces=2)))), pixels)


def test_remarks_stay_behind_and_what_follows_the_end_too() -> None:
    plain = png(noise(), more=())
    assert checked_png(io.BytesIO(png(noise()) + b"and more")) == plain


@pytest.mark.parametrize("interlaced", [False, True])
def test_a_png_cut_anywhere_is_refused(interlaced: bool) -> None:
    data = png(noise(), interlaced=interlaced)
    assert not any(decodes(data[:cut]) for cut in range(8, len(data)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_is_let_through_is_read(data: st.DataObject) -> None:
    """With wrong bytes in the file, or in the packed rows under checksums that hold."""
    pixels, interlaced = noise(), data.draw(st.booleans())
    broken = bytearray(zlib.compress(rows(pixels, data.draw(st.integers(0, 6)))))
    places = st.one_of(st.integers(0, 5), st.integers(0, len(broken) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=3)):
        broken[place] = value
    decodes(png(pixels, interlaced=interlaced, packed=bytes(broken)))
    file = bytearray(png(pixels, interlaced=interlaced))
    for place, value in data.draw(st.lists(st.tuples(st.integers(8, len(file) - 1), st.integers(0, 255)), max_size=3)):
        file[place] = value
    decodes(bytes(file))


def with_packed(change: Callable[[bytes], bytes]) -> bytes:
    return png(noise(), packed=change(zlib.compress(rows(noise()))))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_packed(lambda packed: packed[:-1]), "end early"),
        (png(noise(), packed=zlib.compress(rows(noise())[:-1])), "end early"),
        (png(noise(), packed=zlib.compress(rows(noise(), 5))), "unknown filter"),
        (with_packed(lambda packed: packed[:-1] + bytes([packed[-1] ^ 1])), "incorrect data check"),
        (png(noise(), more=[(b"NEED", b"")]), "unknown chunk 'NEED'"),
        (png(noise(), more=[(b"IHDR", header(noise()))]), "not the only one"),
        (png(noise()).replace(TIME[0] + TIME[1], TIME[0] + b"1234567"), ""),  # nobody needs it
        (b"\x89GNP" + png(noise())[4:], "no PNG"),
        (png(noise())[:-12], "last chunk"),
        (png(noise())[:-3], "within a chunk"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, message: str) -> None:
    if not message:
        assert decodes(data)
        return
    with pytest.raises((EOFError, ValueError, zlib.error), match=message):
        checked_png(io.BytesIO(data))


def test_no_decoder_sees_a_damaged_png_within_a_tiff(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, noise(), compression="png", photometric="rgb", metadata=None)
    _, pages, _ = returned(path)
    assert np.array_equal(pages[0].pixels, noise())
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 50] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(tifffile.TiffPage, "segments", lambda *_, **__: pytest.fail("it got to a decoder"))
    with pytest.raises(UnreadableImageError, match=r"a.tif: damaged"):
        returned(path)


def test_more_packed_than_rows_is_read() -> None:
    assert decodes(png(noise(), packed=zlib.compress(rows(noise()) + bytes(99))))
    assert decodes(with_packed(lambda packed: packed + bytes(99)))


COUNTING = """
import gc, sys
from pathlib import Path

from restore.errors import UnreadableImageError
from restore.images.codec import decode


def refuse(times):
    for _ in range(times):
        try:
            decode(Path(sys.argv[1]))
        except UnreadableImageError:
            continue
        raise SystemExit("it was read")
    gc.collect()
    return sys.getrefcount(None)


refuse(20)
print(refuse(500) - refuse(500))
"""


def test_damaged_pngs_cost_no_references(tmp_path: Path) -> None:
    """Python before 3.12 counts those to `None`, and ends when none is left."""
    damaged = bytearray(png(noise()))
    damaged[-40] ^= 1  # among the pixels
    (path := tmp_path / "a.png").write_bytes(damaged)
    done = subprocess.run([sys.executable, "-c", COUNTING, path], capture_output=True, text=True, check=True)
    assert abs(int(done.stdout)) < 100, done.stdout
