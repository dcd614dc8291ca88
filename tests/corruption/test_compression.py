"""JPEG against Pillow, and quantisation."""

import itertools

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from restore.corruption import JpegCompression, Quantise
from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.images.tensors import to_float, to_pixels
from restore.scores import psnr
from restore.seeds import generator_for


def photo(index: int) -> Tensor:
    """A crop whose sides are no multiple of JPEG's blocks; `(1, C, 83, 69)`."""
    return to_float(decode(sample_photos()[index].path).pixels)[None, :, 40:123, 60:129]


def compress(image: Tensor, quality: float) -> Tensor:
    result, mask = JpegCompression((quality, quality))(image, generator_for("jpeg"))
    assert not mask.any()
    return result


@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
@pytest.mark.parametrize("index", [0, 1], ids=["colour", "grey"])
def test_it_is_the_round_trip_of_a_libjpeg_file(index: int, quality: int) -> None:
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420]
    pixels = to_pixels(photo(index)[0])
    written, file = cv2.imencode(".jpg", pixels[..., ::-1] if pixels.ndim == 3 else pixels, settings)
    assert written
    expected = cv2.imdecode(file, cv2.IMREAD_UNCHANGED)
    result = to_pixels(compress(photo(index), quality)[0])
    difference = result[..., ::-1].astype(int) - expected if pixels.ndim == 3 else result.astype(int) - expected
    assert np.abs(difference).max() <= 1


@pytest.mark.parametrize("index", range(6))
def test_lower_quality_is_further_from_the_original(index: int) -> None:
    scores = [psnr(compress(photo(index), quality), photo(index)).item() for quality in (5, 20, 50, 80, 95)]
    assert all(worse + 0.5 < better for worse, better in itertools.pairwise(scores))


def test_qualities_differ_from_sample_to_sample_over_the_whole_interval() -> None:
    images = photo(0).expand(60, -1, -1, -1)
    scores = psnr(JpegCompression((10.0, 90.0))(images, generator_for("jpeg")).image, images)
    low, high = (psnr(compress(photo(0), quality), photo(0)).item() for quality in (10, 90))
    assert low <= scores.min().item() < low + 2
    assert high - 2 < scores.max().item() <= high
    assert len(set(scores.tolist())) > 25


def test_qualities_are_rounded_to_the_nearest() -> None:
    assert torch.equal(compress(photo(0), 79.6), compress(photo(0), 80.4))
    assert not torch.equal(compress(photo(0), 79.4), compress(photo(0), 80))


def test_values_outside_the_range_are_clamped_before_compression() -> None:
    image = photo(0) * 3 - 1
    assert torch.equal(compress(image, 90), compress(image.clamp(0, 1), 90))


def test_quantising_keeps_what_a_file_would() -> None:
    image = photo(0) + 0.6 * torch.rand(photo(0).shape, generator=generator_for("quantise")) - 0.3
    result, mask = Quantise()(image, generator_for("unused"))
    expected = np.rint(np.clip(image.numpy(), 0, 1) * np.float32(255)) / np.float32(255)
    np.testing.assert_array_equal(result.numpy(), expected)
    assert not mask.any()
