"""Which photos count as clean, so that a bundle has nothing to do on them."""

import math
import re
from dataclasses import astuple

from restore.errors import UsageError
from restore.inference.damage import Damage
from restore.inference.protocols import PROTOCOLS

__all__ = ["CLEAN_LIMITS", "is_clean", "tells_clean"]

CLEAN_LIMITS: dict[str, Damage] = {
    "gaussian-awgn": Damage(noise=4.7, blur=math.inf, blocking=math.inf),
    "camera-noise": Damage(noise=0.5, blur=math.inf, blocking=0.5),
    "clipped-8bit": Damage(noise=4.7, blur=math.inf, blocking=math.inf),
    "gaussian-blur": Damage(noise=math.inf, blur=0.65, blocking=math.inf),
    "motion-blur": Damage(noise=math.inf, blur=0.65, blocking=math.inf),
    "defocus-blur": Damage(noise=math.inf, blur=0.65, blocking=math.inf),
}
"""The most damage that a clean photo has, by the protocol of the bundle that would restore it; infinite where the
bundle cannot help. Chosen on training photos (`docs/damage.md`): 4.7 is just below the least that noise of sigma 10
came to, in a JPEG file of quality 75 that had smoothed it; 0.65 lies between sharp photos and a blur of 1 pixel. 0.5 is
below the least of camera noise of sigma 5, 0.79; it spares the cleanest photos the network's time, and what the network
then hardly changes is copied as well (`restore.inference.batch`)."""


_NOISE, _BLUR = {"GaussianNoise"}, {"GaussianBlur", "MotionBlur", "DefocusBlur", "GaussianNoise"}
_TOLD: dict[str, set[str]] = {
    "gaussian-awgn": _NOISE,
    "camera-noise": _NOISE | {"CameraNoise", "FilmGrain", "JpegCompression"},
    "clipped-8bit": _NOISE,
    "gaussian-blur": _BLUR,
    "motion-blur": _BLUR,
    "defocus-blur": _BLUR,
}
"""Damage that a photo within those limits cannot have."""
_FINE_JPEG = 75.0
"""Quality from which on a JPEG file is no damage: photos come in such files, and bundles learn to bear with them."""
_NONE = {"Compose", "OneOf", "Identity", "Quantise"}


def tells_clean(protocol: str, corruption: str) -> bool:
    """Whether the estimates tell when a bundle has nothing to do: they see all that it was trained to mend.

    Args:
        protocol: Of the bundle's card.
        corruption: What its card says of the damage in training, such as `GaussianNoise(sigma_range=(0.0, 55.0))`;
            nothing is taken for what the protocol is named after.
    """
    kinds = set(re.findall(r"([A-Za-z]\w*)\(", corruption))
    lowest = map(float, re.findall(r"JpegCompression\(quality_range=\(([\d.]+)", corruption))
    if min(lowest, default=0.0) >= _FINE_JPEG:
        kinds.discard("JpegCompression")
    return protocol in _TOLD and kinds <= _TOLD[protocol] | _NONE


def is_clean(damage: Damage, protocol: str) -> bool:
    """Whether a bundle of that protocol has nothing to do on a photo.

    Args:
        damage: Of the photo.
        protocol: Of the bundle's card. One without an entry in `CLEAN_LIMITS`, such as `holes`, finds nothing clean:
            the estimates say nothing about its kind of damage.

    Raises:
        UsageError: There is no such protocol.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"protocol {protocol!r} is unknown: use one of {', '.join(PROTOCOLS)}")
    if protocol not in CLEAN_LIMITS:
        return False
    limits = CLEAN_LIMITS[protocol]
    return all(found <= limit for found, limit in zip(astuple(damage), astuple(limits), strict=True))
