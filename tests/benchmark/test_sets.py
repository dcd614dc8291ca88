"""Test sets by name, by folder, and told apart by their contents."""

from pathlib import Path

import pytest

from restore.benchmark.sets import PUBLISHED, open_set
from restore.errors import DataError, UsageError
from tests.helpers.photos import write_photos


def test_a_folder_and_a_name_in_a_place_are_the_same_set(tmp_path: Path) -> None:
    write_photos(tmp_path / "mine", 2)
    by_path, by_name = open_set(str(tmp_path / "mine")), open_set("mine", [tmp_path])
    assert by_path == by_name
    assert by_path.name == "mine"
    assert not by_path.known


def test_the_samples_need_no_folder() -> None:
    samples = open_set("samples")
    assert samples.known
    assert len(samples.photos) == 6


def test_the_published_set_is_known_by_its_contents(cbsd68: Path, tmp_path: Path) -> None:
    known = open_set("CBSD68", [cbsd68.parent])
    assert known.known
    assert known.name in PUBLISHED
    write_photos(tmp_path / "CBSD68", 1)
    assert not open_set("CBSD68", [tmp_path]).known


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Set99: no such folder; --sets"):
        open_set("Set99")
    with pytest.raises(UsageError, match=f"Set99: no such folder, nor in {tmp_path}"):
        open_set("Set99", [tmp_path])
    with pytest.raises(DataError, match="holds no photos"):
        open_set(str(tmp_path))
