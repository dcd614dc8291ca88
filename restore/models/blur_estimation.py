"""Blind estimation: finds the blur of a picture in its spectrum.

The power spectrum of a photo falls as a power of the frequency (Field 1987). Blur multiplies it by a pattern of its
own, noise adds a constant. Of 495 kernels, with several slopes and amounts of noise each, the one is taken under which
the measured spectrum is most likely (Whittle 1953), and then the best of those between it and its neighbours.
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.images.kernels import disc_kernels, frequencies, gaussian_profiles, motion_kernels, responses
from restore.images.tensors import reflect_pad

__all__ = ["Blur", "estimate_blur"]

_WINDOW = 64
"""Side in pixels of the windows whose spectra are averaged."""
_STEP = _WINDOW // 2
_NARROWEST, _WIDEST, _SIGMA_STEP = 0.75, 3.5, 0.125
_SHORTEST, _LONGEST = 2, 16
_SMALLEST, _LARGEST, _RADIUS_STEP = 2.0, 8.0, 0.25
_ANGLES_PER_PIXEL = 3.3
"""Directions of a path, per pixel of its length: its ends then move by half a pixel from one to the next."""
_SLOPES = (1.8, 2.3, 2.8)
_NOISES = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 2))
"""Power of the noise over that of the picture at one cycle per pixel."""
_FINER_NOISES = tuple(10.0 ** (exponent / 4) for exponent in range(-16, 4))
"""The same, closer together, for what lies between a kernel of the table and its neighbours."""
_LOWEST = 1.5 / _WINDOW
"""Frequencies below hold the windows' own shape."""
_EVIDENCE, _EVIDENCE_OF_DISC, _EVIDENCE_OF_MOTION = 0.11, 0.112, 0.15
"""By how much the log-likelihood per frequency must grow before a blur is believed in. One sharp photo in eight reaches
that, nearly always with motion of 2 pixels or a Gaussian of 0.75; Gaussian blur of 1 pixel and motion of 3 do in 59 and
58 photos of 60. Of Gaussians and discs the likelier one is taken, nearly."""
_SLOW = 0.995
"""Share of the pixels that must change as slowly as a path allows: a frame may have been put around the photo later."""
_FLOOR = (1.2 / 255.0) ** 2
"""Power that is added before a kernel is chosen: JPEG files lack what is weaker, as if it had been blurred away."""
_HIGHEST, _WHITENESS, _LEAST_NOISE = 0.42, 0.7, (1.0 / 255.0) ** 2
"""White noise is the same at all frequencies: above the first figure, in cycles per pixel, the least tenth of its power
is more than the second times the median. JPEG files and noise reduction leave less there, but not at the frequencies
where a blur has to be undone: so there is at least noise of 1 of 255 then."""


class Blur(NamedTuple):
    """What a picture was blurred with, and how far that can be undone.

    Attributes:
        kernel: `(B, K, K)`, K odd, each summing to 1; a single 1 where no blur was found.
        sigma: `(B,)`: standard deviation in pixels of a Gaussian, 0 if it is none.
        length: `(B,)`: length in pixels of a straight motion, 0 if it is none.
        radius: `(B,)`: radius in pixels of a disc, as of a lens out of focus, 0 if it is none.
        slope: `(B,)`: the power spectrum falls as the frequency to minus this.
        noise: `(B,)`: power of the noise over that of the picture at one cycle per pixel.
    """

    kernel: Tensor
    sigma: Tensor
    length: Tensor
    radius: Tensor
    slope: Tensor
    noise: Tensor

    def found(self) -> Tensor:
        """`(B,)` bool: which of them are a blur at all."""
        return (self.sigma > 0.0) | self.has_edge()

    def has_edge(self) -> Tensor:
        """`(B,)` bool: which of them end abruptly, and leave fine detail that can be had back: all but Gaussians."""
        return (self.length > 0.0) | (self.radius > 0.0)


def estimate_blur(images: Tensor, together: bool = False) -> Blur:
    """Find the blur of each picture.

    None, a Gaussian of 0.75 to 3.5 pixels, straight motion of 2 to 16, or a disc of radius 2 to 8.

    Args:
        images: `(B, C, H, W)` float32.
        together: Whether they are parts of one picture, and have one blur.

    Returns:
        B of them, or one.
    """
    grey = images.mean(dim=1, keepdim=True)
    height, width = grey.shape[-2:]
    grey = reflect_pad(grey, 0, max(0, _WINDOW - width), 0, max(0, _WINDOW - height))
    windows = grey[:, 0].unfold(1, _WINDOW, _STEP).unfold(2, _WINDOW, _STEP).flatten(1, 2)
    return _most_likely(windows.flatten(0, 1).unsqueeze(0) if together else windows)


