"""Masks in files: found by the name of their picture, checked, and widened if asked for."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from restore.errors import UsageError
from restore.images.codec import READABLE_SUFFIXES, read_opaque
from restore.images.files import folded

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
        place = self.folder / relative
        if not place.parent.is_dir():
            return None
        masks = _masks_in(place.parent, place.parent.stat().st_mtime_ns)
        for wanted in (relative.name, relative.stem):
            alike = sorted(masks.get(folded(wanted), ()))
            found = [path for path in alike if path.stem == wanted] or alike
            if len(found) > 1:
                raise UsageError(f"{place.parent}: {found[0].name} and {found[1].name} are both masks of {relative}")
            if found:
                return found[0]
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
            UsageError: It is of another size, or marks nearly everything.
        """
        pixels = read_opaque(path)[1].pixels
        levels = pixels.max(axis=2) if pixels.ndim == 3 else pixels
        if levels.shape != size:
            raise UsageError(
                f"{path}: is {levels.shape[1]} x {levels.shape[0]} pixels, and its picture, upright, "
                f"{size[1]} x {size[0]}; a mask has the size of its picture"
            )
        notes = []
        # A mask of 0 and 1 is meant as one of 0 and 255.
        white = np.iinfo(levels.dtype).max // 2 if levels.max() > 1 else 0
        soft = np.count_nonzero((levels > 0) & (levels < levels.max())) / levels.size
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
        return missing, notes


@lru_cache(maxsize=16)
def _masks_in(folder: Path, _modified_ns: int) -> dict[str, list[Path]]:
    """Files by folded stem, listed once for all pictures of a folder, and again when one was added or taken away."""
    masks: dict[str, list[Path]] = {}
    for path in folder.iterdir():
        if path.suffix.lower() in READABLE_SUFFIXES:
            masks.setdefault(folded(path.stem), []).append(path)
    return masks
