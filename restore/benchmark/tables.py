"""Results as Markdown, and documents whose tables are written between markers.

A document holds `<!-- benchmark NAME -->` and `<!-- /benchmark -->`; what stands between them is ours. Blanks within
a marker do not matter; one right behind a backtick is only spoken of.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from restore.benchmark.quality import INPUT
from restore.benchmark.sets import PUBLISHED, Published
from restore.errors import UsageError

__all__ = ["TITLES", "check_markers", "fill_in", "main_score", "markdown", "natural_key", "rows_of", "table_lines"]

Json = dict[str, Any]

TITLES = {
    "gaussian-awgn": "Denoising, noise neither clipped nor rounded: PSNR in dB / SSIM",
    "clipped-8bit": "Denoising, noise clipped and rounded to 8 bits: PSNR in dB / SSIM",
    "camera-noise": "Camera noise and a JPEG file of quality 85: PSNR in dB / SSIM",
    "gaussian-blur": "Deblurring, Gaussian blur and noise of sigma 2: PSNR in dB / SSIM",
    "motion-blur": "Deblurring, straight motion and noise of sigma 2: PSNR in dB / SSIM",
    "defocus-blur": "Deblurring, discs of a lens out of focus and noise of sigma 2: PSNR in dB / SSIM",
    "holes": "Inpainting: PSNR in dB over the missing pixels / over the whole picture",
    "holes-by-share": "Inpainting by missing share: PSNR in dB over the missing pixels / over the whole picture",
    "clean": "Do no harm, clean pictures in: PSNR in dB / SSIM against themselves",
    "worst": "Do no harm, worst pictures",
    "residual": "Colour shift and whiteness of what was removed",
    "methods": "Cost of the methods",
    "speed": "Speed and memory",
}
"""What stands above each table: those of protocols, then the others."""

_MARKER = re.compile(r"(?<!`)<!--\s*/?\s*benchmark\b")
_MARKERS = re.compile(
    r"((?<!`)<!--\s*benchmark\s+([\w-]+)\s*-->[^\S\r\n]*(\r?\n))"
    r"(?:(?!<!--\s*benchmark\b).)*?((?<!`)<!--\s*/\s*benchmark\s*-->)",
    re.DOTALL,
)
_PAIR = "a table stands between `<!-- benchmark NAME -->` and `<!-- /benchmark -->`, on lines of their own"
_KINDS = {INPUT: 0, "classical": 1, "bundle": 2}


def check_markers(document: str) -> None:
    """Refuse a document whose tables could not all be written.

    Args:
        document: Markdown with markers.

    Raises:
        UsageError: It has no marker, one that is not as it should be or lacks its counterpart, or one that names a
            table that there cannot be.
    """
    pairs = list(_MARKERS.finditer(document))
    for match in pairs:
        if match[2] not in TITLES:
            raise UsageError(f"{_line(document, match)}: no table {match[2]!r}; there are {', '.join(TITLES)}")
    used = {place for match in pairs for place in (match.start(1), match.start(4))}
    for marker in _MARKER.finditer(document):
        if marker.start() not in used:
            raise UsageError(f"{_line(document, marker)}: half a pair, or misspelt; {_PAIR}")
    if not pairs:
        raise UsageError(f"no marker says where a table goes; {_PAIR}")


def fill_in(document: str, results: Json) -> str:
    """A document with its tables written anew.

    Args:
        document: Markdown with markers.
        results: As `restore benchmark` writes them.

    Returns:
        The document; what stands outside the markers is unchanged, and tables have the line ends of their markers.

    Raises:
        UsageError: A marker names a table that the results do not have.
    """

    def table(match: re.Match[str]) -> str:
        lines = markdown(match[2], results).split("\n")
        return match[1] + "".join(line + match[3] for line in lines) + match[4]

    return _MARKERS.sub(table, document)


def markdown(name: str, results: Json) -> str:
    """One table as Markdown.

    Args:
        name: A protocol, `speed`, `methods`, `worst` or `residual`.
        results: As `restore benchmark` writes them.

    Raises:
        UsageError: The results have no such table.
    """
    lines = table_lines(name, results)
    if len(lines) < 2:
        raise UsageError(f"no results for the table {name!r}: run `restore benchmark` for it first")
    head, *body = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *body])


def table_lines(name: str, results: Json) -> list[list[str]]:
    """One table as cells, the head first; nothing but the head if there are no results for it."""
    other = {"speed": _speed, "methods": _methods, "worst": _worst, "residual": _residual}
    return other[name](results) if name in other else _quality(name, results)


def _quality(protocol: str, results: Json) -> list[list[str]]:
    """Methods down, conditions across, each set in turn, published figures below our own; the best one in bold.

    Where the seeds of the damage differ within a set, each row has and says its own, and is compared with those that
    have the same.
    """
    entries = [entry for entry in results["quality"] if entry["protocol"] == protocol]
    conditions = sorted({entry["condition"] for entry in entries}, key=natural_key)
    lines = [["", *conditions]]
    for test_set in dict.fromkeys(entry["set"] for entry in entries):
        chosen = [entry for entry in entries if entry["set"] == test_set]
        known = protocol == "gaussian-awgn" and chosen[0]["known"]
        published = PUBLISHED.get(test_set, ()) if known else ()
        mixed = len(_by_seeds(chosen)) > 1
        for rows in (part for method in rows_of(chosen) for part in _by_seeds(method)):
            rivals = [entry for entry in chosen if entry["seeds"] == rows[0]["seeds"]]
            alone = mixed and len(rows_of(rivals)) == 1
            best = {c: math.inf if alone else _best(rivals, published, c) for c in conditions}
            lines.append([_label(rows[0], test_set, mixed), *(_cell(rows, c, best[c]) for c in conditions)])
        best = {c: _best(chosen, published, c) for c in conditions}
        lines += [
            [
                f"{test_set}, {row.method}, published",
                *(_emphasised(row.psnr[c], best[c]) if c in row.psnr else "" for c in conditions),
            ]
            for row in published
        ]
    return lines


def _best(entries: Sequence[Json], published: Sequence[Published], condition: str) -> float:
    scores = [main_score(entry) for entry in entries if entry["condition"] == condition]
    return max([*scores, *(row.psnr.get(condition, 0.0) for row in published), 0.0])


def rows_of(entries: Sequence[Json]) -> list[list[Json]]:
    """Entries of one set, by method: the input first, then the classical ones, then the bundles."""
    methods = dict.fromkeys((entry["kind"], entry["method"]) for entry in entries)
    return [
        [entry for entry in entries if (entry["kind"], entry["method"]) == method]
        for method in sorted(methods, key=lambda pair: (_KINDS[pair[0]], pair[1]))
    ]


def _by_seeds(rows: Sequence[Json]) -> list[list[Json]]:
    """Entries of one method, by the seeds of the damage."""
    choices = sorted({tuple(entry["seeds"]) for entry in rows})
    return [[entry for entry in rows if tuple(entry["seeds"]) == seeds] for seeds in choices]


def _label(entry: Json, test_set: str, tell_seeds: bool) -> str:
    place = f"{test_set} ({entry['images']} pictures)" if entry["kind"] == INPUT else test_set
    method = f"`{entry['method']}`" if entry["kind"] == "bundle" else entry["method"]
    seeds = f", seed{'s' * (len(entry['seeds']) > 1)} {', '.join(map(str, entry['seeds']))}" if tell_seeds else ""
    return f"{place}, {method}{seeds}"


def _line(document: str, match: re.Match[str]) -> str:
    return f"line {document.count(chr(10), 0, match.start()) + 1}"


def _cell(rows: Sequence[Json], condition: str, best: float) -> str:
    entry = next((row for row in rows if row["condition"] == condition), None)
    if entry is None:
        return ""
    second = f"{entry['ssim']:.3f}" if entry["hole_psnr"] is None else f"{entry['psnr']:.2f}"
    spread = "" if entry["spread"] is None else f" ± {entry['spread']:.2f}"
    return f"{_emphasised(main_score(entry), best, spread)} / {second}"


def main_score(entry: Json) -> float:
    """PSNR in dB: of the missing pixels where there are any, else of the picture."""
    return float(entry["psnr"] if entry["hole_psnr"] is None else entry["hole_psnr"])


def _emphasised(score: float, best: float, spread: str = "") -> str:
    text = f"{score:.2f}"
    return f"**{text}{spread}**" if text == f"{best:.2f}" else text + spread


def _methods(results: Json) -> list[list[str]]:
    costs = ["parameters", "GMAC at 256 x 256", "megapixels/s", "MB for 768 x 768"]
    lines = [["", *costs, "damage", "precision", "threads", "machine"]]
    for entry in results["methods"]:
        cost, side = entry["macs_per_pixel"], entry.get("side", 768)
        smaller = f" for {side} x {side}" if side != 768 else ""  # a slow method
        lines.append(
            [
                entry["name"],
                f"{entry['parameters'] / 1e6:.2f} M" if entry["parameters"] else "",
                f"{cost * 256**2 / 1e9:.1f}" if cost else "",
                f"{entry['megapixels_per_second']:.3g}",
                "" if entry["peak_megabytes"] is None else f"{entry['peak_megabytes']:.0f}{smaller}",
                entry.get("damage", ""),
                entry["precision"],
                str(entry["threads"]),
                entry["machine"],
            ]
        )
    return lines


def _worst(results: Json) -> list[list[str]]:
    lines = [["", "mean", "worst picture"]]
    for entry in results["quality"]:
        if entry["protocol"] == "clean" and entry["kind"] == "bundle":
            worst = f"{entry['worst']['psnr']:.2f} dB, {entry['worst']['image']}"
            lines.append(
                [f"`{entry['method']}`, {entry['set']}", f"{entry['psnr']:.2f} dB / {entry['ssim']:.4f}", worst]
            )
    return lines


def _residual(results: Json) -> list[list[str]]:
    lines = [["", "mean shift R, G, B (of 255)", "correlation of the residual's neighbours"]]
    for entry in results["quality"]:
        if entry["kind"] == "bundle" and entry["hole_psnr"] is None:
            name = f"`{entry['method']}`, {entry['set']}, {entry['condition']}"
            shift = ", ".join(f"{value:+.3f}" for value in entry["shift"])
            correlation = entry["residual_correlation"]
            lines.append([name, shift, "" if correlation is None else f"{correlation:+.3f}"])
    return lines


def _speed(results: Json) -> list[list[str]]:
    """A column for each machine: what was measured on two is worth comparing, and never mixed."""
    machines = list(dict.fromkeys(entry["machine"] for entry in results["speed"]))
    texts = {(entry["name"], entry["machine"]): entry["text"] for entry in results["speed"]}
    names = dict.fromkeys(entry["name"] for entry in results["speed"])
    return [["", *machines], *([name, *(texts.get((name, machine), "") for machine in machines)] for name in names)]


def natural_key(text: str) -> list[tuple[int, float, str]]:
    """Key that sorts numbers inside names by their value: sigma 5 before sigma 15."""
    return [
        (0, float(part), "") if part.replace(".", "", 1).isdigit() else (1, 0.0, part)
        for part in re.split(r"(\d+(?:\.\d+)?)", text)
        if part
    ]
