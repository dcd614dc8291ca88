"""Blind deconvolution: finds the blur in the picture's spectrum, and undoes it as far as the noise allows.

The power spectrum of a photo falls as a power of the frequency (Field 1987). Blur multiplies it by a pattern of its
own, noise adds a constant. Of 495 kernels, with several slopes and amounts of noise each, the one is taken
under which the measured spectrum is most likely (Whittle 1953).
"""

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.images.kernels import disc_kernels, gaussian_profiles, motion_kernels
from restore.images.tensors import reflect_pad

__all__ = ["Blur", "deconvolve", "estimate_blur"]

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
_LOWEST = 1.5 / _WINDOW
"""Frequencies below hold the windows' own shape."""
_EVIDENCE, _EVIDENCE_OF_DISC, _EVIDENCE_OF_MOTION = 0.11, 0.112, 0.15
"""By how much the log-likelihood per frequency must grow before a blur is believed in. One sharp photo in eight reaches
that, nearly always with less than a pixel; Gaussian blur of 1 pixel and motion of 3 do in 59 and 58 photos of 60. Of
Gaussians and discs the likelier one is taken, nearly."""
_FLOOR = (1.2 / 255.0) ** 2
"""Power that is added before a kernel is chosen: JPEG files lack what is weaker, as if it had been blurred away."""
_HIGHEST, _WHITENESS, _LEAST_NOISE = 0.42, 0.7, (1.0 / 255.0) ** 2
"""White noise is the same at all frequencies: above the first figure, in cycles per pixel, the least tenth of its power
is more than the second times the median. JPEG files and noise reduction leave less there, but not at the frequencies
where a blur has to be undone: so there is at least noise of 1 of 255 then."""
_MARGIN = 48
"""Pixels by which a picture is continued beyond each of its borders before it is deconvolved; divides by 16."""
_ROUND_SIDE = 32
_ROUNDS = 3
"""How often the surroundings are found anew; motion of 15 pixels gains 1.0, 0.6 and 0.2 dB by them."""
_REACH = 128
"""Pixels over which the ringing of a filter falls to 1 / e at the slowest, as far as tiles are read: beyond, it would
carry what is not known of the surroundings into the picture, and make tiles differ."""
_STEEPNESS_OF_DISC = 1.321
"""Slope of a disc's response at its first zero, over its radius; that of a path is its length."""


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
    # The kernel by the spectrum with a floor under it; slope and noise by the spectrum as it is, if its noise is white.
    unit = taper.square().sum()
    highest = power[:, bank.frequencies > _HIGHEST]
    white = highest.quantile(0.1, dim=1) > _WHITENESS * highest.median(dim=1).values
    believed = torch.where(white[:, None], power, power.clamp(min=_LEAST_NOISE * unit))
    power = torch.cat([power + _FLOOR * unit, believed])
    power = power / power.mean(dim=1, keepdim=True).clamp(min=1e-20)
    best = power.new_full((len(power), len(bank.kernels)), math.inf)
    slope, noise = torch.zeros_like(best), torch.zeros_like(best)
    for exponent in _SLOPES:
        falling = bank.gains * bank.frequencies**-exponent
        for ratio in _NOISES:
            expected = falling + ratio
            # With the best amplitude for each kernel, which is a mean, minus the log-likelihood per frequency:
            cost = (power @ (1.0 / expected).T / power.shape[1]).log() + expected.log().mean(dim=1)
            better = cost < best
            best = torch.where(better, cost, best)
            slope, noise = slope.masked_fill(better, exponent), noise.masked_fill(better, ratio)
    best[:, 0].clamp_(max=0.0)  # nothing but white noise, whose spectrum is its own mean
    chosen = (best[: len(windows)] + bank.doubts).argmin(dim=1)
    of_kernel = (each[chosen] for each in (bank.kernels, bank.sigmas, bank.lengths, bank.radii))
    return Blur(*of_kernel, *(each[len(windows) :].gather(1, chosen[:, None])[:, 0] for each in (slope, noise)))


def deconvolve(image: Tensor, blur: Blur, *cautions: float) -> list[Tensor]:
    """Undo the blur and leave the noise alone: a Wiener filter without its smoothing, nothing where there is no blur.

    What lies beyond the borders was blurred into the picture and is unknown. It is taken to be the reflection of the
    sharp picture, blurred; which is found by doing all of it a few times.

    Args:
        image: `(B, C, H, W)` float32.
        blur: Of each picture.
        cautions: How many times the noise is counted: more leaves more blur and less ringing. The surroundings are
            found with the first.

    Returns:
        For each caution `(B, C, H, W)` float32.
    """
    if not blur.found().any():
        return [image for _ in cautions]
    height, width = image.shape[-2:]
    inside = (..., slice(height), slice(width))
    surrounded = _surround(image)
    size = (surrounded.shape[-2], surrounded.shape[-1])
    response = _response(blur.kernel, size).unsqueeze(1)
    frequencies = _frequencies(size, image.device).clamp(min=1.0 / max(size))
    noise = image.shape[1] * blur.noise.view(-1, 1, 1, 1) * frequencies ** blur.slope.view(-1, 1, 1, 1)
    # Around a zero of the response, where it is a slope times the distance to it, 1 / response is a resonance.
    steepness = torch.maximum(blur.length, _STEEPNESS_OF_DISC * blur.radius).view(-1, 1, 1, 1)
    noise = torch.maximum(noise, (steepness / (2.0 * math.pi * _REACH)).square())

    def filtered(picture: Tensor, gain: Tensor) -> Tensor:
        result: Tensor = torch.fft.irfft2(torch.fft.rfft2(picture) * gain, s=size)
        return result

    gains = [
        response.conj() * (1.0 + caution * noise) / (response.abs().square() + caution * noise) for caution in cautions
    ]
    for _ in range(_ROUNDS):
        sharp = filtered(surrounded, gains[0])[inside]
        surrounded = filtered(_surround(sharp), response)
        surrounded[inside] = image
    blurred = blur.found().view(-1, 1, 1, 1)  # the others come back to the last bit, whatever is in the batch
    return [torch.where(blurred, filtered(surrounded, gain)[inside], image) for gain in gains]


