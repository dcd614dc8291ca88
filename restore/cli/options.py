"""Options that several commands share; names and help once."""

import argparse

__all__ = ["PROTOCOL_NAMES", "add_device_option", "add_device_options"]

# Those of restore.inference.protocols, which takes seconds to import; a test compares them.
PROTOCOL_NAMES = ("gaussian-awgn", "clipped-8bit", "camera-noise", "gaussian-blur", "holes", "holes-by-share", "clean")


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
        help="auto is bfloat16 where the hardware computes it, float16 on older GPUs, else 32; fast is int8 where that "
        "is faster, else auto (default: %(default)s)",
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="PIXELS",
        help="longest side of the pieces that a large photo is cut into: smaller needs less memory "
        "(default: by the network)",
    )
