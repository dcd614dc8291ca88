"""What became of every file, as a page to look at, a table or JSON; failures first."""

import contextlib
import csv
import io
import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import restore
from restore.errors import OutputError, UsageError
from restore.images.document import shown
from restore.images.files import PlannedImage, one_of, write_atomically
from restore.inference.outcome import PhotoResult, Status
from restore.inference.page import Comparison, Page, Picture, Row, Section, Table, Value, build_page

__all__ = ["MOST_COMPARISONS", "REPORT_SUFFIXES", "check_report", "summary_of", "write_report"]

REPORT_SUFFIXES = (".html", ".csv", ".json")

_ORDER: dict[Status, int] = {"failed": 0, "skipped": 1, "restored": 2, "converted": 3, "copied": 4}
MOST_COMPARISONS = 200
"""Photos shown on a page with before and after: beyond, a browser grows slow. The table has all."""
_MARKS = (
    b'<meta name="generator" content="restore photos',
    b'{\n "format": 1,\n "restore": "',
    b"status,source,target,",
)
"""By which an earlier report is known: of a page anywhere in its head, of a table and JSON at the beginning."""
_COLUMNS = ("status", "source", "target", "reason", "notes", "noise", "blur", "blocking", "megapixels", "seconds")


def summary_of(results: Sequence[PhotoResult]) -> str:
    """How many of each: `2 failed, 10 restored`."""
    counts = Counter(result.status for result in results)
    return ", ".join(f"{counts[status]} {status}" for status in _ORDER if counts[status]) or "nothing to do"


def check_report(path: Path, plans: Sequence[PlannedImage] = (), overwrite: bool = False) -> None:
    """Refuse a report that cannot be, before the first photo.

    An earlier report is replaced, and nothing else that is there.

    Args:
        path: Where it will be.
        plans: The photos and their results.
        overwrite: Whether any other file that is there may be replaced. Sources never are.

    Raises:
        UsageError: Its suffix is not one of `REPORT_SUFFIXES`, or it is no regular file.
        OutputError: It is a source or a result, or another file that is there.
    """
    if path.suffix.lower() not in REPORT_SUFFIXES:
        raise UsageError(f"{path}: a report ends in {', '.join(REPORT_SUFFIXES)}")
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113  # Path's may raise
        raise UsageError(f"{shown(path)}: is a folder, a pipe or a device; --report needs a file")
    if one_of(plan.source for plan in plans)(path):
        raise OutputError(f"{shown(path)}: is a photo to restore; choose another name for the report")
    if one_of(plan.target for plan in plans)(path):
        raise OutputError(f"{shown(path)}: is where a result goes; choose another name for the report")
    if os.path.lexists(path) and not overwrite and not _is_report(path):
        raise OutputError(
            f"{shown(path)}: is there already, and no report of a run; choose another name, or --overwrite"
        )


def _is_report(path: Path) -> bool:
    """Whether a file is an earlier report, or empty."""
    try:
        with path.open("rb") as file:
            head = file.read(2048)
    except OSError:
        return False
    return not head or any(mark in head if mark.startswith(b"<") else head.startswith(mark) for mark in _MARKS)


def write_report(
    path: Path, results: Sequence[PhotoResult], command: str = "", stopped_before: int | None = None
) -> None:
    """Write a report of a run.

    Args:
        path: `.html`, `.csv` or `.json`.
        results: Of every photo.
        command: What was run, for the page.
        stopped_before: Of a run that was interrupted, how many photos it would have come to; None for a whole one.

    Raises:
        OutputError: The file cannot be written.
    """
    ordered = sorted(results, key=lambda result: _ORDER[result.status])
    make = {".html": _page, ".csv": _csv, ".json": _json}[path.suffix.lower()]
    content = make(ordered, command, stopped_before).encode("utf-8", "backslashreplace")
    write_atomically(path, content, _rights(results))


def _rights(results: Sequence[PhotoResult]) -> int:
    """Who may look at a page: who may look at all the photos that are shown on it."""
    mode = 0o666
    for result in results:
        if result.thumbnails is not None:
            with contextlib.suppress(OSError):  # gone since
                mode &= result.target.stat().st_mode
    return mode


