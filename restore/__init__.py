"""Restore photos and scans: corruption, autoencoders on Lightning, honest scores, and bundles that come back whole."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore.inference.restorer import Restorer

__all__ = ["Restorer", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Restorer":  # on first use, so that `restore --help` need not wait for torch
        from restore.inference.restorer import Restorer

        return Restorer
    raise AttributeError(f"module 'restore' has no attribute {name!r}")
