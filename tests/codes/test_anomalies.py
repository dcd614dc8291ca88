"""Odd pictures: thresholds keep their promise, scores see what they should, heat glows where the error is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from restore.codes.anomalies import (
    Detector,
    area_under_curve,
    error_maps,
    network_scores,
    pca_scores,
    scores_of,
    train_detector,
)
from restore.codes.encoder import Encoder
from restore.codes.heat import heat_over, shown_picture, shown_size
from restore.codes.thresholds import threshold_for
from restore.errors import DataError, UsageError
from restore.models.base import Autoencoder
from restore.models.bundle import ModelCard, network_entry
from restore.models.dense import DeepAutoencoder

NETWORK = DeepAutoencoder((2,), 8)
ENCODER = Encoder(NETWORK, ModelCard("small", network_entry(NETWORK)), torch.device("cpu"))


def detector(held_out: list[float], rate: float, two_sided: bool = False) -> Detector:
    return Detector(ENCODER, 8, "mean", np.array(held_out), rate, two_sided)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize(("count", "rate"), [(19, 0.1), (50, 0.1), (200, 0.05), (99, 0.2)])
def test_of_normal_pictures_no_more_than_the_stated_share_is_flagged(count: int, rate: float, two_sided: bool) -> None:
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        judge = detector(rng.exponential(size=count).tolist(), rate, two_sided)
        shares.append(np.mean([judge.is_odd(score) for score in rng.exponential(size=50).tolist()]))
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) < rate + 3 * error
    assert (
        np.mean(shares) > rate - 2 / (count + 1) - 3 * error
    )  # and hardly fewer: the threshold is no higher than it must


@settings(deadline=None)  # the machine may be busy
@given(
    st.lists(st.floats(0, 1), min_size=39, max_size=60),
    st.sampled_from([0.05, 0.1, 0.3]),
    st.booleans(),
    st.floats(-1, 2),
)
def test_the_share_of_normal_pictures_and_the_threshold_say_the_same(
    held_out: list[float], rate: float, two_sided: bool, score: float
) -> None:
    judge = detector(held_out, rate, two_sided)
    if judge.is_odd(score):
        assert judge.normal_share(score) <= rate + 1e-9


def test_odd_on_two_sides_is_what_lies_above_and_below() -> None:
    judge = detector(np.linspace(1, 2, 39).tolist(), 0.05, two_sided=True)
    assert (judge.low_threshold, judge.threshold) == (1.0, 2.0)
    assert [judge.is_odd(score) for score in (0.9, 1.5, 2.1)] == [True, False, True]
    assert judge.normal_share(0.9) == judge.normal_share(2.1) == pytest.approx(2 / 40)
    assert judge.normal_share(1.5) == 1.0


def test_on_two_sides_odder_is_what_lies_farther_out_on_either() -> None:
    scores = [0.01, 0.5, 1.5, 2.5, 9.0]
    one, two = (detector(np.linspace(1, 2, 39).tolist(), 0.05, two_sided) for two_sided in (False, True))
    assert [one.oddness(score) for score in scores] == scores
    assert sorted(scores, key=two.oddness) == [1.5, 2.5, 0.5, 9.0, 0.01]


def test_too_few_normal_pictures_for_a_rate_are_refused_with_the_number_that_it_needs() -> None:
    assert threshold_for(np.arange(19.0), 0.05) == 18.0
    with pytest.raises(UsageError, match=r"needs 19 normal pictures .* there are 18"):
        threshold_for(np.arange(18.0), 0.05)
    with pytest.raises(UsageError, match="above 0 and below 1"):
        threshold_for(np.arange(18.0), 1.0)


def test_the_mean_sees_all_of_a_picture_and_the_peak_its_worst_spot() -> None:
    errors = torch.zeros(2, 1, 16, 16)
    errors[0] = 0.1
    errors[1, 0, 4:6, 8:10] = 1.0  # two of sixteen pixels a side: the window of `peak`
    assert scores_of(errors, "mean").tolist() == pytest.approx([0.1, 4 / 256])
    assert scores_of(errors, "peak").tolist() == pytest.approx([0.1, 1.0])


def test_error_maps_are_means_over_the_channels_of_what_can_be_shown() -> None:
    errors = error_maps(torch.tensor([0.5, 1.0]).view(1, 2, 1, 1), torch.tensor([0.0, 7.0]).view(1, 2, 1, 1))
    assert errors.item() == pytest.approx(0.125)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order() -> None:
    assert area_under_curve([1, 2, 3, 4, 2], [False, True, False, True, False]) == pytest.approx(4.5 / 6)
    with pytest.raises(DataError, match="normal pictures and others"):
        area_under_curve([1.0, 2.0], [True, True])


def test_training_sees_what_is_not_held_out_and_leaves_the_global_generator_alone() -> None:
    seen: list[Tensor] = []
    normal = torch.rand(40, 1, 8, 8)

    def remember(_: Autoencoder, images: Tensor) -> None:
        seen.append(images)

    state = torch.get_rng_state()
    judges = [train_detector(normal, 2, remember, "mean", 0.5, 0.1, seed=3) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert len(seen[0]) == len(judges[0].held_out) == 20
    assert np.array_equal(judges[0].held_out, judges[1].held_out)
    given = {tuple(picture.flatten().tolist()) for picture in seen[0]}
    held_out = [picture for picture in normal if tuple(picture.flatten().tolist()) not in given]
    assert len(held_out) == 20
    scores = network_scores(judges[0].encoder, torch.stack(held_out), "mean")
    assert np.sort(scores) == pytest.approx(judges[0].held_out)
    assert judges[0].encoder.size == 8
    with pytest.raises(UsageError, match="needs 9 normal pictures"):
        train_detector(normal[:10], 2, remember, "mean", 0.5, 0.1)
    with pytest.raises(UsageError, match=r"--held-out: 0.99 of 10 normal pictures leaves none to train on"):
        train_detector(normal[:10], 2, remember, "mean", 0.99, 0.5)
    assert len(seen) == 2  # refused before the training


def test_pca_gives_back_what_lies_in_its_plane_and_nothing_else() -> None:
    plane = torch.rand(30, 2) @ torch.rand(2, 64)
    normal = plane.view(30, 1, 8, 8) / plane.max()
    assert pca_scores(normal, normal[:5], 2, "mean").max() < 1e-9
    assert pca_scores(normal, torch.rand(5, 1, 8, 8), 2, "mean").min() > 1e-3


def test_pca_of_fewer_pictures_than_components_scores_by_what_they_share() -> None:
    normal, images = torch.rand(6, 1, 8, 8), torch.rand(20, 1, 8, 8)
    assert np.array_equal(pca_scores(normal, images, 5, "mean"), pca_scores(normal, images, 30, "mean"))


def test_heat_is_red_where_the_error_is_and_grey_elsewhere() -> None:
    error = torch.zeros(1, 32, 32)
    error[0, 20:28, 4:12] = 0.3
    picture = heat_over(torch.full((3, 64, 64), 0.5), error)
    red, green, blue = picture
    assert (red - green)[48, 16] > 0.8
    assert torch.equal(green, blue)
    assert torch.equal(red[:20], green[:20])
    assert heat_over(torch.rand(1, 5, 7), torch.zeros(1, 32, 32)).isfinite().all()


@pytest.mark.parametrize(
    ("size", "shown"), [((28, 28), (224, 224)), ((3200, 1600), (640, 320)), ((300, 500), (300, 500))]
)
def test_large_pictures_are_shown_shrunk_and_small_ones_enlarged_by_a_whole_factor(
    size: tuple[int, int], shown: tuple[int, int]
) -> None:
    assert shown_size(*size) == shown
    assert shown_picture(torch.rand(1, *size)).shape == (1, *shown)
