"""Blurs measured on impulses, and against scikit-image."""

import math

import numpy as np
import pytest
import torch
from skimage.filters import gaussian
from torch import Tensor

from restore.corruption import Corruption, DefocusBlur, GaussianBlur, MotionBlur, Rescale
from restore.corruption.blur import blur_gaussian
from restore.seeds import generator_for

BLURS: list[Corruption] = [
    GaussianBlur((0.0, 4.0)),
    GaussianBlur((2.0, 2.0)),
    MotionBlur((0.0, 15.0)),
    DefocusBlur((0.0, 6.0)),
]


def blur(corruption: Corruption, images: Tensor) -> Tensor:
    result, mask = corruption(images, generator_for("blur"))
    assert not mask.any()
    return result


def covariance(kernels: Tensor) -> Tensor:
    """Second central moments of `(B, K, K)`: `(B, 2, 2)`, rows and columns."""
    kernels = kernels.double()
    offsets = torch.arange(kernels.shape[-1], dtype=torch.float64) - kernels.shape[-1] // 2
    y, x = torch.meshgrid(offsets, offsets, indexing="ij")
    assert (kernels * y).sum(dim=(1, 2)).abs().max() < 1e-5, "the picture would move"
    assert (kernels * x).sum(dim=(1, 2)).abs().max() < 1e-5, "the picture would move"
    yy, xy, xx = ((kernels * product).sum(dim=(1, 2)) for product in (y * y, x * y, x * x))
    return torch.stack([torch.stack([yy, xy], 1), torch.stack([xy, xx], 1)], 1)


@pytest.mark.parametrize("sigma", [0.8, 1.5, 4.0])
def test_the_impulse_response_has_the_sigma_that_was_asked_for(sigma: float) -> None:
    impulse = torch.zeros(1, 1, 65, 65)
    impulse[..., 32, 32] = 1
    response = blur(GaussianBlur((sigma, sigma)), impulse)[:, 0]
    assert response.sum().item() == pytest.approx(1.0, abs=1e-5)
    moments = covariance(response)[0]
    assert moments.diagonal().sqrt().tolist() == pytest.approx([sigma, sigma], rel=0.02)
    assert abs(moments[0, 1].item()) < 1e-5


@pytest.mark.parametrize("shape", [(40, 33), (7, 5), (2, 3), (1, 9), (1, 1)])
@pytest.mark.parametrize("sigma", [0.75, 1.5, 3.0])
def test_gaussian_blur_is_that_of_scikit_image_with_mirrored_borders(sigma: float, shape: tuple[int, int]) -> None:
    images = torch.rand(2, 3, *shape, generator=generator_for("image"))
    result = blur(GaussianBlur((sigma, sigma)), images)
    for sample, blurred in zip(images.double().numpy(), result.numpy(), strict=True):
        expected = gaussian(sample, sigma, mode="mirror", truncate=4.0, channel_axis=0)
        np.testing.assert_allclose(blurred, expected, atol=2e-6)


def test_a_sigma_below_the_largest_is_blurred_alike() -> None:
    impulses = torch.zeros(300, 1, 33, 33)
    impulses[..., 16, 16] = 1
    sigmas = covariance(blur(GaussianBlur((1.0, 3.0)), impulses)[:, 0]).diagonal(dim1=1, dim2=2).sqrt().mean(dim=1)
    assert sigmas.min().item() == pytest.approx(1.0, abs=0.03)
    assert sigmas.max().item() == pytest.approx(3.0, abs=0.05)
    assert sigmas.mean().item() == pytest.approx(2.0, abs=0.14)  # four standard errors


@pytest.mark.parametrize("corruption", BLURS, ids=repr)
def test_a_constant_image_stays_constant(corruption: Corruption) -> None:
    for value in (0.0, 0.3, 1.0):
        images = torch.full((3, 3, 6, 9), value)
        assert torch.allclose(blur(corruption, images), images, atol=1e-6)


def test_no_blur_is_the_identity() -> None:
    images = torch.rand(4, 3, 9, 9, generator=generator_for("image"))
    for corruption in (GaussianBlur((0.0, 0.0)), MotionBlur((0.0, 0.0)), DefocusBlur((0.0, 0.0))):
        assert torch.equal(blur(corruption, images), images)
    kernels = GaussianBlur((0.0, 3.0)).kernels(images, generator_for("blur"))
    assert kernels.shape == (4, 25, 25)


def test_autocast_blurs_no_coarser() -> None:
    images = torch.rand(2, 3, 16, 16, generator=generator_for("image"))
    with torch.autocast("cpu", torch.bfloat16):
        inside = blur(GaussianBlur(), images)
    assert torch.equal(inside, blur(GaussianBlur(), images))


