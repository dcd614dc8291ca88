"""Test sets by name and place, and what others have published on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from restore.errors import DataError, UsageError
from restore.images.samples import sample_photos
from restore.images.search import FoundImage, find_images
from restore.inference.evaluate import fingerprint

__all__ = ["PUBLISHED", "Published", "TestSet", "is_known", "open_set", "open_sets"]

_FINGERPRINTS = {
    "CBSD68": "e898f8e973b1ad6aefc4c5732af811b4172a42862e2c4e39b9b14ef65ccb6426",
    "Set12": "96d8977dd94f1bfb0e88eba8847a676eeb88b5a55512aa2b0f9aff890969feb5",
    "BSD68": "7e995bb5cea82c17655bd65d0816c40ce60b7a4b12262975a8a882eb57a1b33b",
}
"""Of the sets as they are commonly passed around: 68, 12 and 68 PNG files."""


@dataclass(frozen=True)
class TestSet:
    """Clean photos under a name.

    Attributes:
        name: `samples`, a known set's name, or a folder's.
        photos: In order of their relative paths.
        fingerprint: SHA-256 over names and contents.
        known: Whether these are the very files of the known set of this name.
    """

    name: str
    photos: Sequence[FoundImage]
    fingerprint: str
    known: bool


@dataclass(frozen=True)
class Published:
    """A row of somebody's paper.

    Attributes:
        method: As its authors call it.
        psnr: By condition, in dB, protocol `gaussian-awgn`.
        gmacs: Billion multiply-adds for 256 x 256 pixels; None for classical methods.
    """

    method: str
    psnr: dict[str, float]
    gmacs: float | None = None


def _at(method: str, psnr: tuple[float, float, float], gmacs: float | None = None) -> Published:
    return Published(method, dict(zip(("sigma 15", "sigma 25", "sigma 50"), psnr, strict=True)), gmacs)


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "CBSD68": (
        _at("CBM3D (told sigma)", (33.52, 30.71, 27.38)),
        _at("DnCNN (blind)", (33.90, 31.24, 27.95), 43.6),
        _at("FFDNet (told sigma)", (33.87, 31.21, 27.96), 14.0),
        _at("DRUNet (told sigma)", (34.30, 31.69, 28.51), 139.0),
    ),
    "Set12": (
        _at("BM3D (told sigma)", (32.37, 29.97, 26.72)),
        _at("DnCNN-B (blind)", (32.68, 30.36, 27.21), 43.6),
        _at("FFDNet (told sigma)", (32.75, 30.43, 27.32), 7.9),
        _at("DRUNet (told sigma)", (33.25, 30.94, 27.90), 139.0),
    ),
    "BSD68": (
        _at("BM3D (told sigma)", (31.08, 28.57, 25.60)),
        _at("DnCNN-B (blind)", (31.61, 29.16, 26.23), 43.6),
        _at("FFDNet (told sigma)", (31.63, 29.19, 26.29), 7.9),
        _at("DRUNet (told sigma)", (31.91, 29.48, 26.59), 139.0),
    ),
}
"""PSNR as published; docs/evaluation.md has the references."""


def open_set(name: str, places: Sequence[Path] = ()) -> TestSet:
    """Find a test set.

    Args:
        name: `samples`, a folder, or the name of a folder in one of the places.
        places: Folders that hold test sets.

    Raises:
        UsageError: There is no such set.
        DataError: The folder holds no photos.
        UnreadableImageError: One of them cannot be read.
    """
    if name == "samples":
        photos = sample_photos()
        return TestSet(name, photos, _fingerprint_of_samples(), known=True)
    folder = next((path for path in (Path(name), *(place / name for place in places)) if path.is_dir()), None)
    if folder is None:
        searched = f", nor in {', '.join(map(str, places))}" if places else "; --sets says where test sets are"
        raise UsageError(f"{name}: no such folder{searched}; `samples` needs none")
    photos = find_images([folder])
    if not photos:
        raise DataError(f"{folder}: holds no photos; see `restore photos --help` for the formats that are read")
    digest, title = fingerprint(photos), folder.resolve().name
    return TestSet(title, photos, digest, is_known(title, digest))


def open_sets(names: Sequence[str], places: Sequence[Path] = ()) -> list[TestSet]:
    """Find test sets that are to stand in the same tables.

    Args:
        names: As for `open_set`.
        places: As for `open_set`.

    Raises:
        UsageError: There is no such set, or two have the same name and different photos.
        DataError: A folder holds no photos.
        UnreadableImageError: A photo cannot be read.
    """
    found: dict[str, tuple[str, TestSet]] = {}
    for name in names:
        opened = open_set(name, places)
        first, other = found.setdefault(opened.name, (name, opened))
        if other.fingerprint != opened.fingerprint:
            raise UsageError(
                f"{first} and {name}: different photos, and both would stand in the tables as {opened.name}; rename "
                "one of the folders, or measure them in two runs, each with an --out of its own"
            )
    return [opened for _, opened in found.values()]


def is_known(name: str, digest: str) -> bool:
    """Whether a fingerprint is that of the known set of this name."""
    return digest == (_fingerprint_of_samples() if name == "samples" else _FINGERPRINTS.get(name))


@cache
def _fingerprint_of_samples() -> str:
    return fingerprint(sample_photos())
