"""The integer and float conversions, and padding against numpy."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.images.codec import decode, encode
from restore.images.tensors import quantise, reflect_pad, to_float, to_pixels, to_uint8

ALL_VALUES = np.arange(256, dtype=np.uint8).reshape(8, 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_all_256_values_survive_the_round_trip(dtype: torch.dtype) -> None:
    image = to_float(ALL_VALUES)
    assert image.dtype == torch.float32
    assert image.min() == 0.0
    assert image.max() == 1.0
    np.testing.assert_array_equal(to_pixels(image.to(dtype)), ALL_VALUES)
    assert torch.equal(quantise(image), image)


def test_colour_goes_to_channels_first_and_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    image = to_float(pixels)
    assert image.shape == (3, 5, 7)
    assert image[2, 4, 1].item() == pytest.approx(pixels[4, 1, 2] / 255, abs=1e-7)
    np.testing.assert_array_equal(to_pixels(image), pixels)
    assert torch.equal(to_float(torch.from_numpy(pixels).permute(2, 0, 1)), image)


def test_values_are_rounded_not_truncated() -> None:
    steps = torch.arange(256) / 255
    for offset in (-0.49, -0.1, 0.1, 0.49):
        moved = steps + offset / 255
        assert torch.equal(to_uint8(moved), torch.arange(256).to(torch.uint8))
        assert torch.equal(quantise(moved), quantise(steps))
    assert to_uint8(torch.tensor([0.51, 254.49]) / 255).tolist() == [1, 254]


def test_values_outside_the_range_are_clamped() -> None:
    values = torch.tensor([-7.0, -0.001, 1.001, 3.0, torch.inf, -torch.inf])
    assert to_uint8(values).tolist() == [0, 0, 255, 255, 255, 0]
    assert quantise(values).tolist() == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("convert", [to_uint8, quantise, to_pixels])
def test_conversions_leave_their_input_alone(convert: Callable[[torch.Tensor], object]) -> None:
    image = torch.tensor([[[-1.0, 0.3], [0.7, 2.0]]])
    before = image.clone()
    convert(image)
    assert torch.equal(image, before)


@pytest.mark.parametrize("shape", [(4, 6), (1, 1, 3), (4, 6, 3)])
def test_a_decoded_picture_becomes_a_tensor_without_a_warning(shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(encode(pixels, ".png"))
    read_only = decode(path).pixels
    to_float(read_only).zero_()
    np.testing.assert_array_equal(read_only, pixels)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 4), (5, 1), (2, 2), (2, 3), (3, 7), (7, 5)])
def test_padding_is_numpy_reflection_at_every_size(height: int, width: int) -> None:
    images = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))
    for left, right, top, bottom in itertools.product((0, 1, 6, 17), repeat=4):
        padded = reflect_pad(images, left, right, top, bottom)
        expected = np.pad(images.numpy(), ((0, 0), (0, 0), (top, bottom), (left, right)), mode="reflect")
        np.testing.assert_array_equal(padded.numpy(), expected)