@pytest.mark.parametrize("radius", [1.5, 4.0, 7.3, 20.0])
def test_a_lens_out_of_focus_makes_a_uniform_disc(radius: float) -> None:
    (kernel,) = DefocusBlur((radius, radius)).kernels(torch.zeros(1, 1, 1, 1), generator_for("disc"))
    assert kernel.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(kernel, kernel.T)
    assert torch.equal(kernel, kernel.flip(0))
    places = torch.arange(kernel.shape[0]) - kernel.shape[0] // 2
    distance = (places[:, None].square() + places.square()).sqrt()
    assert kernel[distance < radius - 0.5].unique().numel() == 1
    assert not kernel[distance > radius + 0.5].any()
    assert 1.0 / kernel.max().item() == pytest.approx(math.pi * radius**2, rel=0.05)
    # A disc has a quarter of its radius squared for variance; the rim is a pixel wide.
    assert covariance(kernel[None])[0].diagonal().tolist() == pytest.approx([radius**2 / 4] * 2, rel=0.03, abs=0.05)


def test_radii_differ_from_sample_to_sample() -> None:
    kernels = DefocusBlur((1.0, 5.0)).kernels(torch.zeros(200, 1, 1, 1), generator_for("disc"))
    radii = covariance(kernels)[:, 0, 0].mul(4).sqrt()
    assert radii.min().item() == pytest.approx(1.0, abs=0.3)
    assert radii.max().item() == pytest.approx(5.0, abs=0.1)
    assert radii.mean().item() == pytest.approx(3.0, abs=0.35)  # four standard errors


@pytest.mark.parametrize("length", [3.0, 6.0, 12.5, 20.0])
def test_motion_has_the_length_that_was_asked_for_in_every_direction(length: float) -> None:
    kernels = MotionBlur((length, length)).kernels(torch.zeros(400, 1, 1, 1), generator_for("motion"))
    assert kernels.min().item() >= 0.0
    assert kernels.sum(dim=(1, 2)).tolist() == pytest.approx([1.0] * 400, abs=1e-5)
    # A uniform segment has variance length^2 / 12 along it; sharing points among pixels adds up to 1/4 either way.
    variances, axes = torch.linalg.eigh(covariance(kernels))
    assert variances[:, 0].max().item() < 0.26
    lengths = (variances[:, 1] - variances[:, 0]).mul(12).sqrt()
    assert lengths.mean().item() == pytest.approx(length, rel=0.02)
    assert (lengths - length).abs().max().item() < 0.35
    angles = torch.atan2(axes[:, 0, 1], axes[:, 1, 1]).remainder(math.pi)
    assert (torch.histc(angles, 4, 0, math.pi) / 400).tolist() == pytest.approx([0.25] * 4, abs=0.09)
    assert abs(torch.polar(torch.ones(400).double(), 2 * angles).mean()) < 0.15


def test_motion_lengths_differ_from_sample_to_sample() -> None:
    kernels = MotionBlur((0.0, 10.0)).kernels(torch.zeros(200, 1, 1, 1), generator_for("motion"))
    lengths = covariance(kernels).diagonal(dim1=1, dim2=2).sum(dim=1).mul(12).sqrt()
    assert lengths.min().item() < 2.0
    assert lengths.max().item() > 9.5
    assert lengths.std().item() == pytest.approx(10 / 12**0.5, rel=0.25)


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 135.0])
def test_motion_goes_in_the_direction_that_was_asked_for(degrees: float) -> None:
    (kernel,) = MotionBlur((12.0, 12.0), (degrees, degrees)).kernels(torch.zeros(1, 1, 1, 1), generator_for("motion"))
    rows, columns = torch.meshgrid(*(torch.arange(kernel.shape[0]).float() - kernel.shape[0] // 2,) * 2, indexing="ij")
    down, across, both = ((kernel * part).sum() for part in (rows**2, columns**2, rows * columns))
    angle = math.degrees(0.5 * math.atan2(2 * both, across - down))  # of the axis along which the kernel is widest
    assert abs((angle - degrees + 90) % 180 - 90) < 1.0


def test_motion_smears_an_edge_only_along_its_path() -> None:
    impulse = torch.zeros(1, 1, 31, 31)
    impulse[..., 15, 15] = 1
    corruption = MotionBlur((11.0, 11.0))
    kernel = corruption.kernels(impulse, generator_for("blur"))[0]
    response = blur(corruption, impulse)[0, 0]
    radius = kernel.shape[-1] // 2
    around = response[15 - radius : 16 + radius, 15 - radius : 16 + radius]
    assert torch.allclose(around, kernel.flip(0, 1), atol=1e-6)
    assert response.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_rescaling_keeps_what_is_smooth_and_loses_what_is_fine() -> None:
    ramp = torch.linspace(0.1, 0.9, 64).expand(1, 1, 64, 64)
    stripes = (torch.arange(64) % 2).float().expand(1, 1, 64, 64)
    assert (blur(Rescale((0.5, 0.5)), ramp) - ramp)[..., 4:-4].abs().max() < 0.005
    assert (blur(Rescale((0.5, 0.5)), stripes) - 0.5)[..., 4:-4].abs().max() < 0.1
    assert torch.equal(blur(Rescale((1.0, 1.0)), stripes), stripes)


def test_the_separable_blur_is_the_other_one() -> None:
    images = torch.rand(3, 3, 31, 45, generator=generator_for("image"))
    separable = blur_gaussian(images, torch.tensor([1.7, 1.7, 1.7]), 1.7)
    assert torch.allclose(separable, blur(GaussianBlur((1.7, 1.7)), images), atol=1e-5)
    assert torch.equal(blur_gaussian(images, torch.zeros(3), 1.0), images)
