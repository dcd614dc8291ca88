"""`restore anomalies --each-class`: one class against the rest, for every class."""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from restore.cli.anomalies import build_detector, kind_of, of_class, open_normal, rate_of, read_all
from restore.cli.options import LeftOut, plain
from restore.errors import DataError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from torch import Tensor

    from restore.codes.gathering import Gathered

__all__ = ["ClassRow", "judge_each_class"]

Curves = dict[str, tuple[npt.NDArray[np.float64], list[bool]]]
"""Scores, and whether each is of an odd picture, by title."""

_FILES = ("classes.json", "classes.csv", "classes.png")
_SHARES = ("auroc", "pca_auroc", "flagged_of_normal", "flagged_of_others")


@dataclass(frozen=True)
class ClassRow:
    """One class as the normal one.

    Attributes:
        normal_class: Its name.
        normal_pictures: How many there were, those held out among them.
        auroc: Probability that a picture of another class is odder than one of this, on two sides if those were asked
            for.
        pca_auroc: The same with PCA of as many numbers.
        flagged_of_normal: Share of the judged pictures of this class outside the thresholds: false alarms.
        flagged_of_others: Share of the others: what was found.
    """

    normal_class: str
    normal_pictures: int
    auroc: float
    pca_auroc: float
    flagged_of_normal: float
    flagged_of_others: float


def judge_each_class(arguments: argparse.Namespace, console: "Console") -> int:
    """Train a network for each class, and write the table."""
    from rich.progress import Progress

    from restore.codes.figures import new_figure
    from restore.codes.pictures import open_pictures
    from restore.images.document import shown
    from restore.images.files import check_outputs

    new_figure((1.0, 1.0))  # says that matplotlib is missing before the training, not after
    sources = [open_normal(arguments), open_pictures(arguments.source)]
    photos = [photo for source in sources for photo in source.photos]
    check_outputs(photos, [arguments.out / name for name in _FILES], arguments.overwrite)
    left_out = LeftOut(*sources)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        normal = read_all(sources[0], progress, left_out)
        as_normal = open_pictures(arguments.source, normal.images.shape[1], normal.images.shape[-1])
        judged = read_all(as_normal, progress, left_out)
        rows, curves = _rows(arguments, normal, judged, progress)
    means = {name: float(np.mean([getattr(row, name) for row in rows])) for name in _SHARES}
    _print(rows, means, console)
    settings = _settings(arguments, normal.images.shape[-1])
    found = {"judged": len(judged.images), "unreadable": left_out.reasons, "mean": means}
    _write(arguments.out, settings | found, rows, curves)
    first, *others = _FILES
    console.print(f"everything: {shown(arguments.out / first)}, {', '.join(others)}", markup=False)
    return left_out.exit_code


def _print(rows: list[ClassRow], means: dict[str, float], console: "Console") -> None:
    from rich.table import Table

    table = Table("normal", "pictures", "AUROC", "PCA", "false alarms", "found")
    for row in rows:
        shares = (f"{100 * share:.1f} %" for share in (row.flagged_of_normal, row.flagged_of_others))
        name = plain(row.normal_class)
        table.add_row(name, str(row.normal_pictures), f"{row.auroc:.4f}", f"{row.pca_auroc:.4f}", *shares)
    shares = (f"{100 * means[name]:.1f} %" for name in _SHARES[2:])
    table.add_row("mean", "", f"{means['auroc']:.4f}", f"{means['pca_auroc']:.4f}", *shares, style="bold")
    console.print(table)


def _settings(arguments: argparse.Namespace, size: int) -> dict[str, Any]:
    """What it takes to make the table again."""
    as_given = ("source", "normal", "colour", "numbers", "steps", "seed", "held_out", "two_sided")
    return {name: getattr(arguments, name) for name in as_given} | {
        "size": size,
        "score": kind_of(arguments),
        "false_alarms": rate_of(arguments),
    }


def _write(out: Path, record: dict[str, Any], rows: list[ClassRow], curves: Curves) -> None:
    from restore.codes.heat import draw_curves
    from restore.codes.tables import table_as_bytes
    from restore.images.files import write_atomically

    cells = [asdict(row) for row in rows]
    contents = (
        (json.dumps({**record, "rows": cells}, indent=2) + "\n").encode(),
        table_as_bytes(cells, list(cells[0]), ".csv"),
        draw_curves(curves),
    )
    for name, content in zip(_FILES, contents, strict=True):
        write_atomically(out / name, content)


def _rows(
    arguments: argparse.Namespace, normal: "Gathered", judged: "Gathered", progress: "Progress"
) -> tuple[list[ClassRow], Curves]:
    from restore.codes.anomalies import area_under_curve, network_scores
    from restore.images.document import shown

    if normal.labels is None or judged.labels is None:
        raise UsageError("--each-class: needs classes; of photos, those are the folders inside SOURCE and --normal")
    _check_classes(arguments, normal.labels, judged.labels)
    rows: list[ClassRow] = []
    curves: Curves = {}
    for name in sorted(set(normal.labels)):
        images = of_class(normal, name)
        detector = build_detector(arguments, images, progress, f"training on {name}")
        scores = network_scores(detector.encoder, judged.images, detector.kind)
        oddness = [detector.oddness(score) for score in scores.tolist()]
        odd = [label != name for label in judged.labels]
        flagged = np.array([detector.is_odd(score) for score in scores.tolist()])
        rows.append(
            ClassRow(
                name,
                len(images),
                area_under_curve(oddness, odd),
                area_under_curve(_pca_oddness(arguments, images, judged.images), odd),
                float(flagged[~np.array(odd)].mean()),
                float(flagged[odd].mean()),
            )
        )
        curves[f"{shown(Path(name))} ({rows[-1].auroc:.3f})"] = (np.array(oddness), odd)
    return rows, curves


def _check_classes(arguments: argparse.Namespace, normal: list[str], judged: list[str]) -> None:
    """Whether every class can be trained on and judged, before the first one is."""
    from restore.codes.thresholds import check_held_out
    from restore.images.document import shown

    for name in sorted(set(normal)):
        others = [label for label in judged if label != name]
        if len(others) in {0, len(judged)}:
            what = f"no pictures of {shown(Path(name))}" if others else f"none but those of {shown(Path(name))}"
            raise DataError(f"--each-class: there are {what} to judge; each class needs its own and others")
        try:
            check_held_out(normal.count(name), arguments.held_out, rate_of(arguments), arguments.two_sided)
        except UsageError as error:
            raise UsageError(f"--each-class: {shown(Path(name))}: {error}") from error


def _pca_oddness(arguments: argparse.Namespace, normal: "Tensor", judged: "Tensor") -> list[float]:
    from restore.codes.anomalies import hold_out, pca_scores
    from restore.codes.thresholds import oddness

    numbers, kind = arguments.numbers, kind_of(arguments)
    if not arguments.two_sided:
        return list(map(float, pca_scores(normal, judged, numbers, kind)))
    seen, unseen = hold_out(normal, arguments.held_out, arguments.seed)  # only unseen ones tell what lies low
    held_out = np.sort(pca_scores(seen, unseen, numbers, kind))
    return [oddness(float(score), held_out, True) for score in pca_scores(seen, judged, numbers, kind)]
