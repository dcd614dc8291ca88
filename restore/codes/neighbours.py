"""Pictures that are alike by their codes: the nearest ones of a picture, and near-duplicates."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from restore.codes.encoder import Codes
from restore.errors import UsageError

__all__ = ["Neighbour", "Pair", "near_duplicates", "nearest", "typical_distance"]

Vectors = npt.NDArray[np.float32]

_MOST_PAIRS = 1_000_000
_ROWS = 1024
"""Of which pairs are looked for at a time: 80 MB of distances to 10,000 pictures."""


@dataclass(frozen=True)
class Neighbour:
    """A picture near another.

    Attributes:
        name: Of the picture.
        distance: Euclidean, between the codes.
        relative: That, of `typical_distance`: 1 is as far as two pictures at random.
    """

    name: str
    distance: float
    relative: float


@dataclass(frozen=True)
class Pair:
    """Two pictures that are nearly the same.

    Attributes:
        group: Number of the group; pairs that share a picture are in one.
        first: Name of the one that comes first in its source.
        second: Name of the other.
        distance: As for `Neighbour`.
        relative: As for `Neighbour`.
    """

    group: int
    first: str
    second: str
    distance: float
    relative: float


def typical_distance(vectors: Vectors) -> float:
    """The root of the mean squared distance between two different rows; 0 if all are the same.

    Args:
        vectors: `(N, numbers)`.
    """
    if len(vectors) < 2:
        return 0.0
    return float(np.sqrt(2.0 * vectors.var(axis=0, ddof=1, dtype=np.float64).sum()))


def nearest(codes: Codes, vector: Vectors, count: int, leave_out: str | None = None) -> list[Neighbour]:
    """The pictures whose codes are nearest to a code, nearest first; in the codes' order where they are equally near.

    Args:
        codes: Of the pictures to choose from.
        vector: `(numbers,)`.
        count: How many, at most.
        leave_out: Name of a picture that does not count: the one that `vector` is of.

    Raises:
        UsageError: `count` is below 1.
    """
    if count < 1:
        raise UsageError(f"count: must be 1 or more, not {count}")
    distances = np.linalg.norm(codes.vectors.astype(np.float64) - vector, axis=1)
    typical = typical_distance(codes.vectors)
    order = [index for index in np.argsort(distances, kind="stable") if codes.names[index] != leave_out]
    return [
        Neighbour(codes.names[index], float(distances[index]), _share(float(distances[index]), typical))
        for index in order[:count]
    ]


def near_duplicates(codes: Codes, limit: float) -> list[Pair]:
    """All pairs of pictures whose codes are closer than a limit, group by group, nearest first in each.

    The limit is a share of `typical_distance`, so that it means the same for every network. In a collection of a few
    pictures that are all alike, that distance is small itself, and so is what counts as near.

    Args:
        codes: Of the pictures.
        limit: Largest distance of a pair, 1 being that of two pictures at random.

    Raises:
        UsageError: The limit is not above 0, or so many pairs are closer that it cannot be meant.
    """
    if not limit > 0.0:
        raise UsageError(f"limit: must be above 0, not {limit:g}")
    from sklearn.neighbors import NearestNeighbors

    typical = typical_distance(codes.vectors)
    search = NearestNeighbors(radius=limit * typical, algorithm="brute").fit(codes.vectors)
    pairs: list[tuple[int, int]] = []
    for top in range(0, len(codes.names), _ROWS):
        found = search.radius_neighbors(codes.vectors[top : top + _ROWS], return_distance=False)
        pairs += [(top + row, int(other)) for row, others in enumerate(found) for other in others if other > top + row]
        if len(pairs) > _MOST_PAIRS:
            raise UsageError(f"limit: {limit:g} makes more than {_MOST_PAIRS:,} pairs; use a smaller one")
    heads = _heads(len(codes.names), pairs)
    distances = [_distance(codes.vectors[a], codes.vectors[b]) for a, b in pairs]
    numbers: dict[int, int] = {}
    found_pairs: list[Pair] = []
    for head, distance, (a, b) in sorted(
        (heads[a], distance, (a, b)) for (a, b), distance in zip(pairs, distances, strict=True)
    ):
        group = numbers.setdefault(head, len(numbers) + 1)
        found_pairs.append(Pair(group, codes.names[a], codes.names[b], distance, _share(distance, typical)))
    return found_pairs


def _heads(count: int, pairs: list[tuple[int, int]]) -> list[int]:
    """The first of the rows that each row hangs together with, over any number of pairs."""
    heads = list(range(count))

    def head(row: int) -> int:
        while heads[row] != row:
            heads[row] = row = heads[heads[row]]
        return row

    for a, b in pairs:
        low, high = sorted((head(a), head(b)))
        heads[high] = low
    return [head(row) for row in range(count)]


def _distance(a: Vectors, b: Vectors) -> float:
    return float(np.linalg.norm(a.astype(np.float64) - b))


def _share(distance: float, typical: float) -> float:
    return distance / typical if typical > 0.0 else 0.0
