"""Photos that are scored are not to be those that are trained on."""

import filecmp
import logging
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from restore.errors import DataError
from restore.images.search import FoundImage

__all__ = ["check_held_out", "warn_of_copies"]

_log = logging.getLogger(__name__)


def check_held_out(training: Sequence[FoundImage], held_out: Sequence[FoundImage], option: str) -> None:
    """Refuse to score photos that are trained on, which says nothing, and warn of copies of them.

    Args:
        training: Photos that are trained on.
        held_out: Photos that are to be scored.
        option: What named those.

    Raises:
        DataError: Some are in both.
    """
    places = {os.path.realpath(photo.path) for photo in training}
    common = [photo.path for photo in held_out if os.path.realpath(photo.path) in places]
    if common:
        raise DataError(
            f"{option}: {len(common)} of its {len(held_out)} photos are in data.photos_dir too, such as {common[0]}; "
            "put them into separate folders"
        )
    warn_of_copies(training, held_out, option)


def warn_of_copies(training: Sequence[FoundImage], held_out: Sequence[FoundImage], option: str) -> None:
    """Say how many photos are trained on under another name: a photo may lie in a folder twice, or behind a link.

    Args:
        training: Photos that are trained on.
        held_out: Photos that are to be scored.
        option: What named those.
    """
    sizes: dict[int, list[Path]] = {}
    for photo in training:
        sizes.setdefault(_size(photo.path), []).append(photo.path)
    copies = [
        photo.path
        for photo in held_out
        if any(_are_alike(photo.path, other) for other in sizes.get(_size(photo.path) or -1, ()))
    ]
    if copies:
        _log.warning(
            "%s: %d of %d photos that are held out are trained on under another name, such as %s: remove the copies, "
            "or their scores mislead",
            *(option, len(copies), len(held_out), copies[0]),
        )


def _are_alike(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:  # said later, with all that cannot be used
        return False


def _size(path: Path) -> int:
    """In bytes; 0 for what is no file that can be compared, which is said later, with all that cannot be used."""
    try:
        status = path.stat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
