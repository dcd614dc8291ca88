"""Planning where results go, and writing them whole or not at all."""

import contextlib
import fnmatch
import os
import secrets
import shutil
import stat
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import OutputError, UsageError
from restore.images.codec import READABLE_SUFFIXES, WRITABLE_SUFFIXES
from restore.images.document import shown
from restore.images.search import FoundImage

__all__ = [
    "PARTIAL_PREFIX",
    "PlannedImage",
    "check_collisions",
    "check_outputs",
    "check_suffix",
    "check_target_folder",
    "folded",
    "folder_around",
    "identity_of",
    "one_of",
    "plan_outputs",
    "remove_partial_files",
    "remove_result",
    "rights_above",
    "view_of",
    "write_atomically",
]

PARTIAL_PREFIX, _PARTIAL_SUFFIX = ".restore-", ".part"
"""Files that are being written; a run that was killed may leave one, and the next removes it."""

_SUFFIX_WHERE_NONE_CAN_BE_WRITTEN = ".tif"


@dataclass(frozen=True)
class PlannedImage:
    """A picture and the file that its result will become.

    Attributes:
        source: The picture.
        target: Its result.
        relative: The source's name below the folder that was searched; masks are found by it.
        as_named: Whether the result is what its name says, even where the source, with the same suffix, is not.
    """

    source: Path
    target: Path
    relative: Path
    as_named: bool = False


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
            differ), one of them would be a folder of another's, a result would replace a source or land inside a
            folder that is searched, or `out` or a target is in the way as a file or folder. Nothing has been written.
    """
    suffix = None if file_format is None else "." + file_format.lower().removeprefix(".")
    if suffix is not None and suffix not in WRITABLE_SUFFIXES:
        raise UsageError(f"format {file_format!r}: use one of {', '.join(sorted(WRITABLE_SUFFIXES))}")
    if "/" in name_suffix or os.sep in name_suffix or "\0" in name_suffix:
        raise UsageError(f"suffix {name_suffix!r}: is a part of a file's name, without folders")
    if os.path.exists(out) and not os.path.isdir(out):  # noqa: PTH110, PTH112  # Path's may raise
        raise OutputError(f"{shown(out)}: is a file; --out needs a folder")
    plans = [
        PlannedImage(
            image.path, out / _renamed(image.relative, name_suffix, suffix), image.relative, suffix is not None
        )
        for image in images
    ]
    check_collisions(plans)
    roots = {image.root for image in images if image.root is not None}
    for folder in dict.fromkeys([out, *(plan.target.parent for plan in plans)]):
        if (root := folder_around(folder, roots)) is not None:
            raise OutputError(
                f"{shown(folder)}: lies inside the source folder {shown(root)}, where the next run would take results "
                "for sources; choose an --out folder outside it"
            )
    return plans


def folded(name: Path | str) -> str:
    """Equal for what is one name on some system: `Café` in either form of Unicode, `IMG_1.JPG` and `img_1.jpg`."""
    return unicodedata.normalize("NFC", str(name)).casefold()


def check_collisions(plans: Sequence[PlannedImage], views: Sequence[str] = ()) -> None:
    """Refuse a plan by which one file would be written over another.

    Args:
        plans: Pictures and their results.
        views: What is written beside each result, for `view_of`.

    Raises:
        OutputError: As `plan_outputs`, for results and views. Nothing has been written.
    """
    is_source = one_of(plan.source for plan in plans)
    taken: dict[str, Path] = {}

    def check(place: Path) -> str:
        if is_source(place):
            raise OutputError(f"{shown(place)}: would replace a source; choose another --out folder")
        if os.path.isdir(place):  # noqa: PTH112  # Path.is_dir raises where a name is too long
            raise OutputError(f"{shown(place)}: is a folder where a result should go; choose another --out folder")
        return folded(place)

    for plan in plans:
        key = check(plan.target)
        if key in taken:
            raise OutputError(
                f"{shown(taken[key])} and {shown(plan.source)} would both become {shown(plan.target)}; restore them to "
                "different folders"
            )
        taken[key] = plan.source
    parents = dict.fromkeys(folder for plan in plans for folder in (plan.target.parent, *plan.target.parent.parents))
    for folder in parents:
        if (key := folded(folder)) in taken:
            raise OutputError(
                f"{shown(folder)}: would be the result of {shown(taken[key])} and a folder of other results; restore "
                "them to different folders"
            )
    for plan in plans:
        for place in (view_of(plan.target, view) for view in views):
            key = check(place)
            if key in taken:
                raise OutputError(
                    f"{shown(place)}: would be a view of {shown(plan.source)} and the result of {shown(taken[key])}; "
                    "restore them to different folders, or leave out --compare and --residual"
                )


def check_suffix(path: Path, suffixes: Sequence[str]) -> str:
    """A file name's suffix in lower case.

    Raises:
        UsageError: It is none of `suffixes`.
    """
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{path}: this file's name ends in {' or '.join(suffixes)}")
    return path.suffix.lower()


def check_outputs(photos: Iterable[FoundImage], outputs: Iterable[Path], overwrite: bool) -> None:
    """Find out before the work whether files that are no results of single photos may be written.

    Args:
        photos: The sources that are files.
        outputs: Every file that may be written or removed.
        overwrite: Whether those that exist may be.

    Raises:
        OutputError: One would replace a source or another one, or land inside a folder that is searched, is there
            already, or a folder is in its way.
    """
    photos = list(photos)
    is_source = one_of(photo.path for photo in photos)
    roots = {photo.root for photo in photos if photo.root is not None}
    taken: set[str] = set()
    for output in outputs:
        if is_source(output):
            raise OutputError(f"{shown(output)}: would replace a source; choose another place")
        place = folded(Path(os.path.realpath(output.parent), output.name))
        if place in taken:
            raise OutputError(
                f"{shown(output)}: two results would have this name, here or on other systems; name another"
            )
        taken.add(place)
        root = folder_around(output.parent, roots)
        if root is not None:
            raise OutputError(
                f"{shown(output)}: lies inside the source folder {shown(root)}, where the next run would take results "
                "for sources; choose a place outside it"
            )
        if os.path.isdir(output):  # noqa: PTH112  # `Path.is_dir` raises where a name is too long
            raise OutputError(f"{shown(output)}: is a folder where a result should go; choose another place")
        if os.path.lexists(output) and not overwrite:
            raise OutputError(f"{shown(output)}: is there already; choose another place, or --overwrite")


def view_of(target: Path, view: str) -> Path:
    """Where something to look at stands beside a result: `a.png.compare.jpg` for `a.png` and `compare.jpg`."""
    return target.with_name(f"{target.name}.{view}")


def identity_of(path: Path) -> tuple[int, int] | None:
    """What a file or folder is known by under any path, also where a disk is mounted twice; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if status.st_ino else None  # some file systems have no numbers


