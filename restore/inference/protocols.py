"""Named evaluations: what damage a method is scored on. A number without its protocol means nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from restore.corruption import (
    Compose,
    Corruption,
    GaussianBlur,
    GaussianNoise,
    PixelMask,
    Quantise,
    RectangleMask,
    StrokeMask,
)
from restore.errors import UsageError
from restore.inference.baselines import Baseline, non_local_means, telea, wiener_deconvolution

__all__ = ["PROTOCOLS", "Condition", "Protocol", "build_protocol"]

PROTOCOLS: dict[str, str] = {
    "gaussian-awgn": "white Gaussian noise, neither clipped nor rounded: that of the published tables",
    "clipped-8bit": "white Gaussian noise, clipped and rounded to 8 bits as in a file",
    "gaussian-blur": "Gaussian blur of 1, 2 and 3 pixels, reflected borders, then noise of sigma 2",
    "holes": "strokes and rectangles over 10-30 % of the image, single pixels over 50 %",
}
_SIGMAS = (15.0, 25.0, 50.0)


@dataclass(frozen=True)
class Condition:
    """One row of a table.

    Attributes:
        name: As it stands in the table.
        corruption: The damage.
        baseline: A classical method that is told the damage's strength.
        has_hole: Whether missing pixels are scored alone too.
    """

    name: str
    corruption: Corruption
    baseline: Baseline
    has_hole: bool = False


@dataclass(frozen=True)
class Protocol:
    """A named list of conditions."""

    name: str
    conditions: tuple[Condition, ...]


def build_protocol(name: str, sigmas: Sequence[float] = _SIGMAS) -> Protocol:
    """Look a protocol up.

    Args:
        name: One of `PROTOCOLS`.
        sigmas: Noise levels in 8-bit units, for the two noise protocols.

    Raises:
        UsageError: There is no such protocol.
    """
    if name == "gaussian-awgn":
        conditions = [Condition(f"sigma {s:g}", GaussianNoise((s, s)), non_local_means(s)) for s in sigmas]
    elif name == "clipped-8bit":
        conditions = [
            Condition(f"sigma {s:g}", Compose([GaussianNoise((s, s), clip=True), Quantise()]), non_local_means(s))
            for s in sigmas
        ]
    elif name == "gaussian-blur":
        conditions = [
            Condition(
                f"blur {s:g} px", Compose([GaussianBlur((s, s)), GaussianNoise((2.0, 2.0))]), wiener_deconvolution(s)
            )
            for s in (1.0, 2.0, 3.0)
        ]
    elif name == "holes":
        masks: dict[str, Corruption] = {
            "strokes 10-30 %": StrokeMask((0.1, 0.3)),
            "rectangles 10-30 %": RectangleMask((0.1, 0.3)),
            "pixels 50 %": PixelMask((0.5, 0.5)),
        }
        conditions = [Condition(kind, mask, telea(), has_hole=True) for kind, mask in masks.items()]
    else:
        raise UsageError(f"protocol {name!r} is unknown: use one of {', '.join(PROTOCOLS)}")
    return Protocol(name, tuple(conditions))
