"""`restore compress`: photos as the quantised codes of an autoencoder."""

import argparse
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli.options import SOURCE_HELP, LeftOut, add_device_option, add_overwrite_option
from restore.errors import ExitCode, RestoreError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from restore.codes.compress import Compressor
    from restore.codes.pictures import PictureSource

__all__ = ["add_arguments", "run"]

_SHEET_SIDE, _SHEET_ROWS = 400, 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("source", metavar="SOURCE", help=SOURCE_HELP)
    parser.add_argument("--bundle", required=True, metavar="BUNDLE", help="folder of an autoencoder's bundle")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the compressed photos")
    parser.add_argument(
        "--step",
        type=float,
        default=1.0,
        help="numbers of the code are rounded to multiples of this: larger makes smaller files (default: %(default)s)",
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="rates and PSNR beside JPEG's: .csv or .json")
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE",
        help=f"draw the middle of the first {_SHEET_ROWS} photos beside what comes back, and JPEG's: .png",
    )
    add_overwrite_option(parser)
    add_device_option(parser)
    parser.epilog = (
        "a/b.jpg becomes DIR/a/b.jpg.rac, which `restore decompress` turns into pixels with the same bundle and no "
        "other. The pixels alone are kept, in 8 bits: no EXIF, no profile. docs/codes.md says more."
    )


@dataclass
class _Tally:
    """What has become of the photos so far.

    Attributes:
        pixels: Of those that were compressed.
        size: Of their files, in bytes.
        done: How many were compressed.
        failed: How many could be read and not compressed.
        rows: Of the table.
        cells: Of the sheet, in rows.
    """

    pixels: int = 0
    size: int = 0
    done: int = 0
    failed: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    cells: list[list[Any]] = field(default_factory=list)


def run(arguments: argparse.Namespace) -> int:
    """Compress, and compare with JPEG if asked to."""
    _check(arguments)
    from rich.progress import track

    from restore.codes.compress import Compressor
    from restore.codes.encoder import Encoder
    from restore.codes.pictures import open_pictures
    from restore.images.files import check_target_folder

    compressor = Compressor(Encoder.from_bundle(arguments.bundle, arguments.device))
    source = open_pictures(arguments.source, None)
    targets = _targets(source, arguments)
    check_target_folder(arguments.out)
    tally, left_out = _Tally(), LeftOut(source)
    batches = source.batches(1, left_out)
    for batch in track(batches, "compressing", len(source), disable=not sys.stderr.isatty()):
        (name,) = batch.names
        _compress(arguments, compressor, name, batch.images[0], targets[name], tally)
    failed = len(left_out.reasons) + tally.failed
    if tally.done:
        done = f"{tally.done} compressed, {8 * tally.size / tally.pixels:.3f} bits per pixel"
        print(f"{source.name}: {done}" + (f", {failed} failed" if failed else ""))
    if tally.rows:
        _print_means(tally.rows)
        _write_comparison(arguments, tally)
    return ExitCode.FAILED if failed else ExitCode.OK


def _check(arguments: argparse.Namespace) -> None:
    if not 0.0 < arguments.step < float("inf"):
        raise UsageError(f"--step: must be above 0, not {arguments.step:g}")
    from restore.codes.tables import TABLE_SUFFIXES
    from restore.images.files import check_suffix

    if arguments.table is not None:
        check_suffix(arguments.table, TABLE_SUFFIXES)
    if arguments.sheet is not None:
        check_suffix(arguments.sheet, (".png",))


def _targets(source: "PictureSource", arguments: argparse.Namespace) -> dict[str, Path]:
    """Where each picture goes, by its name; everything that can be wrong with a place is found here."""
    from restore.codes.container import SUFFIX
    from restore.images.files import check_outputs, plan_outputs

    named = [replace(photo, relative=photo.relative.with_name(photo.relative.name + SUFFIX)) for photo in source.photos]
    plan_outputs(named, arguments.out)  # refuses names that would meet on other systems
    targets = {name: arguments.out / (name + SUFFIX) for name in source.names}
    further = [path for path in (arguments.table, arguments.sheet) if path is not None]
    check_outputs(source.photos, [*targets.values(), *further], arguments.overwrite)
    return targets


def _compress(
    arguments: argparse.Namespace, compressor: "Compressor", name: str, image: "Tensor", target: Path, tally: _Tally
) -> None:
    from restore.images.document import shown
    from restore.images.files import write_atomically

    try:
        photo = compressor.compress(image, arguments.step)
    except RestoreError as error:
        print(f"failed: {shown(Path(name))}: {error}", file=sys.stderr)
        tally.failed += 1
        return
    data = photo.to_bytes()
    write_atomically(target, data)
    tally.done += 1
    tally.pixels += image[0].numel()
    tally.size += len(data)
    if arguments.table is not None or arguments.sheet is not None:
        row, pictures = _compared(name, image, compressor.decompress(photo), len(data))
        tally.rows.append(row)
        if len(tally.cells) < _SHEET_ROWS:
            tally.cells.append(pictures)


def _write_comparison(arguments: argparse.Namespace, tally: _Tally) -> None:
    from restore.codes.sheets import contact_sheet
    from restore.codes.tables import table_as_bytes
    from restore.images.codec import encode
    from restore.images.files import write_atomically

    if arguments.table is not None:
        data = table_as_bytes(tally.rows, list(tally.rows[0]), arguments.table.suffix.lower())
        write_atomically(arguments.table, data)
    if arguments.sheet is not None:
        write_atomically(arguments.sheet, encode(contact_sheet(tally.cells), ".png"))


def _compared(name: str, clean: Any, restored: Any, size: int) -> tuple[dict[str, Any], list[Any]]:
    """A line of the table, and the row of the sheet."""
    from dataclasses import asdict

    from restore.codes.rates import match_jpeg, rate
    from restore.codes.sheets import Cell
    from restore.codes.tables import rounded
    from restore.images.document import shown
    from restore.images.tensors import to_pixels

    jpeg = match_jpeg(to_pixels(clean), size)
    rated = rate(name, clean, restored, size, jpeg)
    captions = (
        shown(Path(name)),
        f"{rated.bits_per_pixel:.3f} bits per pixel, {rated.psnr:.2f} dB",
        f"JPEG {rated.jpeg_quality}: {rated.jpeg_bits_per_pixel:.3f} bits per pixel, {rated.jpeg_psnr:.2f} dB",
    )
    cells = [
        Cell(_middle(pixels), caption)
        for pixels, caption in zip((to_pixels(clean), to_pixels(restored), jpeg.pixels), captions, strict=True)
    ]
    return rounded(asdict(rated)), cells


def _middle(pixels: Any) -> Any:
    """At full size, since made small everything looks well."""
    height, width = pixels.shape[:2]
    top, left = max(height - _SHEET_SIDE, 0) // 2, max(width - _SHEET_SIDE, 0) // 2
    return pixels[top : top + _SHEET_SIDE, left : left + _SHEET_SIDE]


def _print_means(rows: list[dict[str, Any]]) -> None:
    from statistics import fmean

    for title, prefix in (("here", ""), ("JPEG", "jpeg_")):
        bits, psnr = (fmean(row[prefix + key] for row in rows) for key in ("bits_per_pixel", "psnr"))
        print(f"{title}  {bits:.3f} bits per pixel  {psnr:.2f} dB, means of {len(rows)} photos")
    larger = sum(row["jpeg_bytes"] > row["bytes"] for row in rows)
    if larger:
        print(f"of {larger} photos no JPEG is as small; those beside them are of quality 1")