class _Bank(NamedTuple):
    kernels: Tensor  # (M, K, K), the first of them no blur
    sigmas: Tensor  # (M,), 0 for all but Gaussians
    lengths: Tensor  # (M,), 0 for all but motion
    radii: Tensor  # (M,), 0 for all but discs
    doubts: Tensor  # (M,), what must be gained to be believed
    gains: Tensor  # (M, F), squared
    frequencies: Tensor  # (F,), in cycles per pixel
    used: Tensor  # (64, 33)


@functools.lru_cache(maxsize=4)
def _bank(device: torch.device) -> _Bank:
    sigmas = torch.arange(_NARROWEST, _WIDEST + _SIGMA_STEP / 2, _SIGMA_STEP, device=device)
    sigmas = torch.cat([sigmas.new_zeros(1), sigmas])
    profiles = gaussian_profiles(sigmas, _WIDEST)
    paths = [
        (float(length), math.pi * turn / count)
        for length in range(_SHORTEST, _LONGEST + 1)
        for count in [round(_ANGLES_PER_PIXEL * length)]
        for turn in range(count)
    ]
    lengths, angles = torch.tensor(paths, device=device).T
    radii = torch.arange(_SMALLEST, _LARGEST + _RADIUS_STEP / 2, _RADIUS_STEP, device=device)
    families = [
        profiles[:, :, None] * profiles[:, None, :],
        motion_kernels(lengths, angles, _LONGEST),
        disc_kernels(radii, _LARGEST),
    ]
    side = max(family.shape[-1] for family in families)
    kernels = torch.cat([F.pad(family, ((side - family.shape[-1]) // 2,) * 4) for family in families])
    frequencies = _frequencies((_WINDOW, _WINDOW), device)
    used = frequencies > _LOWEST
    # A window smears the spectrum, and fills the zeros of motion: it multiplies the autocorrelation by its own.
    taper = torch.hann_window(_WINDOW, device=device)
    tapered = torch.fft.irfft(torch.fft.rfft(taper, 2 * _WINDOW).abs().square(), 2 * _WINDOW)
    tapered = torch.cat([tapered[: _WINDOW // 2], tapered[-_WINDOW // 2 :]]) / tapered[0]
    correlation = torch.fft.irfft2(_response(kernels, (_WINDOW, _WINDOW)).abs().square(), s=(_WINDOW, _WINDOW))
    gains = torch.fft.rfft2(correlation * (tapered[:, None] * tapered)).real.clamp(min=1e-6)
    sigmas, lengths, radii = torch.block_diag(sigmas, lengths, radii)
    evidence = ((sigmas, _EVIDENCE), (lengths, _EVIDENCE_OF_MOTION), (radii, _EVIDENCE_OF_DISC))
    doubts = torch.stack([(sizes > 0.0) * least for sizes, least in evidence]).sum(dim=0)
    return _Bank(kernels, sigmas, lengths, radii, doubts, gains[:, used], frequencies[used], used)


def _surround(image: Tensor) -> Tensor:
    """Continued to the right and below, so that it may follow itself: reflections of both borders, one fading out.

    The sides are multiples of 32, which are quick to transform: prime ones take twice as long.
    """
    height, width = image.shape[-2:]
    down, right = (2 * _MARGIN + -side % _ROUND_SIDE for side in (height, width))
    wide = reflect_pad(image, right, right, 0, 0)
    fade = _fade(right, image)
    image = torch.cat([image, torch.lerp(wide[..., -right:], wide[..., :right], fade)], dim=-1)
    high = reflect_pad(image, 0, 0, down, down)
    fade = _fade(down, image).unsqueeze(-1)
    return torch.cat([image, torch.lerp(high[..., -down:, :], high[..., :down, :], fade)], dim=-2)


def _fade(length: int, like: Tensor) -> Tensor:
    """From 0 to 1, and flat for a third at either end."""
    position = torch.linspace(-1.0, 2.0, length, device=like.device, dtype=like.dtype).clamp(0.0, 1.0)
    return position * position * (3.0 - 2.0 * position)


def _response(kernels: Tensor, size: tuple[int, int]) -> Tensor:
    """Fourier transforms of kernels around the origin: `(B, K, K)` to `(B, H, W / 2 + 1)`."""
    side = kernels.shape[-1]
    padded = kernels.new_zeros(len(kernels), *size)
    padded[:, :side, :side] = kernels
    response: Tensor = torch.fft.rfft2(padded.roll((-(side // 2), -(side // 2)), dims=(1, 2)))
    return response


def _frequencies(size: tuple[int, int], device: torch.device) -> Tensor:
    rows, columns = torch.fft.fftfreq(size[0], device=device), torch.fft.rfftfreq(size[1], device=device)
    frequencies: Tensor = (rows[:, None].square() + columns.square()).sqrt()
    return frequencies
