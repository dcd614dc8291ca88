"""Turning, depth, inks, palettes and transparency: changes of pixels that are not restoration.

All of it goes band by band, so that a large scan is not held twice.
"""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

__all__ = [
    "Array",
    "as_bits",
    "as_sixteen",
    "bands",
    "bleed_under_alpha",
    "inks_from",
    "palette_of",
    "premultiplied",
    "rgb_of_inks",
    "straight",
    "to_eight",
    "to_srgb",
    "turned",
]

Array = npt.NDArray[Any]
"""Pixels whose depth is known at run time only: uint8, uint16 or float32."""

BAND = 512
"""Rows that are worked on at a time."""


def bands(height: int) -> Iterator[slice]:
    """Ranges of rows that cover a picture."""
    return (slice(top, min(top + BAND, height)) for top in range(0, height, BAND))


def turned(pixels: Array, orientation: int) -> Array:
    """Stored pixels `(H, W, ...)` turned upright, by the numbers of the EXIF standard; copied only if they turn."""
    if orientation > 4:
        pixels = pixels.swapaxes(0, 1)
    flip_rows, flip_columns = {2: (0, 1), 3: (1, 1), 4: (1, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}.get(
        orientation, (0, 0)
    )
    return np.ascontiguousarray(pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1])


def as_sixteen(pixels: Array, highest: int) -> Array:
    """Values from 0 to `highest` spread over 0 to 65535, or over 0 to 255 where `highest` is at most 255.

    What fills its range already is not copied.

    Raises:
        ValueError: A value is above `highest`.
    """
    full, dtype = (255, np.uint8) if highest <= 255 else (65535, np.uint16)
    if highest == full and pixels.dtype == dtype:
        return pixels
    result = np.empty(pixels.shape, dtype)
    for rows in bands(len(pixels)):
        band = pixels[rows].astype(np.uint32)
        if band.size and int(band.max()) > highest:
            raise ValueError(f"values above {highest}")
        result[rows] = band if highest == full else (band * full + highest // 2) // highest
    return result


def as_bits(pixels: Array, bits: int) -> Array:
    """16-bit values as the values of fewer bits that `as_sixteen` made them from, rounded."""
    highest = (1 << bits) - 1
    if highest == 65535:
        return pixels
    result = np.empty_like(pixels)
    for rows in bands(len(pixels)):
        result[rows] = (pixels[rows].astype(np.uint32) * highest + 32767) // 65535
    return result


def to_eight(pixels: Array) -> npt.NDArray[np.uint8]:
    """16-bit values rounded to 8 bits; 8-bit values as they are."""
    if pixels.dtype == np.uint8:
        return pixels.view(np.uint8)
    result = np.empty(pixels.shape, np.uint8)
    for rows in bands(len(pixels)):
        result[rows] = (pixels[rows].astype(np.uint32) * 255 + 32767) // 65535
    return result


def bleed_under_alpha(pixels: Array, alpha: Array) -> Array:
    """Fill the colour of invisible pixels from the nearest visible one.

    What stands there is arbitrary, mostly black, and a restoration would draw it over the edge as a dark fringe.

    Args:
        pixels: `(H, W)` or `(H, W, 3)`.
        alpha: `(H, W)`, 0 where invisible.

    Returns:
        A copy with the visible pixels as they are; `pixels` itself if all or none are visible.
    """
    hidden = (alpha == 0).view(np.uint8)
    if not hidden.any() or hidden.all():
        return pixels
    _, labels = cv2.distanceTransformWithLabels(hidden, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    visible = np.flatnonzero(hidden == 0)
    nearest = np.empty(len(visible) + 1, np.int64)
    nearest[labels.reshape(-1)[visible]] = visible
    flat = pixels.reshape(hidden.size, -1)
    result = pixels.copy()
    for rows in bands(len(pixels)):
        mask = hidden[rows] != 0
        if mask.any():
            result[rows][mask] = flat[nearest[labels[rows][mask]]].reshape(-1, *pixels.shape[2:])
    return result


def straight(pixels: Array, alpha: Array) -> Array:
    """Divide colours by the alpha that they were multiplied by.

    Args:
        pixels: `(H, W)` or `(H, W, C)`, premultiplied.
        alpha: `(H, W)` of the same type; floats from 0 to 1.

    Returns:
        Straight colours.

    Raises:
        ValueError: A colour is above its alpha, so it was never multiplied.
    """
    result = np.empty_like(pixels)
    for rows in bands(len(pixels)):
        share = alpha[rows] if pixels.ndim == 2 else alpha[rows][..., None]
        if pixels.dtype == np.float32:
            with np.errstate(divide="ignore", invalid="ignore"):
                result[rows] = np.where(share > 0, pixels[rows] / share, 0)
            continue
        full = np.iinfo(pixels.dtype).max
        value, by = pixels[rows].astype(np.uint64), share.astype(np.uint64)
        if (value > by).any():
            raise ValueError("colours above their alpha: not premultiplied as the file says")
        result[rows] = (value * full + by // 2) // np.maximum(by, 1)
    return result


def premultiplied(pixels: Array, alpha: Array) -> Array:
    """The reverse of `straight`, exactly."""
    result = np.empty_like(pixels)
    for rows in bands(len(pixels)):
        share = alpha[rows] if pixels.ndim == 2 else alpha[rows][..., None]
        if pixels.dtype == np.float32:
            result[rows] = pixels[rows] * share
        else:
            full = int(np.iinfo(pixels.dtype).max)
            result[rows] = (pixels[rows].astype(np.uint64) * share.astype(np.uint64) + full // 2) // full
    return result


def rgb_of_inks(inks: Array) -> Array:
    """Cyan, magenta, yellow and black `(H, W, 4)`, 0 = no ink, as plain RGB `(H, W, 3)` of the same type.

    Each colour is (1 - ink) (1 - black): simple, and exactly undone by `inks_from`. It is what a network sees.
    """
    full = int(np.iinfo(inks.dtype).max)
    result = np.empty((*inks.shape[:2], 3), inks.dtype)
    for rows in bands(len(inks)):
        light = full - inks[rows].astype(np.uint64)
        result[rows] = (light[..., :3] * light[..., 3:] + full // 2) // full
    return result


def inks_from(pixels: Array, inks: Array | None) -> Array:
    """Restored RGB as inks.

    Where a pixel is as it was, so are its inks. Elsewhere the black ink stays as far as the colour allows, and the
    other three make up the rest.

    Args:
        pixels: `(H, W, 3)`, or `(H, W)` for grey, uint8 or uint16.
        inks: `(H, W, 4)`, the inks that `rgb_of_inks` was given; as much black as possible without them.

    Returns:
        `(H, W, 4)`, the same type.
    """
    full = int(np.iinfo(pixels.dtype).max)
    result = np.empty((*pixels.shape[:2], 4), pixels.dtype)
    for rows in bands(len(pixels)):
        colour = (pixels[rows] if pixels.ndim == 3 else pixels[rows][..., None].repeat(3, 2)).astype(np.int64)
        black = full - colour.max(axis=2, keepdims=True)
        if inks is not None:
            black = np.minimum(black, inks[rows][..., 3:].astype(np.int64))
        light = full - black
        rest = full - (colour * full + light // 2) // np.maximum(light, 1)
        result[rows] = np.concatenate([np.clip(rest, 0, full), black], axis=2)
        if inks is not None:
            same = (rgb_of_inks(inks[rows]) == pixels[rows]).all(axis=2) if pixels.ndim == 3 else None
            if same is not None:
                result[rows][same] = inks[rows][same]
    return result


def to_srgb(pixels: Array, profile: bytes) -> Array:
    """Inks `(H, W, 4)` or grey `(H, W)` as sRGB `(H, W, 3)` of the same type, through their colour profile.

    Raises:
        RuntimeError: The profile is damaged or not one of four inks, or of grey.
    """
    import imagecodecs  # here, since most photos do without

    srgb = imagecodecs.cms_profile("srgb")
    result = np.empty((*pixels.shape[:2], 3), pixels.dtype)
    space = "gray" if pixels.ndim == 2 else "cmyk"
    for rows in bands(len(pixels)):
        result[rows] = imagecodecs.cms_transform(
            np.ascontiguousarray(pixels[rows]), profile, srgb, colorspace=space, outcolorspace="rgb", intent=1
        )
    return result


def palette_of(pixels: Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]] | None:
    """Indices `(H, W)` and palette `(N, 3)` of an RGB uint8 picture that has at most 256 colours, else None."""
    keys = np.empty(pixels.shape[:2], np.uint32)
    colours = np.empty(0, np.uint32)
    for rows in bands(len(pixels)):
        band = pixels[rows].astype(np.uint32)
        keys[rows] = band[..., 0] << 16 | band[..., 1] << 8 | band[..., 2]
        colours = np.union1d(colours, keys[rows])
        if len(colours) > 256:
            return None
    indices = np.empty(pixels.shape[:2], np.uint8)
    for rows in bands(len(pixels)):
        indices[rows] = np.searchsorted(colours, keys[rows])
    palette = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1).astype(np.uint8)
    return indices, palette
