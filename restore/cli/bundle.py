"""`restore bundle`: from a checkpoint, also of a training that still runs, to a bundle."""

import argparse
from pathlib import Path

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="a .ckpt file that `restore fit` wrote")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the bundle")


def run(arguments: argparse.Namespace) -> int:
    """Convert."""
    from restore.callbacks.bundles import bundle_from_checkpoint

    bundle_from_checkpoint(arguments.checkpoint, arguments.out)
    print(f"wrote {arguments.out}: try `restore info {arguments.out}`")
    return 0
