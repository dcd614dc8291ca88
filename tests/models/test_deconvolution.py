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
from restore.images.kernels import frequencies, responses
from restore.images.tensors import to_pixels
from restore.inference.restorer import Restorer
from restore.models import UNet, blur_estimation
from restore.models.blur_estimation import Blur, estimate_blur
from restore.models.deconvolution import deconvolve, reconcile
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
def test_a_blur_between_those_of_the_table_is_found(name: str) -> None:
    for length in (4.5, 13.5):
        found = estimate_blur(damaged(name, MotionBlur((length, length), (37.0, 37.0))))
        assert abs(float(found.length) - length) <= 0.3
    for radius in (3.4, 6.1):
        found = estimate_blur(damaged(name, DefocusBlur((radius, radius))))
        assert abs(float(found.radius) - radius) <= 0.2


@pytest.mark.parametrize("name", PHOTOS)
def test_a_sharp_photo_has_no_blur(name: str) -> None:
    for image in (sample_photo(name), damaged(name, Identity())):
        assert not estimate_blur(image).found()


@pytest.mark.parametrize("name", PHOTOS)
def test_a_frame_that_was_put_around_a_photo_later_does_not_hide_its_blur(name: str) -> None:
    moved = damaged(name, MotionBlur((15.0, 15.0), (0.0, 0.0)))
    moved[..., :2, :] = moved[..., -2:, :] = moved[..., :2] = moved[..., -2:] = 1.0
    assert estimate_blur(moved).length > 14.0


def test_a_photo_of_which_half_is_sharp_has_not_moved_far() -> None:
    moved, still = (damaged("coffee.png", blur) for blur in (MotionBlur((15.0, 15.0), (0.0, 0.0)), Identity()))
    left = torch.arange(moved.shape[-1]) < moved.shape[-1] // 2
    assert estimate_blur(torch.where(left, still, moved)).length == 0.0  # the likeliest by its spectrum is 15.5


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
    monkeypatch.setattr(blur_estimation, "_LEAST_NOISE", 0.0)
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


@pytest.mark.parametrize(
    "blur",
    [
        GaussianBlur((2.0, 2.0)),
        MotionBlur((6.0, 6.0), (30.0, 30.0)),
        MotionBlur((13.5, 13.5), (100.0, 100.0)),
        DefocusBlur((4.0, 4.0)),
    ],
    ids=repr,
)
def test_what_a_restored_picture_lacks_is_added(blur: DefocusBlur | GaussianBlur | MotionBlur) -> None:
    for name in PHOTOS:
        image, clean = damaged(name, blur), sample_photo(name)
        found = estimate_blur(image)
        (restored,) = deconvolve(image, found, 100.0)
        better = reconcile(restored, image, found)
        again, before = (blur(each, generator_for("again"))[0] for each in (better, restored))
        assert (again - image).square().mean() < (before - image).square().mean()
        assert psnr(better, clean) > psnr(restored, clean) + 0.02, name
        exact, told = blur(clean, generator_for("again"))[0], found._replace(kernel=kernel_of(blur))
        assert torch.allclose(reconcile(clean, exact, told), clean, atol=1e-4), "it lacks nothing"


def test_a_picture_that_lacks_nothing_stays_as_it_was() -> None:
    blur = MotionBlur((9.0, 9.0), (20.0, 20.0))
    moved, still = damaged("chelsea.png", blur), damaged("chelsea.png", Identity())
    batch = torch.cat([moved, still])
    restored = batch * 0.9
    changed = reconcile(restored, batch, estimate_blur(batch))
    assert torch.equal(changed[1], restored[1]), "no blur was found"
    assert not torch.equal(changed[0], restored[0])
    assert torch.equal(reconcile(restored[1:], still, estimate_blur(still)), restored[1:])
    slight = (GaussianBlur((0.8, 0.8)), 0.8, 0.0), (MotionBlur((2.0, 2.0)), 0.0, 2.0)
    for kernel, sigma, length in slight:
        numbers = (torch.tensor([value]) for value in (sigma, length, 0.0, 2.3, 1e-3))
        assert torch.equal(reconcile(restored[:1], moved, Blur(kernel_of(kernel), *numbers)), restored[:1])
    numbers = (torch.tensor([value]) for value in (0.0, 9.0, 0.0, 2.3, 1e-3))
    found = Blur(kernel_of(blur), *numbers)
    for level, glare in ((1.0, 1.7), (0.0, -0.4)):
        cut, beyond = torch.full((1, 3, 64, 64), level), torch.full((1, 3, 64, 64), glare)
        assert torch.equal(reconcile(beyond, cut, found), beyond), "it was cut off there"


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
    expected = reconcile(torch.cat([*sharp, soft, still]), batch, blur)
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


def test_responses_are_those_of_a_convolution_around_the_origin() -> None:
    torch.manual_seed(0)
    kernels, image = torch.rand(2, 5, 5), torch.rand(20, 30)
    blurred = torch.fft.irfft2(torch.fft.rfft2(image) * responses(kernels, (20, 30)), s=(20, 30))
    rolled = [
        image.roll((down - 2, across - 2), (0, 1)) * kernels[:, down, across].view(2, 1, 1)
        for down in range(5)
        for across in range(5)
    ]
    assert torch.allclose(blurred, torch.stack(rolled).sum(dim=0), atol=1e-5)
    assert frequencies((20, 30), torch.device("cpu")).shape == (20, 16)
    assert frequencies((20, 30), torch.device("cpu"))[10, 15] == pytest.approx(math.sqrt(0.5))
    assert frequencies((20, 30), torch.device("cpu"))[0, 3] == pytest.approx(0.1)
