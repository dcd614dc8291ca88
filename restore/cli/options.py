"""Options that several commands share; names and help once."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from restore.errors import ExitCode

if TYPE_CHECKING:
    from restore.codes.pictures import PictureSource
    from restore.images.search import FoundImage

__all__ = [
    "PROTOCOL_NAMES",
    "SOURCE_HELP",
    "LeftOut",
    "add_device_option",
    "add_device_options",
    "add_overwrite_option",
    "plain",
]

SOURCE_HELP = (
    "photo, folder to search to the bottom, or quoted pattern; or a set: digits, mnist:FOLDER, fashion:FOLDER, "
    "cifar10:FOLDER, with :train behind it for its training part"
)

# Those of restore.inference.protocols, which takes seconds to import; a test compares them.
PROTOCOL_NAMES = (
    "gaussian-awgn",
    "clipped-8bit",
    "camera-noise",
    "gaussian-blur",
    "motion-blur",
    "defocus-blur",
    "holes",
    "holes-by-share",
    "clean",
)


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """`--device` alone."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: %(default)s)")


def add_device_options(parser: argparse.ArgumentParser, precision: str = "auto") -> None:
    """`--device`, `--precision` with its default, and `--tile`."""
    add_device_option(parser)
    parser.add_argument(
        "--precision",
        default=precision,
        choices=("auto", "fast", "32", "bf16-mixed", "16-mixed", "int8"),
        help="auto is bfloat16 where it is faster than float32, float16 on older GPUs, else 32; fast is int8 where "
        "that is faster, else auto (default: %(default)s)",
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="longest side of the pieces that a large photo is cut into: smaller needs less memory "
        "(default: by the network)",
    )


def add_overwrite_option(parser: argparse.ArgumentParser) -> None:
    """`--overwrite`; see `restore.images.files.check_outputs`."""
    parser.add_argument("--overwrite", action="store_true", help="replace results that exist; sources never are")


def plain(name: str) -> str:
    """A name for a table or a bar of rich: one printable line, in which brackets are brackets."""
    from rich.markup import escape

    from restore.images.document import shown

    return escape(shown(Path(name)))


class LeftOut:
    """What a run leaves out, in a line each: now, what could not be searched; when called, a photo that cannot be read.

    Args:
        sources: Where the run takes pictures from.

    Attributes:
        reasons: Of all but links to folders, which are left out on purpose, by the name of the photo or the folder.
    """

    def __init__(self, *sources: "PictureSource") -> None:
        from restore.images.document import shown

        self.reasons: dict[str, str] = {}
        for problem in dict.fromkeys(problem for source in sources for problem in source.problems):
            print(f"left out: {shown(problem.path)}: {problem.reason}", file=sys.stderr)
            if not problem.is_link:
                self.reasons[str(problem.path)] = problem.reason

    def __call__(self, photo: "FoundImage", error: Exception) -> None:
        """Name a photo."""
        print(f"left out: {error}", file=sys.stderr)
        self.reasons[photo.relative.as_posix()] = str(error)

    @property
    def exit_code(self) -> ExitCode:
        """Of a run in which nothing else went wrong."""
        return ExitCode.FAILED if self.reasons else ExitCode.OK
