"""The command line: a lazy table of commands, and the one place where exceptions become messages and exit codes."""

import argparse
import importlib
import io
import sys
from collections.abc import Sequence

import restore
from restore.errors import ExitCode, RestoreError
from restore.memory import keep_freed_memory

__all__ = ["main"]

# Module of each command; imported only when it is called, as torch and Lightning take seconds.
_COMMANDS: dict[str, tuple[str, str]] = {
    "photos": ("restore.cli.photos", "restore files and folders of photos"),
    "demo": ("restore.cli.demo", "restore sample photos, score them, and write a page to look at"),
    "evaluate": ("restore.cli.evaluate", "score a bundle on a folder of clean photos under a named protocol"),
    "info": ("restore.cli.info", "print a bundle's card"),
    "benchmark": ("restore.cli.benchmark", "measure quality on test sets, speed and memory, and write the tables"),
    "probe": (
        "restore.cli.probe",
        "measure what a code is worth: what it gives back, and what a line reads from it",
    ),
    "anomalies": ("restore.cli.anomalies", "find the pictures that are unlike the normal ones, and where"),
    "bundle": ("restore.cli.bundle", "make a bundle of a training checkpoint"),
    "encode": ("restore.cli.encode", "codes of pictures: a table, a map, near-duplicates, nearest neighbours"),
    "generate": ("restore.cli.generate", "draw pictures from a variational autoencoder, and between two of them"),
    "compress": ("restore.cli.compress", "keep photos as the quantised codes of an autoencoder"),
    "decompress": ("restore.cli.decompress", "turn compressed photos back into pictures"),
}
_LIGHTNING: dict[str, str] = {
    "fit": "train; without a configuration, a denoiser on sample photos",
    "validate": "score a checkpoint on the validation photos",
    "test": "score a checkpoint on whole test photos",
    "predict": "restore the test photos with a checkpoint",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands after `restore`; the process's own if left out.

    Returns:
        The exit code: 0, 1 (something failed), 2 (usage), 130 (interrupted).
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    keep_freed_memory()  # before torch asks for any
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of photos may be in no encoding that a system writes
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _dispatch(arguments)
    except RestoreError as error:
        print(f"restore: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("restore: interrupted; what was written is whole", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; there is nobody to tell
        return ExitCode.FAILED


def _dispatch(arguments: list[str]) -> int:
    if arguments and arguments[0] in _LIGHTNING:
        from restore.cli.train import run

        return run(arguments[0], arguments[1:])
    parser = argparse.ArgumentParser(
        prog="restore",
        description="Restore photos and scans with autoencoders: denoise, deblur, inpaint; train, score, repeat.",
        epilog="`restore COMMAND --help` says more about each.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"restore {restore.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module_name, text) in _COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text.capitalize() + ".", allow_abbrev=False)
        if arguments and arguments[0] == name:
            importlib.import_module(module_name).add_arguments(command)
    for name, text in _LIGHTNING.items():
        commands.add_parser(name, help=text)
    parsed = parser.parse_args(arguments)
    code: int = importlib.import_module(_COMMANDS[parsed.command][0]).run(parsed)
    return code
