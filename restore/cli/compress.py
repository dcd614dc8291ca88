"""`restore compress`: photos as the quantised codes of an autoencoder."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore.cli.encode import SOURCE_HELP, tell_failure
from restore.cli.options import add_device_option
from restore.errors import ExitCode, OutputError, RestoreError, UsageError

if TYPE_CHECKING:
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
    parser.add_argument("--overwrite", action="store_true", help="replace files that exist; sources never are")
    add_device_option(parser)
    parser.epilog = (
        "a/b.jpg becomes DIR/a/b.jpg.rac, which `restore decompress` turns into pixels with the same bundle and no "
        "other. The pixels alone are kept, in 8 bits: no EXIF, no profile. docs/codes.md says more."
    )


def run(arguments: argparse.Namespace) -> int:
    """Compress, and compare with JPEG if asked to."""
    if not 0.0 < arguments.step < float("inf"):
        raise UsageError(f"--step: must be above 0, not {arguments.step:g}")
    from rich.progress import track

    from restore.codes.compress import Compressor
    from restore.codes.encoder import Encoder
    from restore.codes.pictures import open_pictures
    from restore.codes.sheets import contact_sheet
    from restore.codes.tables import TABLE_SUFFIXES, check_suffix, table_as_bytes
    from restore.images.codec import encode
    from restore.images.files import check_target_folder, write_atomically

    if arguments.table is not None:
        check_suffix(arguments.table, TABLE_SUFFIXES)
    if arguments.sheet is not None:
        check_suffix(arguments.sheet, (".png",))
    compressor = Compressor(Encoder.from_bundle(arguments.bundle, arguments.device))
    source = open_pictures(arguments.source, None)
    targets = _targets(source, arguments.out, arguments.overwrite)
    check_target_folder(arguments.out)
    rows: list[dict[str, Any]] = []
    cells: list[Any] = []
    pixels = size = failed = 0

    def failure(photo: Any, error: Exception) -> None:
        nonlocal failed
        failed += 1
        tell_failure(photo, error)

    batches = source.batches(1, failure)
    for batch in track(batches, "compressing", len(source), disable=not sys.stderr.isatty()):
        (name,), image = batch.names, batch.images[0]
        try:
            photo = compressor.compress(image, arguments.step)
        except RestoreError as error:
            print(f"failed: {name}: {error}", file=sys.stderr)
            failed += 1
            continue
        data = photo.to_bytes()
        write_atomically(targets[name], data)
        pixels += image[0].numel()
        size += len(data)
        if arguments.table is not None or arguments.sheet is not None:
            row, pictures = _compared(name, image, compressor.decompress(photo), len(data))
            rows.append(row)
            if len(cells) < _SHEET_ROWS:
                cells.append(pictures)
    if pixels:
        print(f"{source.name}: {len(source) - failed} compressed, {8 * size / pixels:.3f} bits per pixel", end="")
        print(f", {failed} failed" if failed else "")
    if rows:
        _print_means(rows)
        if arguments.table is not None:
            data = table_as_bytes(rows, list(rows[0]), arguments.table.suffix.lower())
            write_atomically(arguments.table, data)
        if arguments.sheet is not None:
            write_atomically(arguments.sheet, encode(contact_sheet(cells), ".png"))
    return ExitCode.FAILED if failed else ExitCode.OK


def _targets(source: "PictureSource", out: Path, overwrite: bool) -> dict[str, Path]:
    """Where each picture goes, by its name; everything that can be wrong with a place is found here."""
    from restore.codes.container import SUFFIX
    from restore.images.files import plan_outputs

    plans = {plan.relative.as_posix(): plan for plan in plan_outputs(source.photos, out)}
    targets = {name: out / (name + SUFFIX) for name in source.names}
    for name, target in targets.items():
        if target.is_dir():
            raise OutputError(f"{target}: is a folder where a result should go; choose another --out folder")
        if name in plans and target.exists() and target.samefile(plans[name].source):
            raise OutputError(f"{target}: would replace a source; choose another --out folder")
        if target.exists() and not overwrite:
            raise OutputError(f"{target}: is there already; choose another --out folder, or --overwrite")
    return targets


def _compared(name: str, clean: Any, restored: Any, size: int) -> tuple[dict[str, Any], list[Any]]:
    """A line of the table, and the row of the sheet."""
    from dataclasses import asdict

    from restore.codes.rates import match_jpeg, rate
    from restore.codes.sheets import Cell
    from restore.images.tensors import to_pixels

    jpeg = match_jpeg(to_pixels(clean), size)
    rated = rate(name, clean, restored, size, jpeg)
    captions = (
        name,
        f"{rated.bits_per_pixel:.3f} bits per pixel, {rated.psnr:.2f} dB",
        f"JPEG {rated.jpeg_quality}: {rated.jpeg_bits_per_pixel:.3f} bits per pixel, {rated.jpeg_psnr:.2f} dB",
    )
    cells = [
        Cell(_middle(pixels), caption)
        for pixels, caption in zip((to_pixels(clean), to_pixels(restored), jpeg.pixels), captions, strict=True)
    ]
    row = {key: float(f"{value:.6g}") if isinstance(value, float) else value for key, value in asdict(rated).items()}
    return row, cells


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
