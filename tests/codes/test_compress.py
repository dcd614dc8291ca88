"""Compressed photos: exact round trips, and files that are not what they should be."""

import dataclasses
import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.codes.compress import Compressor
from restore.codes.container import CompressedPhoto
from restore.codes.encoder import Encoder
from restore.codes.packing import pack, unpack
from restore.errors import BundleError, UnreadableImageError, UnsupportedImageError, UsageError
from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.images.tensors import to_float
from restore.seeds import generator_for
from tests.helpers.networks import write_autoencoder


@functools.cache
def compressor_of(kind: str = "map", seed: int = 0) -> Compressor:
    with tempfile.TemporaryDirectory() as folder:
        return Compressor(Encoder.from_bundle(write_autoencoder(Path(folder) / kind, kind, seed), "cpu"))


def photo(height: int = 53, width: int = 70, index: int = 0) -> torch.Tensor:
    return to_float(decode(sample_photos()[index].path).pixels)[:, 40 : 40 + height, 60 : 60 + width].contiguous()


@pytest.mark.parametrize(("height", "width"), [(53, 70), (64, 64), (1, 1), (3, 200), (129, 8)])
@pytest.mark.parametrize("index", [0, 1])
def test_what_comes_back_is_the_decoders_output_of_the_rounded_code_bit_for_bit(
    height: int, width: int, index: int
) -> None:
    compressor, image = compressor_of(), photo(height, width, index)
    data = compressor.compress(image, 0.05).to_bytes()
    restored = compressor.decompress(CompressedPhoto.from_bytes(data))
    network = compressor.encoder.network
    with torch.no_grad():
        rounded = (network.encode(image[None]).double() / 0.05).round()
        expected = network.fit(network.decode((rounded * 0.05).float()), image[None])[0].clamp(0, 1)
    assert restored.shape == image.shape
    assert torch.equal(restored, expected)
    again = compressor_of.__wrapped__().decompress(CompressedPhoto.from_bytes(data))
    assert torch.equal(again, restored)
    assert compressor.compress(image, 0.05).to_bytes() == data


def test_vectors_and_larger_grey_pictures_work_too() -> None:
    compressor = compressor_of("vector")
    image = photo(30, 60, 1)
    back = compressor.decompress(CompressedPhoto.from_bytes(compressor.compress(image, 0.1).to_bytes()))
    assert back.shape == (1, 30, 60)
    with pytest.raises(UnsupportedImageError, match="is in colour, and vector is for grey pictures"):
        compressor.compress(photo(), 0.1)


def test_smaller_steps_lose_less_and_cost_more() -> None:
    compressor, image = compressor_of(), photo(96, 96)
    unrounded = compressor.encoder.reconstruct(image[None])[0].clamp(0, 1)
    sizes, errors = [], []
    for step in (0.001, 0.01, 0.1, 1.0):
        compressed = compressor.compress(image, step)
        sizes.append(len(compressed.to_bytes()))
        errors.append(float((compressor.decompress(compressed) - unrounded).abs().mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert errors[0] < 0.001


@pytest.mark.parametrize("step", [0.0, -1.0, float("nan"), float("inf"), 1e-9])
def test_steps_that_cannot_be_are_refused(step: float) -> None:
    with pytest.raises(UsageError, match="step: "):
        compressor_of().compress(photo(), step)


@functools.cache
def whole_file() -> bytes:
    return compressor_of().compress(photo(24, 24), 0.1).to_bytes()


@settings(deadline=None)
@given(position=st.integers(0, 10**6), change=st.integers(1, 255))
def test_a_file_with_any_byte_changed_is_refused(position: int, change: int) -> None:
    data = bytearray(whole_file())
    data[position % len(data)] ^= change
    with pytest.raises(UnreadableImageError, match=r"leave it out|copy it again|reads format"):
        CompressedPhoto.from_bytes(bytes(data))


@settings(deadline=None)
@given(length=st.integers(0, 10**6))
def test_a_file_that_is_cut_anywhere_is_refused(length: int) -> None:
    with pytest.raises(UnreadableImageError, match=r"copy it again|leave it out"):
        CompressedPhoto.from_bytes(whole_file()[: length % len(whole_file())])


@settings(deadline=None)
@given(tail=st.binary(min_size=1, max_size=40))
def test_a_file_that_goes_on_and_a_foreign_one_are_refused(tail: bytes) -> None:
    with pytest.raises(UnreadableImageError, match="copy it again"):
        CompressedPhoto.from_bytes(whole_file() + tail)
    with pytest.raises(UnreadableImageError):
        CompressedPhoto.from_bytes(tail)


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(99), b"\xff\xd8\xff\xe0 JPEG"])
def test_foreign_files_are_told_from_damaged_ones(data: bytes) -> None:
    with pytest.raises(UnreadableImageError, match="not a photo that `restore compress` wrote"):
        CompressedPhoto.from_bytes(data)


def test_another_version_and_headers_that_lie_are_refused() -> None:
    data = bytearray(whole_file())
    data[8] = 2
    with pytest.raises(UnreadableImageError, match="has format 2, and this version of restore reads format 1"):
        CompressedPhoto.from_bytes(bytes(data))
    honest = CompressedPhoto.from_bytes(whole_file())
    replace = functools.partial(dataclasses.replace, honest)
    for lying in (replace(channels=2), replace(step=float("nan")), replace(step=0.0)):
        with pytest.raises(UnreadableImageError, match="its header says what cannot be"):
            CompressedPhoto.from_bytes(lying.to_bytes())
    sizes = replace(height=4_000_000_000, width=4_000_000_000), replace(height=0), replace(height=200)
    for lying in (*sizes, replace(packed=b""), replace(packed=b"x")):
        with pytest.raises(UnreadableImageError, match="leave it out"):
            compressor_of().decompress(CompressedPhoto.from_bytes(lying.to_bytes()))


def test_files_of_another_bundle_are_refused_even_of_the_same_architecture() -> None:
    data = whole_file()
    for other in (compressor_of("map", 1), compressor_of("vector")):
        with pytest.raises(BundleError, match="was compressed with another bundle than"):
            other.decompress(CompressedPhoto.from_bytes(data))


@settings(deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    scale=st.sampled_from([0, 1, 3, 100, 127, 128, 200, 32767]),
    seed=st.integers(0, 100),
)
def test_whole_numbers_come_back_from_their_packing(shape: tuple[int, int, int], scale: int, seed: int) -> None:
    draws = torch.randint(-scale, scale + 1, shape, generator=generator_for(seed))
    numbers = draws.to(torch.int16).numpy()
    back = unpack(pack(numbers), shape)
    assert back.dtype == np.int16
    assert np.array_equal(back, numbers)
