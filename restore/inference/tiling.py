"""Cutting a large picture into overlapping tiles: a pure plan, in which every pixel is written once.

A network sees `read` and is trusted in `write`, which lies `overlap` pixels inside wherever `read` does not end at the
picture's own border. Origins are multiples of the network's `size_multiple`, so that its grids line up with those of
the whole picture.
"""

import math
from dataclasses import dataclass

from restore.errors import UsageError

__all__ = ["Box", "Tile", "default_overlap", "plan_tiles"]

_LEAST_OVERLAP, _MOST_OVERLAP = 64, 128
"""Pixels. With the shipped denoiser, tiled and whole then differ by at most 0.1 / 255 in float32, at sigma 50; with
48 pixels by 0.7, with 32 by 3.2. In bfloat16 it is the rounding inside the network that differs, by less than 1 / 255
in the tests."""


def default_overlap(multiple: int, finds_blur: bool = False) -> int:
    """Pixels that tiles are read beyond what is kept: seven cells of the network's coarsest grid, from 64 to 128.

    `photo-fast` has cells of 16 pixels: with 112 pixels tiled and whole differ by at most 0.4 / 255 in float32, with 96
    by 2, with 64 by 4. The shipped inpainter has cells of 32 pixels and looks across large holes. Where one lies on a
    seam, they differ by at most 1 / 255 with 128 pixels, and by up to 25 / 255 with 64.

    What undoes motion looks as far as that rings: with 128 pixels `deblur` differs by at most 3 / 255 for 10 pixels of
    motion. For 15 it differs by 16 / 255 in a pixel of a thousand, mostly at the picture's own borders.

    Args:
        multiple: The network's `size_multiple`.
        finds_blur: Whether it deconvolves first.
    """
    if finds_blur:
        return _MOST_OVERLAP
    return min(max(_LEAST_OVERLAP, 7 * multiple), _MOST_OVERLAP)


@dataclass(frozen=True)
class Box:
    """Half-open ranges of rows and columns."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index the last two axes of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, outer: "Box") -> "Box":
        """The same box, counted from the corner of `outer`."""
        return Box(self.top - outer.top, self.bottom - outer.top, self.left - outer.left, self.right - outer.left)


@dataclass(frozen=True)
class Tile:
    """What the network sees, and the part of its answer that is kept.

    Attributes:
        read: Where the tile lies in the picture.
        write: The part that is kept, inside `read`; these partition the picture.
    """

    read: Box
    write: Box


def plan_tiles(height: int, width: int, tile: int, overlap: int, multiple: int = 1) -> list[Tile]:
    """Plan the tiles of a picture, row by row.

    Args:
        height: Of the picture, in pixels, 1 or more.
        width: Likewise.
        tile: Longest side of a tile, in pixels; pictures no larger are one tile.
        overlap: How far a tile is read beyond what is kept of it, in pixels; rounded up to `multiple`.
        multiple: Origins of tiles are multiples of this.

    Returns:
        The tiles.

    Raises:
        UsageError: The overlap is negative, or the tile too small to hold it.
    """
    if overlap < 0:
        raise UsageError(f"overlap: must be 0 or more pixels, not {overlap}")
    overlap = math.ceil(overlap / multiple) * multiple
    if tile < 2 * overlap + multiple:
        raise UsageError(
            f"tile: must be at least {2 * overlap + multiple} pixels for an overlap of {overlap}, not {tile}"
        )
    return [
        Tile(Box(*rows.read, *columns.read), Box(*rows.write, *columns.write))
        for rows in _plan_axis(height, tile, overlap, multiple)
        for columns in _plan_axis(width, tile, overlap, multiple)
    ]


@dataclass(frozen=True)
class _Span:
    read: tuple[int, int]
    write: tuple[int, int]


def _plan_axis(size: int, tile: int, overlap: int, multiple: int) -> list[_Span]:
    if size <= tile:
        return [_Span((0, size), (0, size))]
    room = (tile - 2 * overlap) // multiple * multiple
    count = math.ceil(size / room)
    step = math.ceil(size / count / multiple) * multiple  # even shares, so that the last tile is no sliver
    starts = range(0, size, step)
    return [
        _Span((max(start - overlap, 0), min(start + step + overlap, size)), (start, min(start + step, size)))
        for start in starts
    ]
