"""`restore photos`: files and folders in, restored files out."""

import argparse
import codecs
import contextlib
import math
import os
import shlex
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from restore.cli.options import add_device_options
from restore.errors import BundleError, ExitCode, OutputError, UsageError
from restore.images.formats import FORMATS, RAW_SUFFIXES

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
    views.add_argument(
        "--compare", action="store_true", help="source and result side by side, beside each result: NAME.compare.jpg"
    )
    views.add_argument(
        "--residual", action="store_true", help="what was removed, beside each result: NAME.residual.png"
    )
    views.add_argument(
        "--dry-run",
        action="store_true",
        help="say what would be done, by names and by the journal, without a look at the pixels; write nothing",
    )
    views.add_argument("--limit", type=int, metavar="N", help="stop after so many photos that were not done before")
    add_device_options(parser, precision="fast")
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="threads that encode and write (default: %(default)s)"
    )
    parser.add_argument(
        "--max-megapixels", type=float, metavar="N", help="refuse larger photos, against files that lie (default: 500)"
    )
    heif = {suffix for suffix, name in FORMATS.items() if name == "HEIF"}
    parser.epilog = (
        "Sources are never written. A result is whole or not there; what a run was doing is in restore-journal.jsonl "
        "in the folder of the results, so that a second run does only what is left. "
        "A photo that cannot be read is reported and the rest go on. "
        "Exit code: 0 all restored, converted, copied or skipped, 1 some failed, 2 nothing was begun: wrong usage, or "
        "a bundle or an --out folder that does not work, 130 interrupted. "
        f"Formats that are read and written: {_listed(FORMATS.keys() - heif)}; with the extra restore[heic] "
        f"{_listed(heif)}. Read with the extra restore[raw], and written as TIFF: {_listed(RAW_SUFFIXES)}. "
        "docs/batch.md says what happens to files, exactly."
    )


def _listed(suffixes: Iterable[str]) -> str:
    return ", ".join(sorted(suffixes))


def run(arguments: argparse.Namespace) -> int:
    """Restore."""
    # Everything that can be wrong with the arguments, before torch takes its seconds.
    if arguments.limit is not None and arguments.limit < 0:
        raise UsageError(f"--limit: must be 0 or more, not {arguments.limit}")
    if arguments.workers < 1:
        raise UsageError(f"--workers: must be 1 or more, not {arguments.workers}")
    if arguments.max_megapixels is not None and not 0.0 < arguments.max_megapixels * 1e6 < math.inf:
        raise UsageError(f"--max-megapixels: must be a number above 0, not {arguments.max_megapixels:g}")
    for option, given in (("--invert-masks", arguments.invert_masks), ("--dilate", arguments.dilate)):
        if given and arguments.masks is None:
            raise UsageError(f"{option}: does nothing here; give --masks DIR as well")
    if not arguments.sources and arguments.from_file is None:
        raise UsageError("no photos: name files, folders or patterns, or give a list with --from-file")
    try:
        return _run(arguments)
    except (BundleError, OutputError) as error:  # of one photo, they are in its result: nothing has begun here
        raise UsageError(str(error)) from error


def _run(arguments: argparse.Namespace) -> int:
    from restore.images.files import check_collisions
    from restore.inference.photos import plan_photos
    from restore.inference.report import MOST_COMPARISONS, check_report
    from restore.inference.restorer import Restorer

    options = _options(arguments)
    listed = _read_list(arguments.from_file)
    plan = plan_photos(arguments.sources, arguments.out, listed, arguments.suffix, arguments.format)
    if options.views:
        check_collisions(plan.plans, options.views)
    if arguments.report is not None:
        check_report(arguments.report, plan.plans, arguments.overwrite)
    restorer = Restorer.from_bundle(arguments.bundle, arguments.device, arguments.precision, arguments.tile)
    if arguments.limit is not None:
        plan = plan.limited(restorer, options, arguments.limit)
    if arguments.dry_run:
        return _say_what_would_be_done(plan, restorer, options)
    running = plan.run(restorer, options)
    others = f", and {_count(plan.found.others, 'other file')}, left out" if plan.found.others else ""
    print(
        f"{_count(len(plan.plans), 'photo')}{others}; bundle {arguments.bundle}, {restorer.precision} on "
        f"{restorer.device}",
        file=sys.stderr,
    )
    results, whole, ended = _Results(MOST_COMPARISONS), True, False
    try:
        for result in _with_progress(running, len(plan.plans)):
            results.add(result)
        ended = True
    finally:  # also of a run that was interrupted
        if arguments.report is not None and results.all:
            planned = None if ended else len(plan.plans) + len(plan.found.problems)
            whole = _write_report(arguments.report, results.all, planned)
        if results.all or ended:
            _print_summary(results.all)
    _say_what_has_no_views(results.all, options)
    failed = not whole or any(result.status == "failed" for result in results.all)
    return ExitCode.FAILED if failed else ExitCode.OK


