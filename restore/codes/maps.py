"""Codes as points of a plane, and the plane as a picture."""

import importlib.util
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from restore.codes.sheets import COLOURS, INK, PAPER, font
from restore.errors import RestoreError, UsageError

__all__ = ["MapMethod", "check_map", "draw_map", "project"]

MapMethod = Literal["pca", "tsne", "umap"]

Pixels = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
_FEWEST = 4
_NUMBERS_FOR_NEIGHBOURS = 50
"""Longer codes are brought to so many principal components before t-SNE and UMAP, as their authors advise."""
_LEGEND = 20
_MARGIN = 24


def project(vectors: npt.NDArray[np.float32], method: MapMethod = "pca", seed: int = 0) -> Points:
    """Lay codes out in a plane, by scikit-learn or umap-learn.

    PCA shows the two directions in which codes vary most: distances are projections of true ones. t-SNE (van der Maaten
    and Hinton 2008) and UMAP (McInnes et al. 2018) keep neighbours together: groups are real, distances between them
    and sizes of them are not.

    Args:
        vectors: `(N, numbers)`.
        method: Which.
        seed: Of t-SNE and UMAP.

    Returns:
        `(N, 2)`.

    Raises:
        UsageError, RestoreError: As `check_map`.
    """
    count, numbers = vectors.shape
    check_map(count, method)
    from sklearn.decomposition import PCA

    if method == "pca":
        components = min(2, numbers)
        points = PCA(components, svd_solver="full").fit_transform(vectors.astype(np.float64))
        return np.pad(points, ((0, 0), (0, 2 - components)))
    if min(vectors.shape) > _NUMBERS_FOR_NEIGHBOURS:
        vectors = PCA(_NUMBERS_FOR_NEIGHBOURS, random_state=seed).fit_transform(vectors)
    if method == "tsne":
        from sklearn.manifold import TSNE

        return _float64(
            TSNE(perplexity=min(30.0, (count - 1) / 3), init="pca", random_state=seed).fit_transform(vectors)
        )
    from umap import UMAP

    return _float64(UMAP(n_neighbors=min(15, count - 1), random_state=seed, n_jobs=1).fit_transform(vectors))


def check_map(count: int, method: MapMethod) -> None:
    """Find out before the work whether a map can be made.

    Args:
        count: Of pictures.
        method: As for `project`.

    Raises:
        UsageError: There are too few pictures for a map.
        RestoreError: UMAP is not installed.
    """
    if count < _FEWEST:
        raise UsageError(f"a map needs {_FEWEST} pictures or more, and there are {count}")
    if method == "umap" and importlib.util.find_spec("umap") is None:
        raise RestoreError("UMAP needs an extra package: pip install 'restore[maps]'")


def draw_map(
    points: Points,
    picture: Callable[[int, int], Pixels | None],
    labels: npt.NDArray[np.int64] | None = None,
    title: str = "",
    side: int = 1400,
    thumbnail: int = 56,
) -> Pixels:
    """Draw a dot for every point, and pictures wherever they do not cover each other.

    Both axes have one scale. Pictures are tried in the order of the points.

    Args:
        points: `(N, 2)`; the first goes to the right, the second up.
        picture: `(H, W, 3)` uint8 of a point's number and a side that it must fit into; None if there is none.
        labels: `(N,)`: what each point shows, in colour, for at most 20 different values.
        title: Above.
        side: The longer one of the map, in pixels.
        thumbnail: Side of the pictures, in pixels.

    Returns:
        `(H, W, 3)` uint8.
    """
    values = [] if labels is None else np.unique(labels).tolist()
    values = values if len(values) <= _LEGEND else []
    top, right = 40, (80 if values else 0)
    places, (width, height) = _placed(points, side, _MARGIN + thumbnail // 2)
    places[:, 1] += top
    canvas = Image.new("RGB", (width + right, max(height, 28 * len(values) + _MARGIN) + top), PAPER)
    draw = ImageDraw.Draw(canvas)
    draw.text((_MARGIN, 10), title, INK, font(18))
    colours = {value: COLOURS[number % len(COLOURS)] for number, value in enumerate(values)}
    inks = [INK] * len(points) if labels is None else [colours.get(value, INK) for value in labels.tolist()]
    for (x, y), ink in zip(places, inks, strict=True):
        draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=ink)
    for index in _apart(places, thumbnail):
        pixels = picture(index, thumbnail - 6)
        if pixels is not None:
            tall, wide = pixels.shape[:2]
            left, upper = round(places[index, 0] - wide / 2), round(places[index, 1] - tall / 2)
            draw.rectangle((left - 2, upper - 2, left + wide + 1, upper + tall + 1), fill=inks[index])
            canvas.paste(Image.fromarray(pixels), (left, upper))
    for number, value in enumerate(values):
        draw.rectangle(
            (side + 8, top + _MARGIN + 28 * number, side + 24, top + _MARGIN + 28 * number + 16), colours[value]
        )
        draw.text((side + 32, top + _MARGIN + 28 * number), str(value), INK, font(16))
    return np.asarray(canvas)


def _placed(points: Points, side: int, margin: int) -> tuple[Points, tuple[int, int]]:
    """Points in pixels, and the width and height that they need: the longer one is `side`."""
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (side - 2 * margin) / (float((high - low).max()) or 1.0)
    width, height = ((high - low) * scale).round().astype(int) + 2 * margin
    across, up = (margin + (points - low) * scale).T
    return np.stack([across, height - up], axis=1), (int(width), int(height))


def _apart(places: Points, distance: int) -> list[int]:
    """Points of which each is at least so far from those before it, along one axis."""
    chosen: list[int] = []
    cells: dict[tuple[int, int], list[int]] = {}
    for index, (x, y) in enumerate(places.tolist()):
        cell = (int(x // distance), int(y // distance))
        near = [
            other
            for column in (-1, 0, 1)
            for row in (-1, 0, 1)
            for other in cells.get((cell[0] + column, cell[1] + row), ())
        ]
        if all(np.abs(places[other] - places[index]).max() >= distance for other in near):
            chosen.append(index)
            cells.setdefault(cell, []).append(index)
    return chosen


def _float64(points: npt.NDArray[np.floating]) -> Points:
    return np.asarray(points, dtype=np.float64)
