"""Pictures named by a text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.codes.pictures import as_channels, open_pictures, squeezed
from restore.errors import DataError, ImageError, UsageError
from restore.images.codec import decode
from restore.images.search import FoundImage
from restore.images.tensors import to_float
from tests.data.test_imagesets import write_mnist
from tests.helpers.photos import write_photos


def test_the_digits_come_with_labels_in_two_parts() -> None:
    sizes = {text: len(open_pictures(text, 1)) for text in ("digits", "digits:test", "digits:train")}
    assert sizes == {"digits": 297, "digits:test": 297, "digits:train": 1500}
    first, *others = open_pictures("digits", channels=3).batches(200)
    assert first.names[:2] == ["test-00000", "test-00001"]
    assert first.images.shape == (200, 3, 28, 28)
    assert first.labels is not None
    assert len(first.labels) == 200
    assert [len(batch.names) for batch in others] == [97]


def test_sets_are_read_from_a_folder_whose_name_may_hold_a_colon(tmp_path: Path) -> None:
    pixels, labels = write_mnist(tmp_path / "a:b")
    (batch,) = open_pictures(f"mnist:{tmp_path}/a:b:train", 1).batches(64)
    assert torch.equal(batch.images[:, 0], torch.from_numpy(pixels).float() / 255)
    assert batch.labels is not None
    assert batch.labels.tolist() == labels.tolist()


def test_photos_keep_their_size_and_their_order_and_know_no_labels(tmp_path: Path) -> None:
    write_photos(tmp_path / "b", 3, (40, 50))
    write_photos(tmp_path / "a", 2, (30, 20))
    source = open_pictures(str(tmp_path))
    batches = list(source.batches(2))
    assert [batch.names for batch in batches] == [["a/00.png", "a/01.png"], ["b/00.png", "b/01.png"], ["b/02.png"]]
    assert [tuple(batch.images.shape[1:]) for batch in batches] == [(3, 30, 20), (3, 40, 50), (3, 40, 50)]
    assert {batch.labels for batch in batches} == {None}
    assert torch.equal(batches[0].images[0], to_float(decode(tmp_path / "a" / "00.png").pixels))
    assert [batch.names for batch in source.batches(2)] == [batch.names for batch in batches]


def test_a_size_makes_squares_of_all_photos_with_nothing_cut_away(tmp_path: Path) -> None:
    write_photos(tmp_path, 1, (40, 50))
    half = np.zeros((64, 128), np.uint8)
    half[:, 64:] = 255
    Image.fromarray(half).save(tmp_path / "half.png")
    (batch,) = open_pictures(str(tmp_path), 1, 16).batches()
    assert batch.images.shape == (2, 1, 16, 16)
    assert batch.images[1, 0, :, :7].max() < 0.01
    assert batch.images[1, 0, :, 9:].min() > 0.99
    assert batch.images.min() >= 0
    assert batch.images.max() <= 1


def test_large_photos_come_one_by_one(tmp_path: Path) -> None:
    for name in "ab":
        Image.fromarray(np.zeros((1500, 2000, 3), np.uint8)).save(tmp_path / f"{name}.png")
    assert [batch.names for batch in open_pictures(str(tmp_path)).batches()] == [["a.png"], ["b.png"]]


def test_photos_that_cannot_be_read_are_told_and_the_rest_go_on(tmp_path: Path) -> None:
    write_photos(tmp_path, 2)
    (tmp_path / "00a.png").write_bytes(b"\x89PNG nothing")
    source, told = open_pictures(str(tmp_path)), list[FoundImage]()
    (batch,) = source.batches(on_failure=lambda photo, _: told.append(photo))
    assert batch.names == ["00.png", "01.png"]
    assert [photo.path.name for photo in told] == ["00a.png"]
    with pytest.raises(ImageError, match=r"00a\.png"):
        list(source.batches())


def test_grey_of_colours_is_that_of_pillow() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    ours = as_channels(to_float(pixels)[None], 1)
    theirs = np.asarray(Image.fromarray(pixels).convert("L"))
    assert np.abs(ours[0, 0].numpy() * 255 - theirs).max() < 1.01
    grey = torch.rand(2, 1, 4, 5)
    assert torch.equal(as_channels(grey, 3), grey.expand(2, 3, 4, 5))
    assert as_channels(grey, 1) is grey
    assert squeezed(grey[..., :4], 4).equal(grey[..., :4])


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("mnist", UsageError, "write mnist:FOLDER"),
        ("mnist:train", UsageError, "write mnist:FOLDER"),
        ("digits:x", UsageError, "write digits or digits:train"),
        ("cifar10:nowhere", DataError, "nowhere: does not hold the files of cifar10"),
        ("nowhere", UsageError, "nowhere: no such file or folder"),
        ("empty", UsageError, "empty: holds no photos"),
    ],
)
def test_texts_that_name_nothing_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, error: type[Exception], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(error, match=message):
        open_pictures(text)


def test_a_folder_of_a_link_alone_says_that_it_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link").symlink_to("..")
    with pytest.raises(UsageError, match=r"in: holds no photos; .*link: a link to a folder, which is not followed"):
        open_pictures(str(tmp_path / "in"))


def test_channels_and_sizes_that_pictures_do_not_have_are_refused() -> None:
    with pytest.raises(UsageError, match="pictures have 1 or 3, and the network takes 2"):
        as_channels(torch.rand(1, 3, 4, 4), 2)
    with pytest.raises(UsageError, match="size: must be 1 or more"):
        open_pictures("digits", 1, 0)
