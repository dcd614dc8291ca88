"""Scores of bundles and classical methods on test sets, cell by cell, so that a stopped run goes on where it was.

A cell is one method under one condition on one set with one seed. It is measured once, kept as a file of its own, and
measured again only if what it was measured with has changed.
"""

import hashlib
import json
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.benchmark.sets import TestSet
from restore.errors import DataError, RestoreError
from restore.images.files import write_atomically
from restore.images.tensors import quantise
from restore.inference.baselines import Method
from restore.inference.evaluate import DamagedPhoto, damage_photo, score
from restore.inference.protocols import Condition, Protocol

__all__ = ["INPUT", "Cell", "CellStore", "Contender", "is_outdated", "measure", "summarise_cells"]

INPUT = "input"
"""The name of the corrupted picture itself in the tables."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Contender:
    """A method in the tables.

    Attributes:
        name: As it stands in them.
        kind: `bundle`, `classical` or `input`.
        method: `(C, H, W)` float32 and a mask `(1, H, W)` to `(C, H, W)` float32.
        identity: What its scores depend on under whatever damage: a fingerprint of weights, precision, versions.
        settings: What else they depend on under this damage.
        machine: What it runs on.
        keeps_known: Whether known pixels must come back bit for bit where there is a hole.
    """

    name: str
    kind: str
    method: Method
    identity: str
    settings: str = ""
    machine: str = ""
    keeps_known: bool = True


@dataclass(frozen=True)
class Cell:
    """One entry of a table, before it is measured."""

    test_set: TestSet
    protocol: Protocol
    condition: Condition
    contender: Contender
    seed: int

    @property
    def slot(self) -> Json:
        """Its place in the tables."""
        return {
            "set": self.test_set.name,
            "protocol": self.protocol.name,
            "condition": self.condition.name,
            "method": self.contender.name,
            "kind": self.contender.kind,
            "seed": self.seed,
        }

    @cached_property
    def key(self) -> Json:
        """What its scores were measured with: if any of it changes, they are stale.

        `damage` is the SHA-256 of the first photo under seed 0, whatever the cell's own: it tells when the damage is
        computed in another way than before.
        """
        damaged = damage_photo(self.test_set.photos[0], self.condition, seed=0)
        pixels = damaged.corrupted.numpy().tobytes() + damaged.mask.numpy().tobytes()
        return {
            **self.slot,
            "corruption": repr(self.condition.corruption),
            "damage": hashlib.sha256(pixels).hexdigest(),
            "fingerprint": self.test_set.fingerprint,
            "identity": self.contender.identity,
            "settings": self.contender.settings,
        }


class CellStore:
    """Measured cells, a JSON file each.

    Args:
        folder: Where they lie; made on the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, cell: Cell) -> list[Json] | None:
        """Scores by image, if this very cell was measured."""
        try:
            stored = _read(self._path(cell))
        except DataError:  # none yet, or not whole: measured again
            return None
        return stored["rows"] if stored.get("key") == cell.key else None

    def keep(self, cell: Cell, rows: list[Json]) -> list[Json]:
        """Store a cell in the place of an older one, and remove what is stale: no mean, row or column mixes the two.

        Returns:
            The keys of what was removed.
        """
        removed = []
        text = json.dumps({"key": cell.key, "rows": rows})
        write_atomically(self._path(cell), text.encode())
        for path in self.folder.glob("*.json"):
            other = _read(path)["key"]
            same_place = _without_seed(cell.slot).items() <= other.items()
            if is_outdated(other, cell.key) or (same_place and _without_seed(other) != _without_seed(cell.key)):
                path.unlink()
                removed.append(other)
        return removed

    def everything(self) -> Iterator[tuple[Json, list[Json]]]:
        """Key and scores of every cell, in a fixed order.

        Raises:
            DataError: A file is damaged.
        """
        for path in sorted(self.folder.glob("*.json")):
            stored = _read(path)
            yield stored["key"], stored["rows"]

    def _path(self, cell: Cell) -> Path:
        return self.folder / f"{self._place(cell)}-{cell.seed}.json"

    def _place(self, cell: Cell) -> str:
        place = json.dumps(_without_seed(cell.slot), sort_keys=True)
        return hashlib.sha256(place.encode()).hexdigest()[:24]


def measure(cell: Cell) -> list[Json]:
    """Score every photo of a cell.

    Returns:
        For each photo: `image`, `psnr`, `ssim`, `hole_psnr` (None without a hole), `shift` (mean of restored minus
        clean per channel, in 8-bit units) and `residual_correlation` (see `residual_correlation`; None where nothing
        was changed).

    Raises:
        RestoreError: A method that must not touch known pixels did.
        ImageError: A photo cannot be read or scored.
    """
    rows = []
    for photo in cell.test_set.photos:
        damaged = damage_photo(photo, cell.condition, cell.seed)
        restored = cell.contender.method(damaged.corrupted[0], damaged.mask[0])
        name = photo.relative.as_posix()
        if cell.condition.has_hole and cell.contender.keeps_known and not _known_is_untouched(restored, damaged):
            raise RestoreError(f"{cell.contender.name}: changed known pixels of {name} under {cell.condition.name}")
        scores = score(restored, damaged)
        shift = (quantise(restored) - quantise(damaged.clean[0])).mean(dim=(1, 2)) * 255.0
        rows.append(
            {
                "image": name,
                "psnr": scores.psnr,
                "ssim": scores.ssim,
                "hole_psnr": _number(scores.hole_psnr),
                "shift": [round(value, 5) for value in shift.tolist()],
                "residual_correlation": _number(residual_correlation(damaged.corrupted[0] - restored)),
            }
        )
    return rows


