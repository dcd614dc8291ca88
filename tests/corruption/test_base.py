"""What every corruption promises, and how corruptions combine."""

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from restore.corruption import (
    CameraNoise,
    Compose,
    Corruption,
    DefocusBlur,
    FilmGrain,
    GaussianBlur,
    GaussianNoise,
    Identity,
    JpegCompression,
    MotionBlur,
    OneOf,
    PixelMask,
    Quantise,
    RectangleMask,
    Rescale,
    StrokeMask,
)
from restore.corruption.base import check_interval, draw_uniform
from restore.errors import UsageError
from restore.seeds import generator_for
from restore.types import Corrupted, Interval

RANDOM: list[Corruption] = [
    GaussianNoise(),
    GaussianNoise((5.0, 50.0), clip=True),
    GaussianBlur((0.5, 3.0)),
    MotionBlur(),
    DefocusBlur(),
    Rescale(),
    CameraNoise(),
    FilmGrain(),
    JpegCompression(),
    PixelMask(),
    RectangleMask(),
    StrokeMask(width_range=(2.0, 5.0)),
    Compose([GaussianBlur(), GaussianNoise(), StrokeMask(width_range=(2.0, 4.0))]),
    OneOf([GaussianNoise((20.0, 50.0)), PixelMask(), JpegCompression()]),
]
EVERY = [*RANDOM, Identity(), Quantise()]


def name(corruption: Corruption) -> str:
    return type(corruption).__name__


def photos(batch: int = 4, channels: int = 3, same: bool = False) -> Tensor:
    """Random 8-bit images of `(24, 29)`, or one of them `batch` times."""
    count = 1 if same else batch
    images = torch.randint(0, 256, (count, channels, 24, 29), generator=generator_for("photos", channels)) / 255
    return images.expand(batch, -1, -1, -1).clone()


@pytest.mark.parametrize("corruption", EVERY, ids=name)
def test_values_outside_the_range_stay_numbers(corruption: Corruption) -> None:
    images = torch.rand(4, 3, 24, 29, generator=generator_for("outside")) * 1.6 - 0.3
    assert corruption(images, generator_for("damage")).image.isfinite().all()


def global_states() -> list[str]:
    states = random.getstate(), np.random.get_state(), torch.get_rng_state().tolist()  # noqa: NPY002 it is watched
    return [repr(state) for state in states]


class Draw(Corruption):
    """Adds a drawn number."""

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        drawn = draw_uniform((0.0, 1.0), images, generator).view(-1, 1, 1, 1)
        return Corrupted(images + drawn, torch.zeros_like(images[:, :1]))


class Step(Corruption):
    """Multiplies, adds, and takes one column away."""

    def __init__(self, factor: float, summand: float, column: int) -> None:
        self.factor, self.summand, self.column = factor, summand, column

    def __call__(self, images: Tensor, generator: torch.Generator) -> Corrupted:
        mask = torch.zeros_like(images[:, :1])
        mask[..., self.column] = 1
        return Corrupted(images * self.factor + self.summand, mask)


@pytest.mark.parametrize("corruption", EVERY, ids=name)
def test_global_random_states_are_neither_read_nor_moved(corruption: Corruption) -> None:
    results = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 it is watched
        torch.manual_seed(seed)
        before = global_states()
        results.append(corruption(photos(), generator_for("state")))
        assert global_states() == before
    assert torch.equal(results[0].image, results[1].image)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("corruption", EVERY, ids=name)
def test_one_generator_state_gives_one_result_and_the_input_stays(corruption: Corruption, channels: int) -> None:
    images = photos(channels=channels)
    first, again = (corruption(images, generator_for("same")) for _ in range(2))
    assert torch.equal(images, photos(channels=channels))
    assert torch.equal(first.image, again.image)
    assert torch.equal(first.mask, again.mask)
    assert first.image.shape == images.shape
    assert first.image.dtype == first.mask.dtype == torch.float32
    assert first.mask.shape == (4, 1, 24, 29)
    assert set(first.mask.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize("corruption", RANDOM, ids=name)
def test_other_seeds_and_other_samples_are_corrupted_otherwise(corruption: Corruption) -> None:
    images = photos(batch=12, same=True)
    result = corruption(images, generator_for("one"))
    assert not torch.equal(result.image, corruption(images, generator_for("two")).image)
    assert len({sample.numpy().tobytes() for sample in result.image}) > 6


@pytest.mark.parametrize("corruption", EVERY, ids=name)
def test_grey_stays_grey_in_three_channels(corruption: Corruption) -> None:
    result = corruption(photos(channels=1).expand(-1, 3, -1, -1), generator_for("grey")).image
    assert torch.equal(result, result[:, :1].expand(-1, 3, -1, -1))


def test_identity_is_the_identity() -> None:
    result = Identity()(photos(), generator_for("identity"))
    assert torch.equal(result.image, photos())
    assert not result.mask.any()


def test_a_composition_goes_in_order_and_unites_the_masks() -> None:
    steps: list[Corruption] = [Step(2.0, 0.0, 3), Step(1.0, 5.0, 7), Step(1.0, 0.0, 3)]
    result = Compose(steps)(photos(), generator_for("compose"))
    assert torch.equal(result.image, photos() * 2 + 5)
    assert result.mask.amax(dim=(0, 1, 2)).nonzero().flatten().tolist() == [3, 7]
    assert result.mask.sum().item() == 4 * 24 * 2
    assert torch.equal(Compose(steps[::-1])(photos(), generator_for("compose")).image, (photos() + 5) * 2)


def test_a_composition_draws_anew_for_every_step() -> None:
    once, twice = (Compose([Draw()] * count)(photos(), generator_for("draw")).image for count in (1, 2))
    assert (once - photos()).mean().item() != pytest.approx((twice - once).mean().item(), abs=1e-4)


def test_choices_come_as_often_as_their_weights_say() -> None:
    choices: list[Corruption] = [Step(0.0, float(index), index) for index in range(4)]
    result = OneOf(choices, [1, 0, 2, 5])(torch.rand(8000, 3, 1, 4), generator_for("weights"))
    chosen = result.image[:, 0, 0, 0]
    shares = [(chosen == index).float().mean().item() for index in range(4)]
    assert shares == pytest.approx([1 / 8, 0, 2 / 8, 5 / 8], abs=0.02)  # four standard errors
    assert shares[1] == 0
    # Image and mask come from one choice, for the whole sample.
    assert torch.equal(result.image, chosen.view(-1, 1, 1, 1).expand_as(result.image))
    assert torch.equal(result.mask[:, 0, 0].argmax(dim=1).float(), chosen)


def test_choices_are_equally_frequent_without_weights() -> None:
    choices: list[Corruption] = [Step(0.0, float(index), 0) for index in range(4)]
    chosen = OneOf(choices)(torch.rand(8000, 1, 1, 1), generator_for("equal")).image.flatten()
    assert [(chosen == index).float().mean().item() for index in range(4)] == pytest.approx([0.25] * 4, abs=0.02)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "weights: 1 given for 2 corruptions"),
        ([1.0, -1.0], r"weights: must be 0 or more and not all 0, not \[1.0, -1.0\]"),
        ([0.0, 0.0], "weights: must be 0 or more and not all 0"),
        ([float("nan"), 1.0], "weights: must be 0 or more and not all 0"),
        ([float("inf"), 1.0], "weights: must be 0 or more and not all 0"),
    ],
)
def test_weights_that_cannot_work_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        OneOf([Identity(), Identity()], weights)


