"""Probes of codes: PCA against the singular value decomposition, classes that a line can and cannot read."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from restore.codes.encoder import Encoder
from restore.codes.gathering import Gathered, class_of, gather
from restore.codes.pictures import open_pictures
from restore.codes.probe import divided, draw_probe, fine_energy, probe_bundle, probe_pca
from restore.errors import DataError
from restore.models import UndercompleteAutoencoder
from restore.models.bundle import ModelCard, network_entry
from tests.helpers.photos import write_photos


def digits() -> tuple[Gathered, Gathered]:
    train, test = (gather(open_pictures(f"digits:{part}", 1)) for part in ("train", "test"))
    return train, test


def to_8_bits(images: Tensor) -> npt.NDArray[np.uint8]:
    pixels: npt.NDArray[np.uint8] = np.rint(images.clamp(0, 1).numpy() * 255).astype(np.uint8)
    return pixels


def encoder(code_size: int = 8) -> Encoder:
    torch.manual_seed(0)
    network = UndercompleteAutoencoder(code_size)
    return Encoder(network, ModelCard("small", network_entry(network)), torch.device("cpu"))


def test_the_error_of_pca_is_that_of_the_singular_values_left_out() -> None:
    train, _ = digits()
    row, given_back = probe_pca(700, train, train)  # nearly all of 784: nothing to clamp
    assert row.mse < 1e-7
    assert given_back.shape == train.images.shape
    few, _ = probe_pca(10, train, train)
    flat = train.images.flatten(1).double()
    singular = torch.linalg.svdvals(flat - flat.mean(dim=0))
    assert few.mse <= float(singular[10:].square().sum() / flat.numel())  # clamping to [0, 1] only helps
    assert few.mse > 0.8 * float(singular[10:].square().sum() / flat.numel())


def test_psnr_is_the_mean_over_pictures_that_every_other_command_gives() -> None:
    train, test = digits()
    row, given_back = probe_pca(10, train, test)
    pairs = zip(to_8_bits(test.images), to_8_bits(given_back), strict=True)
    scores = [peak_signal_noise_ratio(clean, restored, data_range=255) for clean, restored in pairs]
    assert row.psnr == pytest.approx(np.mean(scores), rel=1e-5)
    assert row.psnr > -10 * np.log10(row.mse) + 0.1  # that of the mean error, which is lower


def test_a_line_reads_digits_from_ten_components_and_more_from_forty() -> None:
    train, test = digits()
    few, many = (probe_pca(numbers, train, test)[0] for numbers in (10, 40))
    assert few.accuracy is not None
    assert many.accuracy is not None
    assert 0.8 < few.accuracy < many.accuracy
    assert many.detail > few.detail


def test_pca_of_few_pictures_has_no_component_of_noise() -> None:
    train, test = digits()
    few = train.chosen(torch.arange(12))
    whole, beyond = (probe_pca(numbers, few, test)[0] for numbers in (11, 700))
    assert whole.numbers == beyond.numbers == 11
    assert whole.accuracy == beyond.accuracy


def test_a_bundle_is_measured_like_pca_and_random_weights_give_nothing_back() -> None:
    train, test = digits()
    row, given_back = probe_bundle("small", encoder(), train, test)
    assert (row.method, row.numbers) == ("small", 8)
    assert row.mse == pytest.approx(float((given_back - test.images).square().mean()), rel=1e-5)
    assert row.mse > 2 * probe_pca(8, train, test)[0].mse
    assert 0.0 <= float(given_back.min()) <= float(given_back.max()) <= 1.0
    picture = draw_probe(test.images, [row], [given_back])
    assert picture.shape[0] > 2 * 112
    assert picture.shape[1] > 10 * 112


def test_pictures_without_classes_are_measured_but_not_read(tmp_path: Path) -> None:
    write_photos(tmp_path, 6, (40, 50))
    pictures = gather(open_pictures(str(tmp_path), 1, 28))
    assert pictures.labels is None
    row, _ = probe_bundle("small", encoder(), *divided(pictures, 0.5, 0))
    assert (row.accuracy, row.train_accuracy) == (None, None)
    assert np.isfinite(row.mse)


def test_folders_are_classes(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write_photos(tmp_path / name / "deep", 2)
    assert gather(open_pictures(str(tmp_path), 1, 28)).labels == ["cats", "cats", "dogs", "dogs"]
    assert (class_of("cats/deep/00.png"), class_of("00.png")) == ("cats", None)


def test_the_parts_of_one_source_share_no_picture_and_depend_on_the_seed_alone() -> None:
    pictures = Gathered(torch.arange(50.0).view(50, 1, 1, 1), [str(index) for index in range(50)])
    train, test = divided(pictures, 0.2, 1)
    assert (len(train.images), len(test.images)) == (40, 10)
    assert sorted([*train.images.flatten().tolist(), *test.images.flatten().tolist()]) == list(range(50))
    assert train.labels == [str(int(value)) for value in train.images.flatten()]
    assert torch.equal(divided(pictures, 0.2, 1)[1].images, test.images)
    assert not torch.equal(divided(pictures, 0.2, 2)[1].images, test.images)
    with pytest.raises(DataError, match="two pictures or more"):
        divided(pictures.chosen(torch.tensor([0])), 0.2, 0)


def test_fine_energy_is_that_of_details_below_four_pixels() -> None:
    stripes = (torch.arange(32) % 2).float().view(1, 1, 1, 32).expand(1, 1, 32, 32)
    slow = 0.5 + 0.5 * torch.sin(2 * torch.pi * torch.arange(32) / 16).view(1, 1, 1, 32).expand(1, 1, 32, 32)
    assert fine_energy(stripes) == pytest.approx(0.25, rel=1e-5)  # the variance of 0 and 1, by Parseval
    assert fine_energy(slow) < 1e-9


def test_photos_of_several_sizes_need_one_to_be_brought_to(tmp_path: Path) -> None:
    write_photos(tmp_path / "a", 1, (30, 30))
    write_photos(tmp_path / "b", 1, (40, 30))
    with pytest.raises(DataError, match="several sizes"):
        gather(open_pictures(str(tmp_path), 1))