def residual_correlation(residual: Tensor) -> float:
    """Correlation of what was removed with its neighbours, mean of the horizontal and the vertical one.

    White noise gives 0 within about 2 / sqrt(pixels); edges and texture that were taken along give more.

    Args:
        residual: `(C, H, W)`, corrupted minus restored.

    Returns:
        Between -1 and 1; NaN where nothing was removed or a side is a single pixel.
    """
    centred = residual.double() - residual.double().mean(dim=(1, 2), keepdim=True)
    power = centred.square().mean()
    across, down = (centred[:, :, 1:] * centred[:, :, :-1]).mean(), (centred[:, 1:] * centred[:, :-1]).mean()
    return float((across + down) / 2 / power)


def summarise_cells(cells: Sequence[tuple[Json, list[Json]]]) -> list[Json]:
    """Means over photos and seeds.

    Returns:
        One entry per set, protocol, condition and method: these four, `kind`, `fingerprint`, `identity`,
        `images`, `seeds`, the means of `psnr`, `ssim` and `hole_psnr`, `spread` (standard deviation over the seeds of
        the mean PSNR, that of the hole if there is one; None for a single seed), `worst` (image and PSNR), `shift`
        (mean per channel over the colour photos, else the grey ones) and `residual_correlation`.
    """
    groups: dict[tuple[str, ...], list[tuple[Json, list[Json]]]] = {}
    for key, rows in cells:
        groups.setdefault(tuple(str(key[part]) for part in _GROUP), []).append((key, rows))
    return [_summary(group) for _, group in sorted(groups.items())]


_GROUP = ("protocol", "set", "condition", "kind", "method")


def _summary(group: list[tuple[Json, list[Json]]]) -> Json:
    key = group[0][0]
    rows = [row for _, rows in group for row in rows]
    main = "psnr" if all(row["hole_psnr"] is None for row in rows) else "hole_psnr"
    scored = [[row for row in rows if row[main] is not None] for _, rows in group]  # a hole may have no pixel
    by_seed = [statistics.fmean(row[main] for row in rows) for rows in scored if rows]
    worst = min((row for rows in scored for row in rows), key=lambda row: row[main])
    channels = max(len(row["shift"]) for row in rows)
    shifts = [row["shift"] for row in rows if len(row["shift"]) == channels]
    return {
        **{part: key[part] for part in (*_GROUP, "fingerprint", "identity")},
        "images": len(group[0][1]),
        "seeds": sorted(key["seed"] for key, _ in group),
        **{name: _mean([row[name] for row in rows]) for name in ("psnr", "ssim", "hole_psnr")},
        "spread": round(statistics.stdev(by_seed), 4) if len(by_seed) > 1 else None,
        "worst": {"image": worst["image"], main: round(worst[main], 4)},
        "shift": [round(statistics.fmean(values), 4) for values in zip(*shifts, strict=True)],
        "residual_correlation": _mean([row["residual_correlation"] for row in rows]),
    }


def is_outdated(entry: Json, newer: Json) -> bool:
    """Whether a key or summary must not stand in one table with a newer one.

    A set of this name had other photos; or it had the same photos under the same condition, damaged in another way; or
    the same method on that set was not what it is. Summaries do not tell the damage: on another computer its last bits
    may differ, and what was measured there would go.
    """
    if entry["set"] != newer["set"]:
        return False
    if entry["fingerprint"] != newer["fingerprint"]:
        return True
    if all(entry[part] == newer[part] for part in ("protocol", "condition")):
        damages = {key["damage"] for key in (entry, newer) if "damage" in key}
        if len(damages) > 1:
            return True
    return all(entry[part] == newer[part] for part in ("kind", "method")) and entry["identity"] != newer["identity"]


def _read(path: Path) -> Json:
    try:
        stored: Json = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); remove it to have it measured again") from error
    return stored


def _without_seed(key: Json) -> Json:
    """What cells of one place have in common, of a slot or a key."""
    return {name: value for name, value in key.items() if name != "seed"}


def _known_is_untouched(restored: Tensor, damaged: DamagedPhoto) -> bool:
    known = (damaged.mask[0] <= 0.5).expand_as(restored)
    return torch.equal(restored[known], damaged.corrupted[0][known])


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean(values: Sequence[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return round(statistics.fmean(numbers), 4) if numbers else None
