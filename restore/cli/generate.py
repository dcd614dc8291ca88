"""`restore generate`: pictures drawn from a variational autoencoder, and those between two."""

import argparse
import json
import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli.options import SOURCE_HELP, LeftOut, add_device_option, add_overwrite_option
from restore.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from restore.codes.generate import Sampler
    from restore.images.search import FoundImage

__all__ = ["add_arguments", "run"]

_COUNT, _SEED, _STEPS = 64, 0, 9
_LEAST_SIDE = 56
"""Of pictures on a sheet; smaller ones are enlarged by whole pixels."""
_RECORD, _SAMPLES, _WAY = "generated.json", "samples.png", "between.png"
"""The record, and the sheets of drawn pictures and of the way between two."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--bundle", required=True, metavar="BUNDLE", help="folder of a variational bundle")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the pictures")
    parser.add_argument("--count", type=int, help=f"pictures to draw (default: {_COUNT})")
    parser.add_argument(
        "--seed",
        type=int,
        help=f"a picture depends on this and its number, not on the count (default: {_SEED})",
    )
    parser.add_argument(
        "--between",
        nargs=2,
        metavar=("A", "B"),
        help="instead, the way from one picture to another: the number of a drawn one, a photo, or a name in --source",
    )
    parser.add_argument("--steps", type=int, help=f"pictures of the way, both ends among them (default: {_STEPS})")
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

    _check(arguments)
    from restore.codes.encoder import Encoder
    from restore.codes.generate import Sampler
    from restore.images.files import check_target_folder, remove_result, write_atomically

    sampler = Sampler(Encoder.from_bundle(arguments.bundle, arguments.device), arguments.size)
    plan = _way(sampler, arguments) if arguments.between else _samples(sampler, arguments)
    outputs = [arguments.out / name for name in (*plan.names, plan.sheet, _RECORD)]
    stale = [path for path in _earlier_pictures(arguments.out) if path not in outputs]
    check_outputs(plan.photos, [*outputs, *stale], arguments.overwrite)
    check_target_folder(arguments.out)
    about = {
        "bundle": sampler.encoder.card.name,
        "weights_sha256": sampler.encoder.card.weights_sha256,
        "seed": arguments.seed,
        "between": arguments.between,
        "pictures": [{"file": name, **how} for name, how in zip(plan.names, plan.made, strict=True)],
    }
    for path in stale:
        remove_result(path)
    # Before the pictures, so that a later run knows them all and can remove them.
    write_atomically(arguments.out / _RECORD, (json.dumps(about, indent=1) + "\n").encode())
    _draw(sampler, plan, arguments.out)
    from restore.images.document import shown

    where = shown(arguments.out / plan.sheet)
    print(f"{len(plan.codes)} pictures of {sampler.size} x {sampler.size} pixels, and all of them: {where}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse options that have no effect, and fill in what is left out."""
    numbered = arguments.between is not None and any(text.isdecimal() for text in arguments.between)
    looked_up = arguments.between is not None and not all(text.isdecimal() for text in arguments.between)
    for option, default, has_effect, remedy in (
        ("count", _COUNT, arguments.between is None, "--steps says how many pictures the way of --between has"),
        ("seed", _SEED, arguments.between is None or numbered, "no end of --between is the number of a drawn picture"),
        ("steps", _STEPS, arguments.between is not None, "give --between A B as well"),
        ("source", None, looked_up, "give --between with a name in it as well"),
    ):
        if getattr(arguments, option) is None:
            setattr(arguments, option, default)
        elif not has_effect:
            raise UsageError(f"--{option}: does nothing here; {remedy}")
    if arguments.count < 1:
        raise UsageError(f"--count: must be 1 or more, not {arguments.count}")


def _earlier_pictures(out: Path) -> list[Path]:
    """Those that the record in the folder speaks of, and their sheet."""
    try:
        record = json.loads((out / _RECORD).read_text(encoding="utf-8"))
        names = [_WAY if record["between"] else _SAMPLES, *(str(entry["file"]) for entry in record["pictures"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    # A record from elsewhere may name anything.
    ours = [out / name for name in names if re.fullmatch(r"(samples|between|(sample|between)-\d+)\.png", name)]
    return [path for path in ours if os.path.lexists(path)]


def _samples(sampler: "Sampler", arguments: argparse.Namespace) -> _Plan:
    import torch

    codes = torch.stack([sampler.code(arguments.seed, number) for number in range(arguments.count)])
    made = [{"number": number} for number in range(arguments.count)]
    return _Plan(codes, made, "sample", _SAMPLES, math.ceil(math.sqrt(arguments.count)), [])


def _way(sampler: "Sampler", arguments: argparse.Namespace) -> _Plan:
    from restore.codes.generate import between

    (first, photos), (second, further) = (_end(sampler, text, arguments) for text in arguments.between)
    codes = between(first, second, arguments.steps)
    made = [{"share": number / (arguments.steps - 1)} for number in range(arguments.steps)]
    return _Plan(codes, made, "between", _WAY, arguments.steps, [*photos, *further])


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
        LeftOut(source)
        name = source.name_of(text)
        if name is not None:
            return encoder.encode(source.image(name)[None])[0], source.photos
    pictures = open_pictures(text, encoder.channels, sampler.size)
    if len(pictures) != 1:
        raise UsageError(f"--between: {text} holds {len(pictures)} pictures; name one")
    return encoder.encode(next(pictures.batches(1)).images)[0], pictures.photos
