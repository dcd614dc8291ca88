"""Finding the blur of a photo, and undoing it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from restore.corruption import (
    Compose,
    Corruption,
    DefocusBlur,
    GaussianBlur,
    GaussianNoise,
    Identity,
    JpegCompression,
    MotionBlur,
)
from restore.images.tensors import to_pixels
from restore.inference.restorer import Restorer
from restore.models import UNet, deconvolution
from restore.models.deconvolution import Blur, deconvolve, estimate_blur
from restore.seeds import generator_for
from tests.helpers.photos import sample_photo

PHOTOS = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png")


def damaged(name: str, *corruptions: Corruption) -> Tensor:
    everything = Compose([*corruptions, GaussianNoise((2.0, 2.0))])
    return everything(sample_photo(name), generator_for("deconvolution", name))[0]


def kernel_of(blur: DefocusBlur | GaussianBlur | MotionBlur) -> Tensor:
    return blur.kernels(torch.zeros(1, 1, 1, 1), generator_for("kernel"))


def spread(kernels: Tensor) -> Tensor:
    """Variances down and across and their covariance, `(B, 3)`: what tells apart the blurs of one kind."""
    places = torch.arange(kernels.shape[-1]) - kernels.shape[-1] // 2
    down = (kernels.sum(dim=2) * places**2).sum(dim=1)
    across = (kernels.sum(dim=1) * places**2).sum(dim=1)
    both = (kernels * places[:, None] * places).sum(dim=(1, 2))
    return torch.stack([down, across, both], dim=1)


def psnr(image: Tensor, clean: Tensor) -> float:
    return -10.0 * math.log10(float((image.clamp(0.0, 1.0) - clean).square().mean()))


@pytest.mark.parametrize(
    "blur",
    [
        *(GaussianBlur((sigma, sigma)) for sigma in (1.0, 2.0, 3.0)),
        *(MotionBlur((length, length), (angle, angle)) for length, angle in ((4.0, 90.0), (10.0, 30.0), (15.0, 140.0))),
        *(DefocusBlur((radius, radius)) for radius in (3.0, 5.0, 8.0)),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", PHOTOS)
def test_the_blur_of_a_photo_is_found(name: str, blur: DefocusBlur | GaussianBlur | MotionBlur) -> None:
    found, true = spread(estimate_blur(damaged(name, blur)).kernel), spread(kernel_of(blur))
    assert (found - true).norm() < 0.4 * true.norm() + 0.1  # a fifth of a standard deviation


@pytest.mark.parametrize("name", PHOTOS)
def test_a_sharp_photo_has_no_blur(name: str) -> None:
    for image in (sample_photo(name), damaged(name, Identity())):
        assert not estimate_blur(image).found()


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (63, 64), (130, 70)])
@pytest.mark.parametrize("content", [0.0, 0.7, math.nan])
def test_nothing_is_found_where_there_is_nothing_to_see(size: tuple[int, int], content: float) -> None:
    assert not estimate_blur(torch.full((2, 3, *size), content)).found().any()


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("name", PHOTOS)
def test_a_gaussian_is_not_taken_for_a_lens_out_of_focus(name: str, sigma: float) -> None:
    blur = estimate_blur(damaged(name, GaussianBlur((sigma, sigma))))
    assert blur.found()
    assert not blur.has_edge()


def test_noise_alone_is_no_blur() -> None:
    noise = torch.randn(3, 1, 96, 128, generator=generator_for("noise"))
    assert not estimate_blur(noise).found().any()


def test_parts_of_one_picture_have_one_blur() -> None:
    blur = MotionBlur((12.0, 12.0), (60.0, 60.0))
    picture = damaged("coffee.png", blur)
    parts = torch.cat([picture[..., :128, left : left + 128] for left in (0, 128, 256, 384)])
    together = estimate_blur(parts, together=True)
    assert [len(part) for part in together] == [1] * 6
    assert len(estimate_blur(parts).kernel) == 4
    assert (spread(together.kernel) - spread(kernel_of(blur))).norm() < 0.25 * spread(kernel_of(blur)).norm()


@pytest.mark.parametrize(
    ("blur", "gain"),
    [
        (GaussianBlur((1.0, 1.0)), 0.5),
        (GaussianBlur((3.0, 3.0)), 1.0),
        (MotionBlur((5.0, 5.0), (30.0, 30.0)), 1.2),
        (MotionBlur((15.0, 15.0), (30.0, 30.0)), 2.0),
        (DefocusBlur((4.0, 4.0)), 1.0),
    ],
    ids=repr,
)
def test_undoing_a_blur_that_was_found_brings_the_photo_nearer(blur: Corruption, gain: float) -> None:
    for name in PHOTOS:
        image, clean = damaged(name, blur), sample_photo(name)
        (sharp,) = deconvolve(image, estimate_blur(image), 4.0)
        assert psnr(sharp, clean) > psnr(image, clean) + gain, name


def test_without_a_blur_the_picture_comes_back_to_the_last_bit() -> None:
    blurred, still = damaged("camera.png", GaussianBlur((2.0, 2.0))), damaged("camera.png", Identity())
    batch = torch.cat([blurred, still])
    bold, cautious = deconvolve(batch, estimate_blur(batch), 2.0, 20.0)
    for result in (bold, cautious):
        assert torch.equal(result[1], still[0])
        assert not torch.equal(result[0], blurred[0])
    assert not torch.equal(bold[0], cautious[0])
    assert torch.equal(deconvolve(still, estimate_blur(still), 2.0)[0], still)


def test_more_caution_leaves_more_of_the_blur_and_less_noise() -> None:
    image = damaged("astronaut.png", GaussianBlur((2.0, 2.0)))
    results = deconvolve(image, estimate_blur(image), 1.0, 10.0, 100.0)
    changes = [float((result - image).square().mean()) for result in results]
    assert changes == sorted(changes, reverse=True)
    assert all(float((result.mean() - image.mean()).abs()) < 1e-3 for result in results)


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png"])  # in colour, whose mean has less noise
def test_noise_that_a_jpeg_file_took_is_reckoned_with(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, clean = damaged(name, DefocusBlur((5.0, 5.0))), sample_photo(name)
    saved = JpegCompression((90.0, 90.0))(raw, generator_for("file"))[0]
    before, of_raw = estimate_blur(saved), estimate_blur(raw)
    monkeypatch.setattr(deconvolution, "_LEAST_NOISE", 0.0)
    after = estimate_blur(saved)
    assert torch.equal(after.kernel, before.kernel)
    assert all(torch.equal(*pair) for pair in zip(of_raw, estimate_blur(raw), strict=True)), "its noise is white"
    careful, rash = (psnr(deconvolve(saved, blur, 2.0)[0], clean) for blur in (before, after))
    assert careful > rash + 0.3


def test_what_lies_beyond_the_borders_is_continued_so_that_they_do_not_ring() -> None:
    blur = MotionBlur((15.0, 15.0), (45.0, 45.0))
    image, clean = damaged("coffee.png", blur), sample_photo("coffee.png")
    (sharp,) = deconvolve(image, estimate_blur(image), 4.0)
    error = (sharp - clean).square().mean(dim=(0, 1))
    rim = torch.ones_like(error, dtype=torch.bool)
    rim[20:-20, 20:-20] = False
    assert error[rim].mean() < 2.0 * error[~rim].mean()


@pytest.mark.parametrize(
    ("blur", "length", "radius"),
    [(MotionBlur((15.0, 15.0), (0.0, 0.0)), 15.0, 0.0), (DefocusBlur((8.0, 8.0)), 0.0, 8.0)],
    ids=repr,
)
def test_what_one_column_changes_fades_over_128_pixels_however_little_noise_there_is(
    blur: DefocusBlur | MotionBlur, length: float, radius: float
) -> None:
    numbers = (torch.tensor([value]) for value in (0.0, length, radius, 2.8, 1e-5))
    found = Blur(kernel_of(blur), *numbers)
    image = torch.zeros(1, 1, 32, 1200)
    image[..., 100] = 1.0
    (sharp,) = deconvolve(image, found, 1.0)
    near, far = (sharp[0, 0, 16, start : start + 100].abs().max() for start in (200, 400))
    assert 0.0 < far < math.exp(-200 / 128) * near


def test_a_network_starts_from_the_deconvolved_picture_where_the_blur_ends_abruptly() -> None:
    network = UNet((8, 16), 1, deconvolve=True)
    for parameter in network.tail.parameters():
        torch.nn.init.zeros_(parameter)
    moved = damaged("chelsea.png", MotionBlur((9.0, 9.0), (20.0, 20.0)))
    unfocused = damaged("chelsea.png", DefocusBlur((5.0, 5.0)))
    soft = damaged("chelsea.png", GaussianBlur((2.0, 2.0)))
    still = damaged("chelsea.png", Identity())
    batch = torch.cat([moved, unfocused, soft, still])
    mask, blur = torch.zeros_like(batch[:, :1]), estimate_blur(batch)
    assert blur.found().tolist() == [True, True, True, False]
    assert blur.has_edge().tolist() == [True, True, False, False]
    sharp = [deconvolve(each, estimate_blur(each), 2.0)[0] for each in (moved, unfocused)]
    expected = torch.cat([*sharp, soft, still])
    assert torch.allclose(network(batch, mask), expected, atol=1e-5)
    assert torch.allclose(network(batch, mask, blur), expected, atol=1e-5)
    assert torch.allclose(network(moved, mask[:1], Blur(*(part[3:] for part in blur))), moved, atol=1e-6)


def test_a_network_sees_the_deconvolved_picture_of_any_blur() -> None:
    network = UNet((8, 16), 1, deconvolve=True)
    soft = damaged("chelsea.png", GaussianBlur((2.0, 2.0)))
    mask, blur = torch.zeros_like(soft[:, :1]), estimate_blur(soft)
    seen = network._sharpen(torch.cat([soft, mask], dim=1), blur)
    bold, cautious = deconvolve(soft, blur, 2.0, 20.0)
    assert torch.equal(seen, torch.cat([soft, mask, bold, cautious], dim=1))


def test_all_tiles_of_a_picture_share_the_blur_of_the_whole() -> None:
    class Listens(UNet):
        seen: list[Blur]

        def forward(self, image: Tensor, mask: Tensor, blur: Blur | None = None) -> Tensor:
            assert blur is not None
            self.seen.append(blur)
            return super().forward(image, mask, blur)

    torch.manual_seed(0)
    network = Listens((8, 16), 1, deconvolve=True)
    network.seen = []
    image = damaged("coffee.png", GaussianBlur((2.0, 2.0)))[0]
    tiled = Restorer(network, device="cpu", precision="32", tile=256, overlap=64).restore(image)
    assert len(network.seen) > 4
    assert all(torch.equal(blur.kernel, network.seen[0].kernel) for blur in network.seen)
    assert network.seen[0].found()
    with torch.inference_mode():
        whole = UNet.forward(network, image[None], image[None, :1] * 0.0, network.seen[0])[0]
    assert (tiled - whole).abs().max() < 4.0 / 255.0


def test_no_photo_shares_a_transform_with_others_whose_last_bits_it_would_change() -> None:
    class Counts(UNet):
        sizes: list[int]

        def forward(self, image: Tensor, mask: Tensor, blur: Blur | None = None) -> Tensor:
            self.sizes.append(len(image))
            return super().forward(image, mask, blur)

    torch.manual_seed(0)
    network = Counts((8, 16), 1, deconvolve=True)
    network.sizes = []
    restorer = Restorer(network, device="cpu", precision="32")
    blur = MotionBlur((10.0, 10.0), (30.0, 30.0))
    photos = [
        to_pixels(damaged(name, blur)[0, :, :300, :400]) for name in ("astronaut.png", "chelsea.png", "coffee.png")
    ]
    together = restorer.restore_together(photos)
    assert network.sizes == [1, 1, 1]
    assert len(restorer.changes) == len(photos)
    for pixels, result in zip(photos, together, strict=True):
        assert np.array_equal(restorer.restore(pixels), result)
        assert not np.array_equal(pixels, result)
