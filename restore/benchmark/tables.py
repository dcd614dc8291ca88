"""Results as Markdown, and documents whose tables are written between markers.

A document holds `<!-- benchmark NAME -->` and `<!-- /benchmark -->`; what stands between them is ours.
"""

import re
from collections.abc import Sequence
from typing import Any

from restore.benchmark.quality import INPUT
from restore.benchmark.sets import PUBLISHED
from restore.errors import UsageError

__all__ = ["TITLES", "fill_in", "main_score", "markdown", "natural_key", "rows_of", "table_lines"]

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

_MARKERS = re.compile(r"(<!-- benchmark ([\w-]+) -->\n).*?(<!-- /benchmark -->)", re.DOTALL)
_KINDS = {INPUT: 0, "classical": 1, "bundle": 2}


def fill_in(document: str, results: Json) -> str:
    """A document with its tables written anew.

    Args:
        document: Markdown with markers.
        results: As `restore benchmark` writes them.

    Returns:
        The document; what stands outside the markers is unchanged.

    Raises:
        UsageError: A marker names a table that the results do not have.
    """

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}{markdown(match[2], results)}\n{match[3]}"

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
    """Methods down, conditions across, each set in turn, published figures below our own; the best one in bold."""
    entries = [entry for entry in results["quality"] if entry["protocol"] == protocol]
    conditions = sorted({entry["condition"] for entry in entries}, key=natural_key)
    lines = [["", *conditions]]
    for test_set in dict.fromkeys(entry["set"] for entry in entries):
        chosen = [entry for entry in entries if entry["set"] == test_set]
        known = protocol == "gaussian-awgn" and chosen[0]["known"]
        published = PUBLISHED.get(test_set, ()) if known else ()
        best = {
            condition: max(
                *(main_score(entry) for entry in chosen if entry["condition"] == condition),
                *(row.psnr.get(condition, 0.0) for row in published),
                0.0,
            )
            for condition in conditions
        }
        lines += [
            [_label(rows[0], test_set), *(_cell(rows, condition, best[condition]) for condition in conditions)]
            for rows in rows_of(chosen)
        ]
        lines += [
            [
                f"{test_set}, {row.method}, published",
                *(_emphasised(row.psnr[c], best[c]) if c in row.psnr else "" for c in conditions),
            ]
            for row in published
        ]
    return lines


def rows_of(entries: Sequence[Json]) -> list[list[Json]]:
    """Entries of one set, by method: the input first, then the classical ones, then the bundles."""
    methods = dict.fromkeys((entry["kind"], entry["method"]) for entry in entries)
    return [
        [entry for entry in entries if (entry["kind"], entry["method"]) == method]
        for method in sorted(methods, key=lambda pair: (_KINDS[pair[0]], pair[1]))
    ]


def _label(entry: Json, test_set: str) -> str:
    method = f"`{entry['method']}`" if entry["kind"] == "bundle" else entry["method"]
    return f"{test_set} ({entry['images']} pictures), {method}" if entry["kind"] == INPUT else f"{test_set}, {method}"


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
        cost = entry["macs_per_pixel"]
        lines.append(
            [
                entry["name"],
                f"{entry['parameters'] / 1e6:.2f} M" if entry["parameters"] else "",
                f"{cost * 256**2 / 1e9:.1f}" if cost else "",
                f"{entry['megapixels_per_second']:.3g}",
                "" if entry["peak_megabytes"] is None else f"{entry['peak_megabytes']:.0f}",
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
