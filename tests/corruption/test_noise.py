"""The noise that comes out is the noise that was asked for."""

import pytest
import torch
from torch import Tensor

from restore.corruption import GaussianNoise
from restore.seeds import generator_for


def noise_on(images: Tensor, low: float, high: float) -> Tensor:
    """The noise alone, in 8-bit units."""
    noisy, mask = GaussianNoise((low, high))(images, generator_for("noise"))
    assert not mask.any()
    return (noisy - images) * 255


def correlation(x: Tensor, y: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sigma", [1.0, 15.0, 50.0])
def test_noise_has_the_variance_that_was_asked_for_and_no_mean(sigma: float, channels: int) -> None:
    noise = noise_on(torch.rand(1, channels, 256, 256, generator=generator_for("image")), sigma, sigma)
    assert noise.std().item() == pytest.approx(sigma, rel=0.02)
    assert abs(noise.mean().item()) < 4 * sigma / noise.numel() ** 0.5
    kurtosis = (noise / noise.std()).pow(4).mean().item()
    assert kurtosis == pytest.approx(3.0, abs=0.1)


def test_noise_is_white_and_its_channels_are_independent() -> None:
    noise = noise_on(torch.rand(1, 3, 256, 256, generator=generator_for("image")), 25.0, 25.0)[0]
    for x, y in [
        (noise[0], noise[1]),
        (noise[1], noise[2]),
        (noise[..., 1:], noise[..., :-1]),
        (noise[:, 1:], noise[:, :-1]),
    ]:
        assert abs(correlation(x, y)) < 4 / x.numel() ** 0.5


def test_every_sample_has_a_sigma_of_its_own_from_the_whole_interval() -> None:
    images = torch.rand(400, 3, 32, 32, generator=generator_for("image"))
    sigmas = noise_on(images, 10.0, 50.0).flatten(1).std(dim=1)
    assert 9.0 < sigmas.min().item() < 12.0
    assert 48.0 < sigmas.max().item() < 53.0
    assert sigmas.mean().item() == pytest.approx(30.0, abs=2.5)  # four standard errors


def test_values_leave_the_range_unless_they_are_clipped() -> None:
    images = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3, 1).expand(-1, -1, -1, 500)
    noisy = GaussianNoise((25.0, 25.0))(images, generator_for("clip")).image
    clipped = GaussianNoise((25.0, 25.0), clip=True)(images, generator_for("clip")).image
    assert noisy[:, :, 0].mean().abs().item() < 0.02
    assert noisy.min().item() < -0.1
    assert noisy.max().item() > 1.1
    assert torch.equal(clipped, noisy.clamp(0, 1))


def test_sigma_zero_changes_no_bit() -> None:
    images = torch.rand(2, 3, 8, 8, generator=generator_for("image"))
    assert torch.equal(GaussianNoise((0.0, 0.0))(images, generator_for("none")).image, images)


def test_a_grey_sample_gets_one_plane_and_its_colour_neighbours_get_three() -> None:
    images = torch.rand(3, 3, 64, 64, generator=generator_for("image"))
    images[1] = images[1, :1]
    noise = noise_on(images, 25.0, 25.0)
    noisy = GaussianNoise((25.0, 25.0))(images, generator_for("noise")).image
    assert torch.equal(noisy[1], noisy[1, :1].expand(3, -1, -1))
    assert noise[1].std().item() == pytest.approx(25.0, rel=0.05)
    for sample in (0, 2):
        assert abs(correlation(noise[sample, 0], noise[sample, 1])) < 4 / 64
