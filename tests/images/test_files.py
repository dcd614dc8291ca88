"""Finding pictures, planning results, and writing them whole or not at all."""

import errno
import os
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.errors import OutputError, UsageError
from restore.images.files import FoundImage, find_images, plan_outputs, write_atomically


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def relatives(*sources: Path) -> list[str]:
    return [image.relative.as_posix() for image in find_images(sources)]


def test_folders_are_searched_to_the_bottom_in_one_order(tmp_path: Path) -> None:
    touch(tmp_path, "z.png", "b/a.JPG", "a/deep/er/x.tiff", "b/A.png", "a.webp")
    assert relatives(tmp_path) == ["a/deep/er/x.tiff", "a.webp", "b/A.png", "b/a.JPG", "z.png"]
    assert [image.path for image in find_images([tmp_path])] == [tmp_path / name for name in relatives(tmp_path)]


def test_hidden_files_hidden_folders_and_other_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", ".b.png", ".cache/c.png", "d/.e/f.png", "notes.txt", "png", "g.png.part")
    assert relatives(tmp_path) == ["a.png"]


def test_sources_keep_the_order_in_which_they_were_named(tmp_path: Path) -> None:
    touch(tmp_path, "one/b.png", "one/a.png", "two/c.png")
    assert relatives(tmp_path / "two", tmp_path / "one") == ["c.png", "a.png", "b.png"]


def test_a_file_that_is_named_itself_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "scan.dat", ".hidden.png")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    assert relatives(*(tmp_path / name for name in ("scan.dat", ".hidden.png", "broken.png"))) == [
        "scan.dat",
        ".hidden.png",
        "broken.png",
    ]


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone: no such file or folder"):
        find_images([tmp_path, tmp_path / "gone"])


def test_results_keep_their_place_below_the_target(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "in/sub/a.png", "in/a.jpg")
    out = tmp_path / "out"
    plans = plan_outputs(find_images([tmp_path / "in"]), out)
    assert [plan.source for plan in plans] == [image.path for image in find_images([tmp_path / "in"])]
    assert {plan.target for plan in plans} == {out / "a.png", out / "sub/a.png", out / "a.jpg"}
    assert not out.exists()


def two_folders(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png", "two/a.png")
    return find_images([folder / "one", folder / "two"]), folder / "out"


def upper_and_lower_case(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png", "two/A.PNG")
    return find_images([folder / "one", folder / "two"]), folder / "out"


def the_sources_own_folder(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png")
    return find_images([folder / "one"]), folder / "one"


def the_sources_folder_by_a_link(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png")
    (folder / "link").symlink_to(folder / "one")
    return find_images([folder / "one"]), folder / "link"


def the_folder_of_another_source(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png", "out/a.png")
    return find_images([folder / "one", folder / "out"]), folder / "out"


def a_file_as_target(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png", "out")
    return find_images([folder / "one"]), folder / "out"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (two_folders, r"one/a\.png and .*two/a\.png would both become .*out/a\.png"),
        (upper_and_lower_case, r"one/a\.png and .*two/A\.PNG would both become .*out/A\.PNG"),
        (the_sources_own_folder, r"one/a\.png: would replace a source"),
        (the_sources_folder_by_a_link, r"link/a\.png: would replace a source"),
        (the_folder_of_another_source, r"out/a\.png: would replace a source"),
        (a_file_as_target, "out: is a file"),
    ],
)
def test_a_plan_that_would_lose_something_is_refused_and_nothing_is_written(
    case: Callable[[Path], tuple[list[FoundImage], Path]], message: str, tmp_path: Path
) -> None:
    images, out = case(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=message):
        plan_outputs(images, out)
    assert contents(tmp_path) == before


def test_a_written_file_has_its_content_and_nothing_beside_it(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new" / "folder" / "a.bin", b"first")
    write_atomically(tmp_path / "new" / "folder" / "a.bin", b"second")
    assert contents(tmp_path) == {"new/folder/a.bin": b"second"}


@pytest.mark.parametrize("step", ["os.fsync", "os.replace"])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_no_scraps(
    step: str, failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    monkeypatch.setattr(step, fail)
    expected = OutputError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write_atomically(target, b"new")
    if expected is OutputError:
        assert str(caught.value) == f"{target}: cannot be written (No space left on device)"
    assert contents(tmp_path) == {"a.png": b"old"}


def test_the_new_file_is_on_the_disk_before_the_name_is_switched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace, fsync = os.replace, os.fsync

    def watched_fsync(file: int) -> None:
        steps.append("fsync")
        fsync(file)

    def watched_replace(source: str, target: Path) -> None:
        steps.append(Path(source).read_text())
        replace(source, target)

    monkeypatch.setattr("os.fsync", watched_fsync)
    monkeypatch.setattr("os.replace", watched_replace)
    write_atomically(tmp_path / "a", b"all of it")
    assert steps == ["fsync", "all of it"]


@pytest.mark.parametrize("target", ["file/a.png", "file/sub/a.png", "folder"])
def test_a_target_that_cannot_be_written_is_named(target: str, tmp_path: Path) -> None:
    touch(tmp_path, "file", "folder/inside")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=f"{target}: cannot be written"):
        write_atomically(tmp_path / target, b"data")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_file_mode_is_what_the_umask_says(umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a", b"")
        assert os.umask(umask) == umask, "the umask was not put back"
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."}
)


@settings(max_examples=200, deadline=None)
@given(names=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=6), file_format=st.sampled_from([None, "png"]))
def test_whatever_the_names_every_result_has_its_own_place_or_the_plan_is_refused(
    names: list[tuple[str, str]], file_format: str | None
) -> None:
    root, out = Path("/nowhere/in"), Path("/nowhere/out")
    images = [
        FoundImage(Path(folder, name + ".jpg"), root / folder / (name + ".jpg"), root) for folder, name in set(names)
    ]
    keys = {unicodedata.normalize("NFC", str(image.relative)).casefold() for image in images}
    if len(keys) < len(images):
        with pytest.raises(OutputError, match="would both become"):
            plan_outputs(images, out, file_format=file_format)
        return
    plans = plan_outputs(images, out, file_format=file_format)
    assert [plan.source for plan in plans] == [image.path for image in images]
    assert len({plan.target for plan in plans}) == len(images)
    for image, plan in zip(images, plans, strict=True):
        assert plan.target.parent == (out / image.relative).parent
        assert plan.target.stem == image.relative.stem
