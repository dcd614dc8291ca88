"""`restore generate`: pictures drawn from a variational autoencoder, and those between two."""

import argparse
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from restore.cli.encode import SOURCE_HELP
from restore.cli.options import add_device_option
from restore.errors import OutputError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from restore.codes.generate import Sampler

__all__ = ["add_arguments", "run"]

_LEAST_SIDE = 56
"""Of pictures on a sheet; smaller ones are enlarged by whole pixels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--bundle", required=True, metavar="BUNDLE", help="folder of a variational bundle")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the pictures")
    parser.add_argument("--count", type=int, default=64, help="pictures to draw (default: %(default)s)")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="a picture depends on this and its number, not on the count (default: %(default)s)",
    )
    parser.add_argument(
        "--between",
        nargs=2,
        metavar=("A", "B"),
        help="instead, the way from one picture to another: the number of a drawn one, a photo, or a name in --source",
    )
    parser.add_argument("--steps", type=int, default=9, help="pictures of the way, both ends among them (default: 9)")
    parser.add_argument("--source", metavar="SOURCE", help="where names of --between are looked up: " + SOURCE_HELP)
    parser.add_argument(
        "--size", type=int, metavar="PIXELS", help="side of the pictures; what the network was trained on if left out"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace pictures that exist")
    add_device_option(parser)
    parser.epilog = (
        "Writes one PNG file for each picture, all of them on one sheet, and generated.json, which says how each was "
        "made. docs/codes.md says more."
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw and write."""
    if arguments.count < 1:
        raise UsageError(f"--count: must be 1 or more, not {arguments.count}")
    import torch
    from rich.progress import track

    from restore.codes.encoder import Encoder
    from restore.codes.generate import Sampler, between
    from restore.codes.sheets import Cell, contact_sheet
    from restore.images.codec import encode
    from restore.images.files import check_target_folder, write_atomically
    from restore.images.tensors import to_pixels

    sampler = Sampler(Encoder.from_bundle(arguments.bundle, arguments.device), arguments.size)
    if arguments.between:
        first, second = (_end(sampler, text, arguments) for text in arguments.between)
        codes = between(first, second, arguments.steps)
        stem, columns = "between", arguments.steps
        made = [{"share": number / (arguments.steps - 1)} for number in range(arguments.steps)]
    else:
        codes = torch.stack([sampler.code(arguments.seed, number) for number in range(arguments.count)])
        stem, columns = "sample", math.ceil(math.sqrt(arguments.count))
        made = [{"number": number} for number in range(arguments.count)]
    names = [f"{stem}-{number:04d}.png" for number in range(len(codes))]
    sheet = f"{stem}s.png" if stem == "sample" else "between.png"
    check_target_folder(arguments.out)
    for name in (*names, sheet, "generated.json"):
        if (arguments.out / name).exists() and not arguments.overwrite:
            raise OutputError(f"{arguments.out / name}: is there already; choose another --out folder, or --overwrite")
    cells, enlargement = [], max(_LEAST_SIDE // sampler.size, 1)
    pictures = track(sampler.pictures(codes), "drawing", len(codes), disable=not sys.stderr.isatty())
    for name, picture in zip(names, pictures, strict=True):
        pixels = to_pixels(picture)
        write_atomically(arguments.out / name, encode(pixels, ".png"))
        cells.append(Cell(pixels.repeat(enlargement, axis=0).repeat(enlargement, axis=1)))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    write_atomically(arguments.out / sheet, encode(contact_sheet(rows, gap=2), ".png"))
    about = {
        "bundle": sampler.encoder.card.name,
        "weights_sha256": sampler.encoder.card.weights_sha256,
        "seed": arguments.seed,
        "between": arguments.between,
        "pictures": [{"file": name, **how} for name, how in zip(names, made, strict=True)],
    }
    write_atomically(arguments.out / "generated.json", (json.dumps(about, indent=1) + "\n").encode())
    print(f"{len(names)} pictures of {sampler.size} x {sampler.size} pixels, and all of them: {arguments.out / sheet}")
    return 0


def _end(sampler: "Sampler", text: str, arguments: argparse.Namespace) -> "Tensor":
    """The code of one end of the way."""
    from restore.codes.pictures import open_pictures

    if text.isdecimal():
        return sampler.code(arguments.seed, int(text))
    encoder = sampler.encoder
    if arguments.source:
        source = open_pictures(arguments.source, encoder.channels, sampler.size)
        name = source.name_of(text)
        if name is not None:
            return encoder.encode(source.image(name)[None])[0]
    pictures = open_pictures(text, encoder.channels, sampler.size)
    if len(pictures) != 1:
        raise UsageError(f"--between: {text} holds {len(pictures)} pictures; name one")
    return encoder.encode(next(pictures.batches(1)).images)[0]
