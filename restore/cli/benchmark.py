"""`restore benchmark`: the tables of the README, made anew on any set and any machine."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli.options import PROTOCOL_NAMES, add_device_options
from restore.errors import OutputError, RestoreError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from restore.benchmark.report import Report

__all__ = ["add_arguments", "run"]

Json = dict[str, Any]
# Those of restore.benchmark.speed and the bundles that ship: both take seconds to import; a test compares them.
_SPEED_PARTS = ("network", "photo", "corruption", "training", "ssim", "growth")
_BUNDLES = ["photo", "photo-fast", "denoise", "deblur", "inpaint"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "sets",
        nargs="*",
        metavar="SET",
        help="folders of clean photos, names of folders in --sets, or `samples`: score quality on these",
    )
    parser.add_argument(
        "--sets", dest="places", nargs="+", type=Path, default=[], metavar="FOLDER", help="where named sets are"
    )
    parser.add_argument(
        "--bundle",
        nargs="+",
        default=_BUNDLES,
        help="shipped names or folders (default: all)",
    )
    parser.add_argument(
        "--protocol",
        nargs="+",
        choices=PROTOCOL_NAMES,
        help="damage to score on; what each bundle is meant for, and clean pictures, if left out",
    )
    parser.add_argument("--sigma", nargs="+", type=float, help="noise levels, of 255 (default: 15 25 50)")
    parser.add_argument(
        "--share",
        nargs="+",
        type=float,
        help="borders of the bins of holes-by-share (default: 0.01 0.1 0.2 ... 0.6)",
    )
    parser.add_argument("--seed", nargs="+", type=int, default=[0], help="of the damage; several give a spread")
    parser.add_argument(
        "--classical", choices=("all", "fast", "none"), default="fast", help="classical methods (default: %(default)s)"
    )
    parser.add_argument(
        "--speed",
        nargs="*",
        choices=_SPEED_PARTS,
        metavar="PART",
        help=f"measure speed and memory: {', '.join(_SPEED_PARTS)}; all but growth if none is named",
    )
    parser.add_argument("--repeat", type=int, default=5, help="timed runs of which the median counts (default: 5)")
    parser.add_argument(
        "--megapixels", nargs="+", type=int, default=[1, 4, 16, 64, 256], help="sizes for the part growth"
    )
    parser.add_argument("--residual-report", action="store_true", help="also print colour shift and whiteness")
    parser.add_argument("--plots", action="store_true", help="draw plots; needs matplotlib")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmark"), help="folder for results; what is there is not measured again"
    )
    parser.add_argument(
        "--document",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="Markdown files whose tables are written anew from the results in --out",
    )
    parser.add_argument("--record", action="store_true", help="write the bundles' scores into their cards")
    add_device_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure what is missing, then write all that --out holds as tables, JSON and CSV."""
    from rich.console import Console

    from restore.benchmark.cards import card_results
    from restore.benchmark.machine import machine_name
    from restore.benchmark.report import Report
    from restore.benchmark.tables import check_markers, fill_in
    from restore.devices import choose_device
    from restore.images.files import write_atomically
    from restore.models.bundle import find_bundle, read_card, write_card

    if not (arguments.sets or arguments.speed is not None or arguments.document or arguments.plots or arguments.record):
        arguments.sets = ["samples"]
    if arguments.repeat < 1:
        raise UsageError(f"--repeat: must be 1 or more, not {arguments.repeat}")
    documents = {path: _read(path) for path in arguments.document}  # before an hour of measuring, not after
    for path, text in documents.items():
        try:
            check_markers(text)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
    console = Console(highlight=False, soft_wrap=True)
    machine = machine_name(choose_device(arguments.device))
    console.print(machine)
    _check_out(arguments.out)
    report = Report.open(arguments.out)
    if arguments.sets:
        _score(arguments, report, console)
    if arguments.speed is not None:
        _measure_speed(arguments, report, machine, console)
    results = report.write()
    for path, text in documents.items():
        write_atomically(path, fill_in(text, results).encode())
        console.print(f"wrote the tables of {path}")
    for bundle in arguments.bundle if arguments.record else ():
        folder = find_bundle(bundle)
        card = read_card(folder)
        measured = card_results(results, bundle.rstrip("/"), card.weights_sha256)
        for result in measured:
            if lost := card.record(result):
                console.print(f"{folder}: {lost}")
        if measured:
            write_card(folder, card)
        console.print(f"{folder}: {len(measured)} results recorded in its card")
    if arguments.sets:
        _print_quality(results, arguments.residual_report, console)
    if arguments.plots:
        _draw(arguments.out, results, console)
    console.print(f"everything: {arguments.out / 'results.json'}; per picture: pictures.csv; Markdown: tables.md")
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")  # line ends as they are
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: cannot be read ({error})") from error


