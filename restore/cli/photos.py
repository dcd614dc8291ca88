"""`restore photos`: files and folders in, restored files out."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from restore.cli.options import add_device_options
from restore.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from restore.inference.batch import PhotoResult

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("sources", nargs="+", type=Path, metavar="SOURCE", help="photo, or folder to search for photos")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results; names are kept")
    parser.add_argument("--bundle", default="denoise", help="shipped name or folder (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist; sources never are")
    add_device_options(parser)
    parser.epilog = (
        "Reads and writes 8-bit grey and RGB JPEG, PNG, TIFF, WebP, BMP and PNM. Metadata is not carried over yet. "
        "A photo that cannot be read is reported and the rest go on. "
        "Exit code: 0 all restored or skipped, 1 some failed, 2 wrong usage, 130 interrupted."
    )


def run(arguments: argparse.Namespace) -> int:
    """Restore."""
    from restore.images.files import find_images, plan_outputs

    plans = plan_outputs(find_images(arguments.sources), arguments.out)
    if not plans:
        raise UsageError(f"no photos in {', '.join(map(str, arguments.sources))}; see `restore photos --help`")

    from restore.inference.batch import restore_files
    from restore.inference.restorer import Restorer

    restorer = Restorer.from_bundle(arguments.bundle, arguments.device, arguments.precision, arguments.tile)
    if restorer.composites:
        raise UsageError(
            f"bundle {arguments.bundle!r} fills in what a mask marks, and this command takes no masks yet: "
            "use restore.Restorer.from_bundle(...).restore(image, mask) from Python"
        )
    print(f"{len(plans)} photos, bundle {arguments.bundle}, {restorer.precision} on {restorer.device}", file=sys.stderr)
    counts = Counter[str]()
    for result in _with_progress(restore_files(restorer, plans, arguments.overwrite), len(plans)):
        counts[result.status] += 1
    print(", ".join(f"{count} {status}" for status, count in counts.items()), file=sys.stderr)
    return ExitCode.FAILED if counts["failed"] else ExitCode.OK


def _with_progress(results: "Iterator[PhotoResult]", total: int) -> "Iterator[PhotoResult]":
    """A bar on a terminal, and a line for every photo that was not restored."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("restoring", total=total)
        for result in results:
            progress.advance(task)
            if result.status != "restored":
                where = "" if str(result.source) in result.reason else f"{result.source}: "
                progress.console.print(
                    f"{result.status}: {where}{result.reason}", markup=False, highlight=False, soft_wrap=True
                )
            yield result
