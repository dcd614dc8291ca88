"""Scores against scikit-image and numpy, and the means over sets."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor, nn

from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.images.tensors import to_float
from restore.metrics import MAX_PSNR, ImageScore, build_metrics, hole_psnr, psnr, ssim
from restore.seeds import generator_for

Score = Callable[[Tensor, Tensor], Tensor]
Pair = tuple[Tensor, Tensor]


def pair(index: int, sigma: float, height: int = 96, width: int = 81) -> Pair:
    """A damaged and a clean crop of a photo, 8-bit values, `(1, C, H, W)`."""
    clean = to_float(decode(sample_photos()[index].path).pixels)[None, :, 40 : 40 + height, 60 : 60 + width]
    noise = torch.randn(clean.shape, generator=generator_for("metrics", index)) * sigma / 255.0
    return (clean + noise).clamp(0, 1).mul(255).round().div(255), clean


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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_gives_the_same_scores() -> None:
    restored, clean = pair(0, 5.0)
    for score in (psnr, ssim):
        assert score(restored.cuda(), clean.cuda()).item() == pytest.approx(score(restored, clean).item(), abs=1e-5)


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


def test_hole_psnr_is_the_error_of_the_missing_pixels_alone() -> None:
    restored, clean = pair(0, 25.0)
    mask = (torch.rand(1, 1, *clean.shape[-2:], generator=generator_for("hole")) < 0.2).float()
    missing = mask[0, 0].bool().numpy()
    error = ((to_numpy(restored) - to_numpy(clean))[missing] ** 2).mean()
    assert hole_psnr(restored, clean, mask).item() == pytest.approx(-10 * math.log10(error), abs=1e-4)
    elsewhere = torch.where(mask.bool(), restored, 1 - restored)
    assert hole_psnr(elsewhere, clean, mask).item() == hole_psnr(restored, clean, mask).item()
    assert hole_psnr(restored, clean, torch.zeros_like(mask)).isnan().item()


@pytest.mark.parametrize("score", [psnr, ssim])
def test_the_mean_is_over_images_whatever_their_batches(score: Score) -> None:
    pairs = [pair(photo, 8.0 * photo + 2) for photo in (0, 2, 3, 5)]
    restored, clean = (torch.cat(images) for images in zip(*pairs, strict=True))
    expected = sum(score(*one).item() for one in pairs) / 4
    for sizes in ([4], [3, 1], [1, 1, 1, 1]):
        metric = ImageScore(score)
        for x, y in zip(restored.split(sizes), clean.split(sizes), strict=True):
            metric.update(x, y, torch.zeros(()))
        assert metric.compute().item() == pytest.approx(expected, rel=1e-6)


def test_a_large_image_counts_no_more_than_a_small_one() -> None:
    small, large = pair(0, 40.0, 16, 16), pair(0, 4.0, 128, 128)
    metrics = build_metrics()
    for restored, clean in (small, large):
        metrics.update(restored=restored, clean=clean, mask=torch.zeros(1, 1, *clean.shape[-2:]))
    scores = metrics.compute()
    assert set(scores) == {"psnr", "ssim"}
    assert scores["psnr"].item() == pytest.approx((psnr(*small) + psnr(*large)).item() / 2, rel=1e-6)
    assert scores["ssim"].item() == pytest.approx((ssim(*small) + ssim(*large)).item() / 2, rel=1e-6)


def test_images_without_a_hole_are_left_out_of_the_hole_score() -> None:
    restored, clean = (torch.cat(images) for images in zip(pair(0, 25.0), pair(2, 50.0), strict=True))
    mask = torch.zeros(2, 1, *clean.shape[-2:])
    mask[1, :, 10:30, 10:30] = 1
    metrics = build_metrics(hole=True)
    metrics.update(restored=restored, clean=clean, mask=mask)
    assert metrics.compute()["hole_psnr"].item() == pytest.approx(hole_psnr(restored, clean, mask)[1].item())
    metrics.reset()
    metrics.update(restored=restored, clean=clean, mask=torch.zeros_like(mask))
    assert metrics.compute()["hole_psnr"].isnan().item()
    assert metrics.compute()["psnr"].isfinite().item()


@pytest.mark.parametrize(
    "cast",
    [nn.Module.bfloat16, nn.Module.half, lambda module: module.to(torch.bfloat16)],
    ids=["bfloat16", "half", "to"],
)
def test_a_cast_of_the_task_costs_the_mean_no_digits(cast: Callable[[nn.Module], nn.Module]) -> None:
    metric = ImageScore(lambda restored, _: restored)
    task = nn.ModuleDict({"score": metric})
    cast(task)
    values = 30.0 + torch.rand(4000, generator=generator_for("cast"))
    for batch in values.split(50):
        metric.update(batch, batch, batch)
    assert metric.total.dtype == torch.float64
    assert metric.compute().item() == pytest.approx(values.double().mean().item(), rel=1e-6)


def test_a_picture_that_is_not_a_number_spoils_the_mean_for_everyone_to_see() -> None:
    clean = torch.rand(2, 3, 16, 16)
    broken = clean.clone()
    broken[1, 0, 3, 3] = torch.nan
    metrics = build_metrics()
    metrics.update(restored=broken, clean=clean, mask=torch.zeros(2, 1, 16, 16))
    assert metrics.compute()["psnr"].isnan()
    assert metrics.compute()["ssim"].isnan()
