"""The command from end to end, its files, and the documents it writes into."""

import csv
import importlib.metadata
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from restore.benchmark import speed, timing
from restore.benchmark.cards import card_results
from restore.benchmark.measurement import Measurement, Setting
from restore.benchmark.quality import Cell, Contender, measure
from restore.benchmark.report import Report
from restore.benchmark.sets import open_set
from restore.benchmark.tables import fill_in, markdown, table_lines
from restore.cli.main import main
from restore.errors import DataError, ExitCode, UsageError
from restore.inference.protocols import build_protocol
from restore.models.bundle import read_card
from tests.helpers.networks import write_bundle
from tests.helpers.photos import write_photos


def run(folder: Path, *options: str) -> int:
    bundles = [str(write_bundle(folder / "noise")), str(write_bundle(folder / "hole", True, "holes"))]
    write_photos(folder / "set", 2, (48, 64))
    common = ["--bundle", *bundles, "--device", "cpu", "--precision", "32", "--repeat", "1"]
    return main(["benchmark", str(folder / "set"), *common, "--out", str(folder / "out"), *options])


def test_one_command_leaves_tables_json_pictures_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.benchmark.plan._SIDE", 64)
    document = tmp_path / "README.md"
    document.write_text("before\n<!-- benchmark gaussian-awgn -->\nold\n<!-- /benchmark -->\nafter\n")
    options = ["--sigma", "15", "50", "--seed", "0", "1", "--plots", "--residual-report", "--document", str(document)]
    assert run(tmp_path, *options) == ExitCode.OK
    out = tmp_path / "out"
    results = json.loads((out / "results.json").read_text())
    assert {entry["method"] for entry in results["quality"]} >= {"input", "non-local means", "Telea"}
    assert all(entry["megapixels_per_second"] > 0 for entry in results["methods"])
    damages = {entry["name"]: entry["damage"] for entry in results["methods"]}
    assert damages["non-local means"] == "gaussian-awgn, sigma 15"
    assert damages["Telea"].startswith("holes, ")
    pictures = list(csv.DictReader((out / "pictures.csv").read_text().splitlines()))
    assert {row["seed"] for row in pictures} == {"0", "1"}
    assert len({row["psnr"] for row in pictures}) > len(pictures) / 2
    assert "## Denoising" in (out / "tables.md").read_text()
    assert (out / "sigma-set.png").stat().st_size > 1000
    text = document.read_text()
    assert text.startswith("before\n<!-- benchmark gaussian-awgn -->\n|")
    assert text.endswith("<!-- /benchmark -->\nafter\n")
    assert "old" not in text
    capsys.readouterr()
    assert run(tmp_path, *options) == ExitCode.OK
    printed = capsys.readouterr().out
    (line,) = [line for line in printed.splitlines() if "table cells to score" in line]
    total, done = [int(word) for word in line.split() if word.isdigit()]
    assert total == done > 0
    assert json.loads((out / "results.json").read_text()) == results
    assert document.read_text() == text


def test_recording_writes_what_the_tables_say_into_the_cards_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore.benchmark.plan._SIDE", 64)
    for _ in range(2):  # recording again replaces
        assert run(tmp_path, "--sigma", "5", "25", "--classical", "all", "--record") == ExitCode.OK
    quality = json.loads((tmp_path / "out" / "results.json").read_text())["quality"]
    for name, protocol, score in (("noise", "gaussian-awgn", "psnr"), ("hole", "holes", "hole_psnr")):
        card = read_card(tmp_path / name)
        assert [(result["protocol"], result["seed"], result["images"]) for result in card.metrics] == [
            ("clean", 0, 2),
            (protocol, 0, 2),
        ]
        for row in card.metrics[1]["results"]:
            told = {
                entry["method"]: entry[score]
                for entry in quality
                if (entry["protocol"], entry["condition"]) == (protocol, row["condition"])
            }
            assert row[score] == told.pop(str(tmp_path / name))
            assert row[f"input_{score}"] == told.pop("input")
            assert len(told) == 3
            assert row[f"baseline_{score}"] == told[row["baseline"]] == max(told.values())
    assert [row["condition"] for row in read_card(tmp_path / "noise").metrics[1]["results"]] == ["sigma 5", "sigma 25"]
    other = json.loads((tmp_path / "out" / "results.json").read_text())
    assert card_results(other, str(tmp_path / "noise"), "of other weights") == []
    other["methods"] = [entry | {"precision": "int8"} for entry in other["methods"]]  # timed on another day
    assert {result["precision"] for result in card_results(other, str(tmp_path / "noise"), "")} == {"32"}
    capsys.readouterr()
    assert main(["info", str(tmp_path / "noise")]) == ExitCode.OK
    assert capsys.readouterr().out.count("gaussian-awgn on set (2 images), seed 0") == 1


def test_documents_keep_what_stands_outside_the_markers_and_name_what_is_missing() -> None:
    results = {"quality": [], "speed": [{"name": "a", "machine": "m", "text": "1 s"}], "methods": []}
    document = "x\n<!-- benchmark speed -->\n<!-- /benchmark -->\ny"
    filled = fill_in(document, results)
    assert filled == "x\n<!-- benchmark speed -->\n|  | m |\n|---|---|\n| a | 1 s |\n<!-- /benchmark -->\ny"
    assert fill_in(filled, results) == filled
    with pytest.raises(UsageError, match="no results for the table 'holes'"):
        markdown("holes", results)
    assert table_lines("holes", results) == [[""]]