def _most_likely(windows: Tensor) -> Blur:
    """Of pictures of which there are N windows each, `(B, N, 64, 64)`."""
    bank = _bank(windows.device)
    taper = torch.hann_window(_WINDOW, device=windows.device)
    taper = taper[:, None] * taper
    centred = windows - windows.mean(dim=(2, 3), keepdim=True)
    power = torch.fft.rfft2(centred * taper).abs().square_().mean(dim=1)[:, bank.used]  # (B, F)
    unit = taper.square().sum()
    highest = power[:, bank.cycles > _HIGHEST]
    white = highest.quantile(0.1, dim=1) > _WHITENESS * highest.median(dim=1).values
    floored = power + _FLOOR * unit
    cost = _fit(floored, bank.candidates, bank.cycles, _NOISES)[0]
    cost[:, 0].clamp_(max=0.0)  # nothing but white noise, whose spectrum is its own mean
    chosen = [_possible(bank.candidates, *each) for each in zip(cost + bank.doubts, windows, strict=True)]
    # Where the noise is white, no file has dropped anything, and the spectrum can be taken as it is.
    seen = torch.where(white[:, None], power, floored)
    believed = torch.where(white[:, None], power, power.clamp(min=_LEAST_NOISE * unit))
    found = [_refined(bank, *each) for each in zip(chosen, seen, believed, strict=True)]
    return Blur(*(torch.stack(parts) for parts in zip(*found, strict=True)))


def _possible(candidates: "_Candidates", cost: Tensor, windows: Tensor) -> int:
    """The cheapest of M, but no motion where the windows `(N, 64, 64)` of a picture rule out what is likeliest.

    Along a path of n pixels nothing that moved changes by more than 1 / n from one pixel to the next.
    """
    best = int(cost.argmin())
    if candidates.lengths[best] > 0.0:
        smooth = F.avg_pool2d(windows, 3, 1)  # against the noise
        down, across = smooth[:, 2:, 1:-1] - smooth[:, :-2, 1:-1], smooth[:, 1:-1, 2:] - smooth[:, 1:-1, :-2]
        angle = candidates.angles[best]
        steps = (down * angle.sin() + across * angle.cos()).abs().flatten() / 2.0
        if steps.kthvalue(math.ceil(_SLOW * len(steps))).values > 1.0 / candidates.lengths[best]:
            return int(cost.masked_fill(candidates.lengths > 0.0, math.inf).argmin())
    return best


def _refined(bank: "_Bank", chosen: int, seen: Tensor, believed: Tensor) -> Blur:
    """The best between a kernel of the table and its neighbours by one spectrum, slope and noise by another; `(F,)`."""
    near = _near(bank.candidates, chosen)
    cost, slope, noise = _fit(torch.stack([seen, believed]), near, bank.cycles, _FINER_NOISES)
    best = cost[0].argmin()
    sizes = near.sigmas[best], near.lengths[best], near.radii[best]
    return Blur(near.kernels[best], *sizes, slope[1, best], noise[1, best])


def _fit(
    power: Tensor, candidates: "_Candidates", cycles: Tensor, noises: tuple[float, ...]
) -> tuple[Tensor, Tensor, Tensor]:
    """Of spectra `(B, F)`, for each of M kernels the least cost, and the slope and the noise of that: `(B, M)` each."""
    power = power / power.mean(dim=1, keepdim=True).clamp(min=1e-20)
    best = power.new_full((len(power), len(candidates.kernels)), math.inf)
    slope, noise = torch.zeros_like(best), torch.zeros_like(best)
    for exponent in _SLOPES:
        falling = candidates.gains * cycles**-exponent
        for ratio in noises:
            expected = falling + ratio
            # With the best amplitude for each kernel, which is a mean, minus the log-likelihood per frequency:
            cost = (power @ (1.0 / expected).T / power.shape[1]).log() + expected.log().mean(dim=1)
            better = cost < best
            best = torch.where(better, cost, best)
            slope, noise = slope.masked_fill(better, exponent), noise.masked_fill(better, ratio)
    return best, slope, noise


class _Candidates(NamedTuple):
    kernels: Tensor  # (M, K, K)
    sigmas: Tensor  # (M,), 0 for all but Gaussians
    lengths: Tensor  # (M,), 0 for all but motion
    angles: Tensor  # (M,)
    radii: Tensor  # (M,), 0 for all but discs
    gains: Tensor  # (M, F), squared