def _options(arguments: argparse.Namespace) -> "BatchOptions":
    from restore.images.document import MAX_PIXELS
    from restore.inference.masks import MaskFolder
    from restore.inference.outcome import BatchOptions

    megapixels = arguments.max_megapixels
    return BatchOptions(
        auto=arguments.auto,
        strength=arguments.strength,
        overwrite=arguments.overwrite,
        quality=arguments.quality,
        masks=MaskFolder(arguments.masks, arguments.dilate, arguments.invert_masks) if arguments.masks else None,
        residual=arguments.residual,
        compare=arguments.compare,
        max_pixels=MAX_PIXELS if megapixels is None else max(1, int(megapixels * 1e6)),
        workers=arguments.workers,
        thumbnails=arguments.report is not None and arguments.report.suffix.lower() == ".html",
    )


class _Results:
    """Results in order, with small pictures of as many as a report shows, restored photos before the others.

    Those of ten thousand would take a gigabyte.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.all: list[PhotoResult] = []
        self._restored: list[int] = []
        self._others: list[int] = []

    def add(self, result: "PhotoResult") -> None:
        self.all.append(result)
        if result.thumbnails is None:
            return
        (self._restored if result.status == "restored" else self._others).append(len(self.all) - 1)
        if len(self._restored) + len(self._others) > self._most:
            last = (self._others or self._restored).pop()
            self.all[last] = replace(self.all[last], thumbnails=None)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _write_report(path: Path, results: "Sequence[PhotoResult]", stopped_before: int | None) -> bool:
    """False, and a line, if it cannot be written: the photos are there, and the summary has to be."""
    from restore.inference.report import write_report

    # Arguments are bytes, too: what is not UTF-8 is escaped.
    command = shlex.join(["restore", *sys.argv[1:]]).encode("utf-8", "surrogateescape")
    try:
        write_report(path, results, command.decode("utf-8", "backslashreplace"), stopped_before)
    except OutputError as error:
        print(f"restore: {error}", file=sys.stderr)
        return False
    return True


def _read_list(path: Path | None) -> Sequence[Path]:
    if path is None:
        return ()
    try:
        # Names of files are bytes; what is not UTF-8 passes through.
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror})") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as PowerShell writes them
        try:
            content = content.decode("utf-16").encode()
        except UnicodeError as error:
            raise UsageError(f"{path}: begins as UTF-16 and is not; store the list as UTF-8") from error
    content = content.removeprefix(codecs.BOM_UTF8)
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
    from restore.inference.journal import DONE_BEFORE
    from restore.inference.report import summary_of

    others = [result for result in results if result.reason != DONE_BEFORE]
    done = len(results) - len(others)
    parts = [summary_of(others)] if others or not done else []
    if done:
        parts.append(f"{done} done before")
    seconds = sum(result.network_seconds for result in results)
    megapixels = sum(result.megapixels for result in results if result.status == "restored")
    speed = f"; {megapixels / seconds:.2f} megapixels/s in the network" if seconds else ""
    print(", ".join(parts) + speed, file=sys.stderr)


def _say_what_has_no_views(results: "Sequence[PhotoResult]", options: "BatchOptions") -> None:
    from restore.images.files import view_of
    from restore.inference.journal import DONE_BEFORE

    places = [
        [view_of(result.target, view) for view in options.views] for result in results if result.reason == DONE_BEFORE
    ]
    without = sum(not all(map(os.path.lexists, views)) for views in places)
    if without:
        print(
            f"{without} done before have no new views: --compare and --residual need --overwrite for them, and photos "
            "that are copied have none",
            file=sys.stderr,
        )


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
