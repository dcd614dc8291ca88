"""`restore demo`: what a newcomer sees first."""

import argparse
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import restore
from restore.cli.options import add_device_options
from restore.errors import OutputError

if TYPE_CHECKING:
    from restore.inference.demo import Damage, Outcome, Scores
    from restore.inference.page import Comparison, Fact, Page, Section
    from restore.inference.restorer import Restorer

__all__ = ["add_arguments", "run"]

_WIDTH = 100
_METHODS = ("corrupted", "restored", "classical")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--out", type=Path, default=Path("demo"), metavar="DIR", help="folder for the results (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: %(default)s)")
    add_device_options(parser)
    parser.epilog = (
        "Takes the sample photos that come with scikit-image, adds a camera's noise and white noise, blurs them and "
        "cuts holes, restores each with the bundles photo, denoise, deblur and inpaint and with a classical method. "
        "Writes index.html, which needs no network, and pictures side by side."
    )


def run(arguments: argparse.Namespace) -> int:
    """Demonstrate: compute, print a table, write the page and the pictures."""
    start = time.perf_counter()
    from rich.progress import track

    from restore.images.codec import encode
    from restore.images.files import write_atomically
    from restore.images.samples import sample_photos
    from restore.inference.demo import DAMAGES, demonstrate, load_restorers, side_by_side
    from restore.inference.page import build_page

    photos = sample_photos()
    page = arguments.out / "index.html"
    pictures = {
        (damage.name, photo.relative.stem): arguments.out / f"{damage.name.replace(' ', '-')}-{photo.relative.stem}.png"
        for damage in DAMAGES
        for photo in photos
    }
    _refuse_strangers(arguments.out, page, [page, *pictures.values()])
    restorers = load_restorers(device=arguments.device, precision=arguments.precision, tile=arguments.tile)
    outcomes = list(
        track(
            demonstrate(restorers, photos, arguments.seed),
            total=len(pictures),
            description="restoring",
            disable=not sys.stderr.isatty(),
        )
    )
    write_atomically(page, build_page(_page(arguments, outcomes, restorers)).encode())  # first: it marks the folder
    for outcome in outcomes:
        write_atomically(pictures[outcome.damage.name, outcome.photo], encode(side_by_side(outcome), ".png"))
    first = next(iter(restorers.values()))
    print(f"{len(photos)} photos, seed {arguments.seed}, {first.precision} on {first.device}")
    _print_table(outcomes)
    print(f"{time.perf_counter() - start:.1f} s in all. Beside the page are {len(pictures)} pictures, side by side.")
    print(f"Open {page}")
    return 0


