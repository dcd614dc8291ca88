"""Small picture sets: from scikit-learn, and from files as torchvision keeps them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from restore.corruption import GaussianNoise, RectangleMask
from restore.data import ImageSetDataModule
from restore.errors import DataError, UsageError
from restore.images.sets import load_pictures


def write_mnist(root: Path, name: str = "MNIST", count: int = 40) -> tuple[np.ndarray, np.ndarray]:
    """Random pictures in MNIST's own files; returns those of the training part."""
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for prefix in ("t10k", "train"):
        pixels = generator.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = generator.integers(0, 10, count, dtype=np.uint8)
        sizes = np.array([count, 28, 28], dtype=">i4").tobytes()
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + pixels.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + sizes[:4] + labels.tobytes())
    return pixels, labels


def training(data: ImageSetDataModule, epoch: int = 0) -> list[dict[str, Tensor]]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # ours has it; Lightning calls it
    return list(loader)


def digits(stage: str = "fit", **arguments: object) -> ImageSetDataModule:
    data = ImageSetDataModule(**{"batch_size": 100, **arguments})  # type: ignore[arg-type]  # of several types
    data.setup(stage)
    return data


def test_the_digits_are_those_of_scikit_learn_in_two_parts_of_28_pixels() -> None:
    from sklearn.datasets import load_digits

    train, test = load_pictures("digits", "train"), load_pictures("digits", "test")
    assert (len(train), len(test)) == (1500, 297)
    assert train[0].shape == (28, 28)
    assert np.array_equal(np.concatenate([train.labels, test.labels]), load_digits().target)
    blocks = load_pictures("digits", "test", image_size=8).pixels
    assert np.array_equal(blocks, np.round(load_digits().images[1500:] / 16 * 255))
    shrunk = torch.nn.functional.interpolate(
        torch.from_numpy(test.pixels[:, None]).float(), size=(8, 8), mode="bilinear", antialias=True
    )
    assert np.corrcoef(shrunk.flatten(), blocks.flatten())[0, 1] > 0.97


def test_files_of_mnist_come_back_as_they_were_written(tmp_path: Path) -> None:
    pixels, labels = write_mnist(tmp_path)
    data = ImageSetDataModule(folder=tmp_path, batch_size=8, val_share=0.2)
    assert data.kind == "mnist"
    data.setup("fit")
    assert data.describe()["photos"] == 32
    pictures = load_pictures("mnist", "train", tmp_path)
    assert np.array_equal(pictures.pixels, pixels)
    assert np.array_equal(pictures.labels, labels)
    write_mnist(tmp_path, "FashionMNIST")
    assert np.array_equal(load_pictures("fashion", "train", tmp_path).pixels, pixels)


def test_colour_pictures_keep_their_channels_and_size(monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    pixels = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), dtype=np.uint8)
    monkeypatch.setattr(datasets, "CIFAR10", lambda **_: SimpleNamespace(data=pixels, targets=[0] * 30))
    data = ImageSetDataModule("cifar10", Path("anywhere"), batch_size=4)
    data.setup("fit")
    clean = training(data)[0]["clean"]
    assert clean.shape == (4, 3, 32, 32)
    assert {picture.numpy().tobytes() for picture in clean} <= {p.transpose(2, 0, 1).tobytes() for p in pixels}
    assert load_pictures("cifar10", "test", Path(), image_size=28)[0].shape == (28, 28, 3)


def test_training_takes_every_picture_once_an_epoch_and_none_of_validation() -> None:
    data = digits(batch_size=95, val_share=0.05)
    epochs = [torch.cat([batch["draw"] for batch in training(data, epoch)]) for epoch in range(2)]
    assert sorted(epochs[0].tolist()) == list(range(1425))
    assert sorted(epochs[1].tolist()) == list(range(1425, 2850))
    assert data._train is not None
    assert data._val is not None
    assert len(data._val) == 75
    names = {part.name(index) for part in (data._train, data._val) for index in range(len(part))}
    assert len(names) == 1500
    assert digits(seed=1)._val.name(0) != data._val.name(0)  # type: ignore[union-attr]


def test_a_batch_holds_clean_corrupted_and_mask_as_stated() -> None:
    data = digits(corruption=RectangleMask((0.25, 0.25), (0.5, 0.5)))
    batch = data.on_after_batch_transfer(training(data)[0], 0)
    assert batch["clean"].shape == (100, 1, 28, 28)
    assert (batch["mask"].flatten(1).sum(dim=1) == 196).all()
    assert torch.equal(batch["clean"][batch["mask"] == 0], batch["corrupted"][batch["mask"] == 0])
    plain = digits()
    untouched = plain.on_after_batch_transfer(training(plain)[0], 0)
    assert torch.equal(untouched["clean"], untouched["corrupted"])


def test_scored_damage_follows_the_pictures_name_and_not_the_batch() -> None:
    def scored(**arguments: object) -> dict[str, Tensor]:
        data = digits("validate", corruption=GaussianNoise((127.5, 127.5)), **arguments)
        (loader,) = data.val_dataloader().values()
        return {n: image for batch in loader for n, image in zip(batch["name"], batch["corrupted"], strict=True)}

    reference, smaller = scored(), scored(batch_size=7, val_share=0.01)
    assert set(smaller) < set(reference)
    assert all(torch.equal(image, reference[name]) for name, image in smaller.items())


def test_testing_takes_the_sets_own_test_pictures_in_order() -> None:
    data = digits("test")
    (loader,) = data.test_dataloader().values()
    names = [name for batch in loader for name in batch["name"]]
    assert names == [f"test-{index:05d}" for index in range(297)]


@pytest.mark.parametrize("kind", ["auto", "fashion", "cifar10"])
def test_files_that_are_missing_are_named_with_the_folder(kind: str, tmp_path: Path) -> None:
    data = ImageSetDataModule(kind, tmp_path / "nowhere")  # type: ignore[arg-type]  # one of the names
    with pytest.raises(DataError, match=r"nowhere: does not hold the files of .* --data\.download true"):
        data.setup("fit")


def test_a_set_without_a_folder_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match=r"data\.folder: name the folder that holds the files of mnist"):
        ImageSetDataModule("mnist")


def test_more_pictures_in_a_batch_than_there_are_is_refused() -> None:
    with pytest.raises(UsageError, match=r"data\.batch_size: 2000 is more than the 1425 pictures"):
        digits(batch_size=2000)
