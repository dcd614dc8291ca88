"""Every format, kind of colours and depth: what comes in goes out the same, seen by independent readers."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from PIL import Image

from restore.errors import UnsupportedImageError
from restore.images.codec import encode_document, open_document, read_pages
from restore.images.containers import segment
from tests.helpers.documents import few_bits_png, noise, opened, pillow, returned

ORIENTATIONS = range(1, 9)


TIFF_LAYOUTS: list[dict[str, Any]] = [
    {},
    {"compression": "lzw", "rowsperstrip": 5},
    {"compression": "lzw", "predictor": True, "byteorder": ">"},
    {"compression": "adobe_deflate", "tile": (16, 32), "predictor": True},
    {"compression": "zstd", "bigtiff": True},
    {"compression": "packbits", "planarconfig": "separate"},
]


@pytest.mark.parametrize("layout", TIFF_LAYOUTS, ids=lambda layout: "-".join(map(str, layout.values())) or "plain")
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_tiff_keeps_pixels_and_layout(
    dtype: npt.DTypeLike, channels: int, layout: dict[str, Any], tmp_path: Path
) -> None:
    options = {"planarconfig": "contig", **layout} if channels > 1 else {**layout}
    picture = noise(dtype, channels)
    if options.get("planarconfig") == "separate":
        if channels < 3:
            options["planarconfig"] = "contig"
            del options["planarconfig"]
        else:
            picture = np.moveaxis(picture, 2, 0)
    path = tmp_path / "a.tif"
    photometric = "minisblack" if channels < 3 else "rgb"
    alpha = ["unassalpha"] if channels in {2, 4} else None
    options |= {"metadata": None, "extrasamples": alpha}
    tifffile.imwrite(path, picture, photometric=photometric, **options)
    document, pages, encoded = returned(path)
    assert (document.bits, document.height, document.width) == (np.dtype(dtype).itemsize * 8, 37, 53)
    assert pages[0].pixels.dtype == (np.float32 if np.dtype(dtype).kind == "f" else dtype)
    assert (pages[0].alpha is not None) == (channels in {2, 4})
    with tifffile.TiffFile(path) as before, tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        if dtype == np.float64:
            np.testing.assert_array_equal(after.asarray(), before.asarray().astype(np.float32))
            assert document.notes == ("64-bit values are rounded to 32-bit precision",)
        else:
            np.testing.assert_array_equal(after.asarray(), before.asarray())
            assert document.notes + encoded.notes == ()
        old, new = before.pages.first, after.pages.first
        for name in ("dtype", "compression", "predictor", "is_tiled", "photometric", "extrasamples", "rowsperstrip"):
            assert getattr(new, name) == getattr(old, name), name
        assert channels == 1 or new.planarconfig == old.planarconfig
        assert (after.byteorder, after.is_bigtiff) == (before.byteorder, before.is_bigtiff)


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".png", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]
    + [(".tif", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK")]
    + [(".bmp", mode) for mode in ("1", "L", "P", "RGB")]
    + [(".jp2", mode) for mode in ("L", "LA", "RGB", "RGBA")]
    + [(".webp", mode) for mode in ("RGB", "RGBA")]
    + [(".gif", "P"), (".pbm", "1"), (".pgm", "L"), (".ppm", "RGB"), (".pnm", "RGB")],
)
def test_8_bits_come_back_bit_for_bit_and_in_the_same_mode(suffix: str, mode: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    options: dict[str, Any] = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    pillow(mode).save(path, **options)
    _, pages, encoded = returned(path)
    with Image.open(path) as before, opened(encoded) as after:
        assert (after.format, after.mode) == (before.format, before.mode)
        seen = "RGB" if mode == "P" else mode
        np.testing.assert_array_equal(np.asarray(after.convert(seen)), np.asarray(before.convert(seen)))
    assert pages[0].mode == mode.removesuffix("A")
    expected = {"1": ["black and white again"], "CMYK": ["CMYK was restored as RGB"]}.get(mode, [])
    assert [note[: len(start)] for note, start in zip(encoded.notes, expected, strict=True)] == expected


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("suffix", [".png", ".jp2", ".j2k"])
def test_16_bits_come_back_bit_for_bit(suffix: str, channels: int, tmp_path: Path) -> None:
    picture = noise(np.uint16, channels)
    data = (
        imagecodecs.png_encode(picture)
        if suffix == ".png"
        else imagecodecs.jpeg2k_encode(picture, level=0, reversible=True, codecformat=suffix[1:])
    )
    (path := tmp_path / f"a{suffix}").write_bytes(data)
    document, pages, encoded = returned(path)
    assert document.bits == 16
    assert pages[0].pixels.dtype == np.uint16
    read = np.asarray(cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_UNCHANGED))
    if suffix == ".png" and channels != 2:  # OpenCV makes four channels of two
        np.testing.assert_array_equal(read if channels == 1 else read[..., [2, 1, 0, 3][:channels]], picture)
    decode = imagecodecs.png_decode if suffix == ".png" else imagecodecs.jpeg2k_decode
    np.testing.assert_array_equal(decode(encoded.data), picture)


@pytest.mark.parametrize("kind", [b"P2", b"P3", b"P5", b"P6"])
@pytest.mark.parametrize("highest", [1023, 65535])
def test_deep_pnm_is_spread_over_16_bits(kind: bytes, highest: int, tmp_path: Path) -> None:
    picture = noise(np.uint16, 3 if kind in {b"P3", b"P6"} else 1) & highest
    body = (
        picture.astype(">u2").tobytes()
        if kind in {b"P5", b"P6"}
        else b"# digits\n" + b"\n".join(b"%d" % value for value in picture.reshape(-1).tolist())
    )
    (path := tmp_path / "a.pnm").write_bytes(kind + b"\n# of a scanner\n53 37 %d\n" % highest + body)
    document, _, encoded = returned(path)
    expected = (picture.astype(np.int64) * 65535 + highest // 2) // highest
    read = np.asarray(cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_UNCHANGED))
    np.testing.assert_array_equal(read[..., ::-1] if picture.ndim == 3 else read, expected)
    notes = ["comments in the header", "values from 0"][: 1 + (highest != 65535)]
    assert [note[: len(start)] for note, start in zip(document.notes, notes, strict=True)] == notes


@pytest.mark.parametrize("bits", [9, 12])
def test_jpeg_2000_keeps_its_odd_depth(bits: int, tmp_path: Path) -> None:
    picture = noise(np.uint16) >> (16 - bits)
    (path := tmp_path / "a.jp2").write_bytes(
        imagecodecs.jpeg2k_encode(picture, level=0, reversible=True, codecformat="jp2", bitspersample=bits)
    )
    document, pages, encoded = returned(path)
    assert document.bits == bits
    assert pages[0].pixels.max() > 60000
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(encoded.data), picture)


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_of_grey_become_8(bits: int, tmp_path: Path) -> None:
    picture = noise(channels=1) >> (8 - bits)
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), picture)
    path.write_bytes(few_bits_png(picture, bits))
    document, pages, encoded = returned(path)
    assert document.notes == (f"{bits}-bit grey becomes 8-bit grey",)
    np.testing.assert_array_equal(pages[0].pixels, picture * (255 // ((1 << bits) - 1)))
    np.testing.assert_array_equal(np.asarray(opened(encoded)), pages[0].pixels)


def test_a_tiff_of_many_kinds_of_pages_keeps_them_all(tmp_path: Path) -> None:
    pictures = [noise(), noise(np.uint16, 1, 9, 11), noise(np.float32, 1, 8, 8), noise(np.uint8, 4, 20, 5)]
    path = tmp_path / "a.tiff"
    with tifffile.TiffWriter(path) as writer:
        for picture in pictures:
            extra = ["unassalpha"] if picture.shape[2:] == (4,) else None
            writer.write(
                picture,
                photometric="rgb" if picture.ndim == 3 else "minisblack",
                extrasamples=extra,
                metadata=None,
                contiguous=False,
                description=f"page {len(picture)}",
            )
    document, pages, encoded = returned(path)
    assert document.page_count == len(pages) == 4
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        for picture, page in zip(pictures, after.pages, strict=True):
            np.testing.assert_array_equal(page.asarray(), picture)
            assert page.tags[270].value == f"page {len(picture)}"  # type: ignore[union-attr]  # pages, not frames
    with pytest.raises(UnsupportedImageError, match="PNG cannot hold 4 pages"):
        encode_document(document, pages, ".png")
    for wrong in (pages[:3], pages * 2):
        with pytest.raises(UnsupportedImageError, match=r"3 of its 4 pages|more than its 4 pages"):
            encode_document(document, wrong, ".tif")


def test_only_the_first_frame_of_a_film_is_taken_and_said(tmp_path: Path) -> None:
    for suffix in (".gif", ".webp", ".png"):
        path = tmp_path / f"a{suffix}"
        frames = [Image.fromarray(noise()), Image.new("RGB", (53, 37)), Image.new("RGB", (53, 37), "red")]
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
        document, pages, _ = returned(path)
        assert document.notes == ("only the first of 3 frames is restored; the others are left out",)
        assert document.page_count == len(pages) == 1
        assert pages[0].pixels.std() > 50


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_is_turned_upright_once(dtype: npt.DTypeLike, orientation: int, tmp_path: Path) -> None:
    picture = noise(dtype, 4)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        picture,
        photometric="rgb",
        extrasamples=["unassalpha"],
        metadata=None,
        extratags=[(274, 3, 1, orientation, True)],
        resolution=(300, 600),
    )
    document, pages, encoded = returned(path)
    from tests.images.test_codec import UPRIGHT

    expected = UPRIGHT[orientation](picture)
    assert (document.height, document.width) == expected.shape[:2]
    np.testing.assert_array_equal(pages[0].pixels, expected[..., :3])
    with tifffile.TiffFile(io.BytesIO(encoded.data)) as after:
        np.testing.assert_array_equal(after.asarray(), expected)
        tags = after.pages.first.tags
        assert 274 not in tags or tags[274].value == 1
        resolutions = [tags[tag].value[0] / tags[tag].value[1] for tag in (282, 283)]
        assert resolutions == ([600, 300] if orientation > 4 else [300, 600])


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: tifffile.imwrite(path, noise(np.int16, 1)), "signed values of 16 bits"),
        (lambda path: tifffile.imwrite(path, noise(np.int8, 1)), "signed values of 8 bits"),
        (lambda path: tifffile.imwrite(path, noise(np.uint32, 1)), "unsigned values of 32 bits"),
        (lambda path: tifffile.imwrite(path, np.full((4, 4), np.nan, np.float32)), "not numbers"),
        (lambda path: tifffile.imwrite(path, noise(), photometric="cielab"), "Lab colour"),
        (lambda path: tifffile.imwrite(path, noise(np.uint16, 1), photometric="cfa"), "undeveloped camera data"),
        (lambda path: tifffile.imwrite(path, noise(np.uint8, 1), photometric="mask"), "transparency mask"),
        (
            lambda path: tifffile.imwrite(
                path, np.zeros((16, 16, 16), np.uint8), photometric="minisblack", volumetric=True, tile=(16,) * 3
            ),
            "a volume",
        ),
    ],
)
def test_what_could_only_be_read_wrongly_is_refused(
    write: Callable[[Path], object], reason: str, tmp_path: Path
) -> None:
    write(path := tmp_path / "a.tif")
    with pytest.raises(UnsupportedImageError, match=reason):
        returned(path)


def test_what_a_format_cannot_hold_is_refused_or_said(tmp_path: Path) -> None:
    pillow("RGBA").save(path := tmp_path / "a.png")
    with pytest.raises(UnsupportedImageError, match="JPEG cannot hold transparency"):
        returned(path, ".jpg")
    tifffile.imwrite(path := tmp_path / "a.tif", noise(np.float32), photometric="rgb")
    with pytest.raises(UnsupportedImageError, match="PNG cannot hold floating-point values"):
        returned(path, ".png")
    tifffile.imwrite(path, noise(np.uint16), photometric="rgb")
    assert returned(path, ".jpg")[2].notes == ("JPEG holds 8 bits a channel: 16 bits were rounded to 8",)
    with pytest.raises(UnsupportedImageError, match="camera raw is never written"):
        returned(path, ".nef")


def test_a_file_with_another_formats_name_stays_what_it_is(tmp_path: Path) -> None:
    Image.fromarray(noise()).save(path := tmp_path / "scan.JPG", "PNG")
    document, _, encoded = returned(path)
    assert document.format == "PNG"
    assert encoded.notes == ("named .JPG but holds PNG, and so does the result",)
    np.testing.assert_array_equal(np.asarray(opened(encoded)), noise())


@pytest.mark.parametrize("jfif", [False, True])
def test_a_jpeg_that_says_rgb_keeps_its_colours(jfif: bool, tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(noise(), (0, 0), 4).astype(float)
    smooth[..., 1] += 90  # green, which is red in other colours
    Image.fromarray(smooth.clip(0, 255).astype(np.uint8)).save(path := tmp_path / "a.jpg", subsampling=2, quality=95)
    data = path.read_bytes()
    assert data[2:4] == b"\xff\xe0"
    kept = data[2:] if jfif else data[20:]  # JFIF is YCbCr, whatever Adobe's segment says
    path.write_bytes(data[:2] + segment(0xEE, b"Adobe\0\x64" + bytes(5)) + kept)
    _, pages, encoded = returned(path)
    with Image.open(path) as before, opened(encoded) as after:
        np.testing.assert_array_equal(pages[0].pixels, np.asarray(before))
        assert np.abs(np.asarray(after).astype(int) - np.asarray(before)).mean() < 1.5
        assert ("jfif" in after.info, after.info.get("adobe_transform") == 0) == (jfif, not jfif)


def test_noise_fits_into_a_progressive_jpeg_of_the_highest_quality(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    picture = Image.fromarray(np.full((300, 300, 3), 128, np.uint8))
    picture.save(path, quality=100, subsampling=0, progressive=True)
    document = open_document(path)
    (page,) = read_pages(document)
    noisy = np.random.default_rng(0).integers(0, 256, page.pixels.shape, np.uint8)
    encoded = encode_document(document, [replace(page, pixels=noisy)], ".jpg")
    assert len(encoded.data) > 2 * 300 * 300  # more than Pillow is ready for
    assert np.abs(np.asarray(opened(encoded)).astype(int) - noisy).mean() < 2


@pytest.mark.parametrize(("subsampling", "factors"), [(0, (1, 1)), (1, (2, 1)), (2, (2, 2))])
@pytest.mark.parametrize("quality", [35, 92])
def test_a_jpeg_keeps_its_tables_subsampling_and_scans(
    quality: int, subsampling: int, factors: tuple[int, int], tmp_path: Path
) -> None:
    path = tmp_path / "a.jpeg"
    smooth = cv2.GaussianBlur(noise(), (0, 0), 4)
    Image.fromarray(smooth).save(path, quality=quality, subsampling=subsampling, progressive=True)
    _, _, encoded = returned(path)
    with Image.open(path) as before, opened(encoded) as after:
        assert after.quantization == before.quantization  # type: ignore[attr-defined]  # JPEG only
        assert tuple(after.layer[0][1:3]) == factors  # type: ignore[attr-defined]  # JPEG only
        assert after.info["progressive"]
        assert np.abs(np.asarray(after).astype(int) - np.asarray(before)).mean() < 1
    asked = opened(returned(path, quality=60)[2])
    assert asked.quantization != after.quantization  # type: ignore[attr-defined]  # JPEG only