def _check_out(folder: Path) -> None:
    """Refuse to replace tables that are none of ours."""
    ours = folder / "results.json"
    for name in ("tables.md", "pictures.csv"):
        if (folder / name).exists() and not ours.exists():
            raise OutputError(f"--out: {folder / name} is there already, and no {ours.name} beside it; choose another")


def _score(arguments: argparse.Namespace, report: "Report", console: "Console") -> None:
    from rich.progress import Progress

    from restore.benchmark.plan import Plan, plan_cells, time_method
    from restore.benchmark.quality import INPUT, measure
    from restore.benchmark.sets import open_sets
    from restore.images.files import check_outputs
    from restore.inference.protocols import NOISE_PROTOCOLS, SHARES, SIGMAS
    from restore.inference.restorer import Restorer

    sets = open_sets(arguments.sets, arguments.places)
    for photos in (image_set.photos for image_set in sets):
        check_outputs(photos, [arguments.out / "results.json"], overwrite=True)
    plan = Plan(
        sets,
        {
            bundle.rstrip("/"): Restorer.from_bundle(bundle, arguments.device, arguments.precision, arguments.tile)
            for bundle in arguments.bundle
        },
        arguments.protocol or (),
        arguments.sigma or SIGMAS,
        arguments.share or SHARES,
        arguments.seed,
        arguments.classical,
    )
    cells = list(plan_cells(plan))
    if not cells:
        raise UsageError(
            f"--protocol: {' and '.join(plan.protocols)}: none of {', '.join(plan.restorers)} takes a mask; add "
            "`--bundle inpaint`"
        )
    named = {cell.protocol.name for cell in cells}
    for option, given, protocols in (
        ("--sigma", arguments.sigma, NOISE_PROTOCOLS),
        ("--share", arguments.share, ("holes-by-share",)),
    ):
        if given and not named & set(protocols):
            raise UsageError(
                f"{option}: {', '.join(sorted(named))}: levels of their own; it is for {' and '.join(protocols)}"
            )
    report.add_sets(plan.sets)
    todo = [cell for cell in cells if report.store.find(cell) is None]
    console.print(f"{len(cells)} table cells to score, {len(cells) - len(todo)} of them done before")
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task("", total=sum(len(cell.test_set.photos) for cell in todo))
        for cell in todo:
            title = f"{cell.test_set.name}, {cell.condition.name}, {cell.contender.name}"
            progress.update(task, description=title)
            report.keep(cell, measure(cell))
            progress.advance(task, len(cell.test_set.photos))
        report.write()
        firsts = {cell.contender.name: cell for cell in reversed(cells) if cell.contender.kind != INPUT}
        for name, cell in firsts.items():
            origin = {"identity": cell.contender.identity, "machine": cell.contender.machine}
            if not origin.items() <= report.methods.get(name, {}).items():
                progress.update(task, description=f"timing {name}")
                try:
                    report.add_method(time_method(cell, arguments.repeat))
                except RestoreError as error:
                    console.print(f"{name}: not timed ({error})")
                report.write()  # a method may take minutes


def _measure_speed(arguments: argparse.Namespace, report: "Report", machine: str, console: "Console") -> None:
    from restore.benchmark.measurement import Setting
    from restore.benchmark.speed import PARTS

    setting = Setting(
        arguments.bundle[0].rstrip("/"),
        arguments.device,
        arguments.precision,
        arguments.tile,
        arguments.repeat,
        arguments.megapixels,
    )
    for part in arguments.speed or [part for part in _SPEED_PARTS if part != "growth"]:
        for measurement in PARTS[part](setting):
            report.add_speed(part, measurement, machine, setting)
            report.write()  # what follows may fail, or never end
            console.print(f"{measurement.name:<76} {measurement.text:>28}")


def _print_quality(results: Json, residual_report: bool, console: "Console") -> None:
    from rich.table import Table

    from restore.benchmark.tables import TITLES, table_lines

    hidden = {"speed"} if residual_report else {"speed", "residual"}
    for name, title in TITLES.items():
        head, *body = table_lines(name, results)
        if not body or name in hidden:
            continue
        table = Table(*head, title=title, title_justify="left")
        for line in body:
            table.add_row(*(cell.replace("**", "").replace("`", "") for cell in line))
        console.print(table)


def _draw(out: Path, results: Json, console: "Console") -> None:
    from restore.benchmark.plots import plot_growth, plot_quality_against_compute, plot_quality_against_sigma

    drawn = []
    for entry in results["sets"]:
        name = entry["name"]
        for kind, plot in (("sigma", plot_quality_against_sigma), ("compute", plot_quality_against_compute)):
            path = out / f"{kind}-{name}.png"
            if plot(results, name, path):
                drawn.append(path)
    if plot_growth(results, out / "growth.png"):
        drawn.append(out / "growth.png")
    console.print(f"plots: {', '.join(map(str, drawn)) or 'none; there are too few results for one'}")
