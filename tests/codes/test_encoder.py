"""Pictures to codes and back."""

from pathlib import Path

import numpy as np
import pytest
import torch

from restore.codes.encoder import Encoder
from restore.codes.pictures import open_pictures
from restore.errors import BundleError, DataError
from tests.helpers.networks import write_autoencoder, write_bundle
from tests.helpers.photos import write_photos


def test_codes_are_those_of_the_network_whatever_the_batch(tmp_path: Path) -> None:
    encoder = Encoder.from_bundle(write_autoencoder(tmp_path / "b"), "cpu")
    source = open_pictures("digits", encoder.channels, encoder.size)
    codes = encoder.encode_all(source, 100)
    assert codes.vectors.shape == (297, 6)
    assert codes.shape == (6, 1, 1)
    assert codes.vectors.dtype == np.float32
    assert codes.labels is not None
    assert len(codes.labels) == len(codes.names) == 297
    assert np.allclose(codes.vectors, encoder.encode_all(source, 7).vectors, atol=1e-5)
    images = next(source.batches(3)).images
    with torch.inference_mode():
        expected = encoder.network.encode(images)
    assert torch.equal(encoder.encode(images), expected)
    assert torch.equal(encoder.reconstruct(images), encoder.decode(expected))


def test_photos_have_maps_of_codes_and_one_descriptor_each(tmp_path: Path) -> None:
    encoder = Encoder.from_bundle(write_autoencoder(tmp_path / "b", "map"), "cpu")
    assert (encoder.size, encoder.channels) == (32, 3)
    write_photos(tmp_path / "in", 2, (40, 50))
    write_photos(tmp_path / "in" / "more", 1, (90, 33))
    codes = encoder.encode_all(open_pictures(str(tmp_path / "in"), 3, encoder.size))
    assert codes.shape == (4, 4, 4)
    assert codes.vectors.shape == (3, 64)
    assert codes.labels is None
    whole = next(open_pictures(str(tmp_path / "in")).batches())
    assert encoder.encode(whole.images).shape == (2, 4, 5, 7)
    assert encoder.reconstruct(whole.images).shape == (2, 3, 40, 50)
    with pytest.raises(DataError, match="differ in size"):
        encoder.encode_all(open_pictures(str(tmp_path / "in")))


def test_a_network_without_a_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds a UNet, which has no code"):
        Encoder.from_bundle(write_bundle(tmp_path / "b"), "cpu")


def test_a_folder_of_broken_photos_has_no_codes(tmp_path: Path) -> None:
    encoder = Encoder.from_bundle(write_autoencoder(tmp_path / "b"), "cpu")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no")
    with pytest.raises(DataError, match="none of its 1 pictures can be read"):
        encoder.encode_all(open_pictures(str(tmp_path / "in"), 1, 28), on_failure=lambda *_: None)
