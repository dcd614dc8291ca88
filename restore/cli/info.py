"""`restore info`: what a bundle says of itself."""

import argparse
import json
from dataclasses import asdict

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", metavar="BUNDLE", help="shipped name (denoise, deblur, inpaint) or folder")
    parser.add_argument("--json", action="store_true", help="print the card as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print."""
    from restore.models.bundle import load_bundle

    bundle = load_bundle(arguments.bundle)
    if arguments.json:
        print(json.dumps(asdict(bundle.card), indent=2, ensure_ascii=False))
        return 0
    card = bundle.card
    parameters = sum(parameter.numel() for parameter in bundle.network.parameters())
    lines = {
        "name": card.name,
        "does": card.description,
        "network": f"{card.network['name']} {card.network['config']}, {parameters / 1e6:.2f} M parameters",
        "known pixels": "come back untouched" if card.composites else "may change",
        "data": card.data,
        "licence": card.licence,
        **{name.replace("_", " "): value for name, value in card.training.items() if not isinstance(value, dict)},
        "versions": ", ".join(f"{name} {version}" for name, version in card.versions.items() if version),
        "weights": f"{bundle.path}, sha256 {card.weights_sha256[:16]}…, intact",
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        if value != "":
            print(f"{name:<{width}}  {value}")
    for result in card.metrics:
        print(f"\n{result['protocol']} on {result['set']} ({result['images']} images), seed {result['seed']}")
        for row in result["results"]:
            scores = ", ".join(
                f"{name.replace('_', ' ')} {value:.2f} dB" if name.endswith("psnr") else f"{name} {value:.4f}"
                for name, value in row.items()
                if name in {"psnr", "ssim", "hole_psnr", "input_psnr", "input_hole_psnr", "baseline_psnr"}
            )
            print(f"  {row['condition']:<20} {scores}")
    return 0
