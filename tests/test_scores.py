"""Scores against scikit-image and numpy."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from restore.scores import MAX_PSNR, hole_psnr, mse, psnr, ssim
from restore.seeds import generator_for
from tests.helpers.photos import damaged_pair as pair

Score = Callable[[Tensor, Tensor], Tensor]


def to_numpy(image: Tensor) -> "np.typing.NDArray[np.float64]":
    return image[0].permute(1, 2, 0).double().numpy()


@pytest.mark.parametrize("sigma", [0.5, 25.0, 100.0])
@pytest.mark.parametrize("photo", range(6))
def test_psnr_and_ssim_are_those_of_scikit_image(photo: int, sigma: float) -> None:
    restored, clean = pair(photo, sigma)
    x, y = to_numpy(restored), to_numpy(clean)
    assert psnr(restored, clean).item() == pytest.approx(peak_signal_noise_ratio(y, x, data_range=1), abs=1e-4)
    expected = structural_similarity(
        y, x, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1
    )
    assert ssim(restored, clean).item() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("size", [(202, 203), (203, 202), (11, 500), (400, 11)])
def test_ssim_is_that_of_the_whole_picture_where_it_is_computed_in_squares(size: tuple[int, int]) -> None:
    clean = torch.rand(1, 3, *size, generator=generator_for("squares")).mul(255).round().div(255)
    restored = clean.flip(3)
    expected = structural_similarity(
        to_numpy(clean),
        to_numpy(restored),
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
    )
    assert ssim(restored, clean).item() == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_identical_images_have_finite_scores(value: float) -> None:
    for image in (torch.full((1, 3, 16, 16), value), pair(0, 0.0)[1]):
        assert psnr(image, image).item() == MAX_PSNR == 100.0
        assert ssim(image, image).item() == pytest.approx(1.0, abs=1e-6)


def test_scores_are_of_the_8_bit_file_that_would_be_written() -> None:
    restored, clean = pair(1, 25.0)
    below_a_step = 0.4 / 255 * (2 * torch.rand(clean.shape, generator=generator_for("step")) - 1)
    assert psnr(clean + below_a_step, clean).item() == MAX_PSNR
    assert psnr(3 * restored - 1, clean).item() == psnr((3 * restored - 1).clamp(0, 1), clean).item()


@pytest.mark.parametrize("score", [psnr, ssim])
def test_autocast_changes_no_bit(score: Score) -> None:
    restored, clean = pair(2, 25.0)
    with torch.autocast("cpu", torch.bfloat16):
        inside = score(restored, clean)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, score(restored, clean))


def test_each_image_of_a_batch_has_its_own_score() -> None:
    pairs = [pair(photo, 10.0 * photo + 1) for photo in (0, 2, 3, 5)]
    restored, clean = (torch.cat(images) for images in zip(*pairs, strict=True))
    for score in (psnr, ssim):
        alone = [score(*one).item() for one in pairs]
        assert score(restored, clean).tolist() == pytest.approx(alone, rel=1e-6)
        assert len(set(alone)) == 4


def test_ssim_refuses_images_that_are_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match="at least 11 x 11 pixels, not 10 x 40"):
        ssim(torch.rand(1, 1, 10, 40), torch.rand(1, 1, 10, 40))
    assert ssim(torch.zeros(1, 1, 11, 11), torch.zeros(1, 1, 11, 11)).shape == (1,)


def test_images_of_two_shapes_have_no_score() -> None:
    grey, colour = torch.rand(1, 1, 16, 16), torch.rand(1, 3, 16, 16)
    scores: list[Score] = [psnr, ssim, mse, lambda x, y: hole_psnr(x, y, torch.ones(1, 1, 16, 16))]
    for score in scores:
        with pytest.raises(ValueError, match=r"one shape, not \(1, 1, 16, 16\) and \(1, 3, 16, 16\)"):
            score(grey, colour)


def test_hole_psnr_is_the_error_of_the_missing_pixels_alone() -> None:
    restored, clean = pair(0, 25.0)
    mask = (torch.rand(1, 1, *clean.shape[-2:], generator=generator_for("hole")) < 0.2).float()
    missing = mask[0, 0].bool().numpy()
    error = ((to_numpy(restored) - to_numpy(clean))[missing] ** 2).mean()
    assert hole_psnr(restored, clean, mask).item() == pytest.approx(-10 * math.log10(error), abs=1e-4)
    elsewhere = torch.where(mask.bool(), restored, 1 - restored)
    assert hole_psnr(elsewhere, clean, mask).item() == hole_psnr(restored, clean, mask).item()
    assert hole_psnr(restored, clean, torch.zeros_like(mask)).isnan().item()
