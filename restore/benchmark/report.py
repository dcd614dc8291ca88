"""What a benchmark leaves behind: one JSON file that everything else is made of, a table per picture, and Markdown."""

import csv
import importlib.metadata
import io
import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from restore.benchmark.measurement import Measurement, Setting
from restore.benchmark.quality import Cell, CellStore, is_outdated, summarise_cells
from restore.benchmark.sets import TestSet, is_known
from restore.benchmark.tables import TITLES, markdown, table_lines
from restore.errors import DataError
from restore.images.files import write_atomically

__all__ = ["Report"]

Json = dict[str, Any]
_FILE = "results.json"
_FORMAT = 2
_PACKAGES = ("restore", "torch", "numpy", "opencv-python-headless", "scikit-image", "Pillow")


@dataclass
class Report:
    """Results in a folder, of this run and of those before it.

    Attributes:
        folder: Where they lie.
        sets: By name.
        methods: Cost, by name, each with the machine it was measured on.
        speed: By machine and name of the measurement.
        versions: Of the program that measured last.
        earlier: Summaries of cells, also of those whose pictures' scores were not kept.
    """

    folder: Path
    sets: dict[str, Json] = field(default_factory=dict)
    methods: dict[str, Json] = field(default_factory=dict)
    speed: dict[tuple[str, str], Json] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    earlier: list[Json] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._opened = [dict(part) for part in self._parts]

    @classmethod
    def open(cls, folder: Path) -> "Report":
        """Go on with what a folder holds, if anything.

        Raises:
            DataError: Its results cannot be read, or another version wrote them.
        """
        path = folder / _FILE
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(folder)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({error}); move it away to start anew") from error
        if not isinstance(stored, dict) or stored.get("format") != _FORMAT:
            raise DataError(f"{path}: not results of this version of `restore benchmark`; move it away to start anew")
        sets, methods = ({entry["name"]: entry for entry in stored[part]} for part in ("sets", "methods"))
        speed = {(entry["machine"], entry["name"]): entry for entry in stored["speed"]}
        return cls(folder, sets, methods, speed, stored["versions"], stored["quality"])

    @property
    def store(self) -> CellStore:
        """The measured cells."""
        return CellStore(self.folder / "cells")

    def keep(self, cell: Cell, rows: list[Json]) -> None:
        """Store a measured cell, and forget the means of those that it outdates."""
        self.versions.update(_versions())
        gone = {_place(key) for key in self.store.keep(cell, rows)}
        if gone:
            self.earlier = [entry for entry in self.earlier if _place(entry) not in gone]
            self.write()  # a run that is stopped here must not leave them in the file

    def add_sets(self, test_sets: Iterable[TestSet]) -> None:
        """Note what a set's name stands for."""
        for test_set in test_sets:
            self.sets[test_set.name] = {
                "name": test_set.name,
                "images": len(test_set.photos),
                "fingerprint": test_set.fingerprint,
                "known": test_set.known,
            }

    def add_method(self, cost: Json) -> None:
        """Add what a method costs, in the place of an older one."""
        self.versions.update(_versions())
        self.methods[cost["name"]] = cost

    def add_speed(self, part: str, measurement: Measurement, machine: str, setting: Setting) -> None:
        """Add a figure of a machine, with all that it takes to measure it again, in the place of an older one."""
        self.versions.update(_versions())
        self.speed[machine, measurement.name] = {
            "part": part,
            "machine": machine,
            **asdict(measurement),
            "text": measurement.text,
            "setting": {name: value for name, value in asdict(setting).items() if name != "megapixels"},
            "threads": torch.get_num_threads(),
            "versions": _versions(),
        }

    def results(self) -> Json:
        """Everything, as plain JSON values."""
        measured = summarise_cells(list(self.store.everything()))
        earlier = [entry for entry in self.earlier if not any(is_outdated(entry, newer) for newer in measured)]
        by_place = {_place(entry): entry for entry in [*earlier, *measured]}
        quality = [by_place[place] for place in sorted(by_place)]
        for entry in quality:
            entry["known"] = is_known(entry["set"], entry["fingerprint"])
        return {
            "format": _FORMAT,
            "versions": self.versions,
            "sets": [self.sets[name] for name in sorted(self.sets)],
            "methods": [self.methods[name] for name in sorted(self.methods)],
            "quality": quality,
            "speed": list(self.speed.values()),
        }

    def write(self) -> Json:
        """Write `results.json`, `pictures.csv` (a line per picture, condition, method and seed) and `tables.md`.

        What another run has written there meanwhile stays, but for what this run has measured itself.

        Returns:
            The results.

        Raises:
            OutputError: The folder cannot be written.
            DataError: The results there cannot be read any more.
        """
        self._take_up(Report.open(self.folder))
        results = self.results()
        write_atomically(self.folder / _FILE, (json.dumps(results, indent=1) + "\n").encode())
        write_atomically(self.folder / "pictures.csv", self._csv().encode())
        write_atomically(self.folder / "tables.md", _chapters(results).encode())
        return results

    def _take_up(self, there: "Report") -> None:
        for ours, theirs, opened in zip(self._parts, there._parts, self._opened, strict=True):
            mine = {key: value for key, value in ours.items() if opened.get(key) != value}
            ours.update(theirs | mine)

    @property
    def _parts(self) -> tuple[dict[Any, Any], ...]:
        return self.sets, self.methods, self.speed, self.versions

    def _csv(self) -> str:
        buffer = io.StringIO()
        slot = ("set", "protocol", "condition", "method", "seed")
        scores = ("image", "psnr", "ssim", "hole_psnr", "shift", "residual_correlation")
        writer = csv.DictWriter(buffer, [*slot, *scores], lineterminator="\n")
        writer.writeheader()
        for key, rows in self.store.everything():
            for row in rows:
                shift = " ".join(map(str, row["shift"]))
                writer.writerow({name: key[name] for name in slot} | row | {"shift": shift})
        return buffer.getvalue()


def _place(entry: Json) -> tuple[str, ...]:
    return tuple(str(entry[part]) for part in ("protocol", "set", "condition", "kind", "method"))


def _chapters(results: Json) -> str:
    filled = [name for name in TITLES if len(table_lines(name, results)) > 1]
    return "\n".join(f"## {TITLES[name]}\n\n{markdown(name, results)}\n" for name in filled)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:  # restore itself, run from its folder
            continue
    return found
