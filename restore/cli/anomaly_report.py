"""What `restore anomalies` found, as a record, a table, and a page with heat maps."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from torch import Tensor

    from restore.codes.anomalies import Detector, Judgement

__all__ = ["print_classes", "summary_of", "write_pictures", "write_tables"]

Json = dict[str, Any]


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
            scores = [_oddness(entry, detector) for entry in (*expected, *group)]
            found[name]["auroc"] = area_under_curve(scores, [False] * len(expected) + [True] * len(group))
    return found


def print_classes(classes: Json, console: "Console") -> None:
    """Print what `summary_of` found of each class."""
    from rich.table import Table

    table = Table("class", "pictures", "flagged", "AUROC")
    for name, row in classes.items():
        auroc = f"{row['auroc']:.4f}" if "auroc" in row else ""
        table.add_row(name, str(row["pictures"]), f"{100 * row['flagged']:.1f} %", auroc)
    console.print(table)


def _oddness(entry: "Judgement", detector: "Detector") -> float:
    if not detector.two_sided:
        return entry.score
    # Beyond the oddest held-out pictures on either side all shares are alike, and the distance decides.
    median = float(detector.held_out[len(detector.held_out) // 2])
    return -entry.normal_share + 1e-9 * abs(math.log(max(entry.score, 1e-12) / max(median, 1e-12)))


def write_tables(out: Path, summary: Json, judgements: "list[Judgement]") -> None:
    """Write the record and the table of all pictures."""
    import json

    from restore.codes.tables import table_as_bytes
    from restore.images.files import write_atomically

    pictures = [
        {"name": e.name, "label": e.label, "score": e.score, "normal_share": e.normal_share, "flagged": e.flagged}
        for e in judgements
    ]
    text = json.dumps({**summary, "pictures": pictures}, indent=2, ensure_ascii=False)
    columns = ("flagged", "name", "label", "score", "normal_share")
    write_atomically(out / "anomalies.csv", table_as_bytes(pictures, columns, ".csv"))
    write_atomically(out / "anomalies.json", (text + "\n").encode())


def write_pictures(
    arguments: argparse.Namespace,
    detector: "Detector",
    flagged: "list[Judgement]",
    judged: int,
    advance: "Callable[[], None]",
) -> None:
    """Heat maps of the flagged pictures, and the page that shows them; photos are read again, at their own size."""
    import shlex

    import restore
    from restore.codes.heat import anomaly_page, heat_over, shown_picture
    from restore.codes.pictures import open_pictures
    from restore.images.codec import encode
    from restore.images.files import write_atomically
    from restore.images.tensors import to_pixels

    out = arguments.out
    source = open_pictures(arguments.source, detector.encoder.channels)
    shown: list[tuple[Judgement, Tensor, Tensor]] = []
    for entry in flagged:
        picture = shown_picture(source.image(entry.name))
        heat = heat_over(picture, entry.error)
        write_atomically(out / "heat" / f"{entry.name}.png", encode(to_pixels(heat), ".png"))
        shown.append((entry, picture, heat))
        advance()
    lead = [
        f"{len(flagged)} of {judged} pictures are given back unlike normal ones by a network that has seen normal "
        f"pictures only; of further normal pictures, at most {100 * detector.rate:g} % would be flagged."
    ]
    counts = [("judged", str(judged)), ("flagged", str(len(flagged))), ("threshold", f"{detector.threshold:.4g}")]
    command = shlex.join(["restore", *sys.argv[1:]])
    page = anomaly_page(shown, lead, counts, command, f"restore anomalies {restore.__version__}")
    write_atomically(out / "anomalies.html", page.encode())
