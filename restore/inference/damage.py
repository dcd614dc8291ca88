"""Blind estimates of how damaged a photo is: what decides whether it is left alone.

Three numbers, each from the pixels alone and each with a unit: noise, blur and JPEG blocks. They are made for photos;
a drawing without a flat or an unclipped spot says nothing about noise, and one without edges nothing about blur. The
cost does not grow with the picture: large ones are sampled at evenly spaced places, so that no randomness is needed.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
import torch

from restore.errors import UsageError
from restore.images.tensors import LEVELS
from restore.inference.guard import window_places
from restore.models.blur_estimation import estimate_blur

__all__ = ["Damage", "estimate_damage", "has_moved"]

_Floats = npt.NDArray[np.float32]
_Choice = npt.NDArray[np.bool_]

_PATCH = 8
_PATCHES = 16384
"""Patches looked at for noise, at most about so many per channel."""
_FLATTEST = 0.01
"""Share of the patches that noise is read from: few enough to be flat in most photos."""
_FEWEST_PATCHES = 30
_MOST_CLIPPED = 0.7
"""Share of clipped pixels above which a patch says too little about noise."""
_MARGIN = 16.0
"""Distance in 8-bit units from black and white below which clipping may have taken noise away."""
_INNER = 0.25
"""Share of the patches beyond that distance from which on the others are not looked at."""
_TEXTURE = 0.39
"""Ratio of highest to middle frequencies below which it is texture that fills the flattest patches. White noise has 1,
noise in a JPEG file of quality 75 has 0.47 or more, and noise from under a colour filter array, interpolated linearly,
0.40 or more (`docs/damage.md`)."""
_COMPRESSED = 1.0
"""Blocking above which that ratio says nothing, as compression took the highest frequencies away."""
_DRAWING = 0.9
"""Share of pixels in pure black or white above which a picture is a drawing, whose edges would pass for noise."""

_CROP = 256
_CROPS = 4
"""Blur and blocks are read from at most 4 x 4 crops of 256 x 256 pixels."""
_FINE_SCALES = (0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
_CONTRAST = 8.0
"""How many standard deviations of the noise an edge must stand above it."""
_FEWEST_EDGES = 100
_STRONGEST = 0.25
"""Share of the edges that blur is read from; the weak ones are texture and shading."""
_SHORTEST_PATH = 3.5
"""Pixels of motion that count; the spectra of some sharp photos look like those of 2 or 3 pixels."""


@dataclass(frozen=True)
class Damage:
    """How damaged a photo seems; 0 is none.

    Attributes:
        noise: Standard deviation of the noise in 8-bit units, root mean square over the channels. White noise is met
            without bias; noise that a JPEG file or a camera has smoothed counts by what is left of it at middle
            frequencies. In a photo without a flat spot anywhere, texture may count as well.
        blur: Standard deviation in pixels of the Gaussian that would make an ideal step as soft as the picture's
            median strong edge. Sharp photos have about 0.3. A step that was drawn, rather than photographed and
            sharpened, measures about sqrt(blur^2 + 1/3), since slopes are differences over two pixels.
        blocking: How much larger the mean step across the borders of 8 x 8 blocks is than between the pixels
            beside them, in 8-bit units.
    """

    noise: float
    blur: float
    blocking: float


def has_moved(pixels: npt.NDArray[np.generic]) -> bool:
    """Whether the picture's spectrum shows straight motion of 3.5 pixels or more; edges along its path would not.

    Args:
        pixels: As for `estimate_damage`.
    """
    places = window_places(*pixels.shape[:2])
    parts = np.stack([np.atleast_3d(pixels[place]).mean(axis=2, dtype=np.float32) for place in places])
    scale = LEVELS.get(pixels.dtype, 1)
    blur = estimate_blur(torch.from_numpy(parts[:, None] / scale), together=True)
    return bool(blur.length >= _SHORTEST_PATH)


def estimate_damage(pixels: npt.NDArray[np.generic]) -> Damage:
    """Estimate noise, blur and JPEG blocks of a picture.

    Args:
        pixels: `(H, W)` or `(H, W, 3)`, of any size from 1 x 1; uint8, uint16, or float32 nominally in [0, 1], where
            values outside, such as noise that was not clipped, are taken as they are.

    Returns:
        The same numbers for the same pixels, always.

    Raises:
        UsageError: Another shape or type, or a float that is not finite where the picture was sampled.
    """
    if pixels.ndim not in {2, 3} or pixels.shape[2:] not in {(), (3,)} or not pixels.size:
        raise UsageError(f"pixels: must be (H, W) or (H, W, 3), not {pixels.shape}")
    scales = {"uint8": 1.0, "uint16": 255.0 / 65535.0, "float32": 255.0}
    if pixels.dtype.name not in scales:
        raise UsageError(f"pixels: must be uint8, uint16 or float32, not {pixels.dtype}")
    picture = pixels[:, :, None] if pixels.ndim == 2 else pixels
    scale = scales[pixels.dtype.name]

    patches = _sample_patches(picture) * np.float32(scale)
    crops = [crop.astype(np.float32).mean(axis=2) * np.float32(scale) for crop in _sample_crops(picture)]
    if not all(np.isfinite(values).all() for values in [patches, *crops]):
        raise UsageError("pixels: hold values that are not finite")
    blocking = _blocking(crops)
    middle, highest = np.sqrt(np.mean([_noise_variances(plane, picture.shape) for plane in patches], axis=0)).tolist()
    is_texture = highest < _TEXTURE * middle and blocking < _COMPRESSED
    grey_noise = math.sqrt(_noise_variances(patches.mean(axis=0), picture.shape)[0])
    return Damage(highest if is_texture else middle, _blur(crops, grey_noise), blocking)


def _sample_patches(picture: npt.NDArray[np.generic]) -> _Floats:
    """Patches of 8 x 8 pixels, or of the picture's side where that is shorter: `(C, N, h * w)`.

    The distance between them is odd, so that they meet the grid of JPEG blocks in all positions.
    """
    sides = (min(_PATCH, picture.shape[0]), min(_PATCH, picture.shape[1]))
    views = np.lib.stride_tricks.sliding_window_view(picture, sides, axis=(0, 1))  # (H', W', C, h, w)
    step = math.ceil(math.sqrt(max(1.0, views.shape[0] * views.shape[1] / _PATCHES)))
    rows, columns = (_spread(length, step | 1, _PATCHES) for length in views.shape[:2])
    chosen = views[rows, columns]
    return chosen.transpose(2, 0, 1, 3, 4).reshape(picture.shape[2], -1, sides[0] * sides[1]).astype(np.float32)


def _spread(length: int, step: int, most: int) -> slice:
    """Every `step`-th position, or fewer where that would be more than `most`: for very long, narrow pictures."""
    return slice(None, None, max(step, math.ceil(length / most) | 1))


def _noise_variances(patches: _Floats, shape: tuple[int, ...]) -> tuple[float, float]:
    """Variances of one channel's noise at middle and at the highest frequencies, from patches `(N, h * w)`.

    The patches with the least energy at low frequencies of the discrete cosine transform are the flat ones; their
    energy at higher frequencies is noise (the idea of Ponomarenko et al., "An automatic approach to lossy compression
    of AVIRIS images", 2007). Since white noise is independent from one frequency to another, choosing by the one band
    does not bias the other. The median over the patches, rather than the mean, shrugs off the ones that are not flat.
    Middle frequencies are the measure, as JPEG files take the highest away; but where the highest hold far less, and
    no JPEG file has done it, what is seen is texture, whose spectrum falls, and the highest are closer to the noise.

    Noise is smaller where clipping has cut it off. So patches near black and white are left out if there are enough
    others; and those that hold clipped pixels are corrected: if a share p of a normal distribution is replaced by
    its limit, the variance falls to a known part of what it was.
    """
    black, white = np.abs(patches) < 1e-3, np.abs(patches - 255.0) < 1e-3
    if black.mean() + white.mean() > _DRAWING:
        return 0.0, 0.0
    clipped = np.maximum(black.mean(axis=1), white.mean(axis=1))
    level = patches.mean(axis=1)
    inner = np.abs(level - 127.5) <= 127.5 - _MARGIN
    kept = (clipped <= _MOST_CLIPPED) & (inner if inner.mean() >= _INNER else True)
    patches, clipped = patches[kept] - level[kept, None], clipped[kept]
    basis, low, middle, highest = _cosines(min(_PATCH, shape[0]), min(_PATCH, shape[1]))
    if not len(patches) or not middle.any():
        return 0.0, 0.0
    energy = np.square(patches @ basis) / _clipped_variance(clipped)[:, None].astype(np.float32)
    count = max(_FEWEST_PATCHES, round(_FLATTEST * len(energy)))
    flattest = np.argsort(energy[:, low].sum(axis=1), kind="stable")[:count]
    flat = energy[flattest]
    variance = _median_variance(flat[:, middle])
    return variance, _median_variance(flat[:, highest]) if highest.any() else variance


def _median_variance(energy: _Floats) -> float:
    """Variance of normal numbers from their squares `(N, bands)`, robust to rows that hold more.

    The median of a row's mean is that of chi-squared, by the approximation of Wilson and Hilferty.
    """
    return float(np.median(energy.mean(axis=1)) / (1.0 - 2.0 / (9.0 * energy.shape[1])) ** 3)


@lru_cache
def _cosines(height: int, width: int) -> tuple[_Floats, _Choice, _Choice, _Choice]:
    """Orthonormal cosines as columns `(h * w, h * w)`, and which of them are of low, middle and highest frequency.

    Frequencies count half waves per 8 pixels, those of the two directions added: low up to 3, middle 4 to 8, highest
    from 8.
    """
    rows, columns = (cv2.dct(np.eye(side, dtype=np.float32), flags=cv2.DCT_ROWS).T for side in (height, width))
    frequency = np.add.outer(np.arange(height) * _PATCH / height, np.arange(width) * _PATCH / width).ravel()
    low, middle = (frequency > 0.0) & (frequency <= 3.5), (frequency > 3.5) & (frequency <= 8.5)
    return np.kron(rows, columns).T.astype(np.float32), low, middle, frequency > 7.5


@lru_cache
def _clipping_table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Shares of clipped values, and the variance that is left of a normal distribution of variance 1.

    With a mean of t above the limit, p = Phi(-t), and the mean and the mean square of max(0, X) are
    phi(t) + t Phi(t) and t phi(t) + (1 + t^2) Phi(t): those of the censored normal distribution (Tobin, 1958).
    """
    t = np.linspace(4.0, -1.0, 501)
    density = np.exp(-0.5 * t**2) / math.sqrt(2.0 * math.pi)
    above = np.array([0.5 * math.erfc(-value / math.sqrt(2.0)) for value in t])
    mean = density + t * above
    return 1.0 - above, t * density + (1.0 + t**2) * above - mean**2


def _clipped_variance(shares: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    left: npt.NDArray[np.float64] = np.interp(shares, *_clipping_table())
    return left


def _sample_crops(picture: npt.NDArray[np.generic]) -> Iterator[npt.NDArray[np.generic]]:
    """The whole of a small picture, else crops on the grid of JPEG blocks, evenly spaced from border to border."""
    for top, height in _places(picture.shape[0]):
        for left, width in _places(picture.shape[1]):
            yield picture[top : top + height, left : left + width]


def _places(length: int) -> list[tuple[int, int]]:
    """Starts and lengths of the crops along one side."""
    if length <= _CROP * _CROPS:
        return [(0, length)]
    return [(index * (length - _CROP) // (_CROPS - 1) // 8 * 8, _CROP) for index in range(_CROPS)]


def _blur(crops: list[_Floats], noise: float) -> float:
    """Blur of the strong edges of grey crops, in pixels.

    The slope of a step that a Gaussian of s pixels has blurred falls from 1 / sqrt(s^2 + a^2) to 1 / sqrt(s^2 + b^2)
    when it is blurred again by b instead of a; the ratio R of the two slopes tells s (Zhuo and Sim, "Defocus map
    estimation from a single image", 2011):

        s^2 = (b^2 - R^2 a^2) / (R^2 - 1)

    Here b = 2 a, and a is the finest scale at which enough edges stand clear of the noise, so that noise is not taken
    for sharpness. The median over the strongest edges is returned.
    """
    for fine in _FINE_SCALES:
        coarse = 2.0 * fine
        # The standard deviation of the slope of white noise under a Gaussian.
        threshold = max(_CONTRAST * noise / (math.sqrt(8.0 * math.pi) * fine**2), 1.5)
        pairs = np.concatenate([_edge_slopes(crop, fine, coarse, threshold) for crop in crops], axis=1)
        enough = _FEWEST_EDGES if fine < _FINE_SCALES[-1] else 1
        if pairs.shape[1] >= enough:
            slopes = pairs[:, pairs[0] >= np.quantile(pairs[0], 1.0 - _STRONGEST)]
            squares = (slopes[0] / np.maximum(slopes[1], 1e-6)).clip(min=1.0001) ** 2
            return math.sqrt(max(0.0, float(np.median((coarse**2 - squares * fine**2) / (squares - 1.0)))))
    return 0.0


def _edge_slopes(crop: _Floats, fine: float, coarse: float, threshold: float) -> _Floats:
    """Slopes at two scales where the finer one has a ridge above a threshold: `(2, N)`."""
    if min(crop.shape) < 3:
        return np.empty((2, 0), np.float32)
    across, down, slope = _slopes(crop, fine)
    centre = slope[1:-1, 1:-1]
    sideways = np.abs(across[1:-1, 1:-1]) >= np.abs(down[1:-1, 1:-1])
    before = np.where(sideways, slope[1:-1, :-2], slope[:-2, 1:-1])
    after = np.where(sideways, slope[1:-1, 2:], slope[2:, 1:-1])
    ridge = (centre > threshold) & (centre >= before) & (centre > after)
    return np.stack([centre[ridge], _slopes(crop, coarse)[2][1:-1, 1:-1][ridge]])


def _slopes(crop: _Floats, scale: float) -> tuple[_Floats, _Floats, _Floats]:
    """Derivatives of a blurred crop, and their length, in 8-bit units per pixel."""
    smooth = cv2.GaussianBlur(crop, (0, 0), scale, borderType=cv2.BORDER_REFLECT)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return across.astype(np.float32), down.astype(np.float32), cv2.magnitude(across, down).astype(np.float32)


def _blocking(crops: list[_Floats]) -> float:
    """Mean step at the borders of 8 x 8 blocks beyond that of the neighbouring pixels, in 8-bit units.

    Noise and texture make the steps larger everywhere, and so cancel (after Wang, Sheikh and Bovik, "No-reference
    perceptual quality assessment of JPEG compressed images", 2002).
    """
    excess, count = 0.0, 0
    for crop in [*crops, *(crop.T for crop in crops)]:
        steps = np.abs(np.diff(crop, axis=1))
        borders = np.arange(7, steps.shape[1] - 1, 8)
        beyond = steps[:, borders] - (steps[:, borders - 1] + steps[:, borders + 1]) / 2.0
        excess, count = excess + float(beyond.sum(dtype=np.float64)), count + beyond.size
    return max(0.0, excess / max(count, 1))
