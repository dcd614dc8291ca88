"""Noise as photos hold it: it depends on the brightness, and neighbouring pixels and channels share it."""

import torch
from torch import Tensor
from torch.nn import functional as F

from restore.corruption.base import Corruption, check_interval, draw_uniform, is_grey, no_mask
from restore.corruption.blur import blur_gaussian
from restore.errors import UsageError
from restore.images.tensors import reflect_pad
from restore.types import Corrupted, Interval

__all__ = ["CameraNoise", "FilmGrain"]

_LUMA = (0.299, 0.587, 0.114)
_TOE = 0.02
"""Linear light added below the tone curve, so that its slope at black is finite."""


class CameraNoise(Corruption):
    """Poisson-Gaussian noise that went through a camera: mosaic, colour matrix, noise reduction, sharpening, scaling.

    A field of white noise is made into one that neighbours share, in the order of a camera's processing; every step is
    linear, so that the noise alone goes through it and the picture keeps its sharpness. It is added in linear light
    with the variance shot * x + read, and a tone curve brings the sum back; the result is clamped as in a file. (The
    model of Foi et al., "Practical Poissonian-Gaussian noise modeling", 2008, and the order of Brooks et al.,
    "Unprocessing images for learned raw denoising", 2019; the parameters' ranges are our own.)

    A grey sample gets one plane of noise.

    Args:
        sigma_range: Standard deviation at middle grey, root mean square over the channels, in 8-bit units, after
            everything; exact where the tone curve is straight, 5 % more at most for 20 where it is not.
        shot_range: Share of that variance that comes from photons, and so grows with the light.
        gamma_range: Exponent of the tone curve; 1 is linear, and the larger, the more noise in the shadows.
        mosaic_share: Share of samples whose noise goes through a Bayer mosaic and bilinear interpolation.
        matrix_range: Strength of the colour matrix that makes a sensor's colours vivid and its noise larger.
        luma_blur_range: Noise reduction: Gaussian blur of the noise's luma, in pixels.
        chroma_blur_range: The same of its chroma, where cameras reduce more.
        chroma_range: Chroma noise, relative to what the steps before left of it.
        sharpening_range: Unsharp masking of the luma over one pixel: 0 is none, 1 doubles the finest detail.
        scale_range: Enlarging of the noise, as of a photo that was enlarged.

    Raises:
        UsageError: A setting is out of its range.
    """

    def __init__(
        self,
        sigma_range: Interval = (1.0, 20.0),
        shot_range: Interval = (0.2, 0.9),
        gamma_range: Interval = (1.0, 2.4),
        mosaic_share: float = 0.7,
        matrix_range: Interval = (0.0, 1.0),
        luma_blur_range: Interval = (0.0, 0.8),
        chroma_blur_range: Interval = (0.0, 3.0),
        chroma_range: Interval = (0.3, 1.2),
        sharpening_range: Interval = (0.0, 1.0),
        scale_range: Interval = (1.0, 1.8),
    ) -> None:
        self.sigma_range = check_interval("sigma_range", sigma_range, 0.0)
        self.shot_range = check_interval("shot_range", shot_range, 0.0, 1.0)
        self.gamma_range = check_interval("gamma_range", gamma_range, 1.0, 4.0)
        if not 0.0 <= mosaic_share <= 1.0:
            raise UsageError(f"mosaic_share: must be between 0 and 1, not {mosaic_share:g}")
        self.mosaic_share = mosaic_share
        self.matrix_range = check_interval("matrix_range", matrix_range, 0.0, 2.0)
        self.luma_blur_range = check_interval("luma_blur_range", luma_blur_range, 0.0, 10.0)
        self.chroma_blur_range = check_interval("chroma_blur_range", chroma_blur_range, 0.0, 10.0)
        self.chroma_range = check_interval("chroma_range", chroma_range, 0.0, 4.0)
        self.sharpening_range = check_interval("sharpening_range", sharpening_range, 0.0, 4.0)
        self.scale_range = check_interval("scale_range", scale_range, 1.0, 8.0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Add noise; what lies outside [0, 1] is clamped first, as in a file."""
        images = images.clamp(0.0, 1.0)
        field = self._field(images, generator)
        gamma, shot, sigma = (
            draw_uniform(interval, images, generator).view(-1, 1, 1, 1)
            for interval in (self.gamma_range, self.shot_range, self.sigma_range)
        )
        middle = torch.full_like(gamma, 0.5)
        light = _to_light(images, gamma)
        deviation = (shot * light / _to_light(middle, gamma) + 1.0 - shot).clamp(min=0.0).sqrt()
        amplitude = sigma / 255.0 * _light_slope(middle, gamma)
        noisy = _to_display(light + amplitude * deviation * field, gamma)
        # Powers may differ in the last bit from channel to channel; a grey sample stays exactly grey.
        return Corrupted(torch.where(is_grey(images), noisy[:, :1], noisy), no_mask(images))

    def _field(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Noise `(B, C, H, W)` of variance 1, mean over each sample's pixels and channels."""

        def draw(interval: Interval) -> Tensor:
            return draw_uniform(interval, images, generator)

        batch, _, height, width = images.shape
        field = torch.randn((batch, 3, height, width), generator=generator, device=images.device)
        through_mosaic = draw((0.0, 1.0)) < self.mosaic_share
        phase = (draw((0.0, 4.0)).long() % 4).tolist()
        field = torch.where(through_mosaic.view(-1, 1, 1, 1), _through_mosaic(field, phase), field)
        field = torch.einsum("bij,bjhw->bihw", _colour_matrices(draw(self.matrix_range)), field)
        luma = torch.einsum("c,bchw->bhw", field.new_tensor(_LUMA), field).unsqueeze(1)
        chroma = (field - luma) * draw(self.chroma_range).view(-1, 1, 1, 1)
        luma = blur_gaussian(luma, draw(self.luma_blur_range), self.luma_blur_range[1])
        chroma = blur_gaussian(chroma, draw(self.chroma_blur_range), self.chroma_blur_range[1])
        soft = blur_gaussian(luma, torch.ones(batch, device=images.device), 1.0)
        luma = luma + draw(self.sharpening_range).view(-1, 1, 1, 1) * (luma - soft)
        luma, chroma = _enlarge(torch.cat([luma, chroma], dim=1), draw(self.scale_range)).split([1, 3], dim=1)
        field = luma if images.shape[1] == 1 else torch.where(is_grey(images), luma, luma + chroma)
        return _unit_variance(field)


class FilmGrain(Corruption):
    """Grain of scanned film: soft, nearly colourless, strongest in the middle tones.

    Its standard deviation at the value x is that at middle grey times 2 sqrt(x (1 - x)), the law of many opaque grains
    that cover a share x of the area.

    Args:
        sigma_range: Standard deviation at middle grey, in 8-bit units, drawn per sample.
        size_range: Gaussian blur of the grain in pixels: half of a grain's width, about.
        colour_range: Standard deviation of the channels' own grain, relative to that of the shared one; a grey sample
            has none.
    """

    def __init__(
        self,
        sigma_range: Interval = (2.0, 20.0),
        size_range: Interval = (0.3, 1.5),
        colour_range: Interval = (0.0, 0.5),
    ) -> None:
        self.sigma_range = check_interval("sigma_range", sigma_range, 0.0)
        self.size_range = check_interval("size_range", size_range, 0.0, 10.0)
        self.colour_range = check_interval("colour_range", colour_range, 0.0, 4.0)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        """Add grain."""
        batch, channels, height, width = images.shape
        planes = torch.randn((batch, channels + 1, height, width), generator=generator, device=images.device)
        colour = draw_uniform(self.colour_range, images, generator).view(-1, 1, 1, 1)
        colour = torch.where(is_grey(images), 0.0, colour)
        grain = planes[:, :1] + colour * planes[:, 1:]
        grain = _unit_variance(
            blur_gaussian(grain, draw_uniform(self.size_range, images, generator), self.size_range[1])
        )
        sigma = draw_uniform(self.sigma_range, images, generator).view(-1, 1, 1, 1) / 255.0
        strength = 2.0 * (images * (1.0 - images)).clamp(min=0.0).sqrt()
        return Corrupted((images + sigma * strength * grain).clamp(0.0, 1.0), no_mask(images))


def _unit_variance(field: Tensor) -> Tensor:
    """Of mean square 1, over the pixels and channels of each sample."""
    return field / field.square().mean(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-6)


def _to_light(values: Tensor, gamma: Tensor) -> Tensor:
    """Linear light of display values; 0 and 1 stay."""
    start = _TOE ** (1.0 / gamma)
    return (start + values * ((1.0 + _TOE) ** (1.0 / gamma) - start)).pow(gamma) - _TOE


def _light_slope(values: Tensor, gamma: Tensor) -> Tensor:
    start = _TOE ** (1.0 / gamma)
    span = (1.0 + _TOE) ** (1.0 / gamma) - start
    return gamma * span * (start + values * span).pow(gamma - 1.0)


def _to_display(light: Tensor, gamma: Tensor) -> Tensor:
    """The inverse of `_to_light`, clamped to [0, 1]."""
    start = _TOE ** (1.0 / gamma)
    span = (1.0 + _TOE) ** (1.0 / gamma) - start
    return (((light + _TOE).clamp(min=0.0).pow(1.0 / gamma) - start) / span).clamp(0.0, 1.0)


def _through_mosaic(field: Tensor, phase: list[int]) -> Tensor:
    """Keep one channel in each pixel of a 2 x 2 pattern, and interpolate the others bilinearly.

    Args:
        field: `(B, 3, H, W)`.
        phase: Where each sample's pattern starts: 2 * row + column.
    """
    height, width = field.shape[-2:]
    rows = torch.arange(height, device=field.device).view(-1, 1) % 2
    columns = torch.arange(width, device=field.device).view(1, -1) % 2
    patterns = []
    for number in range(4):
        row, column = (rows + number // 2) % 2, (columns + number % 2) % 2
        red, blue = (row == 0) & (column == 0), (row == 1) & (column == 1)
        patterns.append(torch.stack([red, ~(red | blue), blue]))
    kept = torch.stack(patterns)[phase].float() * field
    side, cross = (
        [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]],
        [[0.0, 1.0, 0.0], [1.0, 4.0, 1.0], [0.0, 1.0, 0.0]],
    )
    kernels = field.new_tensor([side, cross, side]).unsqueeze(1) / 4.0
    with torch.autocast(field.device.type, enabled=False):
        return F.conv2d(reflect_pad(kept, 1, 1, 1, 1), kernels, groups=3)


def _colour_matrices(strength: Tensor) -> Tensor:
    """`(B, 3, 3)`: from a sensor's colours to vivid ones; rows sum to 1, so that grey stays grey."""
    vivid = strength.new_tensor([[0.7, -0.5, -0.2], [-0.2, 0.5, -0.3], [0.0, -0.6, 0.6]])
    return torch.eye(3, device=strength.device) + strength.view(-1, 1, 1) * vivid


def _enlarge(field: Tensor, scale: Tensor) -> Tensor:
    """The top left part of each sample, enlarged by a factor of its own to the same size."""
    height, width = field.shape[-2:]
    enlarged = [
        F.interpolate(
            sample[None, :, : max(1, round(height / factor)), : max(1, round(width / factor))],
            size=(height, width),
            mode="bicubic",
            align_corners=False,
        )
        if factor > 1.0
        else sample[None]
        for sample, factor in zip(field, scale.tolist(), strict=True)
    ]
    return torch.cat(enlarged)
