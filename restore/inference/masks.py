"""Masks in files: found by the name of their picture, checked, and widened if asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from restore.errors import OutputError, UsageError
from restore.images.codec import READABLE_SUFFIXES, read_opaque
from restore.images.document import MAX_PIXELS, shown
from restore.images.files import PlannedImage, folded, folder_around, one_of

__all__ = ["MaskFolder"]

_LARGEST_SHARE = 0.9
"""Of a picture that a mask marks; more is a mask the wrong way round, or nothing to restore from."""


@dataclass(frozen=True)
class MaskFolder:
    """A folder of masks: white marks what is missing.

    Attributes:
        folder: A mask has the relative path of its picture, in any format: `a/b.png` for `a/b.jpg`.
        dilate: Pixels by which what is missing is widened on every side, as halos around scratches ask for.
        invert: Black marks what is missing.

    Raises:
        UsageError: The folder does not exist, or `dilate` is negative.
    """

    folder: Path
    dilate: int = 0
    invert: bool = False

    def __post_init__(self) -> None:
        """Check the arguments."""
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder}: no such folder of masks")
        if self.dilate < 0:
            raise UsageError(f"dilate: must be 0 or more, not {self.dilate}")

    def find(self, relative: Path) -> Path | None:
        """The mask of a picture, None if it has none.

        Args:
            relative: The picture's path below the folder that was searched.

        Raises:
            UsageError: There are several.
        """
        place: Path | None = self.folder
        for part in relative.parent.parts:
            place = place and _only(relative, place, part, _listed(place).folders.get(folded(part), ()), "folders")
        if place is None:
            return None
        masks = _listed(place).masks
        for wanted in (relative.name, relative.stem):
            if found := _only(relative, place, wanted, masks.get(folded(wanted), ())):
                return found
        return None

    def check(self, plans: Sequence[PlannedImage]) -> None:
        """Refuse a plan by which a mask would be taken for a photo, or a result for a mask.

        Args:
            plans: Pictures and their results.

        Raises:
            UsageError: The mask of a picture is a picture to restore itself.
            OutputError: A result would land in the folder of masks.
        """
        is_source = one_of(plan.source for plan in plans)
        for plan in plans:
            mask = self._find_quietly(plan.relative)
            if mask is not None and is_source(mask):
                raise UsageError(
                    f"{shown(mask)}: is the mask of {shown(plan.source)} and a photo to restore; keep masks in a "
                    "folder of their own"
                )
        for folder in dict.fromkeys(plan.target.parent for plan in plans):
            if folder_around(folder, [self.folder]) is not None:
                raise OutputError(
                    f"{shown(folder)}: lies inside the folder of masks {shown(self.folder)}, where the next run would "
                    "take results for masks; choose an --out folder outside it"
                )

    def _find_quietly(self, relative: Path) -> Path | None:
        try:
            return self.find(relative)
        except (OSError, UsageError):  # to be reported where the mask is read
            return None

    def read(self, path: Path, size: tuple[int, int]) -> tuple[npt.NDArray[np.bool_], list[str]]:
        """Read a mask.

        Args:
            path: From `find`.
            size: Height and width of the picture, upright.

        Returns:
            `(H, W)`, True = missing, and what there is to say of it.

        Raises:
            ImageError: The file cannot be read.
            UsageError: It is of another size, has nothing white and is not black, or marks nearly everything.
        """
        pixels = read_opaque(path, max(MAX_PIXELS, size[0] * size[1]))[1].pixels
        levels = pixels.max(axis=2) if pixels.ndim == 3 else pixels
        if levels.shape != size:
            raise UsageError(
                f"{path}: is {levels.shape[1]} x {levels.shape[0]} pixels, and its picture, upright, "
                f"{size[1]} x {size[0]}; a mask has the size of its picture"
            )
        notes = []
        # A mask of 0 and 1 is meant as one of 0 and 255.
        brightest, most = int(levels.max()), int(np.iinfo(levels.dtype).max)
        if 1 < brightest <= most // 2:
            raise UsageError(
                f"{shown(path)}: its brightest pixel has {brightest} of {most}, and white begins at {most // 2 + 1}; "
                f"store what is white as {most}"
            )
        white = most // 2 if brightest > 1 else 0
        soft = np.count_nonzero((levels > 0) & (levels < most)) / levels.size if brightest > 1 else 0.0
        if soft > 0.0:
            notes.append(
                f"mask: {soft:.1%} of its pixels are neither black nor white; from half on they count as white"
            )
        missing = levels > white
        if self.invert:
            missing = ~missing
        share = float(missing.mean())
        if share > _LARGEST_SHARE:
            raise UsageError(
                f"{path}: marks {share:.0%} of the picture as missing; "
                f"{'black' if self.invert else 'white'} marks what is missing: "
                f"{'leave --invert-masks out' if self.invert else 'if black is meant to, use --invert-masks'}"
            )
        if self.dilate:
            known = (~missing).astype(np.uint8)
            missing = cv2.distanceTransform(known, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= self.dilate
            share = float(missing.mean())
            if share > _LARGEST_SHARE:
                raise UsageError(
                    f"{shown(path)}: widened by {self.dilate} pixels, marks {share:.0%} of the picture as missing; "
                    "use a smaller --dilate"
                )
        return missing, notes


def _only(relative: Path, place: Path, wanted: str, alike: Sequence[Path], kind: str = "masks") -> Path | None:
    """What has a name, or else what has it in other case or Unicode form; None if there is nothing."""
    found = [path for path in alike if wanted in (path.name, path.stem)] or sorted(alike)
    if len(found) > 1:
        first, second = (shown(Path(path.name)) for path in found[:2])
        raise UsageError(f"{shown(place)}: {first} and {second} are both {kind} of {shown(relative)}")
    return found[0] if found else None


class _Listing(NamedTuple):
    masks: dict[str, list[Path]]  # by folded stem
    folders: dict[str, list[Path]]  # by folded name


def _listed(folder: Path) -> _Listing:
    return _listing(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _listing(folder: Path, _modified_ns: int) -> _Listing:
    """Listed once for all pictures of a folder, and again when something was added or taken away."""
    listing = _Listing({}, {})
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            listing.folders.setdefault(folded(path.name), []).append(path)
        elif path.suffix.lower() in READABLE_SUFFIXES:
            listing.masks.setdefault(folded(path.stem), []).append(path)
    return listing
