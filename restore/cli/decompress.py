"""`restore decompress`: the photos of compressed files."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from restore.cli.options import add_device_option, add_overwrite_option
from restore.errors import ExitCode, OutputError, RestoreError, UsageError

if TYPE_CHECKING:
    from restore.images.search import FoundImage

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="files, or folders to search for .rac")
    parser.add_argument("--bundle", required=True, metavar="BUNDLE", help="the one that they were compressed with")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the photos")
    parser.add_argument("--format", default="png", metavar="NAME", help="png, tif, jpg ... (default: %(default)s)")
    add_overwrite_option(parser)
    add_device_option(parser)
    parser.epilog = (
        "A file that is damaged, cut, of another program or of another bundle is refused with a reason, and the others "
        "go on. a.jpg.rac becomes DIR/a.png; where a.png.rac would, too, they become a.jpg.png and a.png.png. Exit "
        "code: 0 all decompressed, 1 some refused, 2 wrong usage."
    )


def run(arguments: argparse.Namespace) -> int:
    """Decompress."""
    from rich.progress import track

    from restore.codes.compress import Compressor
    from restore.codes.container import CompressedPhoto
    from restore.codes.encoder import Encoder
    from restore.images.codec import ENCODABLE_SUFFIXES, encode
    from restore.images.document import shown
    from restore.images.files import check_outputs, check_target_folder, plan_outputs, write_atomically
    from restore.images.tensors import to_pixels

    suffix = "." + arguments.format.lower().removeprefix(".")
    if suffix not in ENCODABLE_SUFFIXES:
        raise UsageError(f"format {arguments.format!r}: use one of {', '.join(sorted(ENCODABLE_SUFFIXES))}")
    compressor = Compressor(Encoder.from_bundle(arguments.bundle, arguments.device))
    found = _apart(_found(arguments.sources), suffix)
    plans = plan_outputs(found, arguments.out, file_format=suffix)
    check_outputs(found, [plan.target for plan in plans], arguments.overwrite)
    check_target_folder(arguments.out)
    failed = 0
    for plan in track(plans, "decompressing", disable=not sys.stderr.isatty()):
        try:
            photo = CompressedPhoto.from_bytes(_read(plan.source))
            write_atomically(plan.target, encode(to_pixels(compressor.decompress(photo)), suffix))
        except OutputError:
            raise
        except RestoreError as error:
            print(f"refused: {shown(plan.source)}: {error}", file=sys.stderr)
            failed += 1
    print(f"{len(plans) - failed} decompressed" + (f", {failed} refused" if failed else ""))
    return ExitCode.FAILED if failed else ExitCode.OK


def _read(path: Path) -> bytes:
    from restore.images.document import open_regular

    with open_regular(path) as file:
        return file.read()


def _found(sources: list[Path]) -> "list[FoundImage]":
    """Compressed photos under the names that they had; folders are searched to the bottom."""
    from restore.codes.container import SUFFIX
    from restore.images.search import FoundImage

    found: list[FoundImage] = []
    for source in sources:
        if source.is_dir():
            for parent, folders, names in os.walk(source):
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                paths = [Path(parent, name) for name in sorted(names) if name.lower().endswith(SUFFIX)]
                found += [FoundImage(_bare(path.relative_to(source)), path, source) for path in paths]
        elif os.path.lexists(source):
            found.append(FoundImage(_bare(Path(source.name)), source))
        else:
            raise UsageError(f"{source}: no such file or folder")
    if not found:
        raise UsageError(f"{', '.join(map(str, sources))}: holds no files that end in {SUFFIX}")
    return found


def _apart(found: "list[FoundImage]", suffix: str) -> "list[FoundImage]":
    """Photos that only their own formats tell apart keep these in their names: a.jpg.png and a.png.png."""
    from restore.images.files import folded

    names = [photo.relative for photo in found]
    while True:
        meeting: dict[str, set[int]] = {}
        for index, name in enumerate(names):
            meeting.setdefault(folded(name.with_name(name.stem + suffix)), set()).add(index)
        longer = {
            index
            for group in meeting.values()
            if len({folded(found[index].relative) for index in group}) == len(group) > 1
            for index in group
            if names[index] == found[index].relative
        }
        if not longer:
            return [replace(photo, relative=name) for photo, name in zip(found, names, strict=True)]
        for index in longer:
            names[index] = names[index].with_name(names[index].name + suffix)


def _bare(path: Path) -> Path:
    """Without .rac; a set's pictures have no other suffix."""
    from restore.codes.container import SUFFIX

    name = path.name[: -len(SUFFIX)] if path.name.lower().endswith(SUFFIX) else ""
    return path.with_name(name) if name else path
