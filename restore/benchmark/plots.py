"""Plots of the results; matplotlib is an extra."""

from pathlib import Path
from typing import Any

from restore.benchmark.quality import INPUT
from restore.benchmark.sets import PUBLISHED
from restore.benchmark.tables import rows_of
from restore.errors import RestoreError

__all__ = ["plot_growth", "plot_quality_against_compute", "plot_quality_against_sigma"]

Json = dict[str, Any]


def plot_quality_against_sigma(results: Json, test_set: str, path: Path) -> bool:
    """PSNR of each method over the noise level; False if there are fewer than two levels."""
    chosen = [e for e in results["quality"] if e["protocol"] == "gaussian-awgn" and e["set"] == test_set]
    sigmas = sorted({_sigma(entry) for entry in chosen})
    if len(sigmas) < 2:
        return False
    figure, axes = _axes("noise, sigma of 255", f"PSNR on {test_set}, dB")
    for rows in rows_of(chosen):
        points = sorted((_sigma(row), row["psnr"]) for row in rows)
        style = {"bundle": "o-", "classical": "s--", INPUT: "x:"}[rows[0]["kind"]]
        axes.plot(*zip(*points, strict=True), style, label=rows[0]["method"])
    for published in PUBLISHED.get(test_set, ()) if chosen[0]["known"] else ():
        points = sorted((float(name.split()[1]), value) for name, value in published.psnr.items())
        axes.plot(*zip(*points, strict=True), "^", markersize=5, alpha=0.6, label=f"{published.method}, published")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path)
    return True


def plot_quality_against_compute(results: Json, test_set: str, path: Path) -> bool:
    """PSNR at sigma 25 over multiply-adds per 256 x 256 pixels, bundles beside published networks."""
    macs = {entry["name"]: entry["macs_per_pixel"] for entry in results["methods"] if entry["macs_per_pixel"]}
    chosen = [
        e
        for e in results["quality"]
        if (e["protocol"], e["set"], e["condition"]) == ("gaussian-awgn", test_set, "sigma 25") and e["method"] in macs
    ]
    if not chosen:
        return False
    figure, axes = _axes("billion multiply-adds for 256 x 256 pixels", f"PSNR at sigma 25 on {test_set}, dB")
    axes.set_xscale("log")
    points = [(e["method"], macs[e["method"]] * 256**2 / 1e9, e["psnr"], "o") for e in chosen]
    if chosen[0]["known"]:
        points += [(p.method, p.gmacs, p.psnr["sigma 25"], "^") for p in PUBLISHED.get(test_set, ()) if p.gmacs]
    for name, x, y, marker in points:
        axes.plot([x], [y], marker)
        # Ours below and to the right, published ones above and to the left: or they would cover each other.
        place, side = ((6, -12), "left") if marker == "o" else ((-6, 5), "right")
        axes.annotate(name, (x, y), textcoords="offset points", xytext=place, ha=side, fontsize=8)
    axes.margins(x=0.4, y=0.15)
    figure.savefig(path)
    return True


def plot_growth(results: Json, path: Path) -> bool:
    """Seconds and memory of `restore photos` over megapixels, of the bundle, precision and machine measured last."""
    sized = [entry for entry in results["speed"] if entry["megapixels"]]
    points: dict[str, list[tuple[float, float]]] = {"s": [], "MB": []}
    for entry in sized:
        if _series(entry) == _series(sized[-1]):
            points[entry["unit"]].append((entry["megapixels"], entry["value"]))
    if len(points["s"]) < 2:
        return False
    figure, axes = _axes("megapixels", "seconds")
    axes.loglog(*zip(*sorted(points["s"]), strict=True), "o-", color="tab:blue")
    axes.yaxis.label.set_color("tab:blue")
    memory = axes.twinx()
    memory.semilogx(*zip(*sorted(points["MB"]), strict=True), "s--", color="tab:red")
    memory.set_ylim(bottom=0)
    memory.set_ylabel("peak resident memory, MB", color="tab:red")
    figure.savefig(path)
    return True


def _series(entry: Json) -> tuple[Any, ...]:
    """What figures that are joined by a line have in common; older ones do not tell their bundle."""
    setting = entry.get("setting", {})
    return entry["machine"], setting.get("bundle"), setting.get("precision")


def _sigma(entry: Json) -> float:
    return float(entry["condition"].split()[1])


def _axes(x: str, y: str) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RestoreError("plots need matplotlib: pip install 'restore[benchmark]'") from error
    figure = Figure(figsize=(7, 4.5), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    return figure, axes
