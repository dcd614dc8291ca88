"""What the commands around codes write: never over or among sources, over results only if asked, whatever names are."""

import csv
import errno
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.cli.main import main
from restore.errors import ExitCode
from tests.helpers.networks import write_autoencoder
from tests.helpers.photos import write_photos

STRANGE = os.fsdecode(b"[odd] \xff.png")
"""A name that is not UTF-8, and markup to a program that reads any."""

ANOMALIES = ["anomalies", "in", "--normal", "normal", "--size", "28", "--steps", "2", "--numbers", "2"]
ANOMALIES += ["--held-out", "0.5", "--false-alarms", "0.3"]
EACH_CLASS = ["anomalies", "sorted", "--normal", "sorted", "--each-class", *ANOMALIES[4:]]
ENCODE = ["encode", "in", "--bundle", "map"]
PROBE = ["probe", "in", "--bundle", "map"]
COMPRESS = ["compress", "in", "--bundle", "map", "--step", "0.1"]
GENERATE = ["generate", "--bundle", "variational", "--count", "2"]
WAY = ["generate", "--bundle", "variational", "--source", "in", "--between", "00.png", "01.png", "--steps", "2"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("in"), 4)
    write_photos(Path("normal"), 8)
    for name in ("cats", "dogs"):
        write_photos(Path("sorted", name), 8)
    for kind in ("map", "variational"):
        write_autoencoder(Path(kind), kind)


def contents(folder: Path = Path()) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("arguments", "outputs"),
    [
        (ANOMALIES, ["--out"]),
        (EACH_CLASS, ["--out"]),
        (PROBE, ["--out"]),
        (COMPRESS, ["--out"]),
        (WAY, ["--out"]),
        ([*COMPRESS, "--out", "elsewhere"], ["--table .csv", "--sheet .png"]),
        (ENCODE, ["--out .npz", "--plot .png", "--duplicates .csv"]),
        ([*ENCODE, "--neighbours", "in/00.png"], ["--table .json", "--sheet .png"]),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, list) else None,
)
def test_nothing_is_written_into_a_folder_of_sources(
    arguments: list[str], outputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents()
    for output in outputs:
        option, _, suffix = output.partition(" ")
        for folder in {"in", "sorted"} & {*arguments}:
            assert main([*arguments, option, f"{folder}/deeper/made{suffix}"]) == ExitCode.FAILED
            assert f"lies inside the source folder {folder}" in capsys.readouterr().err
    assert contents() == before


def test_heat_maps_are_not_judged_by_a_second_run_in_the_folder_of_the_pages(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir("in")
    assert main(["anomalies", ".", "--normal", "../normal", *ANOMALIES[4:]]) == ExitCode.FAILED
    assert "anomalies.json: lies inside the source folder ." in capsys.readouterr().err
    assert len(contents()) == 4


def test_anomalies_writes_nothing_among_the_normal_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*ANOMALIES, "--out", "normal/report"]) == ExitCode.FAILED
    assert "lies inside the source folder normal" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [ANOMALIES, EACH_CLASS, ["probe", "sorted", *PROBE[2:]], COMPRESS])