def one_of(files: Iterable[Path]) -> Callable[[Path], bool]:
    """A test whether a place is one of some files, under whatever path."""
    files = list(files)
    paths = {os.path.realpath(file) for file in files}
    identities = {identity_of(file) for file in files} - {None}
    return lambda place: os.path.realpath(place) in paths or identity_of(place) in identities


def folder_around(place: Path, folders: Iterable[Path]) -> Path | None:
    """The one of some folders that a folder lies in, or is, under whatever path; it need not exist."""
    real = Path(os.path.realpath(place))
    above = {identity_of(folder) for folder in (real, *real.parents)} - {None}
    return next(
        (folder for folder in folders if real.is_relative_to(os.path.realpath(folder)) or identity_of(folder) in above),
        None,
    )


def rights_above(source: Path, relative: Path) -> int:
    """What the folders of a picture, up to the one that was searched, let others do with it: bits of a file's mode.

    Args:
        source: The picture.
        relative: Its name below the folder that was searched.
    """
    mode = 0o777
    for folder in source.parents[: len(relative.parts)]:
        with contextlib.suppress(OSError):  # one that cannot be looked at
            rights = folder.stat().st_mode
            for others in (0o070, 0o007):
                if not rights & others & 0o111:  # may not enter
                    mode &= ~others
    return mode


def check_target_folder(out: Path, needed_bytes: int = 0) -> None:
    """Find out before the first result whether a folder can take them.

    Args:
        out: It need not exist; nothing is left in it.
        needed_bytes: About how much will be written.

    Raises:
        OutputError: It cannot be written to, or has too little room.
    """
    nearest = next(folder for folder in (out, *out.absolute().parents) if os.path.exists(folder))  # noqa: PTH110  # Path's may raise
    try:
        with tempfile.TemporaryFile(dir=nearest, prefix=PARTIAL_PREFIX, suffix=_PARTIAL_SUFFIX):
            free = shutil.disk_usage(nearest).free
    except OSError as error:
        raise OutputError(f"{nearest}: cannot be written to ({error.strerror}); choose another --out folder") from error
    if free < needed_bytes:
        raise OutputError(
            f"{nearest}: has {free / 1e6:.1f} MB free, and the results need about {needed_bytes / 1e6:.1f} MB; "
            "make room or choose another --out folder"
        )


def write_atomically(path: Path, data: bytes, mode: int = 0o666, check: Callable[[], object] | None = None) -> None:
    """Write a file so that it is there whole or not at all.

    The bytes go to a temporary file in the same folder, are flushed to the disk, and the name is switched at the end;
    an interrupt at any moment leaves either the old file or the new one.

    Args:
        path: The target; its folder is made if it is missing.
        data: Its content.
        mode: Of what it was made from: who may not read that may not read this, where the file system can say so.
        check: Called when everything is written but the name; what it raises leaves the target as it was.

    Raises:
        OutputError: The folder or the file cannot be written.
    """
    temporary = path.parent / f"{PARTIAL_PREFIX}{secrets.token_hex(8)}{_PARTIAL_SUFFIX}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = temporary.open("xb")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with file:
            with contextlib.suppress(OSError):  # shares may refuse
                given = stat.S_IMODE(temporary.stat().st_mode)
                if given & ~(mode | 0o600):
                    temporary.chmod(given & (mode | 0o600))
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if check is not None:
            check()
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise OutputError(f"{path}: cannot be written ({error.strerror})") from error
        raise


def remove_result(path: Path) -> None:
    """Remove a file of an earlier run that this one does not make again.

    Raises:
        OutputError: It cannot be removed.
    """
    try:
        path.unlink()
    except OSError as error:
        raise OutputError(f"{shown(path)}: cannot be removed ({error.strerror})") from error


def remove_partial_files(folders: Iterable[Path]) -> None:
    """Remove what a run that was killed left half written; nobody else may be writing there."""
    for folder in folders:
        with contextlib.suppress(OSError):
            for name in fnmatch.filter(os.listdir(folder), f"{PARTIAL_PREFIX}*{_PARTIAL_SUFFIX}"):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()


def _renamed(relative: Path, name_suffix: str, suffix: str | None) -> Path:
    own = relative.suffix
    if suffix is None:
        suffix = own
        if own.lower() in READABLE_SUFFIXES and own.lower() not in WRITABLE_SUFFIXES:
            suffix = _SUFFIX_WHERE_NONE_CAN_BE_WRITTEN
    return relative.with_name(relative.stem + name_suffix + suffix)
