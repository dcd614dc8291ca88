"""Planning results, and writing them whole or not at all."""

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
from restore.images.files import (
    PlannedImage,
    check_collisions,
    check_outputs,
    check_target_folder,
    plan_outputs,
    remove_partial_files,
    write_atomically,
)
from restore.images.search import FoundImage, find_images, search
from tests.helpers.folders import as_nobody, touch


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_results_keep_their_place_below_the_target(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png", "in/sub/a.png", "in/a.jpg")
    out = tmp_path / "out"
    plans = plan_outputs(find_images([tmp_path / "in"]), out)
    assert [plan.source for plan in plans] == [image.path for image in find_images([tmp_path / "in"])]
    assert {plan.target for plan in plans} == {out / "a.png", out / "sub/a.png", out / "a.jpg"}
    assert not out.exists()


def test_a_name_that_is_too_long_is_no_file(tmp_path: Path) -> None:
    touch(tmp_path, "x.png")
    with pytest.raises(UsageError, match="no such file or folder"):
        search([tmp_path / ("n" * 300)])
    out = tmp_path / ("o" * 300)
    (plan,) = plan_outputs(search([tmp_path / "x.png"]).images, out)
    check_target_folder(out)
    remove_partial_files([out])
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(plan.target, b"")
    assert contents(tmp_path) == {"x.png": b"x"}


def test_a_target_below_a_folder_that_may_not_be_searched_is_refused(everybodys: Path) -> None:
    touch(everybodys, "in/x.png", "priv/sub/y.png")
    (everybodys / "priv").chmod(0o700)
    images, out = search([everybodys / "in"]).images, everybodys / "priv" / "sub"
    with as_nobody():
        plan_outputs(images, out)
        remove_partial_files([out])
        with pytest.raises(OutputError, match=r"priv: cannot be written to \(Permission denied\)"):
            check_target_folder(out)


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


def a_source_by_another_name(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png", "one/b.png")
    (folder / "out").mkdir()
    (folder / "out" / "a.png").hardlink_to(folder / "one" / "b.png")  # as a share that is mounted twice gives it
    return find_images([folder / "one"]), folder / "out"


def a_file_as_target(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png", "out")
    return find_images([folder / "one"]), folder / "out"


def a_source_folder_below_the_target(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "Photos/Photos/a.png")
    return find_images([folder / "Photos"]), folder


def a_folder_named_as_a_photo(folder: Path) -> tuple[list[FoundImage], Path]:
    touch(folder, "one/a.png", "two/A.png/b.png")
    return find_images([folder / "one", folder / "two"]), folder / "out"


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (two_folders, r"one/a\.png and .*two/a\.png would both become .*out/a\.png"),
        (upper_and_lower_case, r"one/a\.png and .*two/A\.PNG would both become .*out/A\.PNG"),
        (the_sources_own_folder, r"one/a\.png: would replace a source"),
        (the_sources_folder_by_a_link, r"link/a\.png: would replace a source"),
        (the_folder_of_another_source, r"out/a\.png: would replace a source"),
        (a_source_by_another_name, r"out/a\.png: would replace a source"),
        (a_file_as_target, "out: is a file"),
        (a_folder_named_as_a_photo, r"out/A\.png: would be the result of .*one/a\.png and a folder of other results"),
        (a_source_folder_below_the_target, r"Photos: lies inside the source folder .*Photos"),
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


@pytest.mark.parametrize(
    ("names", "out", "message"),
    [
        (
            ("in/x.png", "in/x.png.compare.jpg"),
            "out",
            r"out/x\.png\.compare\.jpg: would be a view of .*in/x\.png and the result of .*in/x\.png\.compare\.jpg",
        ),
        (("in/x.png", "in/X.PNG.Compare.jpg"), "out", r"would be a view of .* and the result of .*X\.PNG\.Compare"),
        (("in/x.png", "out/x.png.residual.png"), "out", r"x\.png\.residual\.png: would replace a source"),
    ],
)
def test_a_view_that_would_lose_something_is_refused(
    names: tuple[str, ...], out: str, message: str, tmp_path: Path
) -> None:
    touch(tmp_path, *names)
    plans = [
        PlannedImage(
            tmp_path / name, tmp_path / out / f"{Path(name).name}{'.tif' * name.startswith('out/')}", Path(name)
        )
        for name in names
    ]
    check_collisions(plans)
    with pytest.raises(OutputError, match=message):
        check_collisions(plans, ["residual.png", "compare.jpg"])


def test_a_file_that_is_a_source_under_another_name_is_no_place_to_write(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "same.png").hardlink_to(tmp_path / "in" / "a.png")
    photos = find_images([tmp_path / "in"])
    check_outputs(photos, [tmp_path / "out" / "other.png"], overwrite=False)
    with pytest.raises(OutputError, match=r"same\.png: would replace a source"):
        check_outputs(photos, [tmp_path / "out" / "same.png"], overwrite=True)


@pytest.mark.parametrize("second", ["a.csv", "here/../a.csv", "A.CSV", "alias/a.csv"])
def test_two_results_of_one_name_are_refused(second: str, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "alias").symlink_to(".")
    check_outputs([], [tmp_path / "a.csv", tmp_path / "here" / second], overwrite=True)
    with pytest.raises(OutputError, match="two results would have this name"):
        check_outputs([], [tmp_path / "a.csv", tmp_path / second], overwrite=True)


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


def test_a_write_that_is_called_off_at_the_end_leaves_the_old_file_and_no_scraps(tmp_path: Path) -> None:
    def call_off() -> None:
        assert (tmp_path / "a.png").read_bytes() == b"old"
        raise OutputError("somebody's file")

    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(OutputError, match="somebody's file"):
        write_atomically(tmp_path / "a.png", b"new", check=call_off)
    assert contents(tmp_path) == {"a.png": b"old"}


@pytest.mark.parametrize("target", ["file/a.png", "file/sub/a.png", "folder"])
def test_a_target_that_cannot_be_written_is_named(target: str, tmp_path: Path) -> None:
    touch(tmp_path, "file", "folder/inside")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=f"{target}: cannot be written"):
        write_atomically(tmp_path / target, b"data")
    assert contents(tmp_path) == before


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_the_file_mode_is_what_the_umask_says(umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, set_umask = os.umask(umask), os.umask
    monkeypatch.delattr("os.umask")  # it is the whole process's, and others write meanwhile
    try:
        write_atomically(tmp_path / "a", b"")
    finally:
        set_umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize(("mode", "expected"), [(0o600, 0o600), (0o640, 0o640), (0o400, 0o600), (0o777, 0o644)])
def test_a_result_may_be_read_by_nobody_who_may_not_read_its_source(mode: int, expected: int, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        write_atomically(tmp_path / "a", b"", mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == expected


def test_a_share_that_refuses_modes_takes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr("os.chmod", refuse)
    monkeypatch.setattr("pathlib.Path.chmod", refuse)
    write_atomically(tmp_path / "a", b"all of it", 0o600)
    assert contents(tmp_path) == {"a": b"all of it"}


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
