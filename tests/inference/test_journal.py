"""What the journal decides, and that no cut of it can make a result be lost or taken for done."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restore.errors import OutputError
from restore.inference.journal import DONE_BEFORE, JOURNAL_FILE, Journal, state_of

WORK = {"weights": "a", "strength": 1.0}


def finish(journal: Journal, source: Path, target: Path, data: bytes = b"result") -> None:
    """As the batch does it."""
    journal.begin(source, target)
    target.write_bytes(data)
    journal.end(source, target, state_of(source), "restored", data)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.png"
    path.write_bytes(b"source")
    return path


def decide(folder: Path, source: Path, target: Path, work: dict[str, object] | None = None, **options: bool) -> str:
    with Journal(folder, work or WORK) as journal:
        decision = journal.decide(source, target, **options)
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
        journal.begin(source, target)
    target.write_bytes(b"res")
    assert decide(out, source, target) == "work"


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