def test_a_photo_that_cannot_be_read_is_named_and_the_others_go_on(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("in", "sorted/cats"):
        Path(folder, "torn.png").write_bytes(b"no picture")
    assert main([*arguments, "--out", "o"]) == ExitCode.FAILED
    assert "torn.png: not an image that can be read" in capsys.readouterr().err
    assert contents(Path("o"))


def test_what_cannot_be_searched_is_named_and_links_to_folders_are_no_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in/link").symlink_to("../normal")
    command = [*ENCODE, "--out", "c.npz", "--overwrite"]
    assert main(command) == ExitCode.OK
    assert "left out: in/link: a link to a folder, which is not followed" in capsys.readouterr().err
    Path("in/locked").mkdir()
    searched = os.scandir

    def refuse(path: str) -> Iterator[os.DirEntry[str]]:
        if Path(path).name == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return searched(path)

    monkeypatch.setattr("os.scandir", refuse)
    for arguments in (command, [*COMPRESS, "--out", "small"], [*ANOMALIES, "--out", "o"]):
        assert main(arguments) == ExitCode.FAILED
        told = capsys.readouterr().err
        assert told.count("left out: in/locked: this folder cannot be read (Permission denied)") == 1
    assert json.loads(Path("o/anomalies.json").read_text())["unreadable"].keys() == {"in/locked"}


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ([*ENCODE, "--plot", "in/00.png"], "in/00.png"),
        ([*ENCODE, "--neighbours", "asked.png", "--sheet", "asked.png"], "asked.png"),
        ([*WAY[:3], "--between", "sample-0000.png", "1", "--out", ".", "--steps", "2"], "between-0000.png"),
        (["compress", "asked.png", "--bundle", "map", "--out", "o", "--sheet", "asked.png"], "asked.png"),
        (["anomalies", "o/heat/asked.png.png", *ANOMALIES[2:], "--out", "o"], "o/heat/asked.png.png"),
        (["probe", "in", "--test", "o/probe.png", "--bundle", "map", "--out", "o"], "o/probe.png"),
    ],
)
def test_a_source_is_never_written_even_with_overwrite(
    arguments: list[str], output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("o/heat").mkdir(parents=True)
    (photo,) = write_photos(Path("one"), 1)
    for copy in ("asked.png", "o/heat/asked.png.png", "o/probe.png", "between-0000.png"):
        Path(copy).write_bytes(photo.read_bytes())
    Path("sample-0000.png").symlink_to("between-0000.png")
    record = {"pictures": [{"name": "asked.png", "flagged": True}]}
    Path("o/anomalies.json").write_text(json.dumps(record))
    before = contents()
    assert main([*arguments, "--overwrite"]) == ExitCode.FAILED
    assert f"{output}: would replace a source" in capsys.readouterr().err
    assert contents() == before


@pytest.mark.parametrize(
    ("arguments", "outputs"),
    [
        ([*ANOMALIES, "--out", "o"], ["anomalies.json", "anomalies.csv", "anomalies.html", "bundle/card.json"]),
        ([*EACH_CLASS, "--out", "o"], ["classes.json", "classes.csv", "classes.png"]),
        ([*PROBE, "--out", "o"], ["probe.json", "probe.csv", "probe.png"]),
        ([*GENERATE, "--out", "o"], ["sample-0000.png", "sample-0001.png", "samples.png", "generated.json"]),
        ([*WAY, "--out", "o"], ["between-0000.png", "between-0001.png", "between.png", "generated.json"]),
        ([*COMPRESS, "--out", "o", "--table", "o/t.csv", "--sheet", "o/s.png"], ["00.png.rac", "t.csv", "s.png"]),
        ([*ENCODE, "--out", "o/c.npz", "--plot", "o/m.png", "--duplicates", "o/d.csv"], ["c.npz", "m.png", "d.csv"]),
        ([*ENCODE, "--neighbours", "00.png", "--table", "o/n.csv", "--sheet", "o/s.png"], ["n.csv", "s.png"]),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value[0], str) and "." not in value[0] else None,
)
def test_results_that_exist_are_kept_until_overwrite_is_given(
    arguments: list[str], outputs: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.OK
    made = contents(Path("o"))
    assert {f"o/{output}" for output in outputs} <= made.keys()
    for output in outputs:
        for path in made:
            Path(path).unlink(missing_ok=True)
        Path("o", output).write_text("of somebody else")
        capsys.readouterr()
        assert main(arguments) == ExitCode.FAILED
        assert f"o/{output}: is there already; choose another place, or --overwrite" in capsys.readouterr().err
        assert contents(Path("o")) == {f"o/{output}": b"of somebody else"}
    assert main([*arguments, "--overwrite"]) == ExitCode.OK
    assert contents(Path("o")).keys() == made.keys()


def test_two_results_of_one_name_are_refused_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    tables = ["--duplicates", "t.csv", "--neighbours", "00.png", "--table", "./t.csv"]
    assert main([*ENCODE, *tables]) == ExitCode.FAILED
    assert "t.csv: two results would have this name" in capsys.readouterr().err
    assert not Path("t.csv").exists()


def test_decompressed_photos_are_kept_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMPRESS, "--out", "small"]) == ExitCode.OK
    command = ["decompress", "small", "--bundle", "map", "--out"]
    assert main([*command, "back"]) == ExitCode.OK
    made = contents(Path("back"))
    Path("back/02.png").write_text("of somebody else")
    assert main([*command, "back"]) == ExitCode.FAILED
    assert "back/00.png: is there already; choose another place, or --overwrite" in capsys.readouterr().err
    assert main([*command, "back", "--overwrite"]) == ExitCode.OK
    assert contents(Path("back")) == made
    assert main([*command, "small/back", "--overwrite"]) == ExitCode.FAILED
    assert "small/back: lies inside the source folder small" in capsys.readouterr().err


