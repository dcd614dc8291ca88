"""JPEGs of which a part is missing, which the decoder would make up, and whole ones that look like them."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from restore.errors import UnreadableImageError
from restore.images.codec import decode, open_document, read_pages
from restore.images.jpeg import checked_jpeg

Pixels = npt.NDArray[np.uint8]
KINDS: list[dict[str, Any]] = [
    {},
    {"optimize": True},
    {"subsampling": 0},
    {"restart_marker_blocks": 3},
    {"restart_marker_rows": 1},
    {"progressive": True},
    {"progressive": True, "restart_marker_blocks": 3},
]
END = b"\xff\xd9"


def photo(height: int = 320, width: int = 320) -> Pixels:
    """Something in every block."""
    noise = np.random.default_rng(0).normal(0, 20, (height, width, 3))
    y, x = np.mgrid[0:height, 0:width]
    waves = 128 + 90 * np.sin(x / 9) * np.cos(y / 7)
    pixels: Pixels = np.clip(waves[..., None] + noise, 0, 255).astype(np.uint8)
    return pixels


def jpeg(pixels: Pixels, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)] + END


def zeros_to_the_end(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)].ljust(len(data), b"\0")


def zeros_before_the_end(data: bytes, share: float) -> bytes:
    return zeros_to_the_end(data, share)[:-2] + END


def lost_sector(data: bytes, share: float) -> bytes:
    place = int(len(data) * share)
    return data[:place] + bytes(1024) + data[place + 1024 :]


def another_file(data: bytes, share: float) -> bytes:
    place = int(len(data) * share)
    return data[:place] + data[: len(data) - place]


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS[:5], ids=str)
@pytest.mark.parametrize("damage", [cut, zeros_to_the_end, zeros_before_the_end, lost_sector, another_file])
def test_half_a_picture_is_refused(
    damage: Callable[[bytes, float], bytes], kind: dict[str, Any], share: float, tmp_path: Path
) -> None:
    (path := tmp_path / "a.jpg").write_bytes(damage(jpeg(photo(), quality=90, **kind), share))
    with pytest.raises(UnreadableImageError, match=r"damaged or truncated \("):
        decode(path)


@pytest.mark.parametrize("share", [0.25, 0.5])
@pytest.mark.parametrize("kind", KINDS[5:], ids=str)
@pytest.mark.parametrize("damage", [cut, zeros_to_the_end, another_file])
def test_half_a_progressive_picture_is_refused(
    damage: Callable[[bytes, float], bytes], kind: dict[str, Any], share: float, tmp_path: Path
) -> None:
    (path := tmp_path / "a.jpg").write_bytes(damage(jpeg(photo(), quality=90, **kind), share))
    with pytest.raises(UnreadableImageError, match=r"damaged or truncated \("):
        decode(path)


def test_a_picture_that_lacks_a_few_blocks_is_refused(tmp_path: Path) -> None:
    data = jpeg(photo(), quality=90)
    for missing in (200, 400, 1000):
        (path := tmp_path / "a.jpg").write_bytes(data[:-missing] + END)
        with pytest.raises(UnreadableImageError, match="truncated"):
            decode(path)


def flat(height: int, width: int) -> Pixels:
    return np.full((height, width, 3), 128, np.uint8)


def scan_with_borders(height: int, width: int) -> Pixels:
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[height // 3 : height // 2, width // 3 : width // 2] = 40
    return pixels


@pytest.mark.parametrize("size", [(8, 8), (17, 33), (1, 400), (600, 5), (320, 320)])
@pytest.mark.parametrize("make", [photo, flat, scan_with_borders])
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_whole_picture_is_decoded_as_ever(
    mode: str, kind: dict[str, Any], make: Callable[[int, int], Pixels], size: tuple[int, int]
) -> None:
    options = {name: value for name, value in kind.items() if mode == "RGB" or name != "subsampling"}
    for quality in (30, 95):
        data = jpeg(make(*size), mode, quality=quality, **options)
        for file in (data, data + b"\0" * 5000, data + b"more"):
            with Image.open(io.BytesIO(file)) as before, Image.open(io.BytesIO(checked_jpeg(file))) as after:
                np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


@pytest.mark.parametrize("restart", [0, 1, 7])
@pytest.mark.parametrize(
    "sampling",
    [
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    ],
)
def test_a_whole_picture_of_another_writer_is_decoded_as_ever(sampling: int, restart: int) -> None:
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling, cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
    for size in ((31, 50), (320, 320)):
        data = cv2.imencode(".jpg", photo(*size), options)[1].tobytes()
        with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(checked_jpeg(data))) as after:
            np.testing.assert_array_equal(np.asarray(after), np.asarray(before))


def test_long_runs_of_zeros_are_no_damage_where_they_stand_for_white(tmp_path: Path) -> None:
    pixels = np.full((4000, 1000), 255, np.uint8)
    pixels[:2] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", optimize=True)
    assert bytes(1000) in buffer.getvalue()
    (path := tmp_path / "a.jpg").write_bytes(buffer.getvalue())
    assert decode(path).pixels[-1, -1] == 255


def test_a_jpeg_with_zeros_in_place_of_its_end_marker_is_whole(tmp_path: Path) -> None:
    data = jpeg(photo(), quality=90)
    (path := tmp_path / "a.jpg").write_bytes(data[:-2] + bytes(4096))
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(next(read_pages(open_document(path))).pixels, np.asarray(image))