def test_conditions_stand_in_the_order_of_their_numbers() -> None:
    entry = {
        "protocol": "gaussian-awgn",
        "set": "s",
        "kind": "bundle",
        "method": "m",
        "images": 1,
        "psnr": 30.0,
        "ssim": 0.9,
        "hole_psnr": None,
        "spread": None,
        "known": False,
        "seeds": [0],
    }
    results = {"quality": [{**entry, "condition": f"sigma {sigma}"} for sigma in (15, 5, 50, 7.5)]}
    assert table_lines("gaussian-awgn", results)[0] == ["", "sigma 5", "sigma 7.5", "sigma 15", "sigma 50"]


def test_a_damaged_results_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(DataError, match=r"results\.json: cannot be read"):
        Report.open(tmp_path)


def test_results_of_another_version_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"format": 1}')
    with pytest.raises(DataError, match="not results of this version"):
        Report.open(tmp_path)


def test_machines_stand_side_by_side_and_never_mix(tmp_path: Path) -> None:
    report = Report(tmp_path)
    for machine, seconds in (("old", 2.0), ("new", 1.0), ("new", 0.5)):
        report.add_speed("photo", Measurement("a", seconds, "s"), machine, Setting())
    report.add_speed("photo", Measurement("b", 3.0, "s"), "new", Setting())
    report.write()
    again = Report.open(tmp_path).results()
    assert table_lines("speed", again) == [["", "old", "new"], ["a", "2.00 s", "0.500 s"], ["b", "", "3.00 s"]]


def test_what_was_measured_with_other_weights_or_pictures_goes(tmp_path: Path) -> None:
    def entry(method: str, sigma: int, identity: str, fingerprint: str) -> dict[str, object]:
        place = {"protocol": "clean", "set": "set", "condition": f"sigma {sigma}", "kind": "bundle", "method": method}
        return {**place, "identity": identity, "fingerprint": fingerprint}

    write_photos(tmp_path / "set", 1)
    report = Report(tmp_path)
    ours = Contender("a", "bundle", lambda image, _mask: image, "new")
    plan = build_protocol("clean")
    fresh = Cell(open_set(str(tmp_path / "set")), plan, plan.conditions[0], ours, 0)
    report.store.keep(fresh, measure(fresh))
    fingerprint = fresh.test_set.fingerprint
    report.earlier = [
        entry("a", 15, "new", fingerprint),
        entry("a", 25, "old", fingerprint),
        entry("a", 50, "new", "other pictures"),
        entry("b", 15, "old", fingerprint),
    ]
    kept = [(found["method"], found["condition"]) for found in report.results()["quality"]]
    assert sorted(kept) == [("a", plan.conditions[0].name), ("a", "sigma 15"), ("b", "sigma 15")]


def test_a_document_that_is_not_there_stops_before_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--document", str(tmp_path / "none.md")) == ExitCode.USAGE
    assert "none.md: cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_speed_is_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_SIDE", 32)
    monkeypatch.setattr(timing, "_SIDES", {"cpu": (32, 64)})
    monkeypatch.setattr(timing, "_COPIED_BYTES", {"cpu": 1000})
    bundle = str(write_bundle(tmp_path / "noise"))
    command = ["benchmark", "--bundle", bundle, "--repeat", "1", "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*command, "--speed", "network", "--precision", "32"]) == ExitCode.OK
    assert main([*command, "--speed", "ssim"]) == ExitCode.OK
    entries = json.loads((tmp_path / "out" / "results.json").read_text())["speed"]
    assert {entry["part"] for entry in entries} == {"network", "ssim"}
    assert all(entry["value"] > 0 for entry in entries)
    (memory,) = [entry["value"] for entry in entries if entry["part"] == "ssim" and entry["unit"] == "MB"]
    assert memory < 1000
    for entry in entries:
        told = {"bundle": bundle, "device": "cpu", "precision": "32", "tile": None, "repeat": 1}
        assert entry["setting"] == (told if entry["part"] == "network" else told | {"precision": "auto"})
        assert entry["threads"] == torch.get_num_threads()
        assert entry["versions"]["torch"] == importlib.metadata.version("torch")


def test_versions_are_those_of_the_last_run_that_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path / "set", 1)
    ours = Contender("a", "bundle", lambda image, _mask: image, "1")
    plan = build_protocol("clean")
    cell = Cell(open_set(str(tmp_path / "set")), plan, plan.conditions[0], ours, 0)
    cost = {"name": "a", "megapixels_per_second": 1.0, "parameters": 0, "macs_per_pixel": 0, "peak_megabytes": None}
    cost |= {"precision": "", "threads": 1, "machine": "m"}
    runs: dict[str, Callable[[Report], None]] = {
        "1": lambda report: report.add_speed("ssim", Measurement("b", 1.0, "s"), "m", Setting()),
        "2": lambda report: report.keep(cell, measure(cell)),
        "3": lambda report: report.add_method(cost),
    }
    for measured, work in runs.items():
        for now, do in ((measured, work), ("later", lambda report: report.add_sets([cell.test_set]))):
            monkeypatch.setattr("importlib.metadata.version", lambda _name, now=now: now)
            report = Report.open(tmp_path / "out")
            do(report)
            assert report.write()["versions"]["torch"] == measured
    assert report.speed["m", "b"]["versions"]["torch"] == "1"
