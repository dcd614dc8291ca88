"""What `restore anomalies` found, as a record, a table, and a page with heat maps."""

import argparse
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli.options import plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from torch import Tensor

    from restore.codes.anomalies import Detector, Judgement

__all__ = ["earlier_heat_maps", "planned_files", "print_found", "summary_of", "write_report"]

Json = dict[str, Any]
_RECORD, _TABLE, _PAGE, _BUNDLE = "anomalies.json", "anomalies.csv", "anomalies.html", "bundle"
_MOST_DRAWN, _MOST_PRINTED = 200, 20
"""Flagged pictures that are drawn and printed: the oddest; the tables have all."""


def planned_files(out: Path, names: Iterable[str], with_bundle: bool) -> list[Path]:
    """Every file that a run may write.

    Args:
        out: Folder for results.
        names: Of the pictures to judge.
        with_bundle: Whether a network is trained.
    """
    from restore.models.bundle import CARD_FILE, WEIGHTS_FILE

    files = [out / name for name in (_RECORD, _TABLE, _PAGE)]
    if with_bundle:
        files += [out / _BUNDLE / name for name in (CARD_FILE, WEIGHTS_FILE)]
    return [*files, *(_heat_map(out, name) for name in names)]


def _heat_map(out: Path, name: str) -> Path:
    return out / "heat" / f"{name}.png"


