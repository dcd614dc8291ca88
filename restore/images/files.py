"""Finding pictures, planning where results go, and writing them whole or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import OutputError, UsageError
from restore.images.codec import READABLE_SUFFIXES

__all__ = ["FoundImage", "PlannedImage", "find_images", "plan_outputs", "write_atomically"]


@dataclass(frozen=True, order=True)
class FoundImage:
    """A picture file and its name below the folder that was searched.

    Attributes:
        relative: Path below the searched folder; the bare name for a file that was named itself.
        path: Where it is.
    """

    relative: Path
    path: Path


@dataclass(frozen=True)
class PlannedImage:
    """A picture and the file that its result will become."""

    source: Path
    target: Path


def find_images(sources: Iterable[Path]) -> list[FoundImage]:
    """List the pictures among files and folders, in a fixed order.

    Folders are searched recursively for the suffixes that the codec reads; hidden files and folders are passed over.
    A file that is named itself is taken whatever its suffix.

    Args:
        sources: Files and folders.

    Returns:
        The pictures of each source in turn, sorted by relative path.

    Raises:
        UsageError: A source does not exist.
    """
    found: list[FoundImage] = []
    for source in sources:
        if source.is_dir():
            found.extend(sorted(_walk(source)))
        elif source.exists() or source.is_symlink():
            found.append(FoundImage(Path(source.name), source))
        else:
            raise UsageError(f"{source}: no such file or folder")
    return found


def plan_outputs(images: Sequence[FoundImage], out: Path) -> list[PlannedImage]:
    """Decide every target before anything is written.

    A result keeps its relative path below `out`.

    Args:
        images: What to restore.
        out: The target folder; it need not exist.

    Returns:
        One plan per image, in the same order.

    Raises:
        OutputError: Two pictures would become one file (also where only upper and lower case differ), a result would
            replace a source, or `out` is not a folder. Nothing has been written.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; --out needs a folder")
    plans = [PlannedImage(image.path, out / image.relative) for image in images]
    sources = {os.path.realpath(plan.source): plan.source for plan in plans}
    taken: dict[str, Path] = {}
    for plan in plans:
        if os.path.realpath(plan.target) in sources:
            raise OutputError(f"{plan.target}: would replace a source; choose another --out folder")
        key = str(plan.target).casefold()
        if key in taken:
            raise OutputError(
                f"{taken[key]} and {plan.source} would both become {plan.target}; restore them to different folders"
            )
        taken[key] = plan.source
    return plans


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the name is switched at the end;
    an interrupt at any moment leaves either the old file or the new one.

    Args:
        path: The target; its folder is made if it is missing.
        data: Its content.

    Raises:
        OutputError: The folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".restore-", suffix=".part")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_current_umask())  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
        raise


def _walk(folder: Path) -> Iterable[FoundImage]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if path.suffix.lower() in READABLE_SUFFIXES and not name.startswith("."):
                yield FoundImage(path.relative_to(folder), path)


def _current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
