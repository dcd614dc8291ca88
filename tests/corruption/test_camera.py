"""Camera noise and film grain, measured: level, dependence on brightness, spectrum, colour."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from restore.corruption import CameraNoise, FilmGrain
from restore.errors import UsageError
from restore.seeds import generator_for

WHITE: dict[str, Any] = {
    "mosaic_share": 0.0,
    "matrix_range": (0.0, 0.0),
    "luma_blur_range": (0.0, 0.0),
    "chroma_blur_range": (0.0, 0.0),
    "chroma_range": (1.0, 1.0),
    "sharpening_range": (0.0, 0.0),
    "scale_range": (1.0, 1.0),
}
"""Settings with which nothing happens to the noise of the sensor."""


def flat(level: float, batch: int = 1, side: int = 256) -> Tensor:
    """A colour of one level that is nearly, and so not counted as, grey."""
    return torch.full((batch, 3, side, side), level) + torch.tensor([0.0, 1e-4, 0.0]).view(3, 1, 1)


def noise_on(corruption: CameraNoise | FilmGrain, images: Tensor) -> Tensor:
    """The noise alone, in 8-bit units."""
    noisy, mask = corruption(images, generator_for("camera"))
    assert not mask.any()
    return (noisy - images) * 255


def correlation(x: Tensor, y: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1])


@pytest.mark.parametrize("sigma", [1.0, 10.0, 20.0])
def test_the_level_is_that_of_middle_grey_whatever_the_camera_did(sigma: float) -> None:
    for gamma_range, tolerance in [((1.0, 1.0), 0.01), ((1.0, 2.4), 0.06)]:
        noise = noise_on(CameraNoise((sigma, sigma), gamma_range=gamma_range), flat(0.5, batch=8, side=128))
        assert noise.square().mean(dim=(1, 2, 3)).sqrt().tolist() == pytest.approx([sigma] * 8, rel=tolerance)
        assert noise.mean(dim=(1, 2, 3)).abs().max() < 0.25 * sigma  # low frequencies, and the tone curve's bend


def test_without_a_camera_the_noise_is_white() -> None:
    noise = noise_on(CameraNoise((5.0, 5.0), **WHITE), flat(0.5))[0]
    for x, y in [(noise[0], noise[1]), (noise[..., 1:], noise[..., :-1]), (noise[:, 1:], noise[:, :-1])]:
        assert abs(correlation(x, y)) < 4 / x.numel() ** 0.5


def test_photon_noise_in_linear_light_grows_with_the_square_root() -> None:
    camera = CameraNoise((4.0, 4.0), shot_range=(1.0, 1.0), gamma_range=(1.0, 1.0), **WHITE)
    for level, expected in [(0.125, 2.0), (0.5, 4.0), (0.72, 4.8)]:
        assert noise_on(camera, flat(level)).std().item() == pytest.approx(expected, rel=0.02)


def test_read_noise_in_linear_light_is_everywhere_the_same() -> None:
    camera = CameraNoise((4.0, 4.0), shot_range=(0.0, 0.0), gamma_range=(1.0, 1.0), **WHITE)
    for level in (0.2, 0.5, 0.8):
        assert noise_on(camera, flat(level)).std().item() == pytest.approx(4.0, rel=0.02)


def test_a_tone_curve_lifts_the_noise_of_the_shadows() -> None:
    camera = CameraNoise((4.0, 4.0), shot_range=(0.0, 0.0), gamma_range=(2.2, 2.2), **WHITE)
    dark, bright = (noise_on(camera, flat(level)).std().item() for level in (0.2, 0.8))
    assert dark > 5.0
    assert bright < 3.5


def luma(noise: Tensor) -> Tensor:
    return torch.einsum("c,chw->hw", torch.tensor([0.299, 0.587, 0.114]), noise)


def colour(noise: Tensor) -> Tensor:
    return noise[0] - noise[2]


@pytest.mark.parametrize(
    ("setting", "part", "expected"),
    [
        ({"mosaic_share": 1.0}, colour, 0.67),
        ({"luma_blur_range": (1.0, 1.0)}, luma, math.exp(-0.25)),
        ({"chroma_blur_range": (2.0, 2.0)}, colour, math.exp(-0.0625)),
        ({"scale_range": (2.0, 2.0)}, luma, 0.7),
    ],
    ids=["mosaic", "luma", "chroma", "scale"],
)
def test_each_step_of_the_camera_makes_neighbours_share_noise(
    setting: dict[str, Any], part: Callable[[Tensor], Tensor], expected: float
) -> None:
    """Noise under a Gaussian of s pixels has the correlation exp(-1 / (4 s^2)) with its neighbour."""
    noise = part(noise_on(CameraNoise((5.0, 5.0), **(WHITE | setting)), flat(0.5))[0])
    assert correlation(noise[:, 1:], noise[:, :-1]) == pytest.approx(expected, abs=0.1)
    assert correlation(noise[1:], noise[:-1]) == pytest.approx(expected, abs=0.1)


def test_sharpening_makes_neighbours_differ_and_the_matrix_ties_channels() -> None:
    sharp = noise_on(CameraNoise((5.0, 5.0), **(WHITE | {"sharpening_range": (1.0, 1.0)})), flat(0.5))[0]
    assert correlation(luma(sharp)[:, 1:], luma(sharp)[:, :-1]) < -0.05
    vivid = noise_on(CameraNoise((5.0, 5.0), **(WHITE | {"matrix_range": (1.0, 1.0)})), flat(0.5))[0]
    assert correlation(vivid[0], vivid[1]) < -0.3


def test_the_mosaic_interpolates_what_a_bilinear_camera_would() -> None:
    """Of noise that is the same everywhere nothing is changed: each channel's weights sum to one at every site."""
    from restore.corruption.camera import _through_mosaic

    field = torch.tensor([1.0, -2.0, 3.0]).view(1, 3, 1, 1).expand(4, -1, 12, 15)
    assert torch.allclose(_through_mosaic(field, [0, 1, 2, 3]), field, atol=1e-6)


