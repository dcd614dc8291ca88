"""What is counted and fitted; times themselves are never tested."""

import pytest
import torch

from restore.benchmark.dncnn import DnCNN
from restore.benchmark.speed import Measurement
from restore.benchmark.timing import fit_exponent, macs_per_pixel


def test_multiply_adds_of_the_reference_network_are_those_of_its_formula() -> None:
    expected = 9 * (3 * 64 + 15 * 64 * 64 + 64 * 3)
    assert macs_per_pixel(DnCNN()) == pytest.approx(expected)
    assert macs_per_pixel(DnCNN()) * 256**2 / 1e9 == pytest.approx(36.5, abs=0.1)


def test_the_reference_network_takes_any_size_and_starts_near_its_input() -> None:
    image = torch.rand(1, 3, 7, 1)
    assert DnCNN()(image, image[:, :1]).shape == image.shape


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_the_exponent_of_growth_is_found_beside_a_start_up_time(exponent: float) -> None:
    sizes = [1.0, 4.0, 16.0, 64.0, 256.0]
    seconds = [5.0 + 0.4 * size**exponent for size in sizes]
    assert fit_exponent(sizes, seconds, start=5.0) == pytest.approx(exponent)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.1234, "share", "12%"),
        (1234.5, "MB", "1234 MB"),
        (1.2345, "s", "1.23 s"),
        (0.01234, "s", "0.012 s"),
        (0.0, "s", "0 s"),
    ],
)
def test_figures_have_three_digits(value: float, unit: str, text: str) -> None:
    assert Measurement("x", value, unit).text == text