def earlier_heat_maps(out: Path) -> list[Path]:
    """Those that the record in the folder speaks of: a run removes them."""
    try:
        pictures = json.loads((out / _RECORD).read_text(encoding="utf-8"))["pictures"]
        paths = [_heat_map(out, entry["name"]) for entry in pictures if entry["flagged"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    folder = os.path.realpath(out / "heat")  # a record from elsewhere may name what lies outside
    return [path for path in paths if os.path.lexists(path) and Path(os.path.realpath(path)).is_relative_to(folder)]


def summary_of(arguments: argparse.Namespace, detector: "Detector", judgements: "list[Judgement]") -> Json:
    """What was found, and with what, as plain JSON values."""
    summary: Json = {
        "source": arguments.source,
        "normal": arguments.normal,
        "class": arguments.normal_class,
        "size": detector.size,
        "score": detector.kind,
        "numbers": detector.encoder.network.code_channels,
        "false_alarms": detector.rate,
        "two_sided": detector.two_sided,
        "threshold": detector.threshold,
        "low_threshold": detector.low_threshold if detector.two_sided else None,
        "judged": len(judgements),
        "flagged": sum(entry.flagged for entry in judgements),
        "held_out_scores": detector.held_out.tolist(),
    }
    if arguments.normal_class is not None and None not in {entry.label for entry in judgements}:
        summary["classes"] = _by_class(arguments.normal_class, detector, judgements)
    return summary


def _by_class(normal: str, detector: "Detector", judgements: "list[Judgement]") -> Json:
    """Of each class, and of all but the normal one, the share that was flagged and the AUROC against the normal one."""
    from restore.codes.anomalies import area_under_curve

    groups: dict[str, list[Judgement]] = {}
    for entry in judgements:
        groups.setdefault(str(entry.label), []).append(entry)
    expected = groups.pop(normal, [])
    others = [entry for name in sorted(groups) for entry in groups[name]]
    listed = {normal: expected} | {name: groups[name] for name in sorted(groups)}
    found: Json = {}
    for name, group in (listed | ({"all others": others} if len(groups) > 1 else {})).items():
        if not group:
            continue
        found[name] = {"pictures": len(group), "flagged": sum(entry.flagged for entry in group) / len(group)}
        if name != normal and expected:
            scores = [detector.oddness(entry.score) for entry in (*expected, *group)]
            found[name]["auroc"] = area_under_curve(scores, [False] * len(expected) + [True] * len(group))
    return found


def print_found(
    arguments: argparse.Namespace,
    detector: "Detector",
    judgements: "list[Judgement]",
    summary: Json,
    console: "Console",
) -> None:
    """Print the oddest pictures, how many there are, and where the rest stands."""
    from restore.images.document import shown

    flagged = [entry for entry in judgements if entry.flagged]
    for entry in flagged[:_MOST_PRINTED]:
        console.print(f"{entry.score:.4g}  {shown(Path(entry.name))}", markup=False)
    if len(flagged) > _MOST_PRINTED:
        console.print(f"... and {len(flagged) - _MOST_PRINTED} more")
    console.print(
        f"{len(flagged)} of {len(judgements)} pictures lie above {detector.threshold:.4g}"
        f"{f' or below {detector.low_threshold:.4g}' if detector.two_sided else ''}, "
        f"which at most {100 * detector.rate:g} % of normal ones do"
    )
    if "classes" in summary:
        _print_classes(summary["classes"], console)
    page, again = shown(arguments.out / _PAGE), f"--model {shown(arguments.model or arguments.out)}"
    console.print(f"to look at: {page}; all: {_TABLE}, {_RECORD}; for the next batch: {again}", markup=False)


def _print_classes(classes: Json, console: "Console") -> None:
    from rich.table import Table

    table = Table("class", "pictures", "flagged", "AUROC")
    for name, row in classes.items():
        auroc = f"{row['auroc']:.4f}" if "auroc" in row else ""
        table.add_row(plain(name), str(row["pictures"]), f"{100 * row['flagged']:.1f} %", auroc)
    console.print(table)


def write_report(
    arguments: argparse.Namespace,
    detector: "Detector",
    judgements: "list[Judgement]",
    summary: Json,
    with_bundle: bool,
    progress: "Progress",
) -> None:
    """Write the network if it is new, the record, the table, heat maps of the flagged pictures and their page.

    The record comes before the heat maps, so that a later run knows them all and can remove them.
    """
    from restore.images.files import remove_result
    from restore.models.bundle import save_bundle

    for path in earlier_heat_maps(arguments.out):
        remove_result(path)
    if with_bundle:
        save_bundle(arguments.out / _BUNDLE, detector.encoder.network.state_dict(), detector.encoder.card)
    record = {**summary, "weights_sha256": detector.encoder.card.weights_sha256}  # known when they are written
    _write_tables(arguments.out, record, judgements)
    drawn = [entry for entry in judgements if entry.flagged][:_MOST_DRAWN]
    _write_page(arguments, detector, summary, _write_heat_maps(arguments, detector, drawn, progress))


def _write_tables(out: Path, summary: Json, judgements: "list[Judgement]") -> None:
    from restore.codes.tables import table_as_bytes
    from restore.images.files import write_atomically

    pictures = [
        {"name": e.name, "label": e.label, "score": e.score, "normal_share": e.normal_share, "flagged": e.flagged}
        for e in judgements
    ]
    columns = ("flagged", "name", "label", "score", "normal_share")
    write_atomically(out / _TABLE, table_as_bytes(pictures, columns, ".csv"))
    write_atomically(out / _RECORD, (json.dumps({**summary, "pictures": pictures}, indent=2) + "\n").encode())


def _write_heat_maps(
    arguments: argparse.Namespace, detector: "Detector", drawn: "list[Judgement]", progress: "Progress"
) -> "list[tuple[Judgement, Tensor, Tensor]]":
    """Each picture as it is shown, and with its heat; photos are read again, at their own size."""
    from restore.codes.heat import heat_over, shown_picture
    from restore.codes.pictures import open_pictures
    from restore.images.codec import encode
    from restore.images.files import write_atomically
    from restore.images.tensors import to_pixels

    source = open_pictures(arguments.source, detector.encoder.channels)
    pictures: list[tuple[Judgement, Tensor, Tensor]] = []
    for entry in progress.track(drawn, description="drawing"):
        picture = shown_picture(source.image(entry.name))
        heat = heat_over(picture, entry.error)
        write_atomically(_heat_map(arguments.out, entry.name), encode(to_pixels(heat), ".png"))
        pictures.append((entry, picture, heat))
    return pictures


def _write_page(
    arguments: argparse.Namespace,
    detector: "Detector",
    summary: Json,
    pictures: "list[tuple[Judgement, Tensor, Tensor]]",
) -> None:
    import shlex

    import restore
    from restore.codes.heat import anomaly_page
    from restore.images.files import write_atomically

    lead = [
        f"{summary['flagged']} of {summary['judged']} pictures are given back unlike normal ones by a network that has "
        f"seen normal pictures only; of further normal pictures, at most {100 * detector.rate:g} % would be flagged."
    ]
    if summary["flagged"] > len(pictures):
        lead.append(f"The oddest {len(pictures)} are shown.")
    counts = [(name, str(summary[name])) for name in ("judged", "flagged")]
    counts.append(("threshold", f"{detector.threshold:.4g}"))
    command = shlex.join(["restore", *sys.argv[1:]])
    page = anomaly_page(pictures, lead, counts, command, f"restore anomalies {restore.__version__}")
    write_atomically(arguments.out / _PAGE, page.encode("utf-8", "backslashreplace"))  # arguments may be any bytes
