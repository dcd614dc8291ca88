"""Named evaluations: what damage a method is scored on. A number without its protocol means nothing."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from restore.corruption import (
    CameraNoise,
    Compose,
    Corruption,
    DefocusBlur,
    GaussianBlur,
    GaussianNoise,
    Identity,
    JpegCompression,
    MotionBlur,
    PixelMask,
    Quantise,
    RectangleMask,
    StrokeMask,
)
from restore.errors import UsageError
from restore.inference.baselines import (
    Baseline,
    biharmonic,
    navier_stokes,
    non_local_means,
    richardson_lucy_deconvolution,
    telea,
    total_variation,
    wavelet,
    wiener_deconvolution,
)

__all__ = ["NOISE_PROTOCOLS", "PROTOCOLS", "SHARES", "SIGMAS", "Condition", "Protocol", "build_protocol"]

PROTOCOLS: dict[str, str] = {
    "gaussian-awgn": "white Gaussian noise, neither clipped nor rounded: that of the published tables",
    "clipped-8bit": "white Gaussian noise, clipped and rounded to 8 bits as in a file",
    "camera-noise": "correlated Poisson-Gaussian noise of sigma 5, 10 and 20, then a JPEG file of quality 85",
    "gaussian-blur": "Gaussian blur of 1, 2 and 3 pixels, reflected borders, then noise of sigma 2",
    "motion-blur": "straight motion of 5, 10 and 15 pixels at 30 degrees, reflected borders, then noise of sigma 2",
    "defocus-blur": "discs of radius 2, 4 and 8 pixels, reflected borders, then noise of sigma 2",
    "holes": "strokes and rectangles over 10-30 % of the image, single pixels over 50 %",
    "holes-by-share": "strokes and rectangles, by the share of the image that is missing",
    "clean": "no damage: what a method does to a picture that needs nothing",
}
NOISE_PROTOCOLS = ("gaussian-awgn", "clipped-8bit")
"""Those that take noise levels."""

SIGMAS = (15.0, 25.0, 50.0)
"""Noise levels of the published tables, of 255."""

SHARES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Borders of the bins of `holes-by-share`."""


@dataclass(frozen=True)
class Condition:
    """One row of a table.

    Attributes:
        name: As it stands in the table.
        corruption: The damage.
        baseline: A classical method that is told the damage's strength.
        has_hole: Whether missing pixels count alone: a method must leave the others as they are.
        others: More classical methods, slower ones among them, for `restore benchmark`.
    """

    name: str
    corruption: Corruption
    baseline: Baseline
    has_hole: bool = False
    others: tuple[Baseline, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """A named list of conditions."""

    name: str
    conditions: tuple[Condition, ...]


def build_protocol(name: str, sigmas: Sequence[float] = SIGMAS, shares: Sequence[float] = SHARES) -> Protocol:
    """Look a protocol up.

    Args:
        name: One of `PROTOCOLS`.
        sigmas: Noise levels in 8-bit units, for the two noise protocols; rounded to six digits, as their names are,
            and each once.
        shares: Borders of the bins of `holes-by-share`, as shares of the image, ascending.

    Raises:
        UsageError: There is no such protocol, or the shares do not ascend.
    """
    if name in NOISE_PROTOCOLS:
        levels = dict.fromkeys(float(f"{sigma:g}") for sigma in sigmas)
        conditions = [_noise(sigma, clip=name == "clipped-8bit") for sigma in levels]
    elif name == "camera-noise":
        conditions = [_camera(sigma) for sigma in (5.0, 10.0, 20.0)]
    elif name == "gaussian-blur":
        conditions = [_gaussian_blur(sigma) for sigma in (1.0, 2.0, 3.0)]
    elif name == "motion-blur":
        conditions = [
            _blur_with_zeros(f"motion {length:g} px", MotionBlur((length, length), (30.0, 30.0)))
            for length in (5.0, 10.0, 15.0)
        ]
    elif name == "defocus-blur":
        conditions = [
            _blur_with_zeros(f"defocus {radius:g} px", DefocusBlur((radius, radius))) for radius in (2.0, 4.0, 8.0)
        ]
    elif name == "holes":
        conditions = [
            _hole("strokes 10-30 %", StrokeMask((0.1, 0.3))),
            _hole("rectangles 10-30 %", RectangleMask((0.1, 0.3))),
            _hole("pixels 50 %", PixelMask((0.5, 0.5))),
        ]
    elif name == "holes-by-share":
        if len(shares) < 2 or list(shares) != sorted(set(shares)):
            raise UsageError(f"shares: need at least two, ascending, not {list(shares)}")
        conditions = [
            _hole(f"{kind} {100 * low:g}-{100 * high:g} %", mask((low, high)))
            for kind, mask in (("strokes", StrokeMask), ("rectangles", RectangleMask))
            for low, high in itertools.pairwise(shares)
        ]
    elif name == "clean":
        conditions = [Condition("clean", Identity(), non_local_means(10.0))]
    else:
        raise UsageError(f"protocol {name!r} is unknown: use one of {', '.join(PROTOCOLS)}")
    return Protocol(name, tuple(conditions))


def _noise(sigma: float, clip: bool) -> Condition:
    noise = GaussianNoise((sigma, sigma), clip)
    return Condition(
        f"sigma {sigma:g}",
        Compose([noise, Quantise()]) if clip else noise,
        non_local_means(sigma),
        others=(wavelet(sigma), total_variation(sigma)),
    )


def _camera(sigma: float) -> Condition:
    return Condition(
        f"sigma {sigma:g}",
        Compose([CameraNoise((sigma, sigma)), JpegCompression((85.0, 85.0))]),
        non_local_means(sigma),
        others=(wavelet(sigma), total_variation(sigma)),
    )


def _gaussian_blur(sigma: float) -> Condition:
    blur = GaussianBlur((sigma, sigma))
    return Condition(
        f"blur {sigma:g} px",
        Compose([blur, GaussianNoise((2.0, 2.0))]),
        wiener_deconvolution(blur),
        others=(richardson_lucy_deconvolution(blur),),
    )


def _blur_with_zeros(name: str, blur: DefocusBlur | MotionBlur) -> Condition:
    """Of a kernel that ends abruptly, whose spectrum has zeros: the classical methods must be more cautious."""
    return Condition(
        name,
        Compose([blur, GaussianNoise((2.0, 2.0))]),
        richardson_lucy_deconvolution(blur, iterations=10),
        others=(wiener_deconvolution(blur, balance=0.3),),
    )


def _hole(name: str, mask: Corruption) -> Condition:
    return Condition(name, mask, telea(), has_hole=True, others=(navier_stokes(), biharmonic()))
