"""Which scores are odd, told by those of normal pictures that training has not seen.

A threshold is a promise about false alarms (split conformal prediction; Vovk et al. 2005): of normal pictures like
those that were held out, at most the stated share is flagged, whatever the network and its errors are.
"""

import math

import numpy as np
import numpy.typing as npt

from restore.errors import UsageError

__all__ = ["check_held_out", "normal_share", "oddness", "threshold_for"]


def threshold_for(held_out: npt.NDArray[np.float64], rate: float) -> float:
    """The smallest score above which at most a share `rate` of normal pictures lies.

    That is the ceil((N + 1) (1 - rate))-th smallest of N held-out scores: a further picture of their kind exceeds it
    with a probability of at most `rate` (Vovk et al. 2005).

    Args:
        held_out: `N` scores of normal pictures that training has not seen, sorted.
        rate: In (0, 1).

    Raises:
        UsageError: `rate` is out of range, or N is below 1 / rate - 1.
    """
    if not 0.0 < rate < 1.0:
        raise UsageError(f"--false-alarms: must be above 0 and below 1, not {rate:g}")
    count = len(held_out)
    place = math.ceil((count + 1) * (1.0 - rate) - 1e-9)  # without the rounding of the product
    if place > count:
        needed = math.ceil(1.0 / rate - 1e-9) - 1
        raise UsageError(
            f"--false-alarms: a share of {rate:g} on one side needs {needed} normal pictures that training "
            f"has not seen, and there are {count}; give more normal pictures, a larger --held-out, or a higher rate"
        )
    return float(held_out[place - 1])


def check_held_out(count: int, held_out: float, rate: float, two_sided: bool) -> None:
    """Find out before a training whether so many normal pictures are enough for it and for the threshold.

    Args:
        count: Of normal pictures.
        held_out: Share of them that training does not see, in (0, 1).
        rate: Share of normal pictures that may be flagged.
        two_sided: As for `Detector`.

    Raises:
        UsageError: None is left to train on, or too few are held out for that rate.
    """
    unseen = round(held_out * count)
    if unseen >= count:
        raise UsageError(
            f"--held-out: {held_out:g} of {count} normal pictures leaves none to train on; use a smaller share"
        )
    threshold_for(np.zeros(unseen), rate / 2 if two_sided else rate)


def normal_share(score: float, held_out: npt.NDArray[np.float64], two_sided: bool) -> float:
    """Share of normal pictures that are at least as odd: (1 + held-out ones as odd) / (1 + held-out ones).

    On two sides, twice the smaller of the two shares: that of higher scores and that of lower ones.

    Args:
        score: Of a picture.
        held_out: `N` scores of normal pictures that training has not seen, sorted.
        two_sided: Whether low scores are odd, too.
    """
    count = len(held_out)
    higher = (1 + count - int(np.searchsorted(held_out, score, side="left"))) / (1 + count)
    if not two_sided:
        return higher
    lower = (1 + int(np.searchsorted(held_out, score, side="right"))) / (1 + count)
    return min(2.0 * min(higher, lower), 1.0)


def oddness(score: float, held_out: npt.NDArray[np.float64], two_sided: bool) -> float:
    """What orders pictures, the odder the higher: the score; on two sides, how far out it lies on either.

    Args:
        score: Of a picture.
        held_out: As for `normal_share`.
        two_sided: As for `normal_share`.
    """
    if not two_sided:
        return score
    # Beyond the oddest held-out pictures on either side all shares are alike, and the distance decides.
    median = float(held_out[len(held_out) // 2])
    return -normal_share(score, held_out, two_sided) + 1e-9 * abs(math.log(max(score, 1e-12) / max(median, 1e-12)))
