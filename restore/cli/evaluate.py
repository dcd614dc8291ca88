"""`restore evaluate`: a bundle's scores on a folder of clean photos."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from restore.cli.options import PROTOCOL_NAMES, add_device_options, add_overwrite_option
from restore.errors import UnsupportedImageError, UsageError

if TYPE_CHECKING:
    from restore.images.search import FoundImage
    from restore.inference.evaluate import ImageScores

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="clean photos; scikit-image's sample photos if left out"
    )
    parser.add_argument("--bundle", default="denoise", help="shipped name or folder (default: %(default)s)")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOL_NAMES,
        help="damage to score on; what the bundle is meant for if left out",
    )
    parser.add_argument(
        "--sigma",
        nargs="+",
        type=float,
        help="noise levels in 8-bit units, for gaussian-awgn and clipped-8bit, each once (default: 15 25 50)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the damage (default: %(default)s)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one line per photo and condition")
    parser.add_argument("--no-baseline", action="store_true", help="leave out the classical method")
    parser.add_argument("--record", action="store_true", help="write the result into the bundle's card")
    add_overwrite_option(parser)
    add_device_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Score, print a table, and write what was asked for."""
    from rich.progress import track

    from restore.images.files import check_outputs, check_suffix, write_atomically
    from restore.images.search import find_images
    from restore.inference.evaluate import evaluate, rows_as_csv
    from restore.inference.protocols import NOISE_PROTOCOLS, SIGMAS, build_protocol
    from restore.inference.restorer import Restorer

    if arguments.folder is None:
        from restore.images.samples import sample_photos

        photos, name = sample_photos(), "scikit-image samples"
    else:
        photos, name = find_images([arguments.folder]), arguments.folder.resolve().name
    if not photos:
        raise UsageError(f"{arguments.folder}: holds no photos")
    if arguments.csv:  # before an hour of scoring, not after
        check_suffix(arguments.csv, (".csv",))
        check_outputs(photos, [arguments.csv], arguments.overwrite)
    restorer = Restorer.from_bundle(arguments.bundle, arguments.device, arguments.precision, arguments.tile)
    chosen = arguments.protocol or (restorer.card.protocol if restorer.card else "") or "gaussian-awgn"
    if arguments.sigma and chosen not in NOISE_PROTOCOLS:
        raise UsageError(f"--sigma: {chosen} has levels of its own; it is for {' and '.join(NOISE_PROTOCOLS)}")
    protocol = build_protocol(chosen, arguments.sigma or SIGMAS)
    if any(condition.has_hole for condition in protocol.conditions) and not restorer.composites:
        raise UsageError(
            f"--protocol: {chosen} is for bundles that put known pixels back, such as inpaint; {arguments.bundle} may "
            "change them: name another of either"
        )
    if restorer.network.channels == 1:
        _check_grey(photos, arguments.bundle)
    # Classical methods are told how strong the damage is: of none, their scores would mean nothing.
    compared = chosen != "clean" and not arguments.no_baseline
    rows = list(
        track(
            evaluate(restorer.restore, photos, protocol, arguments.seed, compared),
            total=len(photos) * len(protocol.conditions),
            description="scoring",
            disable=not sys.stderr.isatty(),
        )
    )
    named = arguments.protocol or (restorer.card and restorer.card.protocol)
    taken = "" if named else " (the card names none; pairs are scored by `restore test`)"
    print(f"{arguments.bundle} on {name}, protocol {chosen}{taken}, seed {arguments.seed}, {restorer.precision}")
    baselines = [condition.baseline.name for condition in protocol.conditions]
    _print_table(rows, baselines)
    if arguments.csv:
        write_atomically(arguments.csv, rows_as_csv(rows).encode())
    if arguments.record:
        _record(arguments, chosen, name, photos, rows, baselines, restorer.precision)
    return 0


def _check_grey(photos: "list[FoundImage]", bundle: str) -> None:
    """Colour for a network of grey pictures is found before an hour of scoring, not in it."""
    from restore.images.codec import decode

    for photo in photos:
        if decode(photo.path).pixels.ndim == 3:
            raise UnsupportedImageError(
                f"{photo.path}: is in colour, and {bundle} is for grey pictures; convert it, or name another bundle"
            )


def _print_table(rows: "list[ImageScores]", baselines: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from restore.inference.evaluate import summarise

    entries = summarise(rows)
    compared = any("baseline_ssim" in entry for entry in entries)
    table = Table("damage", "images", "corrupted", "restored", *(["classical", "method"] * compared))
    for entry, baseline in zip(entries, baselines, strict=True):
        score = "hole_psnr" if "hole_psnr" in entry else "psnr"
        cells = [
            f"{entry[prefix + score]:.2f} / {entry[prefix + 'ssim']:.4f}" if prefix + score in entry else "-"
            for prefix in ("input_", "", *["baseline_"] * compared)
        ]
        table.add_row(str(entry["condition"]), str(entry["images"]), *cells, *[baseline] * compared)
    console = Console()
    console.print(table)
    hole = any(row.hole_psnr == row.hole_psnr for row in rows)
    print("PSNR in dB" + (" over the missing pixels" if hole else "") + " / SSIM, means over the images")


def _record(
    arguments: argparse.Namespace,
    protocol: str,
    name: str,
    photos: "list[FoundImage]",
    rows: "list[ImageScores]",
    baselines: list[str],
    precision: str,
) -> None:
    from restore.inference.evaluate import fingerprint, summarise
    from restore.models.bundle import find_bundle, read_card, write_card

    folder = find_bundle(arguments.bundle)
    card = read_card(folder)
    lost = card.record(
        {
            "protocol": protocol,
            "set": name,
            "seed": arguments.seed,
            "images": len(photos),
            "fingerprint": fingerprint(photos),
            "precision": precision,
            "results": [
                entry | ({"baseline": baseline} if "baseline_psnr" in entry else {})
                for entry, baseline in zip(summarise(rows), baselines, strict=True)
            ],
        }
    )
    write_card(folder, card)
    if lost:
        print(f"{folder}: {lost}")
    print(f"recorded in {folder}")