def _refuse_strangers(out: Path, page: Path, targets: Sequence[Path]) -> None:
    """Replace the files of an earlier demo, and nobody else's."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; --out needs a folder")
    if page.is_file():
        with page.open("rb") as file:
            if b'content="restore demo' in file.read(1024):
                return
    for target in targets:
        if target.exists():
            raise OutputError(f"{target}: is there already, and not from a demo; choose another --out folder")


def _print_table(outcomes: "Sequence[Outcome]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from restore.inference.demo import DAMAGES, means

    table = Table("damage", *_METHODS, box=box.SIMPLE_HEAD, pad_edge=False)
    summary = means(outcomes)
    for damage in DAMAGES:
        cells = []
        for values in _values(summary[damage.name]):
            cell = Text(" / ").join(Text(text, style="bold" if best else "") for text, best in values)
            cells.append(cell)
        table.add_row(damage.name, *cells)
    console = Console(highlight=False)
    console.width = min(console.width, _WIDTH) if console.is_terminal else _WIDTH
    console.print(table)
    console.print(_caption() + (" The best is bold." if console.is_terminal else ""), end="\n\n")


def _caption() -> str:
    from restore.inference.demo import DAMAGES

    damages: dict[str, list[str]] = {}
    for damage in DAMAGES:
        damages.setdefault(damage.condition.baseline.name, []).append(damage.name)
    classical = ", ".join(f"{baseline} for {' and '.join(names)}" for baseline, names in damages.items())
    return (
        "PSNR in dB and SSIM, means over the photos. For missing regions PSNR counts the missing pixels alone, SSIM "
        f"the whole picture. Classical: {classical}."
    )


def _values(scores: "Mapping[str, Scores]") -> list[list[tuple[str, bool]]]:
    """For each method its PSNR and SSIM, and whether each is the best."""
    best_psnr = max(score.psnr for score in scores.values())
    best_ssim = max(score.ssim for score in scores.values())
    return [
        [
            (f"{scores[name].psnr:5.2f} dB", scores[name].psnr == best_psnr),
            (f"{scores[name].ssim:.4f}", scores[name].ssim == best_ssim),
        ]
        for name in _METHODS
    ]


def _page(arguments: argparse.Namespace, outcomes: "Sequence[Outcome]", restorers: "Mapping[str, Restorer]") -> "Page":
    from restore.inference.demo import DAMAGES, are_shipped, means
    from restore.inference.page import Page, Row, Table, Value

    summary = means(outcomes)
    rows = [
        Row(damage.name, [[Value(*value) for value in values] for values in _values(summary[damage.name])])
        for damage in DAMAGES
    ]
    photos = len({outcome.photo for outcome in outcomes})
    honest = (
        "None of these photos was used in training."
        if are_shipped()
        else "The bundles are not those that come with restore; whether these photos were used in their training, "
        "only whoever trained them can say."
    )
    return Page(
        "Damaged, restored, compared",
        [
            f"The {photos} sample photos that come with scikit-image were damaged in {len(DAMAGES)} ways, and restored "
            f"by a network and by a classical method. {honest}",
            "Drag the divider over a picture, or reach it with Tab and move it with the arrow keys. Below the picture, "
            "choose what stands to its right.",
        ],
        [_section(damage, [one for one in outcomes if one.damage is damage]) for damage in DAMAGES],
        Table(f"{_caption()} The best is bold.", ("damage", *_METHODS), rows),
        _facts(arguments, restorers),
        "Scores were taken on the pictures themselves. This page holds copies of high quality, JPEG of the noisy ones "
        "and WebP of the others; the PNG files beside it are exact.",
        f"restore demo {restore.__version__}",
    )


def _section(damage: "Damage", outcomes: "Sequence[Outcome]") -> "Section":
    from restore.inference.page import Section

    baseline = damage.condition.baseline.name
    return Section(
        damage.name.capitalize(),
        [f"{damage.protocol} The classical method is {baseline}."],
        [_comparison(outcome, baseline) for outcome in outcomes],
        ("PSNR of the holes" if damage.condition.has_hole else "PSNR", "SSIM"),
    )


def _comparison(outcome: "Outcome", baseline: str) -> "Comparison":
    from restore.inference.page import Comparison, embed

    texts = {name: (f"{one.psnr:.2f} dB", f"{one.ssim:.4f}") for name, one in outcome.scores.items()}
    height, width = outcome.clean.shape[:2]
    # WebP halves the resolution of colour, and would take half of the noise away.
    noisy = ".webp" if outcome.damage.condition.has_hole else ".jpg"
    missing = f", {100 * outcome.missing:.0f} % missing" if outcome.missing else ""
    return Comparison(
        outcome.photo,
        embed("corrupted", outcome.corrupted, noisy, texts["corrupted"]),
        embed("restored", outcome.restored, ".webp", texts["restored"]),
        [
            embed(baseline, outcome.classical, ".webp", texts["classical"]),
            embed("clean", outcome.clean, ".webp", ("", "")),
        ],
        f"{width} x {height} pixels{missing}",
    )


def _facts(arguments: argparse.Namespace, restorers: "Mapping[str, Restorer]") -> "list[Fact]":
    from restore.inference.page import Fact

    one = next(iter(restorers.values()))
    facts = [
        Fact(
            "Damage",
            [f"seed {arguments.seed}; that of a photo depends on the seed, its name and the kind of damage alone"],
        ),
        Fact("Computed", [f"{one.precision} on {one.device}, restore {restore.__version__}"]),
        Fact(
            "Classical methods",
            ["are told how strong the damage is; the networks have to find out. Where pixels are missing, both know."],
        ),
    ]
    for damage, restorer in restorers.items():
        card = restorer.card
        if card is None:
            continue
        revision = card.training.get("git_revision") or "unknown"
        facts.append(
            Fact(
                f"{damage.capitalize()}: bundle {card.name}",
                [
                    *(text for text in (card.description, f"Trained on: {card.data}" if card.data else "") if text),
                    f"git revision {revision[:12]}, weights sha256 {card.weights_sha256[:16]}…",
                ],
            )
        )
    command = ["restore", "demo", "--out", str(arguments.out), "--seed", str(arguments.seed)]
    command += ["--device", arguments.device, "--precision", arguments.precision]
    command += [] if arguments.tile is None else ["--tile", str(arguments.tile)]
    return [*facts, Fact("Run it again", [shlex.join(command)], is_code=True)]