def test_combinations_of_nothing_are_refused() -> None:
    for combination in (Compose, OneOf):
        with pytest.raises(UsageError, match=f"corruptions: {combination.__name__} needs at least one"):
            combination([])


def test_the_repr_rebuilds_the_corruption() -> None:
    built = Compose([GaussianNoise((5.0, 50.0), clip=True), OneOf([Identity(), PixelMask()], [1.0, 3.0])])
    again = eval(repr(built))  # noqa: S307 what stands in a bundle's card is for people, and Python is their language
    assert repr(again) == repr(built)
    assert "sigma_range=(5.0, 50.0), clip=True" in repr(built)


def test_numbers_are_uniform_over_the_interval_and_equal_ends_fix_them() -> None:
    images = torch.zeros(20_000, 1, 1, 1)
    drawn = draw_uniform((2.0, 5.0), images, generator_for("uniform"))
    assert 2.0 <= drawn.min().item() < 2.01
    assert 4.99 < drawn.max().item() <= 5.0
    assert (torch.histc(drawn, 6, 2.0, 5.0) / len(images)).tolist() == pytest.approx([1 / 6] * 6, abs=0.011)
    assert set(draw_uniform((0.3, 0.3), images, generator_for("fixed")).tolist()) == {torch.tensor(0.3).item()}


@pytest.mark.parametrize(
    "interval", [(2.0, 1.0), (-0.1, 1.0), (0.5, 3.1), (float("nan"), 1.0), (0.0, float("nan")), (0.0, float("inf"))]
)
def test_intervals_that_cannot_work_are_refused_by_name(interval: Interval) -> None:
    with pytest.raises(UsageError, match=r"^length_range: needs 0 <= low <= high <= 3, not \("):
        check_interval("length_range", interval, 0.0, 3.0)
    assert check_interval("length_range", (0, 3), 0.0, 3.0) == (0.0, 3.0)


@pytest.mark.parametrize("interval", [5.0, (1.0,), (1.0, 2.0, 3.0), "wide", None, (None, 1.0)])
def test_what_is_no_interval_is_refused_by_name(interval: object) -> None:
    with pytest.raises(UsageError, match=r"^length_range: needs two numbers, \(low, high\), not "):
        check_interval("length_range", interval, 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("build", "argument"),
    [
        (lambda: GaussianNoise((-1.0, 5.0)), "sigma_range"),
        (lambda: GaussianNoise((0.0, float("inf"))), "sigma_range"),
        (lambda: GaussianBlur((3.0, 1.0)), "sigma_range"),
        (lambda: MotionBlur((0.0, 1000.0)), "length_range"),
        (lambda: DefocusBlur((0.0, 101.0)), "radius_range"),
        (lambda: MotionBlur(angle_range=(0.0, 270.0)), "angle_range"),
        (lambda: JpegCompression((0.0, 50.0)), "quality_range"),
        (lambda: JpegCompression((50.0, 101.0)), "quality_range"),
        (lambda: PixelMask((0.5, 1.5)), "share_range"),
        (lambda: PixelMask(fill=1.5), "fill"),
        (lambda: RectangleMask(side_range=(0.0, 0.5)), "side_range"),
        (lambda: StrokeMask(width_range=(0.5, 3.0)), "width_range"),
    ],
)
def test_every_class_names_the_argument_that_cannot_work(build: object, argument: str) -> None:
    assert callable(build)
    with pytest.raises(UsageError, match=f"^{argument}: needs "):
        build()