def test_a_folder_in_the_place_of_a_result_is_found_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.npz").mkdir()
    assert main([*ENCODE, "--out", "c.npz", "--overwrite"]) == ExitCode.FAILED
    assert "c.npz: is a folder where a result should go; choose another place" in capsys.readouterr().err


def test_the_threshold_of_other_weights_is_refused_as_an_interrupted_run_leaves_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*ANOMALIES, "--out", "o"]) == ExitCode.OK
    earlier = Path("o/anomalies.json").read_bytes()
    assert main([*ANOMALIES, "--seed", "1", "--out", "o", "--overwrite"]) == ExitCode.OK
    again = ["anomalies", "in", "--model", "o", "--out", "again", "--overwrite"]
    assert main(again) == ExitCode.OK
    Path("o/anomalies.json").write_bytes(earlier)
    capsys.readouterr()
    assert main(again) == ExitCode.FAILED
    assert "o/anomalies.json has the threshold of other weights than those of o/bundle" in capsys.readouterr().err


def test_heat_maps_of_an_earlier_run_are_gone_after_overwrite_and_other_files_are_not() -> None:
    earlier = {"old/page.png": True, "unflagged.png": False, "../beside": True}
    record = {"pictures": [{"name": name, "flagged": flagged} for name, flagged in earlier.items()]}
    for name in ("heat/old/page.png.png", "heat/unflagged.png.png", "heat/mine.png", "beside.png", "notes.txt"):
        Path("o", name).parent.mkdir(parents=True, exist_ok=True)
        Path("o", name).write_text("x")
    Path("o/anomalies.json").write_text(json.dumps(record))
    assert main([*ANOMALIES, "--out", "o", "--overwrite"]) == ExitCode.OK
    assert not Path("o/heat/old/page.png.png").exists()
    for name in ("heat/unflagged.png.png", "heat/mine.png", "beside.png", "notes.txt"):
        assert Path("o", name).read_text() == "x"


def test_pictures_of_an_earlier_run_are_gone_after_overwrite_and_other_files_are_not() -> None:
    assert main([*GENERATE[:3], "--count", "4", "--out", "o"]) == ExitCode.OK
    for name in ("mine.png", "sample-0009.png", "between.png"):
        Path("o", name).write_text("x")
    assert main([*GENERATE, "--out", "o", "--overwrite"]) == ExitCode.OK
    drawn = {"sample-0000.png", "sample-0001.png", "samples.png", "generated.json"}
    assert {path.name for path in Path("o").iterdir()} == {*drawn, "mine.png", "sample-0009.png", "between.png"}
    record = json.loads(Path("o/generated.json").read_text())
    record["pictures"] += [{"file": "mine.png"}, {"file": "../in/00.png"}]
    Path("o/generated.json").write_text(json.dumps(record))
    assert main([*WAY, "--out", "o", "--overwrite"]) == ExitCode.OK
    way = {"between-0000.png", "between-0001.png", "between.png", "generated.json"}
    assert {path.name for path in Path("o").iterdir()} == {*way, "mine.png", "sample-0009.png"}
    assert Path("in/00.png").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