class _Bank(NamedTuple):
    candidates: _Candidates  # the first of them no blur
    doubts: Tensor  # (M,), what must be gained to be believed
    cycles: Tensor  # (F,), frequencies, per pixel
    used: Tensor  # (64, 33)


@functools.lru_cache(maxsize=4)
def _bank(device: torch.device) -> _Bank:
    sigmas = torch.arange(_NARROWEST, _WIDEST + _SIGMA_STEP / 2, _SIGMA_STEP, device=device)
    sigmas = torch.cat([sigmas.new_zeros(1), sigmas])
    paths = [
        (float(length), math.pi * turn / count)
        for length in range(_SHORTEST, _LONGEST + 1)
        for count in [round(_ANGLES_PER_PIXEL * length)]
        for turn in range(count)
    ]
    lengths, angles = torch.tensor(paths, device=device).T
    radii = torch.arange(_SMALLEST, _LARGEST + _RADIUS_STEP / 2, _RADIUS_STEP, device=device)
    candidates = _candidates(sigmas, lengths, angles, radii)
    evidence = (
        (candidates.sigmas, _EVIDENCE),
        (candidates.lengths, _EVIDENCE_OF_MOTION),
        (candidates.radii, _EVIDENCE_OF_DISC),
    )
    doubts = torch.stack([(sizes > 0.0) * least for sizes, least in evidence]).sum(dim=0)
    cycles = frequencies((_WINDOW, _WINDOW), device)
    used = cycles > _LOWEST
    return _Bank(candidates, doubts, cycles[used], used)


def _candidates(sigmas: Tensor, lengths: Tensor, angles: Tensor, radii: Tensor) -> _Candidates:
    """Gaussians, then paths, then discs."""
    device = sigmas.device
    profiles = gaussian_profiles(sigmas, _WIDEST)
    families = [
        profiles[:, :, None] * profiles[:, None, :],
        motion_kernels(lengths, angles, _LONGEST),
        disc_kernels(radii, _LARGEST),
    ]
    side = max(family.shape[-1] for family in families)
    kernels = torch.cat([F.pad(family, ((side - family.shape[-1]) // 2,) * 4) for family in families])
    # A window smears the spectrum, and fills the zeros of motion: it multiplies the autocorrelation by its own.
    taper = torch.hann_window(_WINDOW, device=device)
    tapered = torch.fft.irfft(torch.fft.rfft(taper, 2 * _WINDOW).abs().square(), 2 * _WINDOW)
    tapered = torch.cat([tapered[: _WINDOW // 2], tapered[-_WINDOW // 2 :]]) / tapered[0]
    correlation = torch.fft.irfft2(responses(kernels, (_WINDOW, _WINDOW)).abs().square(), s=(_WINDOW, _WINDOW))
    gains = torch.fft.rfft2(correlation * (tapered[:, None] * tapered)).real.clamp(min=1e-6)
    used = frequencies((_WINDOW, _WINDOW), device) > _LOWEST
    angles = torch.cat([torch.zeros_like(sigmas), angles, torch.zeros_like(radii)])
    sigmas, lengths, radii = torch.block_diag(sigmas, lengths, radii)
    return _Candidates(kernels, sigmas, lengths, angles, radii, gains[:, used])


def _near(candidates: _Candidates, chosen: int) -> _Candidates:
    """What lies around one of them, closer together."""
    of_chosen = (candidates.sigmas, candidates.lengths, candidates.angles, candidates.radii)
    sigma, length, angle, radius = (each[chosen].item() for each in of_chosen)
    none = candidates.sigmas.new_zeros(0)

    def around(size: float, within: float, least: float, most: float) -> Tensor:
        steps = torch.linspace(-within, within, 17, device=none.device)
        return (size + steps)[(size + steps >= least) & (size + steps <= most)]

    if length > 0.0:
        turn = math.pi / round(_ANGLES_PER_PIXEL * length)
        angles = angle + turn * torch.linspace(-0.5, 0.5, 5, device=none.device)
        paths = torch.cartesian_prod(around(length, 1.0, _SHORTEST, _LONGEST), angles)
        return _candidates(none, paths[:, 0], paths[:, 1], none)
    if radius > 0.0:
        return _candidates(none, none, none, around(radius, 2 * _RADIUS_STEP, _SMALLEST, _LARGEST))
    if sigma > 0.0:
        return _candidates(around(sigma, 4 * _SIGMA_STEP, _NARROWEST, _WIDEST), none, none, none)
    return _candidates(none.new_zeros(1), none, none, none)
