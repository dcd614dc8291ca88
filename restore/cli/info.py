"""`restore info`: what a bundle says of itself."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from restore.errors import OutputError, UsageError

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", metavar="BUNDLE", nargs="?", help="shipped name (photo, denoise, ...) or folder")
    parser.add_argument("--json", action="store_true", help="print the card as JSON")
    parser.add_argument(
        "--document",
        type=Path,
        metavar="FILE",
        help="write the cards of all shipped bundles, or of the one named, as Markdown",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print."""
    from restore.models.bundle import load_bundle, shipped_bundles
    from restore.models.cards import facts_of

    if arguments.document is not None:
        _write(arguments.document, [arguments.bundle] if arguments.bundle else shipped_bundles())
        return 0
    if arguments.bundle is None:
        raise UsageError(f"name a bundle: one of {', '.join(shipped_bundles())}, or a folder")
    bundle = load_bundle(arguments.bundle)
    if arguments.json:
        print(json.dumps(asdict(bundle.card), indent=2, ensure_ascii=False))
        return 0
    card = bundle.card
    lines = {"name": card.name, "does": card.description, **facts_of(bundle), "limits": " ".join(card.limits)}
    lines["weights"] += f", {bundle.path}, intact"
    width = max(map(len, lines))
    for name, value in lines.items():
        if value != "":
            print(f"{name:<{width}}  {value}")
    for result in card.metrics:
        print(f"\n{result['protocol']} on {result['set']} ({result['images']} images), seed {result['seed']}")
        for row in result["results"]:
            print(f"  {row['condition']:<20} {', '.join(_scores(row))}")
    return 0


def _scores(row: Mapping[str, Any]) -> Iterator[str]:
    for name, value in row.items():
        if name.endswith(("psnr", "ssim")):
            words = name.replace("baseline", row.get("baseline", "baseline")).replace("_", " ")
            yield f"{words} {value:.2f} dB" if name.endswith("psnr") else f"{words} {value:.4f}"


def _write(document: Path, names: Sequence[str]) -> None:
    from restore.images.files import write_atomically
    from restore.models.bundle import load_bundle
    from restore.models.cards import describe_bundles

    pictures = [path.stem.removeprefix("limits-") for path in (document.parent / "images").glob("limits-*.jpg")]
    text = describe_bundles([load_bundle(name) for name in names], pictures)
    title = text.partition("\n")[0].encode()
    if document.exists() and not document.read_bytes().startswith(title):
        raise OutputError(f"{document}: is there already, and no earlier page of bundles; choose another place")
    write_atomically(document, text.encode())
    print(f"wrote {document}: {', '.join(names)}")
