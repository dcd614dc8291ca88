"""`restore photos`: what it says, what it returns, and that no argument ends in a traceback."""

import csv
import io
import json
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restore.cli import photos
from restore.cli.main import main
from restore.errors import ExitCode
from restore.images.formats import FORMATS, RAW_SUFFIXES
from restore.inference.outcome import Job, PhotoResult
from restore.models.bundle import read_card, write_card
from tests.helpers.networks import write_autoencoder, write_bundle
from tests.helpers.photos import write_photos


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "noise")


@pytest.fixture
def command(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Restores everything in `in`, to `out`."""
    monkeypatch.chdir(tmp_path)
    return ["photos", "in", "--out", "out", "--bundle", str(bundle), "--no-auto", "--device", "cpu"]


def test_a_second_run_says_how_many_were_done_before(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(Path("in"), 2)
    assert main(command) == ExitCode.OK
    assert main(command) == ExitCode.OK
    assert capsys.readouterr().err.splitlines()[-1] == "2 done before"
    write_photos(Path("in"), 3)
    for path in sorted(Path("in").iterdir()):
        os.utime(path, (10**9, 10**9))
    Path("out/00.png").write_bytes(b"edited")
    assert main(command) == ExitCode.OK
    assert capsys.readouterr().err.splitlines()[-1].startswith("1 skipped, 1 restored, 1 done before; ")


def test_views_of_photos_that_were_done_before_need_overwriting(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(Path("in"), 2)
    main(command)
    said = "2 done before have no new views: --compare and --residual need --overwrite for them"
    main([*command, "--compare"])
    assert said in capsys.readouterr().err
    main([*command, "--compare", "--overwrite"])
    main([*command, "--compare"])
    assert said not in capsys.readouterr().err


def test_one_photo_and_one_other_file_are_one(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(Path("in"), 1)
    Path("in/notes.txt").touch()
    main(command)
    assert "1 photo, and 1 other file, left out; bundle" in capsys.readouterr().err
    write_photos(Path("in"), 2)
    Path("in/more.txt").touch()
    main([*command, "--overwrite"])
    assert "2 photos, and 2 other files, left out; bundle" in capsys.readouterr().err


def test_a_dry_run_keeps_to_the_limit(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(Path("in"), 4)
    main([*command, "--limit", "1"])
    capsys.readouterr()
    assert main([*command, "--limit", "2", "--dry-run"]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines() == [
        "in/00.png skipped: done before, and unchanged",
        "in/01.png -> out/01.png",
        "in/02.png -> out/02.png",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dilate", "2"], "--dilate: does nothing here; give --masks DIR as well"),
        (["--invert-masks"], "--invert-masks: does nothing here; give --masks DIR as well"),
        (["--max-megapixels", "inf"], "--max-megapixels: must be a number above 0, not inf"),
        (["--max-megapixels", "nan"], "--max-megapixels: must be a number above 0, not nan"),
        (["--max-megapixels", "0"], "--max-megapixels: must be a number above 0, not 0"),
        (["--max-megapixels", "1e308"], "--max-megapixels: must be a number above 0, not 1e+308"),
        (["--workers", "0"], "--workers: must be 1 or more, not 0"),
        (["--report", "folder.html"], "folder.html: is a folder, a pipe or a device; --report needs a file"),
        (["--out", "x" * 300], "cannot be written (File name too long)"),
        (["x" * 300], "no such file or folder"),
        (["in/**/*.tif"], "matches no file"),
        (["texts"], "no photos in texts; 3 other files, the first is texts/0.txt"),
        (["--bundle", "none"], "none: no such folder, and the shipped bundles are"),
        (["--out", "in"], "would replace a source"),
        (["--out", "file"], "file: is a file; --out needs a folder"),
        (["clash", "--compare"], "would be a view of clash/a.png and the result of clash/a.png.compare.jpg"),
        (["clash", "--compare", "--dry-run"], "would be a view of clash/a.png"),
    ],
)
def test_what_stops_before_the_first_photo_is_one_line_and_exit_code_2(
    command: list[str], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(Path("in"), 1)
    Path("folder.html").mkdir()
    Path("texts").mkdir()
    Path("clash").mkdir()
    for name in ("file", "clash/a.png", "clash/a.png.compare.jpg", *(f"texts/{number}.txt" for number in range(3))):
        Path(name).touch()
    if not arguments[0].startswith("--"):
        command.remove("in")
    assert main([*command, *arguments]) == ExitCode.USAGE
    told = capsys.readouterr().err.strip().splitlines()
    # A folder that cannot be made is found after the line that says what will be done.
    assert message in told[-1]
    assert len(told) == 1 + ("File name too long" in message)
    assert not Path("out").exists()


def test_a_folder_that_holds_the_run_of_another_is_exit_code_2(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from restore.inference.journal import Journal

    write_photos(Path("in"), 1)
    with Journal(Path("out"), {}):
        assert main(command) == ExitCode.USAGE
    assert "another run is writing here" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["r.html", "r.csv", "r.json"])
def test_reports_take_names_that_are_not_utf8(command: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsdecode(b"M\xfcller")
    write_photos(Path(odd), 1)
    arguments = [*command, "--report", name]
    arguments[1] = odd
    monkeypatch.setattr(sys, "argv", ["restore", *arguments])
    assert main(arguments) == ExitCode.OK
    text = Path(name).read_text(encoding="utf-8")
    assert "xfcller" in text
    if name != "r.csv":
        assert shlex.join(["restore", "photos"]) in text


def test_a_report_that_cannot_be_written_hides_neither_the_summary_nor_an_interrupt(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(Path("in"), 2)
    Path("file").touch()
    command += ["--report", "file/r.html"]
    assert main(command) == ExitCode.FAILED
    told = capsys.readouterr().err
    assert "file/r.html: cannot be written" in told
    assert "2 restored" in told

    def interrupted(results: Iterator[PhotoResult], _: int) -> Iterator[PhotoResult]:
        yield next(results)
        raise KeyboardInterrupt

    monkeypatch.setattr(photos, "_with_progress", interrupted)
    assert main(command) == ExitCode.INTERRUPTED
    assert "interrupted; what was written is whole" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".html", ".csv", ".json"])
def test_a_report_replaces_earlier_reports_and_nothing_else(
    command: list[str], suffix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = write_photos(Path("in"), 1)
    Path(f"photo{suffix}").write_bytes(source.read_bytes())
    Path(f"mine{suffix}").write_text("date,place\n", encoding="utf-8")
    alone = ["photos", f"photo{suffix}", *command[2:]]
    for arguments, message in (
        ([*command, "--report", f"mine{suffix}"], "is there already, and no report"),
        ([*alone, "--report", f"photo{suffix}"], "is a photo to restore"),
        ([*alone, "--report", f"photo{suffix}", "--overwrite"], "is a photo to restore"),
        ([*alone, "--report", f"out/photo{suffix}"], "is where a result goes"),
    ):
        assert main(arguments) == ExitCode.USAGE
        assert message in capsys.readouterr().err
    assert Path(f"photo{suffix}").read_bytes() == source.read_bytes()
    assert Path(f"mine{suffix}").read_text(encoding="utf-8") == "date,place\n"
    assert not Path("out").exists()
    assert main([*command, "--report", f"new{suffix}"]) == ExitCode.OK
    assert main([*command, "--report", f"new{suffix}"]) == ExitCode.OK
    assert "done before" in Path(f"new{suffix}").read_text(encoding="utf-8")
    assert main([*command, "--report", f"mine{suffix}", "--overwrite"]) == ExitCode.OK
    assert "restored" in Path(f"mine{suffix}").read_text(encoding="utf-8")


def test_an_interrupted_run_reports_what_was_written_and_that_it_stopped(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from restore.inference.batch import _Batch

    write_photos(Path("in"), 9)
    restored, count = _Batch._restore, 0

    def interrupted(batch: _Batch, job: Job) -> None:
        nonlocal count
        count += 1
        if count > 4:
            raise KeyboardInterrupt
        restored(batch, job)

    monkeypatch.setattr(_Batch, "_restore", interrupted)
    monkeypatch.setattr(_Batch, "_page_to_share", lambda *_: None)
    assert main([*command, "--report", "r.json"]) == ExitCode.INTERRUPTED
    there = {str(path) for path in Path("out").glob("*.png")}
    assert 1 <= len(there) <= 4  # what waited to be written is not; what was being written is
    assert f"{len(there)} restored" in capsys.readouterr().err
    report = json.loads(Path("r.json").read_text(encoding="utf-8"))
    assert (report["complete"], report["planned"], report["summary"]) == (False, 9, {"restored": len(there)})
    assert {photo["target"] for photo in report["photos"]} == there
    count = 0
    shutil.rmtree("out")
    assert main([*command, "--report", "r.json", "--limit", "6"]) == ExitCode.INTERRUPTED
    assert json.loads(Path("r.json").read_text(encoding="utf-8"))["planned"] == 6
    monkeypatch.undo()


def test_page_and_table_of_an_interrupted_run_say_so(tmp_path: Path) -> None:
    from restore.inference.report import write_report

    result = PhotoResult(Path("a.png"), tmp_path / "a.png", "restored")
    write_report(tmp_path / "r.html", [result], stopped_before=7)
    assert "Stopped before the end: this page has 1 of 7 photos." in (tmp_path / "r.html").read_text(encoding="utf-8")
    write_report(tmp_path / "r.csv", [result], stopped_before=7)
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        *_, last = csv.DictReader(file)
    assert (last["status"], last["source"]) == ("stopped", "")
    assert last["reason"].startswith("Stopped before the end: this table has 1 of 7 photos.")


def test_a_page_may_be_read_by_those_who_may_read_its_photos(command: list[str]) -> None:
    for path in write_photos(Path("in"), 2):
        path.chmod(0o644)
    assert main([*command, "--report", "open.html"]) == ExitCode.OK
    Path("in/01.png").chmod(0o600)
    assert main([*command, "--report", "r.html", "--overwrite"]) == ExitCode.OK
    assert (Path("open.html").stat().st_mode & 0o777, Path("r.html").stat().st_mode & 0o777) == (0o644, 0o600)


def test_thumbnails_are_kept_of_the_photos_that_a_report_shows() -> None:
    kept = photos._Results(3)
    for index, status in enumerate(["copied", "copied", "failed", "restored", "copied", "restored", "copied"]):
        thumbnails = None if status == "failed" else (b"before", b"after")
        kept.add(PhotoResult(Path(f"{index}"), Path("out"), status, thumbnails=thumbnails))  # type: ignore[arg-type]
    assert [result.source.name for result in kept.all if result.thumbnails] == ["0", "3", "5"]
    for index in range(7, 10):
        kept.add(PhotoResult(Path(f"{index}"), Path("out"), "restored", thumbnails=(b"before", b"after")))
    assert [result.source.name for result in kept.all if result.thumbnails] == ["3", "5", "7"]
    assert len(kept.all) == 10


@pytest.mark.parametrize(
    ("name", "training", "refused"),
    [
        ("vae", {"task": "ReconstructionAutoencoder", "corruption": "Identity()"}, True),
        ("anomalies", {}, True),
        ("noise", {"task": "ReconstructionAutoencoder", "corruption": "GaussianNoise(sigma_range=(5.0, 9.0))"}, False),
        ("anomalies", {"task": "DenoisingAutoencoder", "corruption": "OneOf(corruptions=[Identity()])"}, False),
    ],
)
def test_a_bundle_that_gives_pictures_back_is_refused_before_any_work(
    command: list[str], capsys: pytest.CaptureFixture[str], name: str, training: dict[str, str], refused: bool
) -> None:
    write_photos(Path("in"), 2)
    card = read_card(write_autoencoder(Path("b"), "map"))
    card.name, card.training = name, card.training | training
    write_card(Path("b"), card)
    for options in (["--dry-run"], ["--report", "r.html"]):
        assert main([*command, *options, "--bundle", "b"]) == (ExitCode.USAGE if refused else ExitCode.OK)
        told = capsys.readouterr().err
        if refused:
            said = "name another bundle, and this one for `restore encode` or `restore compress`"
            assert told == f"restore: {name} gives pictures back through a code and restores nothing; {said}\n"
    assert Path("out").exists() != refused


def test_the_page_names_every_format() -> None:
    page = (Path(__file__).parents[2] / "docs" / "batch.md").read_text(encoding="utf-8")
    assert (set(FORMATS) | RAW_SUFFIXES) - set(page.replace("`", " ").split()) == set()


def test_the_help_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["photos", "--help"])
    words = {word.rstrip(".,;") for word in capsys.readouterr().out.split()}
    assert (set(FORMATS) | RAW_SUFFIXES) - words == set()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_list_may_begin_as_windows_begins_texts(encoding: str, command: list[str], tmp_path: Path) -> None:
    write_photos(Path("in"), 2)
    (tmp_path / "list").write_text("in/00.png\r\nin/01.png\r\n", encoding)
    assert main([command[0], *command[2:], "--from-file", "list"]) == ExitCode.OK
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["00.png", "01.png"]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"/\n", "/: is no file"), (b"\xff\xfe\x00", "is not; store the list")]
)
def test_a_list_of_something_else_is_refused(
    content: bytes, reason: str, command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list").write_bytes(content)
    assert main([command[0], *command[2:], "--from-file", "list"]) == ExitCode.USAGE
    assert reason in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_report_is_never_a_pipe(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(Path("in"), 1)
    os.mkfifo("r.csv")
    assert main([*command, "--report", "r.csv", "--dry-run"]) == ExitCode.USAGE
    assert "r.csv: is a folder, a pipe or a device; --report needs a file" in capsys.readouterr().err


def test_names_that_the_terminal_cannot_write_are_escaped(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (photo,) = write_photos(Path("in"), 1)
    photo.rename("in/\u65c5.png")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "cp1252"))
    assert main([*command, "--dry-run"]) == ExitCode.OK
    sys.stdout.flush()
    assert written.getvalue().decode("ascii").split() == ["in/\\u65c5.png", "->", "out/\\u65c5.png"]