def test_a_grey_sample_stays_grey_and_a_file_stays_in_range() -> None:
    images = torch.rand(3, 3, 64, 64, generator=generator_for("image"))
    images[1] = images[1, :1]
    for corruption in (CameraNoise((20.0, 20.0)), FilmGrain((20.0, 20.0))):
        noisy = corruption(images, generator_for("grey")).image
        assert torch.allclose(noisy[1], noisy[1, :1].expand(3, -1, -1), atol=1e-6)
        assert not torch.allclose(noisy[0], noisy[0, :1].expand(3, -1, -1), atol=1e-2)
        assert noisy.min() >= 0
        assert noisy.max() <= 1


def test_grain_is_strongest_in_the_middle_and_gone_in_black_and_white() -> None:
    grain = FilmGrain((10.0, 10.0))
    assert noise_on(grain, flat(0.5)).std().item() == pytest.approx(10.0, rel=0.03)
    assert noise_on(grain, flat(0.1)).std().item() == pytest.approx(6.0, rel=0.03)
    black_and_white = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2).expand(1, 3, 64, 2)
    assert torch.equal(grain(black_and_white, generator_for("ends")).image, black_and_white)


def test_grain_is_soft_and_nearly_colourless() -> None:
    noise = noise_on(FilmGrain((10.0, 10.0), (1.0, 1.0), (0.0, 0.0)), flat(0.5))[0]
    assert correlation(noise[0], noise[2]) > 0.999
    assert correlation(noise[0, :, 1:], noise[0, :, :-1]) == pytest.approx(math.exp(-0.25), abs=0.03)


def test_shares_outside_their_range_are_refused() -> None:
    with pytest.raises(UsageError, match="mosaic_share"):
        CameraNoise(mosaic_share=1.5)
    with pytest.raises(UsageError, match="shot_range"):
        CameraNoise(shot_range=(0.5, 2.0))
