"""Finding pictures, planning where results go, and writing them whole or not at all."""

import contextlib
import glob
import os
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from restore.errors import OutputError, UsageError
from restore.images.codec import READABLE_SUFFIXES, WRITABLE_SUFFIXES

__all__ = [
    "PARTIAL_PREFIX",
    "Found",
    "FoundImage",
    "PlannedImage",
    "Problem",
    "check_target_folder",
    "find_images",
    "plan_outputs",
    "remove_partial_files",
    "search",
    "write_atomically",
]

PARTIAL_PREFIX, _PARTIAL_SUFFIX = ".restore-", ".part"
"""Files that are being written; a run that was killed may leave one, and the next removes it."""

_SUFFIX_WHERE_NONE_CAN_BE_WRITTEN = ".tif"


@dataclass(frozen=True, order=True)
class FoundImage:
    """A picture file and its name below the folder that was searched.

    Attributes:
        relative: Path below the searched folder; the bare name for a file that was named itself.
        path: Where it is.
        root: The folder that was searched to the bottom; None for a file that was named itself.
    """

    relative: Path
    path: Path
    root: Path | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Problem:
    """A place that could not be searched.

    Attributes:
        path: Where.
        reason: Why.
        is_link: It is a link to a folder, left out on purpose.
    """

    path: Path
    reason: str
    is_link: bool = False


@dataclass
class Found:
    """What a search brought to light.

    Attributes:
        images: The pictures, in a fixed order.
        problems: What could not be searched.
        others: How many files are no pictures by their names.
    """

    images: list[FoundImage] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    others: int = 0


@dataclass(frozen=True)
class PlannedImage:
    """A picture and the file that its result will become.

    Attributes:
        source: The picture.
        target: Its result.
        relative: The source's name below the folder that was searched; masks are found by it.
    """

    source: Path
    target: Path
    relative: Path


def find_images(sources: Iterable[Path]) -> list[FoundImage]:
    """List the pictures among files and folders, in a fixed order; see `search`."""
    return search(sources).images


def search(sources: Iterable[Path], listed: Iterable[Path] = ()) -> Found:
    """Look for pictures in files, folders and patterns.

    Folders are searched recursively for the suffixes that the codec reads; hidden files and folders are passed over,
    and links to folders are not followed. A file that is named itself is taken whatever its suffix. A name with `*`,
    `?` or `[` that is no file is a pattern, in which `**` stands for any number of folders; its matches keep their
    place below the part in front of the first such character.

    Args:
        sources: Files, folders and patterns.
        listed: Further files, from a list; they keep their place below the folder that all of them share.

    Returns:
        The pictures of each source in turn, sorted by relative path; a file named twice is there once.

    Raises:
        UsageError: A source does not exist, or a pattern matches nothing.
    """
    found = Found()
    for source in sources:
        if source.is_dir():
            _walk(source, source, found)
        elif os.path.lexists(source):
            found.images.append(FoundImage(Path(source.name), source))
        elif glob.has_magic(str(source)):
            _match(source, found)
        else:
            raise UsageError(f"{source}: no such file or folder")
    paths = [Path(os.path.abspath(path)) for path in listed]  # noqa: PTH100  # resolve() would follow links
    shared = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    found.images += [FoundImage(path.relative_to(shared), path) for path in paths]
    found.images = list({(image.relative, image.path): image for image in found.images}.values())
    return found


