"""`restore encode`: the codes of pictures, as a table, a map, near-duplicates and nearest neighbours."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli.options import SOURCE_HELP, LeftOut, add_device_option, add_overwrite_option
from restore.errors import UsageError

if TYPE_CHECKING:
    from restore.codes.encoder import Codes, Encoder
    from restore.codes.pictures import PictureSource

__all__ = ["add_arguments", "run"]

_PARTS = ("first", "second", "distance", "relative")
_THUMBNAIL = 120
_MOST_ROWS = 12
"""Of duplicates on a sheet: the largest groups, whose pictures then can be told apart on a screen."""
_MOST_COLUMNS = 8
_METHOD, _SEED, _LIMIT, _COUNT = "pca", 0, 0.1, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    parser.add_argument("--bundle", required=True, metavar="BUNDLE", help="folder of an autoencoder's bundle")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the codes: .npz, or .parquet")
    parser.add_argument(
        "--size",
        type=int,
        metavar="PIXELS",
        help="side of the square that each picture is squeezed into before it is encoded; what the network was "
        "trained on if left out",
    )
    maps = parser.add_argument_group("a map of all pictures")
    maps.add_argument("--plot", type=Path, metavar="FILE", help="draw it: .png")
    maps.add_argument(
        "--method",
        choices=("pca", "tsne", "umap"),
        help=f"pca keeps large distances, tsne and umap keep neighbours together (default: {_METHOD})",
    )
    maps.add_argument("--seed", type=int, help=f"of tsne and umap (default: {_SEED})")
    alike = parser.add_argument_group("pictures that are alike")
    alike.add_argument("--duplicates", type=Path, metavar="FILE", help="write near-duplicates in pairs: .csv or .json")
    alike.add_argument(
        "--limit",
        type=float,
        help="distance up to which two are near-duplicates; 1 is the distance of two pictures at random "
        f"(default: {_LIMIT:g})",
    )
    alike.add_argument(
        "--neighbours", metavar="PHOTO", help="find the nearest pictures of this one: a file, or a name in SOURCE"
    )
    alike.add_argument("--count", type=int, help=f"neighbours to find (default: {_COUNT})")
    alike.add_argument("--table", type=Path, metavar="FILE", help="write what --neighbours finds: .csv or .json")
    alike.add_argument("--sheet", type=Path, metavar="FILE", help="draw what --duplicates and --neighbours find: .png")
    add_overwrite_option(parser)
    parser.add_argument("--batch", type=int, default=64, help="pictures at a time (default: %(default)s)")
    add_device_option(parser)
    parser.epilog = (
        "The code of a photo is that of the whole photo, squeezed into a square of the size that the network was "
        "trained on: one descriptor, which sees everything and no detail. docs/codes.md says more."
    )


def run(arguments: argparse.Namespace) -> int:
    """Encode, and write what was asked for."""
    from restore.images.files import check_outputs

    _check(arguments)
    from restore.codes.encoder import Encoder
    from restore.codes.pictures import open_pictures

    encoder = Encoder.from_bundle(arguments.bundle, arguments.device)
    size = encoder.size if arguments.size is None else arguments.size
    source = open_pictures(arguments.source, encoder.channels, size)
    asked = _asked(arguments, encoder, source, size)
    check_outputs(
        [*source.photos, *([] if asked is None else asked.photos)],
        [path for path, _ in _outputs(arguments)],
        arguments.overwrite,
    )
    _check_work(arguments, source)
    left_out = LeftOut(source)
    codes = _encode(encoder, source, arguments.batch, left_out)
    numbers, rows, columns = codes.shape
    print(
        f"{len(codes.names)} pictures of {source.name}, each squeezed into {size} x {size} pixels: "
        f"{numbers} x {rows} x {columns} = {codes.vectors.shape[1]} numbers"
    )
    if arguments.out:
        _write_codes(arguments, encoder, codes, size)
    if arguments.plot:
        _plot(arguments, source, codes)
    sheet = _find_duplicates(arguments, source, codes) if arguments.duplicates else []
    if arguments.neighbours:
        sheet = [*_find_neighbours(arguments, encoder, source, asked, codes), *sheet]
    if arguments.sheet and sheet:
        from restore.codes.sheets import contact_sheet
        from restore.images.codec import encode
        from restore.images.files import write_atomically

        write_atomically(arguments.sheet, encode(contact_sheet(sheet), ".png"))
    return left_out.exit_code


def _check(arguments: argparse.Namespace) -> None:
    """What can be wrong with options is found out before an hour of encoding, not after."""
    if not (arguments.out or arguments.plot or arguments.duplicates or arguments.neighbours):
        raise UsageError("nothing to write: give --out, --plot, --duplicates or --neighbours")
    if arguments.table and not arguments.neighbours:
        raise UsageError("--table: holds neighbours; give --neighbours PHOTO as well")
    for option, default, needed, use in (
        ("seed", _SEED, "--plot FILE --method tsne or umap", arguments.method in {"tsne", "umap"}),
        ("method", _METHOD, "--plot FILE", arguments.plot),
        ("limit", _LIMIT, "--duplicates FILE", arguments.duplicates),
        ("count", _COUNT, "--neighbours PHOTO", arguments.neighbours),
    ):
        if getattr(arguments, option) is None:
            setattr(arguments, option, default)
        elif not use:
            raise UsageError(f"--{option}: does nothing here; give {needed} as well")
    if arguments.sheet and not (arguments.duplicates or arguments.neighbours):
        raise UsageError(
            "--sheet: shows duplicates and neighbours; give --duplicates FILE or --neighbours PHOTO as well"
        )
    for option, value in (("batch", arguments.batch), ("count", arguments.count)):
        if value < 1:
            raise UsageError(f"--{option}: must be 1 or more, not {value}")
    if not arguments.limit > 0.0:
        raise UsageError(f"--limit: must be above 0, not {arguments.limit:g}")
    from restore.images.files import check_suffix

    for path, suffixes in _outputs(arguments):
        check_suffix(path, suffixes)


def _check_work(arguments: argparse.Namespace, source: "PictureSource") -> None:
    """Likewise, what can be wrong with places, with extra packages and with the number of pictures."""
    from restore.codes.maps import check_map
    from restore.codes.tables import check_codes_suffix
    from restore.images.files import check_target_folder

    for path, _ in _outputs(arguments):
        check_target_folder(path.parent)
    if arguments.out:
        check_codes_suffix(arguments.out.suffix.lower())
    if arguments.plot:
        check_map(len(source), arguments.method)


def _outputs(arguments: argparse.Namespace) -> list[tuple[Path, tuple[str, ...]]]:
    """Files that were asked for, and what their names may end in."""
    from restore.codes.tables import CODE_SUFFIXES, TABLE_SUFFIXES

    outputs = (
        (arguments.out, CODE_SUFFIXES),
        (arguments.duplicates, TABLE_SUFFIXES),
        (arguments.table, TABLE_SUFFIXES),
        (arguments.plot, (".png",)),
        (arguments.sheet, (".png",)),
    )
    return [(path, suffixes) for path, suffixes in outputs if path is not None]


def _asked(
    arguments: argparse.Namespace, encoder: "Encoder", source: "PictureSource", size: int
) -> "PictureSource | None":
    """The picture whose neighbours are wanted, which can be read; None if it is one of the source, or there is none."""
    from restore.codes.pictures import open_pictures

    text = arguments.neighbours
    if not text:
        return None
    here = source.name_of(text)
    if here is not None:
        source.image(here)
        return None
    asked = open_pictures(text, encoder.channels, size)
    if len(asked) > 1:
        raise UsageError(f"--neighbours: {text} holds {len(asked)} pictures; name one")
    asked.image(asked.names[0])
    return asked


def _encode(encoder: "Encoder", source: "PictureSource", batch: int, left_out: LeftOut) -> "Codes":
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("encoding", total=len(source))
        return encoder.encode_all(source, batch, left_out, lambda count: progress.advance(task, count))


def _write_codes(arguments: argparse.Namespace, encoder: "Encoder", codes: "Codes", size: int) -> None:
    from restore.codes.tables import codes_as_bytes
    from restore.images.files import write_atomically

    about = {
        "source": arguments.source,
        "bundle": encoder.card.name,
        "weights_sha256": encoder.card.weights_sha256,
        "size": size,
    }
    write_atomically(arguments.out, codes_as_bytes(codes, about, arguments.out.suffix.lower()))


def _plot(arguments: argparse.Namespace, source: "PictureSource", codes: "Codes") -> None:
    from restore.codes.maps import draw_map, project
    from restore.images.codec import encode
    from restore.images.files import write_atomically

    points = project(codes.vectors, arguments.method, arguments.seed)
    method = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}[arguments.method]
    title = f"{len(codes.names)} pictures of {source.name}: {method} of {codes.vectors.shape[1]} numbers each"
    pixels = draw_map(points, lambda index, side: source.thumbnail(codes.names[index], side), codes.labels, title)
    write_atomically(arguments.plot, encode(pixels, ".png"))


def _find_duplicates(arguments: argparse.Namespace, source: "PictureSource", codes: "Codes") -> list[Any]:
    from dataclasses import asdict

    from restore.codes.neighbours import near_duplicates
    from restore.codes.sheets import Cell
    from restore.codes.tables import rounded, table_as_bytes
    from restore.images.document import shown
    from restore.images.files import write_atomically

    pairs = near_duplicates(codes, arguments.limit)
    rows = [rounded(asdict(pair)) for pair in pairs]
    data = table_as_bytes(rows, ("group", *_PARTS), arguments.duplicates.suffix.lower())
    write_atomically(arguments.duplicates, data)
    groups: dict[int, dict[str, float]] = {}
    for pair in pairs:
        group = groups.setdefault(pair.group, {pair.first: 0.0})
        for name in (pair.first, pair.second):
            group.setdefault(name, pair.relative)
    print(f"{len(pairs)} pairs closer than {arguments.limit:g}, in {len(groups)} groups")
    largest = sorted(groups.values(), key=len, reverse=True)[:_MOST_ROWS]
    return [
        [
            Cell(source.thumbnail(name, _THUMBNAIL), shown(Path(name)) + (f"\n{relative:.3f}" if relative else ""))
            for name, relative in list(group.items())[:_MOST_COLUMNS]
        ]
        for group in (largest if arguments.sheet else [])
    ]


def _find_neighbours(
    arguments: argparse.Namespace,
    encoder: "Encoder",
    source: "PictureSource",
    asked: "PictureSource | None",
    codes: "Codes",
) -> list[Any]:
    from dataclasses import asdict

    from restore.codes.neighbours import nearest
    from restore.codes.sheets import Cell
    from restore.codes.tables import rounded, table_as_bytes
    from restore.images.document import shown
    from restore.images.files import write_atomically

    here = source.name_of(arguments.neighbours) if asked is None else None
    holder, name = (source, str(here)) if asked is None else (asked, asked.names[0])
    if here in codes.names:
        vector = codes.vectors[codes.names.index(here)]
    else:
        vector = encoder.encode(holder.image(name)[None]).flatten().numpy()
    neighbours = nearest(codes, vector, arguments.count, here)
    for neighbour in neighbours:
        print(f"{neighbour.relative:7.3f}  {shown(Path(neighbour.name))}")
    if arguments.table:
        rows = [rounded(asdict(neighbour)) for neighbour in neighbours]
        suffix = arguments.table.suffix.lower()
        write_atomically(arguments.table, table_as_bytes(rows, ("name", "distance", "relative"), suffix))
    if not arguments.sheet:
        return []
    cells = [Cell(source.thumbnail(n.name, _THUMBNAIL), f"{shown(Path(n.name))}\n{n.relative:.3f}") for n in neighbours]
    return [[Cell(holder.thumbnail(name, _THUMBNAIL), f"{shown(Path(name))}\nasked for"), *cells]]
