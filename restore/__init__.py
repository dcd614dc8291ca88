"""Restore photos and scans: corruption, autoencoders on Lightning, honest scores, and bundles that come back whole."""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore.inference.masks import MaskFolder
    from restore.inference.outcome import BatchOptions, PhotoResult
    from restore.inference.photos import restore_photos
    from restore.inference.restorer import Restorer

__all__ = ["BatchOptions", "MaskFolder", "PhotoResult", "Restorer", "__version__", "restore_photos"]

__version__ = "0.1.0"


_HOMES = {
    "BatchOptions": "restore.inference.outcome",
    "MaskFolder": "restore.inference.masks",
    "PhotoResult": "restore.inference.outcome",
    "Restorer": "restore.inference.restorer",
    "restore_photos": "restore.inference.photos",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:  # on first use, so that `restore --help` need not wait for torch
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'restore' has no attribute {name!r}")