def plan_outputs(
    images: Sequence[FoundImage], out: Path, name_suffix: str = "", file_format: str | None = None
) -> list[PlannedImage]:
    """Decide every target before anything is written.

    A result keeps its relative path below `out`, and its format; pictures in formats that can only be read (camera raw)
    become TIFF.

    Args:
        images: What to restore.
        out: The target folder; it need not exist.
        name_suffix: Added to the name, before the format: `_restored`.
        file_format: Another format, by its file suffix with or without the dot: `png`.

    Returns:
        One plan per image, in the same order.

    Raises:
        UsageError: The format cannot be written, or the name's suffix holds a separator.
        OutputError: Two pictures would become one file (also where only upper and lower case or the Unicode form
            differ), a result would replace a source or land inside a folder that is searched, or `out` or a target is
            in the way as a file or folder. Nothing has been written.
    """
    suffix = None if file_format is None else "." + file_format.lower().removeprefix(".")
    if suffix is not None and suffix not in WRITABLE_SUFFIXES:
        raise UsageError(f"format {file_format!r}: use one of {', '.join(sorted(WRITABLE_SUFFIXES))}")
    if "/" in name_suffix or os.sep in name_suffix or "\0" in name_suffix:
        raise UsageError(f"suffix {name_suffix!r}: is a part of a file's name, without folders")
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; --out needs a folder")
    plans = [
        PlannedImage(image.path, out / _renamed(image.relative, name_suffix, suffix), image.relative)
        for image in images
    ]
    sources = {os.path.realpath(plan.source) for plan in plans}
    taken: dict[str, Path] = {}
    for plan in plans:
        if os.path.realpath(plan.target) in sources:
            raise OutputError(f"{plan.target}: would replace a source; choose another --out folder")
        key = unicodedata.normalize("NFC", str(plan.target)).casefold()
        if key in taken:
            raise OutputError(
                f"{taken[key]} and {plan.source} would both become {plan.target}; restore them to different folders"
            )
        taken[key] = plan.source
        if plan.target.is_dir():
            raise OutputError(f"{plan.target}: is a folder where a result should go; choose another --out folder")
    real_out = Path(os.path.realpath(out))
    for root in {image.root for image in images if image.root is not None}:
        if real_out.is_relative_to(os.path.realpath(root)):
            raise OutputError(
                f"{out}: lies inside the source folder {root}, where the next run would take results for sources; "
                "choose a folder outside it"
            )
    return plans


def check_target_folder(out: Path, needed_bytes: int = 0) -> None:
    """Find out before the first result whether a folder can take them.

    Args:
        out: It need not exist; nothing is left in it.
        needed_bytes: About how much will be written.

    Raises:
        OutputError: It cannot be written to, or has too little room.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest, prefix=PARTIAL_PREFIX, suffix=_PARTIAL_SUFFIX):
            free = shutil.disk_usage(nearest).free
    except OSError as error:
        raise OutputError(f"{nearest}: cannot be written to ({error.strerror}); choose another --out folder") from error
    if free < needed_bytes:
        raise OutputError(
            f"{nearest}: has {free / 1e6:.0f} MB free, and the results need about {needed_bytes / 1e6:.0f} MB; "
            "make room or choose another --out folder"
        )


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
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL_PREFIX, suffix=_PARTIAL_SUFFIX)
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


def remove_partial_files(folders: Iterable[Path]) -> None:
    """Remove what a run that was killed left half written; nobody else may be writing there."""
    for folder in folders:
        for path in folder.glob(f"{PARTIAL_PREFIX}*{_PARTIAL_SUFFIX}"):
            with contextlib.suppress(OSError):
                path.unlink()


def _renamed(relative: Path, name_suffix: str, suffix: str | None) -> Path:
    own = relative.suffix
    if suffix is None:
        suffix = own
        if own.lower() in READABLE_SUFFIXES and own.lower() not in WRITABLE_SUFFIXES:
            suffix = _SUFFIX_WHERE_NONE_CAN_BE_WRITTEN
    return relative.with_name(relative.stem + name_suffix + suffix)


def _walk(folder: Path, root: Path, found: Found) -> None:
    images: list[FoundImage] = []

    def note(error: OSError) -> None:
        found.problems.append(Problem(Path(error.filename), f"this folder cannot be read ({error.strerror})"))

    for parent, folders, names in os.walk(folder, onerror=note):
        for name in folders:
            if not name.startswith(".") and Path(parent, name).is_symlink():
                found.problems.append(Problem(Path(parent, name), "a link to a folder, which is not followed", True))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if name.startswith(".") or path.suffix.lower() not in READABLE_SUFFIXES:
                found.others += not name.startswith(".")
            else:
                images.append(FoundImage(path.relative_to(root), path, root))
    found.images += sorted(images)


def _match(pattern: Path, found: Found) -> None:
    plain = list(_before_magic(pattern.parts))
    root = Path(*plain) if plain else Path()
    matches = sorted(Path(match) for match in glob.glob(str(pattern), recursive=True))  # noqa: PTH207  # takes absolute patterns
    if not matches:
        raise UsageError(f"{pattern}: matches no file")
    searched = root if "**" in pattern.parts else None
    for path in matches:
        if path.is_dir():
            # Files below it are matches themselves where the pattern goes to the bottom.
            if searched is None:
                _walk(path, root, found)
        elif path.suffix.lower() in READABLE_SUFFIXES:
            found.images.append(FoundImage(path.relative_to(root), path, searched))
        else:
            found.others += 1


def _before_magic(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _current_umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask
