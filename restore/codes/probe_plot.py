"""The picture of a probe: some test pictures given back by each code, and the figures beside them."""

from collections.abc import Sequence

from torch import Tensor

from restore.codes.figures import as_png, new_figure
from restore.codes.probe import ProbeRow
from restore.images.tensors import to_pixels

__all__ = ["draw_probe"]

_SHOWN = 10


def draw_probe(test: Tensor, rows: Sequence[ProbeRow], given_back: Sequence[Tensor]) -> bytes:
    """Draw the first test pictures above what each code gives back of them.

    Args:
        test: `(N, C, H, W)` float32 in [0, 1].
        rows: What was measured.
        given_back: The test pictures of each row, as `test`.

    Returns:
        A PNG file.

    Raises:
        RestoreError: matplotlib is missing.
    """
    columns = min(_SHOWN, len(test))
    lines = [("", test), *((_caption(row), pictures) for row, pictures in zip(rows, given_back, strict=True))]
    figure = new_figure((3.0 + 0.8 * columns, 0.85 * len(lines)))
    grid = figure.subplots(len(lines), columns, squeeze=False)
    for axes, (caption, pictures) in zip(grid, lines, strict=True):
        for place, picture in zip(axes, pictures, strict=False):
            place.imshow(to_pixels(picture), cmap="gray", vmin=0, vmax=255)
            place.set_xticks([])
            place.set_yticks([])
        axes[0].set_ylabel(caption, rotation=0, ha="right", va="center", fontsize=8)
    grid[0][0].set_ylabel("test pictures", rotation=0, ha="right", va="center", fontsize=8)
    return as_png(figure)


def _caption(row: ProbeRow) -> str:
    read = "" if row.accuracy is None else f"\n{100 * row.accuracy:.1f} % read"
    return f"{row.method}, {row.numbers} numbers\nerror {row.mse:.4f}{read}"
