"""Every failure `restore` raises on purpose, and the exit code each one ends in.

    RestoreError                 exit 1
    ├── UsageError               exit 2: an argument or a configuration that cannot work
    │   └── PrecisionError       a precision that the device does not have
    ├── DataError                a photo folder that cannot be used for training or scoring
    ├── ImageError               one picture
    │   ├── UnreadableImageError     missing, truncated, or not an image
    │   └── UnsupportedImageError    a kind of image that would lose something here
    ├── BundleError              a bundle that is absent, damaged or from another version
    └── OutputError              a place that cannot be written, or must not be

Messages say what is wrong, where, and what to do about it. Only `restore.cli.main` turns them into text and exit codes.
"""

from enum import IntEnum

__all__ = [
    "BundleError",
    "DataError",
    "ExitCode",
    "ImageError",
    "OutputError",
    "PrecisionError",
    "RestoreError",
    "UnreadableImageError",
    "UnsupportedImageError",
    "UsageError",
]


class ExitCode(IntEnum):
    """What the process returns to the shell."""

    OK = 0
    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


class RestoreError(Exception):
    """The root: catch this to catch everything `restore` raises on purpose."""

    exit_code: ExitCode = ExitCode.FAILED


class UsageError(RestoreError, ValueError):
    """An argument or a configuration that cannot work."""

    exit_code = ExitCode.USAGE


class PrecisionError(UsageError):
    """A precision that this device does not have."""


class DataError(RestoreError):
    """A photo folder that cannot be used for training or scoring."""


class ImageError(RestoreError):
    """Something about one picture."""


class UnreadableImageError(ImageError):
    """A file that is missing, truncated, or not an image."""


class UnsupportedImageError(ImageError):
    """A kind of image that would lose something if it were processed here."""


class BundleError(RestoreError):
    """A bundle that is absent, damaged, or written by another version."""


class OutputError(RestoreError):
    """A place that cannot be written, or must not be."""
