"""What the journal decides, and that no cut of it can make a result be lost or taken for done."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restore.errors import OutputError
from restore.inference.journal import (
    DONE_BEFORE,
    JOURNAL_FILE,
    Journal,
    SourceState,
    decide_without,
    state_of,
)

WORK = {"weights": "a", "strength": 1.0}


def finish(journal: Journal, source: Path, target: Path, data: bytes = b"result") -> None:
    """As the batch does it."""
    journal.begin(source, target, data)
    target.write_bytes(data)
    journal.end(source, target, state_of(source), "restored", data)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    path.write_bytes(b"source")
    return path


def decide(
    folder: Path, source: Path, target: Path, work: dict[str, object] | None = None, overwrite: bool = False
) -> str:
    with Journal(folder, work or WORK) as journal:
        decision = journal.decide(source, target, overwrite)
    return "work" if decision.work else decision.reason


def test_what_is_done_is_not_done_again_until_something_changes(tmp_path: Path, source: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    assert decide(out, source, target) == "work"
    with Journal(out, WORK) as journal:
        finish(journal, source, target)
        assert journal.decide(source, target).reason == DONE_BEFORE
    assert decide(out, source, target) == DONE_BEFORE
    assert decide(out, source, target, overwrite=True) == "work"
    assert "with another bundle or other options" in decide(out, source, target, {"weights": "b"})
    source.write_bytes(b"another source")
    assert decide(out, source, target) == "work"
    target.write_bytes(b"edited")
    assert "was changed after it was written" in decide(out, source, target)
    target.unlink()
    assert decide(out, source, target) == "work"


def test_a_result_that_was_edited_is_kept_even_where_the_source_is_unchanged(tmp_path: Path, source: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    with Journal(out, WORK) as journal:
        finish(journal, source, target)
    target.write_bytes(b"edited, and longer")
    assert "was changed after it was written" in decide(out, source, target)


def test_a_file_without_a_record_is_somebody_elses(tmp_path: Path, source: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    out.mkdir()
    target.write_bytes(b"theirs")
    assert "no record" in decide(out, source, target)
    assert decide(out, source, target, overwrite=True) == "work"


def test_a_result_whose_end_was_never_written_is_made_again(tmp_path: Path, source: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    with Journal(out, WORK) as journal:
        journal.begin(source, target, b"result")
    target.write_bytes(b"result")
    assert decide(out, source, target) == "work"


def test_what_was_begun_and_never_written_gives_no_right_to_what_stands_there(tmp_path: Path, source: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    with Journal(out, WORK) as journal:
        journal.begin(source, target, b"result")
    target.write_bytes(b"theirs")
    assert "no record" in decide(out, source, target)
    assert decide(out, source, target, overwrite=True) == "work"


def test_an_older_result_may_be_replaced_after_a_newer_one_was_begun_only(tmp_path: Path, source: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    with Journal(out, WORK) as journal:
        finish(journal, source, target)
        journal.begin(source, target, b"a newer one")
    assert decide(out, source, target) == "work"
    target.write_bytes(b"edited")
    assert "no record" in decide(out, source, target)


def test_the_result_of_another_photo_stays_even_if_size_and_time_agree(tmp_path: Path, source: Path) -> None:
    out, target, other = tmp_path / "out", tmp_path / "out" / "in.png", tmp_path / "other" / "in.png"
    other.parent.mkdir()
    other.write_bytes(b"secret")
    for path in (source, other):
        os.utime(path, (10**9, 10**9))
    with Journal(out, WORK) as journal:
        finish(journal, source, target)
    assert f"the result of another photo, {source}, stands there" in decide(out, other, target)
    assert decide(out, other, target, overwrite=True) == "work"
    with Journal(out, WORK) as journal:  # asked for, but it came to nothing
        journal.begin(other, target, b"other result")
    assert f"the result of another photo, {source}, stands there" in decide(out, other, target)
    assert decide(out, source, target) == "work"
    target.unlink()
    assert decide(out, other, target) == "work"


def test_a_photo_is_known_again_by_another_path_and_after_it_was_moved(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    monkeypatch.chdir(tmp_path)
    with Journal(out, WORK) as journal:
        finish(journal, Path("in.png"), target)
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (source, Path("in.png"), tmp_path / "link" / "in.png"):
        assert decide(out, path, target) == DONE_BEFORE
    moved = tmp_path / "elsewhere.png"
    moved.write_bytes(source.read_bytes())
    source.unlink()
    assert decide(out, moved, target) == DONE_BEFORE
    moved.write_bytes(b"edited")
    assert "the result of another photo" in decide(out, moved, target)


def test_a_mask_that_is_edited_added_or_removed_is_another_photo_to_do(tmp_path: Path, source: Path) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    mask, edited = SourceState(100, 1), SourceState(100, 2)

    def what(now: SourceState | None) -> str:
        with Journal(out, WORK) as journal:
            decision = journal.decide(source, target, mask=now)
        return "work" if decision.work else decision.reason

    for before, others in ((mask, (edited, None)), (None, (mask,))):
        with Journal(out, WORK) as journal:
            journal.begin(source, target, b"result")
            target.write_bytes(b"result")
            journal.end(source, target, state_of(source), "restored", b"result", mask=before)
        assert what(before) == DONE_BEFORE
        assert [what(other) for other in others] == ["work"] * len(others)
        target.write_bytes(b"edited")
        assert all("was changed after it was written" in what(other) for other in others)


@pytest.mark.parametrize("kind", ["a link to nowhere", "a link to itself", "a pipe", "a folder"])
def test_what_cannot_be_looked_at_stays_and_is_said(tmp_path: Path, source: Path, kind: str) -> None:
    out, target = tmp_path / "out", tmp_path / "out" / "in.png"
    with Journal(out, WORK) as journal:
        finish(journal, source, target)
    target.unlink()
    make: dict[str, Callable[[], None]] = {
        "a link to nowhere": lambda: target.symlink_to("/nowhere/x.png"),
        "a link to itself": lambda: target.symlink_to(target),
        "a pipe": lambda: os.mkfifo(target),
        "a folder": target.mkdir,
    }
    make[kind]()
    assert "what stands there cannot be read" in decide(out, source, target)
    assert not decide_without(source, target).work


def test_a_journal_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path / ("x" * 300), WORK)
    with Journal(tmp_path / ("x" * 300), WORK, write=False) as journal:
        assert journal.decide(tmp_path / "in.png", tmp_path / ("x" * 300) / "in.png").work
    (tmp_path / JOURNAL_FILE).write_bytes(b'[]\n{"step": "begin", "target": 5}\n{"step": "end"}\nnull\n')
    with Journal(tmp_path, WORK, write=False) as journal:
        assert journal.decide(tmp_path / "in.png", tmp_path / "out.png").work


def test_two_runs_cannot_write_to_one_folder(tmp_path: Path) -> None:
    with Journal(tmp_path, WORK), pytest.raises(OutputError, match="another run is writing here"):
        Journal(tmp_path, WORK)
    Journal(tmp_path, WORK).close()


def test_looking_makes_nothing(tmp_path: Path, source: Path) -> None:
    with Journal(tmp_path / "out", WORK, write=False) as journal:
        assert journal.decide(source, tmp_path / "out" / "in.png").work
    assert not (tmp_path / "out").exists()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(cut=st.integers(0, 2000), junk=st.binary(max_size=20))
def test_a_journal_cut_anywhere_never_takes_a_missing_result_for_done(
    cut: int, junk: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    sources = [folder / f"{name}.png" for name in ("a", "b\n\udcff", "ü")]
    out = folder / "out"
    for path in sources:
        path.write_bytes(b"source")
    with Journal(out, WORK) as journal:
        for path in sources:
            finish(journal, path, out / path.name)
    content = (out / JOURNAL_FILE).read_bytes()
    (out / JOURNAL_FILE).write_bytes(content[:cut] + junk)
    kept = [json.loads(line) for line in content[:cut].splitlines(keepends=True) if line.endswith(b"\n")]
    done = {entry["target"] for entry in kept if entry["step"] == "end"}
    with Journal(out, WORK) as journal:
        for path in sources:
            decision = journal.decide(path, out / path.name)
            assert (decision.reason == DONE_BEFORE) == (path.name in done)
        for path in sources:  # and it can be written on
            finish(journal, path, out / path.name)
    with Journal(out, WORK) as journal:
        assert all(journal.decide(path, out / path.name).reason == DONE_BEFORE for path in sources)
