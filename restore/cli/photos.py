"""`restore photos`: files and folders in, restored files out."""

import argparse
import contextlib
import shlex
import sys
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from restore.cli.options import add_device_options
from restore.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from restore.inference.outcome import BatchOptions, PhotoResult
    from restore.inference.photos import PhotoPlan
    from restore.inference.restorer import Restorer

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "sources",
        nargs="*",
        type=Path,
        metavar="SOURCE",
        help="photo, folder to search to the bottom, or quoted pattern such as 'scans/**/*.tif'",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the results; names are kept")
    parser.add_argument(
        "--from-file", type=Path, metavar="LIST", help="file with one photo per line, - for standard input"
    )
    parser.add_argument("--bundle", default="photo", help="shipped name or folder (default: %(default)s)")
    parser.add_argument(
        "--auto",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="copy photos byte for byte that are clean already (default: --auto)",
    )
    parser.add_argument(
        "--strength", type=float, default=1.0, metavar="0..1", help="how much of the change is made (default: 1)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist; sources never are")
    names = parser.add_argument_group("what results are called and how they are stored; as their sources, if left out")
    names.add_argument("--format", metavar="NAME", help="another format for all: png, tif, jpg ...")
    names.add_argument("--quality", type=int, metavar="1..100", help="of JPEG, WebP, AVIF and HEIC")
    names.add_argument("--suffix", default="", metavar="TEXT", help="added to names: _restored")
    masks = parser.add_argument_group("masks, for bundles that fill in")
    masks.add_argument(
        "--masks", type=Path, metavar="DIR", help="masks by the photos' relative paths, in any format; white is missing"
    )
    masks.add_argument("--invert-masks", action="store_true", help="black is missing")
    masks.add_argument("--dilate", type=int, default=0, metavar="PIXELS", help="widen what is missing (default: 0)")
    views = parser.add_argument_group("what to look at")
    views.add_argument("--report", type=Path, metavar="FILE", help="what became of each photo: .html, .csv or .json")
    views.add_argument("--compare", action="store_true", help="write source and result side by side beside each result")
    views.add_argument("--residual", action="store_true", help="write what was removed beside each result")
    views.add_argument("--dry-run", action="store_true", help="say what would be done, and write nothing")
    views.add_argument("--limit", type=int, metavar="N", help="stop after so many photos that were not done before")
    add_device_options(parser, precision="fast")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="threads that encode and write (default: %(default)s)"
    )
    parser.add_argument(
        "--max-megapixels", type=float, metavar="N", help="refuse larger photos, against files that lie (default: 500)"
    )
    parser.epilog = (
        "Sources are never written. A result is whole or not there; what a run was doing is in restore-journal.jsonl "
        "in the folder of the results, so that a second run does only what is left. "
        "A photo that cannot be read is reported and the rest go on. "
        "Exit code: 0 all restored, copied or skipped, 1 some failed, 2 wrong usage, 130 interrupted. "
        "docs/batch.md says what happens to files, exactly."
    )


def run(arguments: argparse.Namespace) -> int:
    """Restore."""
    # Everything that can be wrong with the arguments, before torch takes its seconds.
    if arguments.limit is not None and arguments.limit < 0:
        raise UsageError(f"--limit: must be 0 or more, not {arguments.limit}")
    if not arguments.sources and arguments.from_file is None:
        raise UsageError("no photos: name files, folders or patterns, or give a list with --from-file")

    from restore.images.document import MAX_PIXELS
    from restore.inference.masks import MaskFolder
    from restore.inference.outcome import BatchOptions
    from restore.inference.photos import plan_photos
    from restore.inference.report import check_report, write_report
    from restore.inference.restorer import Restorer

    if arguments.report is not None:
        check_report(arguments.report)
    options = BatchOptions(
        auto=arguments.auto,
        strength=arguments.strength,
        overwrite=arguments.overwrite,
        quality=arguments.quality,
        masks=MaskFolder(arguments.masks, arguments.dilate, arguments.invert_masks) if arguments.masks else None,
        residual=arguments.residual,
        compare=arguments.compare,
        max_pixels=MAX_PIXELS if arguments.max_megapixels is None else int(arguments.max_megapixels * 1e6),
        workers=arguments.workers,
        thumbnails=arguments.report is not None and arguments.report.suffix.lower() == ".html",
    )
    listed = _read_list(arguments.from_file)
    plan = plan_photos(arguments.sources, arguments.out, listed, arguments.suffix, arguments.format)
    restorer = Restorer.from_bundle(arguments.bundle, arguments.device, arguments.precision, arguments.tile)
    if arguments.dry_run:
        return _say_what_would_be_done(plan, restorer, options)
    running = plan.run(restorer, options, arguments.limit)
    others = f", and {plan.found.others} other files, left out" if plan.found.others else ""
    print(
        f"{len(plan.plans)} photos{others}; bundle {arguments.bundle}, {restorer.precision} on {restorer.device}",
        file=sys.stderr,
    )
    results: list[PhotoResult] = []
    try:
        for result in _with_progress(running, len(plan.plans)):
            results.append(result)  # noqa: PERF402  # those before an interrupt count
    finally:  # also of a run that was interrupted
        if arguments.report is not None and results:
            write_report(arguments.report, results, shlex.join(["restore", *sys.argv[1:]]))
    _print_summary(results)
    return ExitCode.FAILED if any(result.status == "failed" for result in results) else ExitCode.OK


def _read_list(path: Path | None) -> Sequence[Path]:
    if path is None:
        return ()
    try:
        # Names of files are bytes; what is not UTF-8 passes through.
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    lines = content.decode("utf-8", "surrogateescape").split("\0" if b"\0" in content else "\n")
    return [Path(line.removesuffix("\r")) for line in lines if line.strip()]


def _say_what_would_be_done(plan: "PhotoPlan", restorer: "Restorer", options: "BatchOptions") -> int:
    from restore.images.document import shown

    for problem in plan.found.problems:
        print(f"{shown(problem.path)}: {problem.reason}")
    for planned, decision in plan.decisions(restorer, options):
        what = f"-> {shown(planned.target)}" if decision.work else f"skipped: {decision.reason}"
        print(f"{shown(planned.source)} {what}")
    print("nothing was written: --dry-run", file=sys.stderr)
    return ExitCode.OK


def _print_summary(results: "Sequence[PhotoResult]") -> None:
    from restore.inference.report import summary_of

    seconds = sum(result.network_seconds for result in results)
    megapixels = sum(result.megapixels for result in results if result.status == "restored")
    speed = f"; {megapixels / seconds:.2f} megapixels/s in the network" if seconds else ""
    print(summary_of(results) + speed, file=sys.stderr)


def _with_progress(results: "Generator[PhotoResult]", total: int) -> "Iterator[PhotoResult]":
    """A bar on a terminal, and a line for every photo of which there is something to say."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from restore.images.document import shown
    from restore.inference.journal import DONE_BEFORE

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress, contextlib.closing(results):
        task = progress.add_task("restoring", total=total)
        for result in results:
            progress.advance(task)
            name = shown(result.source)
            remarks = "; ".join(part for part in (result.reason, *result.notes) if part)
            if result.status == "failed" or (remarks and result.reason != DONE_BEFORE):
                where = "" if name in remarks else f"{name}: "
                progress.console.print(
                    f"{result.status}: {where}{remarks}", markup=False, highlight=False, soft_wrap=True
                )
            yield result
