"""`restore anomalies --each-class`: one class against the rest, for every class."""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from restore.cli.anomalies import build_detector, of_class, open_normal, read_all
from restore.cli.options import plain
from restore.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from restore.codes.pictures import PictureSource

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
        auroc: Probability that a picture of another class is odder than one of this.
        pca_auroc: The same with PCA of as many numbers.
        flagged_of_normal: Share of the judged pictures of this class above the threshold: false alarms.
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
    normal = open_normal(arguments)
    photos = [*open_pictures(arguments.source).photos, *normal.photos]
    check_outputs(photos, [arguments.out / name for name in _FILES], arguments.overwrite)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        rows, curves = _rows(arguments, normal, progress)
    means = {name: float(np.mean([getattr(row, name) for row in rows])) for name in _SHARES}
    _print(rows, means, console)
    _write(arguments, rows, means, curves)
    first, *others = _FILES
    console.print(f"everything: {shown(arguments.out / first)}, {', '.join(others)}", markup=False)
    return 0


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


def _write(arguments: argparse.Namespace, rows: list[ClassRow], means: dict[str, float], curves: Curves) -> None:
    from restore.codes.heat import draw_curves
    from restore.codes.tables import table_as_bytes
    from restore.images.files import write_atomically

    settings = {name: getattr(arguments, name) for name in ("source", "score", "numbers", "steps", "seed", "held_out")}
    cells = [asdict(row) for row in rows]
    contents = (
        (json.dumps({**settings, "mean": means, "rows": cells}, indent=2) + "\n").encode(),
        table_as_bytes(cells, list(cells[0]), ".csv"),
        draw_curves(curves),
    )
    for name, content in zip(_FILES, contents, strict=True):
        write_atomically(arguments.out / name, content)


def _rows(
    arguments: argparse.Namespace, opened: "PictureSource", progress: "Progress"
) -> tuple[list[ClassRow], Curves]:
    from restore.codes.anomalies import area_under_curve, network_scores, pca_scores
    from restore.codes.pictures import open_pictures
    from restore.images.document import shown

    normal = read_all(opened, progress)
    source = open_pictures(arguments.source, normal.images.shape[1], normal.images.shape[-1])
    judged = read_all(source, progress)
    if normal.labels is None or judged.labels is None:
        raise UsageError("--each-class: needs classes; of photos, those are the folders inside SOURCE and --normal")
    rows: list[ClassRow] = []
    curves: Curves = {}
    for name in sorted(set(normal.labels)):
        images = of_class(normal, name)
        detector = build_detector(arguments, images, progress, f"training on {name}")
        scores = network_scores(detector.encoder, judged.images, detector.kind)
        linear = pca_scores(images, judged.images, arguments.numbers, detector.kind)
        odd = [label != name for label in judged.labels]
        flagged = np.array([detector.is_odd(score) for score in scores.tolist()])
        rows.append(
            ClassRow(
                name,
                len(images),
                area_under_curve(scores.tolist(), odd),
                area_under_curve(linear.tolist(), odd),
                float(flagged[~np.array(odd)].mean()),
                float(flagged[odd].mean()),
            )
        )
        curves[f"{shown(Path(name))} ({rows[-1].auroc:.3f})"] = (scores, odd)
    return rows, curves
