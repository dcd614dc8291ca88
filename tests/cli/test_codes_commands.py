"""`restore probe` and `restore anomalies`, run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.cli.main import main
from restore.errors import ExitCode
from restore.images.codec import decode
from restore.models import UndercompleteAutoencoder
from restore.models.bundle import ModelCard, network_entry, save_bundle
from tests.helpers.photos import write_photos


def small_bundle(folder: Path, code_size: int = 8) -> str:
    torch.manual_seed(0)
    network = UndercompleteAutoencoder(code_size)
    save_bundle(folder, network.state_dict(), ModelCard(folder.name, network_entry(network)))
    return str(folder)


def write_pages(folder: Path, count: int, dark: bool = False) -> None:
    """Pages of several sizes: grey paper with lines; dark ones have lost their lower half."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(count)
    for index in range(count):
        page = np.full((120 + index, 90), 200, np.uint8) + rng.integers(-10, 10, (120 + index, 90)).astype(np.uint8)
        page[10::12] = 90
        if dark:
            page[60:] = 20
        Image.fromarray(page).save(folder / f"{index:02d}.png")


def test_probe_writes_a_table_and_a_picture_of_bundles_beside_pca(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundles = [small_bundle(tmp_path / name, size) for name, size in (("a", 8), ("b", 8), ("c", 4))]
    out = tmp_path / "out"
    assert main(["probe", "digits", "--bundle", *bundles, "--limit", "200", "--out", str(out)]) == ExitCode.OK
    record = json.loads((out / "probe.json").read_text())
    assert [(row["method"], row["numbers"]) for row in record["rows"]] == [
        ("a", 8),
        ("PCA", 8),
        ("b", 8),
        ("c", 4),
        ("PCA", 4),
    ]
    assert (record["training_pictures"], record["test_pictures"], len(record["classes"])) == (200, 297, 10)
    with (out / "probe.csv").open() as file:
        assert [float(row["mse"]) for row in csv.DictReader(file)] == [row["mse"] for row in record["rows"]]
    assert decode(out / "probe.png").pixels.shape[2] == 3
    assert "PCA" in capsys.readouterr().out


def test_probe_trains_on_a_sets_training_part_whatever_it_is_tested_on(tmp_path: Path) -> None:
    for test in ("digits", "digits:test"):
        out = tmp_path / test.replace(":", "-")
        bundle = small_bundle(out / "small")
        arguments = ["probe", "digits", "--test", test, "--bundle", bundle, "--out", str(out)]
        assert main(arguments) == ExitCode.OK
        record = json.loads((out / "probe.json").read_text())
        assert (record["training_pictures"], record["test_pictures"]) == (1500, 297)


def test_probe_takes_photos_whose_folders_are_classes(tmp_path: Path) -> None:
    for name in ("cats", "dogs"):
        write_photos(tmp_path / "in" / name, 5)
    bundle = small_bundle(tmp_path / "a")
    assert main(["probe", str(tmp_path / "in"), "--bundle", bundle, "--out", str(tmp_path / "out")]) == ExitCode.OK
    record = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert (record["size"], record["test_pictures"], record["classes"]) == (28, 2, ["cats", "dogs"])


def test_anomalies_finds_pages_that_lost_their_half_and_judges_the_next_batch_alike(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pages(tmp_path / "normal" / "good", 40)
    write_pages(tmp_path / "batch" / "good", 8)
    write_pages(tmp_path / "batch" / "cut", 5, dark=True)
    (tmp_path / "batch" / "torn.png").write_bytes(b"no picture")
    batch, out = str(tmp_path / "batch"), tmp_path / "out"
    options = ["--steps", "60", "--size", "32", "--false-alarms", "0.1", "--held-out", "0.3"]
    normal = ["--normal", str(tmp_path / "normal"), "--class", "good"]
    assert main(["anomalies", batch, *normal, *options, "--out", str(out)]) == ExitCode.FAILED
    told = capsys.readouterr()
    assert "torn.png" in told.err + told.out
    record = json.loads((out / "anomalies.json").read_text())
    assert record["classes"]["cut"] == {"pictures": 5, "flagged": 1.0, "auroc": 1.0}
    assert record["classes"]["good"]["pictures"] == 8
    assert record["score"] == "peak"
    assert list(record["unreadable"]) == ["torn.png"]
    assert {entry["label"] for entry in record["pictures"][:5]} == {"cut"}
    with (out / "anomalies.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == [entry["name"] for entry in record["pictures"]]
    heat = decode(out / "heat" / "cut" / "00.png.png").pixels.astype(int)
    assert heat.shape == (120, 90, 3)
    red = heat[..., 0] - heat[..., 1]
    assert red[70:].mean() > 4 * red[:50].mean()
    page = (out / "anomalies.html").read_text()
    assert "cut/00.png" in page

    assert main(["photos", batch, "--bundle", str(out / "bundle"), "--out", str(tmp_path / "o")]) == ExitCode.USAGE
    assert "anomalies gives pictures back through a code and restores nothing" in capsys.readouterr().err

    again = tmp_path / "again"
    (tmp_path / "batch" / "torn.png").unlink()
    assert main(["anomalies", batch, "--model", str(out), "--class", "good", "--out", str(again)]) == ExitCode.OK
    repeated = json.loads((again / "anomalies.json").read_text())
    assert repeated["threshold"] == record["threshold"]
    scores = [{entry["name"]: entry["score"] for entry in found["pictures"]} for found in (record, repeated)]
    assert scores[1] == pytest.approx(scores[0], rel=1e-5)


def test_each_class_makes_a_table_a_picture_and_a_mean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["anomalies", "digits", "--each-class", "--steps", "120", "--out", str(out)]) == ExitCode.OK
    record = json.loads((out / "classes.json").read_text())
    assert [row["normal_class"] for row in record["rows"]] == [str(digit) for digit in range(10)]
    assert record["mean"]["auroc"] > 0.8
    assert record["mean"]["auroc"] == pytest.approx(np.mean([row["auroc"] for row in record["rows"]]))
    assert decode(out / "classes.png").pixels.ndim == 3
    assert "mean" in capsys.readouterr().out


def test_each_class_on_two_sides_finds_what_is_given_back_better(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("blank", "noise"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for index in range(24):
            page = np.full((16, 16), 110 + index, np.uint8)
            picture = page if name == "blank" else rng.integers(0, 256, (16, 16)).astype(np.uint8)
            Image.fromarray(picture).save(tmp_path / "in" / name / f"{index}.png")
    source, options = str(tmp_path / "in"), ["--size", "16", "--steps", "20", "--numbers", "2", "--held-out", "0.5"]
    command = ["anomalies", source, "--normal", source, "--each-class", *options, "--false-alarms", "0.2", "--out"]
    for two_sided, auroc in ((False, 0.0), (True, 1.0)):
        out = tmp_path / str(two_sided)
        assert main([*command, str(out), *["--two-sided"][: int(two_sided)]]) == ExitCode.OK
        record = json.loads((out / "classes.json").read_text())
        (noise,) = (row for row in record["rows"] if row["normal_class"] == "noise")
        assert (noise["auroc"], noise["pca_auroc"]) == (auroc, auroc)
        settings = {"source": source, "normal": source, "colour": False, "size": 16, "score": "peak", "numbers": 2}
        settings |= {"steps": 20, "seed": 0, "held_out": 0.5, "false_alarms": 0.2, "two_sided": two_sided}
        assert record.items() >= (settings | {"judged": 48, "unreadable": {}}).items()


def test_each_class_is_refused_before_the_first_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(*_: object, **__: object) -> None:
        raise AssertionError("it was trained")

    monkeypatch.setattr("restore.tasks.fitting.fit_reconstruction", train)
    monkeypatch.chdir(tmp_path)
    for name, count in {"in/a": 20, "in/b": 4, "one/a": 1, "both/a": 1, "both/b": 1}.items():
        write_photos(Path(name), count)
    for source, message in {
        "one": "--each-class: there are none but those of a to judge; each class needs its own and others",
        "both": "--each-class: b: --false-alarms: a share of 0.2 on one side needs 4 normal pictures",
        "in/b": "--each-class: needs classes",
    }.items():
        options = ["--normal", "in", "--each-class", "--false-alarms", "0.2", "--held-out", "0.5"]
        assert main(["anomalies", source, *options]) != ExitCode.OK
        assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["anomalies", "PHOTOS"], "--normal: name pictures that are known to be normal", ExitCode.USAGE),
        (["anomalies", "digits", "--class", "x"], "--class: x is not among the classes", ExitCode.USAGE),
        (
            ["anomalies", "digits", "--class", "3", "--each-class"],
            "--each-class: trains a network for every class",
            ExitCode.USAGE,
        ),
        (["anomalies", "digits", "--steps", "0"], "--steps: must be 1 or more", ExitCode.USAGE),
        (["anomalies", "digits", "--held-out", "1"], "--held-out: must be above 0", ExitCode.USAGE),
        (
            ["anomalies", "PHOTOS", "--normal", "PHOTOS", "--held-out", "0.99"],
            "--held-out: 0.99 of 2 normal pictures leaves none to train on; use a smaller share",
            ExitCode.USAGE,
        ),
        (
            ["anomalies", "digits", "--class", "3", "--false-alarms", "0.001"],
            "needs 999 normal pictures",
            ExitCode.USAGE,
        ),
        (["anomalies", "digits", "--model", "PHOTOS"], "is not the record of `restore anomalies`", ExitCode.USAGE),
        (
            ["anomalies", "PHOTOS", "--model", "m", "--size", "32", "--score", "mean", "--steps", "7"],
            "--model: the earlier run has settled --score, --size, --steps; leave out what it has",
            ExitCode.USAGE,
        ),
        (
            ["anomalies", "PHOTOS", "--model", "m", "--seed", "0", "--numbers", "16", "--colour", "--held-out", "0.2"],
            "--model: the earlier run has settled --held-out, --colour, --numbers, --seed;",
            ExitCode.USAGE,
        ),
        (
            ["anomalies", "digits:train", "--class", "3"],
            "digits:train: is what would be trained on; name the test part, or give --normal",
            ExitCode.USAGE,
        ),
        (["anomalies", "PHOTOS", "--normal", "PHOTOS", "--each-class"], "--each-class: needs classes", ExitCode.USAGE),
        (["probe", "digits", "--bundle", "denoise"], "has no code", ExitCode.FAILED),
        (
            ["probe", "digits:train", "--bundle", "BUNDLE"],
            "digits:train: write digits, without a part: its own parts train and test; or name --test",
            ExitCode.USAGE,
        ),
        (["probe", "mnist:in:test", "--bundle", "BUNDLE"], "mnist:in:test: write mnist:in, without", ExitCode.USAGE),
        (["probe", "digits", "--bundle", "BUNDLE", "--limit", "1"], "--limit: must be 2 or more", ExitCode.USAGE),
    ],
)
def test_mistakes_are_said_before_anything_is_trained(
    arguments: list[str],
    message: str,
    code: ExitCode,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("photos"), 2)
    named = {"PHOTOS": "photos", "BUNDLE": small_bundle(Path("small"))}
    assert main([named.get(argument, argument) for argument in arguments]) == code
    assert message in capsys.readouterr().err
    assert not list(Path().glob("anomalies/*"))
