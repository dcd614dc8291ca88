"""Deconvolution: undoes a blur that was found, as far as the noise allows."""

import math

import torch
from torch import Tensor

from restore.images.kernels import frequencies, responses
from restore.images.tensors import reflect_pad
from restore.models.blur_estimation import Blur

__all__ = ["deconvolve", "reconcile"]

_MARGIN = 48
"""Pixels by which a picture is continued beyond each of its borders before it is deconvolved; divides by 16."""
_ROUND_SIDE = 32
_ROUNDS = 3
"""How often the surroundings are found anew; motion of 15 pixels gains 1.0, 0.6 and 0.2 dB by them."""
_REACH = 128
"""Pixels over which the ringing of a filter falls to 1 / e at the slowest, as far as tiles are read: beyond, it would
carry what is not known of the surroundings into the picture, and make tiles differ."""
_RECONCILED, _RECONCILED_GAUSSIAN = 30.0, 100.0
"""How many times the noise is counted where what a restored picture lacks is deconvolved: there is less of that than of
the picture. The width of a Gaussian is less certain than that of what ends abruptly."""
_SURE_SIGMA, _SURE_LENGTH = 0.8, 2.2
"""Pixels. Less may be what cameras and files leave of any photo, which is neither a Gaussian nor a path."""
_BLACK, _WHITE = 0.5 / 255.0, 254.5 / 255.0
_STEEPNESS_OF_DISC = 1.321
"""Slope of a disc's response at its first zero, over its radius; that of a path is its length."""


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
    response = responses(blur.kernel, size).unsqueeze(1)
    noise = _noise(blur, size, image)

    gains = [
        response.conj() * (1.0 + caution * noise) / (response.abs().square() + caution * noise) for caution in cautions
    ]
    for _ in range(_ROUNDS):
        sharp = _filtered(surrounded, gains[0])[inside]
        surrounded = _filtered(_surround(sharp), response)
        surrounded[inside] = image
    blurred = blur.found().view(-1, 1, 1, 1)  # the others come back to the last bit, whatever is in the batch
    return [torch.where(blurred, _filtered(surrounded, gain)[inside], image) for gain in gains]


def reconcile(restored: Tensor, image: Tensor, blur: Blur) -> Tensor:
    """Make a restored picture, blurred again, the picture that was restored.

    What is missing for that is deconvolved cautiously, and added. Pixels that are black or white miss nothing: they may
    have been cut off there.

    Args:
        restored: `(B, C, H, W)` float32.
        image: `(B, C, H, W)` float32 in [0, 1], that it was made of.
        blur: Of each picture.

    Returns:
        `(B, C, H, W)` float32.
    """
    sure = (blur.sigma > _SURE_SIGMA) | (blur.length > _SURE_LENGTH) | (blur.radius > 0.0)
    sure = sure.view(-1, 1, 1, 1)
    if not sure.any():
        return restored
    height, width = image.shape[-2:]
    inside = (..., slice(height), slice(width))
    surrounded = _surround(restored)
    size = (surrounded.shape[-2], surrounded.shape[-1])
    response = responses(blur.kernel, size).unsqueeze(1)
    cut = (image <= _BLACK) | (image >= _WHITE)
    missing = torch.zeros_like(surrounded)
    missing[inside] = (image - _filtered(surrounded, response)[inside]).masked_fill(cut, 0.0)
    caution = torch.where(blur.has_edge(), _RECONCILED, _RECONCILED_GAUSSIAN).view(-1, 1, 1, 1)
    gain = response.conj() / (response.abs().square() + caution * _noise(blur, size, image))
    return torch.where(sure, restored + _filtered(missing, gain)[inside], restored)


def _filtered(picture: Tensor, gain: Tensor) -> Tensor:
    """By a gain for each frequency, as `rfft2` orders them; the picture follows itself."""
    result: Tensor = torch.fft.irfft2(torch.fft.rfft2(picture) * gain, s=picture.shape[-2:])
    return result


def _noise(blur: Blur, size: tuple[int, int], image: Tensor) -> Tensor:
    """Power of the noise over that of the picture, as `rfft2` orders frequencies: `(B, 1, H, W / 2 + 1)`."""
    cycles = frequencies(size, image.device).clamp(min=1.0 / max(size))
    noise = image.shape[1] * blur.noise.view(-1, 1, 1, 1) * cycles ** blur.slope.view(-1, 1, 1, 1)
    # Around a zero of the response, where it is a slope times the distance to it, 1 / response is a resonance.
    steepness = torch.maximum(blur.length, _STEEPNESS_OF_DISC * blur.radius).view(-1, 1, 1, 1)
    return torch.maximum(noise, (steepness / (2.0 * math.pi * _REACH)).square())


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
