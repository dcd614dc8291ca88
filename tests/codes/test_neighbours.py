"""Distances, neighbours and near-duplicates."""

import itertools

import numpy as np
import pytest

from restore.codes.encoder import Codes
from restore.codes.neighbours import near_duplicates, nearest, typical_distance
from restore.errors import UsageError


def codes_of(vectors: np.ndarray) -> Codes:
    names = [f"{number}.png" for number in range(len(vectors))]
    return Codes(names, vectors.astype(np.float32), None, (vectors.shape[1], 1, 1))


def test_the_typical_distance_is_that_of_all_pairs() -> None:
    vectors = np.random.default_rng(0).normal(size=(20, 5)).astype(np.float32)
    squares = [np.sum((a - b) ** 2) for a, b in itertools.combinations(vectors, 2)]
    assert typical_distance(vectors) == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-6)
    assert typical_distance(vectors[:1]) == 0
    assert typical_distance(np.ones((3, 2), np.float32)) == 0


def test_the_nearest_come_first_without_the_picture_itself() -> None:
    codes = codes_of(np.array([[0.0, 0], [3, 4], [0, 1], [0, -1]]))
    found = nearest(codes, codes.vectors[0], 3, "0.png")
    assert [(n.name, n.distance) for n in found] == [("2.png", 1.0), ("3.png", 1.0), ("1.png", 5.0)]
    assert found[0].relative == pytest.approx(1 / typical_distance(codes.vectors))
    assert [n.name for n in nearest(codes, codes.vectors[0], 9)] == ["0.png", "2.png", "3.png", "1.png"]
    with pytest.raises(UsageError, match="count: must be 1 or more"):
        nearest(codes, codes.vectors[0], 0)


def test_near_duplicates_are_all_pairs_below_the_limit_in_groups() -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(1500, 8))
    vectors[1400] = vectors[7]
    vectors[3] = vectors[1200] + 0.001
    vectors[900] = vectors[1200] - 0.001
    pairs = near_duplicates(codes_of(vectors), 0.02)
    assert [(pair.group, pair.first, pair.second) for pair in pairs] == [
        (1, "3.png", "1200.png"),
        (1, "900.png", "1200.png"),
        (1, "3.png", "900.png"),
        (2, "7.png", "1400.png"),
    ]
    assert pairs[3].distance == pairs[3].relative == 0
    assert pairs[0].distance == pytest.approx(0.001 * np.sqrt(8), rel=1e-3)
    wide = {(pair.first, pair.second) for pair in near_duplicates(codes_of(vectors), 0.2)}
    rows = vectors.astype(np.float32).astype(np.float64)
    distances = np.linalg.norm(rows[:, None] - rows, axis=2)
    close = np.argwhere(np.triu(distances <= 0.2 * typical_distance(vectors.astype(np.float32)), 1))
    assert wide == {(f"{a}.png", f"{b}.png") for a, b in close}


def test_equal_pictures_are_duplicates_and_silly_limits_are_refused() -> None:
    same = codes_of(np.ones((3, 4)))
    assert [pair.relative for pair in near_duplicates(same, 0.1)] == [0, 0, 0]
    with pytest.raises(UsageError, match="limit: must be above 0, not 0"):
        near_duplicates(same, 0.0)
    with pytest.raises(UsageError, match="limit: 9 makes more than 1,000,000 pairs"):
        near_duplicates(codes_of(np.random.default_rng(0).normal(size=(1500, 2))), 9)