def _row(result: PhotoResult) -> dict[str, Any]:
    damage = {} if result.damage is None else {name: round(value, 2) for name, value in asdict(result.damage).items()}
    return {
        "status": result.status,
        "source": shown(result.source),
        "target": shown(result.target),
        "reason": _reason(result),
        "notes": list(result.notes),
        "noise": damage.get("noise"),
        "blur": damage.get("blur"),
        "blocking": damage.get("blocking"),
        "megapixels": round(result.megapixels, 3),
        "seconds": round(result.seconds, 3),
    }


def _reason(result: PhotoResult) -> str:
    """Without the name of the photo, which stands beside it."""
    return result.reason.removeprefix(f"{shown(result.source)}: ")


def _json(results: Sequence[PhotoResult], command: str, stopped_before: int | None) -> str:
    content = {
        "format": 1,
        "restore": restore.__version__,
        "command": command,
        "complete": stopped_before is None,
        "planned": len(results) if stopped_before is None else stopped_before,
        "summary": dict(Counter(result.status for result in results)),
        "photos": [_row(result) for result in results],
    }
    return json.dumps(content, indent=1) + "\n"


def _csv(results: Sequence[PhotoResult], _command: str, stopped_before: int | None) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for result in results:
        row = _row(result)
        writer.writerow(row | {"notes": "; ".join(row["notes"])})
    if stopped_before is not None:
        writer.writerow({"status": "stopped", "reason": _stopped("table", results, stopped_before)})
    return buffer.getvalue()


def _stopped(what: str, results: Sequence[PhotoResult], stopped_before: int) -> str:
    done = f"{len(results)} of {stopped_before} photos"
    return f"Stopped before the end: this {what} has {done}. The same command goes on."


def _page(results: Sequence[PhotoResult], command: str, stopped_before: int | None) -> str:
    shown_results = [result for result in results if result.thumbnails is not None]
    sections = []
    if shown_results:
        paragraphs = ["Left of the divider the photo as it came, right of it as it is now; both made small."]
        comparisons = [_comparison(result) for result in shown_results[:MOST_COMPARISONS]]
        made = sum(result.status in {"restored", "converted", "copied"} for result in results)
        if len(comparisons) < made:
            paragraphs.append(f"{len(comparisons)} of {made} photos; the table below has all.")
        sections.append(Section("Before and after", paragraphs, comparisons))
    rows = [Row(shown(result.source), [[value] for value in _cells(result)]) for result in results]
    columns = ("photo", "became", "why, and what else there is to say", "noise", "megapixels", "seconds")
    caption = "Every photo, failures first; noise is the estimated standard deviation, of 255"
    lead = [f"{summary_of(results)}."] + ([f"Made by: {command}"] if command else [])
    if stopped_before is not None:
        lead.insert(0, _stopped("page", results, stopped_before))
    page = Page(
        "What became of the photos",
        lead,
        sections,
        Table(caption, columns, rows),
        footer=f"restore {restore.__version__}",
        generator=f"restore photos {restore.__version__}",
    )
    return build_page(page)


def _cells(result: PhotoResult) -> list[Value]:
    remarks = "; ".join(part for part in (_reason(result), *result.notes) if part)
    noise = "" if result.damage is None else f"{result.damage.noise:.1f}"
    size = f"{result.megapixels:.1f}" if result.megapixels else ""
    plain = (Value(text) for text in (noise, size, f"{result.seconds:.2f}"))
    return [Value(result.status), Value(remarks, prose=True), *plain]


def _comparison(result: PhotoResult) -> Comparison:
    before, after = (
        _picture(label, data) for label, data in zip(("before", result.status), result.thumbnails or (), strict=True)
    )
    return Comparison(shown(result.source), before, after, note="; ".join(result.notes))


def _picture(label: str, data: bytes) -> Picture:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return Picture(label, data, "image/jpeg", image.width, image.height)
