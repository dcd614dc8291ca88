"""Finding pictures in files, folders, patterns and lists."""

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from restore.errors import UsageError
from restore.images.codec import READABLE_SUFFIXES

__all__ = ["Found", "FoundImage", "Problem", "find_images", "search"]


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
        first_other: One of them.
    """

    images: list[FoundImage] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    others: int = 0
    first_other: Path | None = None

    def leave_out(self, path: Path) -> None:
        """Count a file that is no picture by its name."""
        self.others += 1
        self.first_other = self.first_other or path


def find_images(sources: Iterable[Path]) -> list[FoundImage]:
    """List the pictures among files and folders, in a fixed order; see `search`."""
    return _searched(sources).images


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
        UsageError: A source does not exist, a pattern matches nothing, or there are files, and none is a picture.
    """
    places = list(sources)
    found = _searched(places, listed)
    if found.others and not found.images and not found.problems:
        others = "1 other file, and it" if found.others == 1 else f"{found.others} other files, the first"
        raise UsageError(f"no photos in {', '.join(map(str, places))}; {others} is {found.first_other}")
    return found


def _searched(sources: Iterable[Path], listed: Iterable[Path] = ()) -> Found:
    found = Found()
    for source in sources:
        if os.path.isdir(source):  # noqa: PTH112  # Path.is_dir raises where a name is too long
            _walk(source, source, found)
        elif os.path.lexists(source):
            found.images.append(FoundImage(Path(source.name), source))
        elif glob.has_magic(str(source)):
            _match(source, found)
        else:
            raise UsageError(f"{source}: no such file or folder")
    paths = [Path(os.path.abspath(path)) for path in listed]  # noqa: PTH100  # resolve() would follow links
    if unnamed := [path for path in paths if not path.name]:
        raise UsageError(f"{unnamed[0]}: is no file; a list has one photo a line")
    shared = Path(os.path.commonpath([path.parent for path in paths])) if paths else Path()
    found.images += [FoundImage(path.relative_to(shared), path) for path in paths]
    found.images = list({(image.relative, image.path): image for image in found.images}.values())
    found.problems = list(dict.fromkeys(found.problems))
    return found


def _walk(folder: Path, root: Path, found: Found) -> None:
    images: list[FoundImage] = []
    for parent, folders, names in os.walk(folder, onerror=lambda error: _note_unreadable(error, found)):
        for name in folders:
            if not name.startswith(".") and os.path.islink(Path(parent, name)):  # noqa: PTH114  # Path's may raise
                _note_link(Path(parent, name), found)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(name for name in names if not name.startswith(".")):
            path = Path(parent, name)
            if path.suffix.lower() in READABLE_SUFFIXES:
                images.append(FoundImage(path.relative_to(root), path, root))
            else:
                found.leave_out(path)
    found.images += sorted(images)


def _note_unreadable(error: OSError, found: Found) -> None:
    found.problems.append(Problem(Path(error.filename), f"this folder cannot be read ({error.strerror})"))


def _note_link(path: Path, found: Found) -> None:
    found.problems.append(Problem(path, "a link to a folder, which is not followed", True))


def _match(pattern: Path, found: Found) -> None:
    plain = list(_before_magic(pattern.parts))
    root = Path(*plain) if plain else Path()
    matches = sorted(set(_matching(root, pattern.parts[len(plain) :], found)))
    if not matches:
        raise UsageError(f"{pattern}: matches no file")
    searched = root if "**" in pattern.parts else None
    for path in matches:
        if os.path.isdir(path):  # noqa: PTH112  # Path.is_dir raises in a folder that may be listed only
            # Files below it are matches themselves where the pattern goes to the bottom.
            if searched is None:
                _walk(path, root, found)
        elif path.suffix.lower() in READABLE_SUFFIXES:
            found.images.append(FoundImage(path.relative_to(root), path, searched))
        else:
            found.leave_out(path)


def _matching(folder: Path, parts: Sequence[str], found: Found) -> Iterator[Path]:
    """What matches the rest of a pattern below a folder; as in a search, no links to folders are followed."""
    first, rest = parts[0], parts[1:]
    anywhere = first == "**"
    if anywhere:
        yield from _matching(folder, rest or ["*"], found)
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        _note_unreadable(error, found)
        return
    for name in names:
        path = folder / name
        if (name.startswith(".") and not first.startswith(".")) or not (anywhere or fnmatch.fnmatchcase(name, first)):
            continue
        is_folder = os.path.isdir(path)  # noqa: PTH112  # as above
        if is_folder and path.is_symlink():
            _note_link(path, found)
        elif rest or anywhere:
            if is_folder:
                yield from _matching(path, parts if anywhere else rest, found)
        else:
            yield path


def _before_magic(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part
