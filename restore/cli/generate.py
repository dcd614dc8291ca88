"""`restore generate`: pictures drawn from a variational autoencoder, and those between two."""

import argparse
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli.options import SOURCE_HELP, add_device_option, add_overwrite_option
from restore.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from restore.codes.generate import Sampler
    from restore.images.search import FoundImage

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
    add_overwrite_option(parser)
    add_device_option(parser)
    parser.epilog = (
        "Writes one PNG file for each picture, all of them on one sheet, and generated.json, which says how each was "
        "made. docs/codes.md says more."
    )


@dataclass(frozen=True)
class _Plan:
    """Pictures to draw.

    Attributes:
        codes: `(N, code_channels, h, w)` float32.
        made: How each was made, for the record.
        stem: What its file's name begins with.
        sheet: Name of the file with all of them.
        columns: Of that.
        photos: Files that codes come from.
    """

    codes: "Tensor"
    made: list[dict[str, Any]]
    stem: str
    sheet: str
    columns: int
    photos: "list[FoundImage]"

    @property
    def names(self) -> list[str]:
        """Of the pictures' files."""
        return [f"{self.stem}-{number:04d}.png" for number in range(len(self.codes))]


def run(arguments: argparse.Namespace) -> int:
    """Draw and write."""
    from restore.images.files import check_outputs

    if arguments.count < 1:
        raise UsageError(f"--count: must be 1 or more, not {arguments.count}")
    from restore.codes.encoder import Encoder
    from restore.codes.generate import Sampler
    from restore.images.files import check_target_folder, write_atomically

    sampler = Sampler(Encoder.from_bundle(arguments.bundle, arguments.device), arguments.size)
    plan = _way(sampler, arguments) if arguments.between else _samples(sampler, arguments)
    outputs = [arguments.out / name for name in (*plan.names, plan.sheet, "generated.json")]
    check_outputs(plan.photos, outputs, arguments.overwrite)
    check_target_folder(arguments.out)
    _draw(sampler, plan, arguments.out)
    about = {
        "bundle": sampler.encoder.card.name,
        "weights_sha256": sampler.encoder.card.weights_sha256,
        "seed": arguments.seed,
        "between": arguments.between,
        "pictures": [{"file": name, **how} for name, how in zip(plan.names, plan.made, strict=True)],
    }
    write_atomically(arguments.out / "generated.json", (json.dumps(about, indent=1) + "\n").encode())
    from restore.images.document import shown

    where = shown(arguments.out / plan.sheet)
    print(f"{len(plan.codes)} pictures of {sampler.size} x {sampler.size} pixels, and all of them: {where}")
    return 0


def _samples(sampler: "Sampler", arguments: argparse.Namespace) -> _Plan:
    import torch

    codes = torch.stack([sampler.code(arguments.seed, number) for number in range(arguments.count)])
    made = [{"number": number} for number in range(arguments.count)]
    return _Plan(codes, made, "sample", "samples.png", math.ceil(math.sqrt(arguments.count)), [])


def _way(sampler: "Sampler", arguments: argparse.Namespace) -> _Plan:
    from restore.codes.generate import between

    (first, photos), (second, further) = (_end(sampler, text, arguments) for text in arguments.between)
    codes = between(first, second, arguments.steps)
    made = [{"share": number / (arguments.steps - 1)} for number in range(arguments.steps)]
    return _Plan(codes, made, "between", "between.png", arguments.steps, [*photos, *further])


def _draw(sampler: "Sampler", plan: _Plan, out: Path) -> None:
    """Write each picture, and the sheet of all."""
    from rich.progress import track

    from restore.codes.sheets import Cell, contact_sheet
    from restore.images.codec import encode
    from restore.images.files import write_atomically
    from restore.images.tensors import to_pixels

    cells, enlargement = [], max(_LEAST_SIDE // sampler.size, 1)
    pictures = track(sampler.pictures(plan.codes), "drawing", len(plan.codes), disable=not sys.stderr.isatty())
    for name, picture in zip(plan.names, pictures, strict=True):
        pixels = to_pixels(picture)
        write_atomically(out / name, encode(pixels, ".png"))
        cells.append(Cell(pixels.repeat(enlargement, axis=0).repeat(enlargement, axis=1)))
    rows = [cells[start : start + plan.columns] for start in range(0, len(cells), plan.columns)]
    write_atomically(out / plan.sheet, encode(contact_sheet(rows, gap=2), ".png"))


def _end(sampler: "Sampler", text: str, arguments: argparse.Namespace) -> "tuple[Tensor, list[FoundImage]]":
    """The code of one end of the way, and the files that it may come from."""
    from restore.codes.pictures import open_pictures

    if text.isdecimal():
        return sampler.code(arguments.seed, int(text)), []
    encoder = sampler.encoder
    if arguments.source:
        source = open_pictures(arguments.source, encoder.channels, sampler.size)
        name = source.name_of(text)
        if name is not None:
            return encoder.encode(source.image(name)[None])[0], source.photos
    pictures = open_pictures(text, encoder.channels, sampler.size)
    if len(pictures) != 1:
        raise UsageError(f"--between: {text} holds {len(pictures)} pictures; name one")
    return encoder.encode(next(pictures.batches(1)).images)[0], pictures.photos
