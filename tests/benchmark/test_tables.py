"""Rows of the same seeds, documents of any make, and commands that cannot work or are not all timed."""

from pathlib import Path
from typing import Any

import pytest
import torch

from restore.benchmark.cards import card_results
from restore.benchmark.plan import Plan, plan_cells, time_method
from restore.benchmark.plots import plot_growth
from restore.benchmark.sets import open_set
from restore.benchmark.tables import check_markers, fill_in, table_lines
from restore.benchmark.timing import macs_per_pixel
from restore.cli.main import main
from restore.errors import ExitCode, RestoreError, UsageError
from restore.inference.restorer import Restorer
from tests.helpers.networks import write_autoencoder, write_bundle
from tests.helpers.photos import write_photos

SPEED = {"quality": [], "speed": [{"name": "a", "machine": "m", "text": "1 s"}], "methods": []}


def entry(method: str, kind: str, psnr: float, condition: str = "sigma 15", seeds: tuple[int, ...] = (0,)) -> Any:
    return {
        "protocol": "gaussian-awgn",
        "set": "s",
        "condition": condition,
        "kind": kind,
        "method": method,
        "identity": "w card c 32 cpu tiles of 768 torch 2",
        "fingerprint": "f",
        "images": 1,
        "psnr": psnr,
        "ssim": 0.9,
        "hole_psnr": None,
        "spread": None,
        "known": False,
        "seeds": list(seeds),
    }


def test_no_row_mixes_seeds_and_each_says_its_own_where_they_differ() -> None:
    three = (0, 1, 2)
    quality = [entry("input", "input", 20.0), entry("a", "bundle", 30.0), entry("b", "bundle", 29.0)]
    assert [line[0] for line in table_lines("gaussian-awgn", {"quality": quality})] == [
        "",
        "s (1 pictures), input",
        "s, `a`",
        "s, `b`",
    ]
    quality += [entry("a", "bundle", 27.0, "sigma 25", three), entry("input", "input", 18.0, "sigma 25", three)]
    quality += [entry("c", "bundle", 10.0, "sigma 25", (7,))]
    assert table_lines("gaussian-awgn", {"quality": quality})[1:] == [
        ["s (1 pictures), input, seed 0", "20.00 / 0.900", ""],
        ["s (1 pictures), input, seeds 0, 1, 2", "", "18.00 / 0.900"],
        ["s, `a`, seed 0", "**30.00** / 0.900", ""],
        ["s, `a`, seeds 0, 1, 2", "", "**27.00** / 0.900"],
        ["s, `b`, seed 0", "29.00 / 0.900", ""],
        ["s, `c`, seed 7", "", "10.00 / 0.900"],
    ]


def test_cards_hold_an_entry_for_each_choice_of_seeds_beside_others_of_the_same() -> None:
    quality = [entry("a", "bundle", 30.0), entry("a", "bundle", 27.0, "sigma 25", (0, 1))]
    quality += [entry("input", "input", 20.0), entry("input", "input", 18.0, "sigma 25", (0,))]
    quality += [entry("old", "classical", 25.0), entry("old", "classical", 22.0, "sigma 25", (0, 1))]
    one, several = card_results({"quality": quality, "methods": []}, "a", "w")
    assert (one["seed"], several["seed"]) == (0, "0, 1")
    assert [row["condition"] for row in one["results"]] == ["sigma 15"]
    assert one["results"][0]["input_psnr"] == 20.0
    assert several["results"][0]["baseline_psnr"] == 22.0
    assert "input_psnr" not in several["results"][0]


def test_a_method_that_was_timed_on_a_smaller_picture_says_so() -> None:
    cost = {"name": "slow", "parameters": None, "macs_per_pixel": None, "megapixels_per_second": 0.1}
    cost |= {"peak_megabytes": 12.3, "precision": "", "threads": 2, "machine": "m"}
    costs = [cost, cost | {"side": 768}, cost | {"side": 192}]  # older ones do not tell
    assert [line[4] for line in table_lines("methods", {"methods": costs})[1:]] == ["12", "12", "12 for 192 x 192"]


def test_growth_is_drawn_of_one_bundle_in_one_precision(tmp_path: Path) -> None:
    def point(bundle: str, megapixels: int) -> list[dict[str, Any]]:
        setting = {"bundle": bundle, "precision": "auto"}
        entry = {"machine": "m", "megapixels": megapixels, "value": 1.0, "setting": setting}
        return [entry | {"unit": unit} for unit in ("s", "MB")]

    assert not plot_growth({"speed": [*point("a", 1), *point("b", 4)]}, tmp_path / "growth.png")
    assert plot_growth({"speed": [*point("a", 1), *point("b", 1), *point("b", 4)]}, tmp_path / "growth.png")


