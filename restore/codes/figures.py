"""Figures of matplotlib, without its windows and its global state; it is an extra."""

import io
from typing import Any

from restore.errors import RestoreError

__all__ = ["as_png", "new_figure"]


def new_figure(size: tuple[float, float]) -> Any:
    """An empty figure of a width and a height in inches, at 150 pixels an inch.

    Raises:
        RestoreError: matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RestoreError("plots need matplotlib: pip install 'restore[benchmark]'") from error
    return Figure(figsize=size, dpi=150, layout="constrained")


def as_png(figure: Any) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