class TestNamesThatAreNotUtf8:
    """Every command gets to its end, and its files can be read again."""

    @pytest.fixture(autouse=True)
    def _strange(self) -> None:
        Path("in/03.png").rename(Path("in", STRANGE))
        Path("sorted", "cats").rename(Path("sorted", STRANGE))

    def test_encode(self, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        files = ["--out", "c.npz", "--plot", "m.png", "--duplicates", "d.json", "--limit", "2", "--sheet", "s.png"]
        near = ["--neighbours", f"in/{STRANGE}", "--table", "n.json"]
        assert main([*ENCODE, *files, *near]) == ExitCode.OK
        with np.load("c.npz") as stored:
            assert STRANGE in stored["names"].tolist()
        pairs = json.loads(Path("d.json").read_text(encoding="utf-8"))
        assert STRANGE in {name for pair in pairs for name in (pair["first"], pair["second"])}
        assert main([*ENCODE, "--neighbours", "00.png", "--table", "n.csv"]) == ExitCode.OK
        assert rb"[odd] \xff.png" in capsysbinary.readouterr().out
        with Path("n.csv").open(encoding="utf-8", errors="surrogateescape") as file:
            assert STRANGE in {row["name"] for row in csv.DictReader(file)}

    def test_parquet(self) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        assert main([*ENCODE, "--out", "c.parquet"]) == ExitCode.OK
        assert r"[odd] \xff.png" in parquet.read_table("c.parquet")["name"].to_pylist()

    def test_anomalies(self, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        for path in Path("normal").iterdir():
            Image.new("L", (64, 64), 128).save(path)  # what is none of these is flagged
        Path("in", "x" + STRANGE).write_bytes(b"no picture")
        command = [*ANOMALIES, "--steps", "60", "--out", f"o{STRANGE}"]
        monkeypatch.setattr(sys, "argv", ["restore", *command])
        assert main(command) == ExitCode.FAILED
        told = capsysbinary.readouterr()
        assert rb"  [odd] \xff.png" in told.out
        assert rb"x[odd] \xff.png: not an image" in told.err
        assert rb"to look at: o[odd] \xff.png/anomalies.html" in told.out
        out = Path(f"o{STRANGE}")
        record = json.loads((out / "anomalies.json").read_text(encoding="utf-8"))
        assert STRANGE in {entry["name"] for entry in record["pictures"] if entry["flagged"]}
        assert list(record["unreadable"]) == ["x" + STRANGE]
        assert r"[odd] \xff.png" in (out / "anomalies.html").read_text(encoding="utf-8")
        assert (out / "heat" / f"{STRANGE}.png").exists()

    def test_anomalies_of_a_class(self, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        command = ["anomalies", "sorted", "--normal", "sorted", "--class", STRANGE, *ANOMALIES[4:]]
        assert main([*command, "--out", "o"]) == ExitCode.OK
        assert rb"[odd] \xff.png" in capsysbinary.readouterr().out
        assert STRANGE in json.loads(Path("o/anomalies.json").read_text(encoding="utf-8"))["classes"]

    def test_each_class(self, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
        assert main([*EACH_CLASS, "--out", "o"]) == ExitCode.OK
        assert rb"[odd] \xff.png" in capsysbinary.readouterr().out
        rows = json.loads(Path("o/classes.json").read_text(encoding="utf-8"))["rows"]
        assert STRANGE in {row["normal_class"] for row in rows}

    def test_probe(self) -> None:
        Path("map").rename(STRANGE)
        bundle = write_autoencoder(Path("map"), "map")
        command = ["probe", "sorted", "--bundle", STRANGE, str(bundle), "--out", f"o{STRANGE}"]
        assert main(command) == ExitCode.OK
        record = json.loads(Path(f"o{STRANGE}", "probe.json").read_text(encoding="utf-8"))
        assert STRANGE in record["classes"]
        assert {row["method"] for row in record["rows"]} == {STRANGE, "map", "PCA"}

    def test_compress(self) -> None:
        files = ["--table", "t.json", "--sheet", "s.png"]
        assert main([*COMPRESS, "--out", "o", *files]) == ExitCode.OK
        assert STRANGE in {row["file"] for row in json.loads(Path("t.json").read_text(encoding="utf-8"))}
        assert main(["compress", f"in/{STRANGE}", "--bundle", "map", "--step", "0.1", "--out", "again"]) == ExitCode.OK
        assert main(["decompress", "o", "--bundle", "map", "--out", "back"]) == ExitCode.OK
        assert Path("back", STRANGE).exists()

    def test_generate(self) -> None:
        way = ["generate", "--bundle", "variational", "--between", f"in/{STRANGE}", "0", "--steps", "2"]
        assert main([*way, "--out", STRANGE]) == ExitCode.OK
        about = json.loads(Path(STRANGE, "generated.json").read_text(encoding="utf-8"))
        assert about["between"][0] == f"in/{STRANGE}"