def test_blanks_in_markers_and_the_line_ends_of_a_document_are_kept() -> None:
    document = "x\r\n<!--benchmark  speed-->  \r\nold\r\n<!--  / benchmark-->\r\ny\n`<!-- benchmark NAME -->`\n"
    check_markers(document)
    filled = fill_in(document, SPEED)
    assert filled == document.replace("old\r\n", "|  | m |\r\n|---|---|\r\n| a | 1 s |\r\n")
    assert fill_in(filled, SPEED) == filled


@pytest.mark.parametrize("name", ["README.md", "docs/evaluation.md", "docs/performance.md"])
def test_the_markers_of_our_documents_are_whole(name: str) -> None:
    check_markers((Path(__file__).parents[2] / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("nothing", "no marker says where a table goes"),
        ("x\n<!-- benchmark speed -->\n", "line 2: half a pair"),
        ("<!-- /benchmark -->\n", "line 1: half a pair"),
        ("<!-- benchmark speed -->\n<!-- benchmark worst -->\n<!-- /benchmark -->", "line 1: half a pair"),
        ("<!-- benchmark speed --><!-- /benchmark -->", "line 1: half a pair"),
        ("<!-- benchmark -->\n<!-- /benchmark -->", "line 1: half a pair"),
        ("<!-- benchmark sped -->\n<!-- /benchmark -->", "line 1: no table 'sped'; there are gaussian-awgn"),
    ],
)
def test_markers_that_cannot_be_filled_are_refused(document: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        check_markers(document)


def test_what_cannot_work_is_refused_before_measuring(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "set", 1)
    (tmp_path / "page.md").write_text("no marker")
    bundle = str(write_bundle(tmp_path / "noise"))
    command = [
        "benchmark",
        str(tmp_path / "set"),
        "--bundle",
        bundle,
        "--device",
        "cpu",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*command, "--document", str(tmp_path / "page.md")]) == ExitCode.USAGE
    assert "page.md: no marker says" in capsys.readouterr().err
    assert main([*command, "--protocol", "holes-by-share", "--share", "0.1", "0.2"]) == ExitCode.USAGE
    message = " ".join(capsys.readouterr().err.split())
    assert "--protocol: holes-by-share: none of" in message
    assert "takes a mask; add `--bundle inpaint`" in message
    assert not (tmp_path / "out").exists()


def test_scores_are_kept_where_a_method_cannot_be_timed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        assert "noise" in (tmp_path / "out" / "results.json").read_text()
        raise RestoreError("too large")

    monkeypatch.setattr("restore.benchmark.plan.time_method", fail)
    write_photos(tmp_path / "set", 1)
    (tmp_path / "page.md").write_bytes(b"\xc3\xa9\r\n<!-- benchmark clean -->\r\n<!-- /benchmark -->\r\n")
    command = ["benchmark", str(tmp_path / "set"), "--bundle", str(write_bundle(tmp_path / "noise"))]
    command += ["--protocol", "clean", "--device", "cpu", "--precision", "32", "--out", str(tmp_path / "out")]
    assert main([*command, "--document", str(tmp_path / "page.md")]) == ExitCode.OK
    assert "noise: not timed (too large)" in capsys.readouterr().out
    page = (tmp_path / "page.md").read_bytes()
    assert page.startswith(b"\xc3\xa9\r\n")
    assert page.count(b"\n") == page.count(b"\r\n") == 6


def test_a_grey_network_is_timed_on_grey_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("restore.benchmark.plan._SIDE", 64)
    monkeypatch.setattr("restore.benchmark.plan._SLOW_SIDE", 32)
    write_photos(tmp_path / "set", 1)
    restorer = Restorer.from_bundle(write_autoencoder(tmp_path / "vector"), device="cpu", precision="32")
    plan = Plan([open_set(str(tmp_path / "set"))], {"vector": restorer}, ["clean"], classical="none")
    (only,) = plan_cells(plan)
    cost = time_method(only, repeat=1)
    assert cost["megapixels_per_second"] > 0
    assert cost["macs_per_pixel"] == macs_per_pixel(restorer.network) > 0
    told = (cost["side"], cost["repeat"], cost["threads"])
    assert told == (64, 1, torch.get_num_threads())
    monkeypatch.setattr("restore.benchmark.plan._SLOW_SECONDS", 0.0)
    slow = time_method(only, repeat=5)
    assert (slow["side"], slow["repeat"]) == (32, 1)
