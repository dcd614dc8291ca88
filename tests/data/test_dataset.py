"""What a store holds in memory, and when."""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from restore.data.dataset import PhotoStore
from restore.images.codec import DecodedImage, decode
from restore.images.search import find_images
from tests.data.test_datamodule import module
from tests.helpers.photos import write_photos


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was decoded."""
    times: Counter[str] = Counter()

    def counted(path: Path) -> DecodedImage:
        times[path.name] += 1
        return decode(path)

    monkeypatch.setattr("restore.data.dataset.decode", counted)
    return times


def everything(store: PhotoStore) -> list[npt.NDArray[np.uint8]]:
    return [store[index] for index in range(len(store))]


def test_a_store_holds_all_or_nothing(tmp_path: Path, decoded: Counter[str]) -> None:
    write_photos(tmp_path, 4, (256, 350))  # 1.03 MiB
    store = PhotoStore(find_images([tmp_path]), 16)
    assert not store.preload(1)
    assert not decoded
    on_demand = everything(store) + everything(store)
    assert set(decoded.values()) == {2}
    assert store.preload(2)
    assert len(decoded) == 4
    assert set(decoded.values()) == {3}
    in_memory = everything(store) + everything(store)
    assert set(decoded.values()) == {3}
    assert all(np.array_equal(one, other) for one, other in zip(on_demand, in_memory, strict=True))


def test_the_limit_of_a_training_is_that_of_its_stores(tmp_path: Path, decoded: Counter[str]) -> None:
    write_photos(tmp_path, 4)
    module(tmp_path, cache_mib=0)
    assert not decoded
    data = module(tmp_path, cache_mib=1)
    list(data.train_dataloader())
    list(next(iter(data.val_dataloader().values())))
    assert len(decoded) == 4
    assert set(decoded.values()) == {1}
