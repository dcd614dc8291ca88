"""The limit on changes: noise goes, texture stays, and tiles agree."""

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

from restore.inference.guard import WINDOW, flattest_windows, limit_change, noise_level, window_places
from restore.inference.restorer import Restorer
from restore.models.base import JsonValue, RestorationNetwork
from restore.models.bundle import ModelCard
from restore.seeds import generator_for


class Smoother(RestorationNetwork):
    """Takes away whatever differs from the mean of 5 x 5 pixels: noise and texture alike."""

    size_multiple = 2
    channels = 3

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(image, 5, 1, 2, count_include_pad=False)

    def config(self) -> dict[str, JsonValue]:
        return {}


def restorer(guarded: bool, tile: int = 768, overlap: int = 64) -> Restorer:
    card = ModelCard("smoother", {"name": "Smoother", "config": {}}, guarded=guarded)
    return Restorer(Smoother(), device="cpu", precision="32", tile=tile, overlap=overlap, card=card)


def picture(sigma: float, height: int = 512, width: int = 512) -> Tensor:
    """Flat in the upper half, with fine and strong texture in the lower one; with noise all over."""
    generator = generator_for("guard", height, width)
    clean = torch.full((3, height, width), 0.5)
    texture = torch.rand((1, height - height // 2, width), generator=generator)
    clean[:, height // 2 :] += 0.4 * (texture - 0.5)
    return clean + sigma / 255 * torch.randn(clean.shape, generator=generator)


def removed(image: Tensor, restored: Tensor) -> Tensor:
    """Root mean square of what is gone, in 8-bit units: of the flat half, and of the texture."""
    change = (restored - image).square() * 255**2
    return torch.stack([half.mean().sqrt() for half in change[:, 20:-20].chunk(2, dim=1)])


def test_texture_stays_where_nothing_is_flat_noise() -> None:
    image = picture(0.0)
    plain, guarded = (removed(image, restorer(each).restore(image)) for each in (False, True))
    assert plain[1] > 20
    assert guarded[1] < 0.6, "half a level, which is always allowed"


def test_noise_goes_where_it_is_flat_and_texture_loses_no_more_than_a_fifth_more() -> None:
    image = picture(10.0)
    plain, guarded = (removed(image, restorer(each).restore(image)) for each in (False, True))
    assert guarded[0].item() == pytest.approx(plain[0].item(), rel=0.02)
    assert guarded[1].item() < 1.2 * 10.0
    assert guarded[1].item() > 0.95 * 10.0


@pytest.mark.parametrize("sigma", [1.0, 5.0, 25.0])
def test_the_level_is_that_of_the_noise(sigma: float) -> None:
    image = picture(sigma)
    level = noise_level(image[None], Smoother()(image[None], torch.zeros(1, 1, 512, 512)))
    # What is left of white noise less its mean over 25 pixels.
    assert level.item() * 255 == pytest.approx(sigma * (24 / 25) ** 0.5, rel=0.1)


def test_a_picture_of_many_tiles_comes_out_as_in_one() -> None:
    image = picture(8.0, 600, 900)
    whole, tiled = restorer(True).restore(image), restorer(True, tile=256, overlap=32).restore(image)
    assert (whole - tiled).square().mean().sqrt() * 255 < 0.2
    assert (whole - tiled).abs().max() * 255 < 2.0


def test_the_noise_of_many_tiles_is_measured_again_where_half_precision_overflows() -> None:
    class Overflows(Smoother):
        def forward(self, image: Tensor, mask: Tensor) -> Tensor:
            return super().forward(image, mask).float() * (float("nan") if torch.is_autocast_enabled("cpu") else 1.0)

    card = ModelCard("smoother", {"name": "Smoother", "config": {}}, guarded=True)
    image = picture(8.0, 600, 600)
    half = Restorer(Overflows(), device="cpu", precision="bf16-mixed", tile=256, overlap=32, card=card)
    restored = half.restore(image)
    assert half.notes
    assert torch.allclose(restored, restorer(True, tile=256, overlap=32).restore(image), atol=1e-6)


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (15, 40), (16, 16), (33, 20), (5, 900), (40, 900)])
def test_pictures_of_any_size_are_restored(size: tuple[int, int]) -> None:
    image = torch.rand(3, *size, generator=generator_for("size"))
    restored = restorer(True, tile=256, overlap=32).restore(image)
    assert restored.shape == image.shape
    assert torch.isfinite(restored).all()


def test_pictures_together_have_levels_of_their_own() -> None:
    pixels = [(picture(sigma, 96, 96).clamp(0, 1) * 255).byte().permute(1, 2, 0).numpy() for sigma in (0.0, 20.0)]
    together = restorer(True).restore_together(pixels)
    for alone, result in zip(pixels, together, strict=True):
        np.testing.assert_array_equal(result, restorer(True).restore(alone))


def test_strength_zero_and_pictures_without_contrast_change_nothing() -> None:
    image = torch.full((3, 64, 64), 0.25)
    assert torch.allclose(restorer(True).restore(image), image, atol=1e-6)
    photo = skimage.data.astronaut()
    np.testing.assert_array_equal(restorer(True).restore(photo, strength=0.0), photo)


def test_the_change_is_limited_and_never_turned() -> None:
    image = torch.rand(2, 3, 64, 64, generator=generator_for("image"))
    restored = torch.rand(2, 3, 64, 64, generator=generator_for("restored"))
    limited = limit_change(image, restored, torch.tensor([0.01, 10.0]))
    assert torch.allclose(limited[1], restored[1], atol=1e-6)
    ratio = (limited[0] - image[0]) / (restored[0] - image[0])
    assert ratio.min() > 0
    assert ratio.max() < 0.1


def test_windows_lie_in_the_picture_and_the_flattest_are_chosen() -> None:
    for size in [(128, 128), (1000, 130), (5, 900), (4000, 6000)]:
        for place in window_places(*size):
            for part, side in zip(place, size, strict=True):
                assert 0 <= part.start < part.stop <= side
                assert part.stop - part.start == min(WINDOW, side)
    image = picture(5.0, 1024, 1024)
    windows = torch.stack([image[(slice(None), *place)] for place in window_places(1024, 1024)])
    assert flattest_windows(windows).std(dim=(1, 2, 3)).max() * 255 < 7
