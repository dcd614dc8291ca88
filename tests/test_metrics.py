"""Means over sets, whatever batches and types they come in."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from restore.metrics import CodeStatistics, ImageScore, build_metrics
from restore.scores import hole_psnr, psnr, ssim
from restore.seeds import generator_for
from tests.helpers.photos import damaged_pair as pair

Score = Callable[[Tensor, Tensor], Tensor]


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


def test_statistics_of_a_code_are_those_of_its_numbers() -> None:
    generator = generator_for("codes")
    code = torch.zeros(40, 4, 1, 2)
    code[:, 0] = torch.randn(40, 1, 2, generator=generator)
    code[:, 1] = 0.5  # on, and the same for every image
    code[:, 2] = 0.05 * torch.randn(40, 1, 2, generator=generator)  # a four hundredth of the variance
    divergence = torch.zeros_like(code)
    divergence[:, 0], divergence[:, 1] = 2.0, 0.004
    for size in (40, 7, 1):
        statistics = CodeStatistics(4)
        for part, nats in zip(code.split(size), divergence.split(size), strict=True):
            statistics.update(part, nats)
        found = {name: value.item() for name, value in statistics.compute().items()}
        assert found["code_mean"] == pytest.approx(code.mean().item(), abs=1e-6)
        assert found["code_nonzero"] == pytest.approx(0.75)
        assert found["code_active"] == 1
        assert found["code_collapsed"] == 3
        assert [found[f"kl_{unit:02d}"] for unit in range(4)] == pytest.approx([4.0, 0.008, 0.0, 0.0])
        assert found["kl"] == pytest.approx(4.008)


def test_a_code_that_is_no_distribution_has_no_divergence_and_a_dead_one_no_active_unit() -> None:
    statistics = CodeStatistics(3)
    statistics.update(torch.ones(5, 3, 1, 1))
    assert set(statistics.compute()) == {"code_mean", "code_nonzero", "code_active"}
    assert statistics.compute()["code_active"] == 0


def test_the_mean_squared_error_is_what_the_psnr_is_made_of() -> None:
    restored, clean = pair(0, 20.0)
    metrics = build_metrics(error=True)
    metrics.update(restored=restored, clean=clean, mask=torch.zeros(1, 1, *clean.shape[-2:]))
    scores = metrics.compute()
    assert scores["psnr"].item() == pytest.approx(-10.0 * scores["mse"].log10().item(), rel=1e-6)
    assert scores["mse"].item() == pytest.approx((restored - clean).square().mean().item(), rel=1e-5)
