"""`restore probe`: what the codes of autoencoders are worth, beside PCA of as many numbers."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli.options import LeftOut, add_device_option, add_overwrite_option, plain
from restore.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from torch import Tensor

    from restore.codes.encoder import Encoder
    from restore.codes.gathering import Gathered
    from restore.codes.pictures import PictureSource
    from restore.codes.probe import ProbeRow

__all__ = ["add_arguments", "run"]

_TEST_SHARE = 0.2
_FILES = ("probe.json", "probe.csv", "probe.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        nargs="?",
        default="digits",
        metavar="SOURCE",
        help="mnist:FOLDER, fashion:FOLDER, cifar10:FOLDER, digits (default), whose own parts train and test; "
        "or a folder of photos, in which folders are classes",
    )
    parser.add_argument("--bundle", nargs="+", required=True, help="one or more bundles of autoencoders")
    parser.add_argument(
        "--size",
        type=int,
        metavar="PIXELS",
        help="square that every picture is squeezed into; the bundle's own if left out",
    )
    parser.add_argument(
        "--test", metavar="SOURCE", help="pictures to measure on; for photos, a fifth of them if left out"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="take no more than N training pictures, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("probe"), help="folder for results (default: %(default)s)")
    add_overwrite_option(parser)
    add_device_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the table, and write JSON, CSV and a picture."""
    from rich.console import Console
    from rich.progress import Progress

    from restore.codes.encoder import Encoder
    from restore.images.document import shown
    from restore.images.files import check_outputs, check_target_folder

    if arguments.limit is not None and arguments.limit < 2:
        raise UsageError(f"--limit: must be 2 or more, not {arguments.limit}")
    check_target_folder(arguments.out)
    encoders = {name.rstrip("/"): Encoder.from_bundle(name, arguments.device) for name in arguments.bundle}
    sources = _open(arguments, encoders)
    outputs = [arguments.out / name for name in _FILES]
    check_outputs((photo for source in sources for photo in source.photos), outputs, arguments.overwrite)
    left_out = LeftOut(*sources)
    console = Console(highlight=False, soft_wrap=True)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        train, test = _read(arguments, sources, progress, left_out)
        measured = _measure(encoders, train, test, progress)
    rows = [row for row, _ in measured]
    _print(rows, console)
    _write(arguments, train, test, rows, [given_back for _, given_back in measured])
    size = test.images.shape[-1]
    counted = f"{len(train.images)} training and {len(test.images)} test pictures of {size} x {size}"
    classes = f"{len(set(train.labels))} classes" if train.labels else "no classes, so nothing was read from the codes"
    first, *others = _FILES
    console.print(
        f"{counted}, {classes}; everything: {shown(arguments.out / first)}, {', '.join(others)}", markup=False
    )
    return left_out.exit_code


def _open(arguments: argparse.Namespace, encoders: "dict[str, Encoder]") -> "list[PictureSource]":
    """Pictures to learn from and to test on, or one source of both, as the bundles take them."""
    from restore.codes.pictures import open_pictures
    from restore.images.sets import PICTURE_SETS

    shapes = {
        (encoder.channels, encoder.size if arguments.size is None else arguments.size) for encoder in encoders.values()
    }
    if len(shapes) > 1:
        raise UsageError("--bundle: pictures of one size and kind are compared; name --size, or bundles that agree")
    ((channels, size),) = shapes
    source, test = arguments.source, arguments.test
    if source.partition(":")[0] in PICTURE_SETS:
        if not source.endswith((":train", ":test")):
            source, test = source + ":train", test or source + ":test"
        elif test is None:
            whole = source.rpartition(":")[0]
            raise UsageError(f"{source}: write {whole}, without a part: its own parts train and test; or name --test")
    return [open_pictures(text, channels, size) for text in (source, test) if text is not None]


def _read(
    arguments: argparse.Namespace, sources: "list[PictureSource]", progress: "Progress", left_out: LeftOut
) -> "tuple[Gathered, Gathered]":
    from restore.codes.gathering import gather
    from restore.codes.probe import divided

    task = progress.add_task("reading", total=sum(map(len, sources)))
    parts = [gather(part, lambda count: progress.advance(task, count), left_out) for part in sources]
    train, test = parts if len(parts) == 2 else divided(parts[0], _TEST_SHARE, arguments.seed)
    if arguments.limit is not None and arguments.limit < len(train.images):
        import torch

        from restore.seeds import generator_for

        order = torch.randperm(len(train.images), generator=generator_for(arguments.seed, "limit"))
        train = train.chosen(order[: arguments.limit])
    return train, test


def _measure(
    encoders: "dict[str, Encoder]", train: "Gathered", test: "Gathered", progress: "Progress"
) -> "list[tuple[ProbeRow, Tensor]]":
    """Each bundle, and PCA behind the first one of each length."""
    from restore.codes.probe import probe_bundle, probe_pca

    task = progress.add_task("measuring", total=2 * len(encoders))
    measured: list[tuple[ProbeRow, Tensor]] = []
    lengths: set[int] = set()
    for name, encoder in zip(_short_names(list(encoders)), encoders.values(), strict=True):
        progress.update(task, description=plain(name))
        measured.append(probe_bundle(name, encoder, train, test))
        progress.advance(task)
        numbers = measured[-1][0].numbers
        if numbers not in lengths:
            lengths.add(numbers)
            measured.append(probe_pca(numbers, train, test))
        progress.advance(task)
    return measured


def _write(
    arguments: argparse.Namespace, train: "Gathered", test: "Gathered", rows: "list[ProbeRow]", pictures: "list[Tensor]"
) -> None:
    from restore.codes.probe import draw_probe
    from restore.codes.tables import table_as_bytes
    from restore.images.codec import encode
    from restore.images.files import write_atomically

    cells = [asdict(row) for row in rows]
    record: dict[str, Any] = {
        "source": arguments.source,
        "test": arguments.test,
        "size": test.images.shape[-1],
        "channels": test.images.shape[1],
        "training_pictures": len(train.images),
        "test_pictures": len(test.images),
        "classes": sorted(set(train.labels or ())),
        "seed": arguments.seed,
        "rows": cells,
    }
    contents = (
        (json.dumps(record, indent=2) + "\n").encode(),
        table_as_bytes(cells, list(cells[0]), ".csv"),
        encode(draw_probe(test.images, rows, pictures), ".png"),
    )
    for name, content in zip(_FILES, contents, strict=True):
        write_atomically(arguments.out / name, content)


def _short_names(bundles: list[str]) -> list[str]:
    """What distinguishes the bundles: the names on their cards, or their paths where two are alike."""
    from restore.models.bundle import find_bundle, read_card

    names = [read_card(find_bundle(bundle)).name for bundle in bundles]
    return names if len(set(names)) == len(names) else bundles


def _print(rows: "list[ProbeRow]", console: "Console") -> None:
    from rich.table import Table

    table = Table("code", "numbers", "error", "PSNR, dB", "detail", "read", "read of training")
    for row in rows:
        shares = ("-" if share is None else f"{100 * share:.2f} %" for share in (row.accuracy, row.train_accuracy))
        table.add_row(
            plain(row.method),
            str(row.numbers),
            f"{row.mse:.5f}",
            f"{row.psnr:.2f}",
            f"{100 * row.detail:.0f} %",
            *shares,
        )
    console.print(table)
