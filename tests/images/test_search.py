"""Finding pictures: order, names, patterns, and what is passed over."""

from pathlib import Path

import pytest

from restore.errors import UsageError
from restore.images.search import find_images, search
from tests.helpers.folders import as_nobody, touch


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


@pytest.mark.parametrize("pattern", ["**/*.png", "**", "*", "*/*.png", "**/**/*.png"])
def test_patterns_follow_no_more_links_to_folders_than_a_search_does(pattern: str, tmp_path: Path) -> None:
    touch(tmp_path, "in/x.png", "in/a/y.png", "in/.hidden/z.png", "in/a/.z.png")
    for name in ("self", "again"):  # of two, every path has twice as many longer ones
        (tmp_path / "in" / name).symlink_to(".")
    (tmp_path / "in" / "link.png").symlink_to("x.png")
    found = search([tmp_path / "in" / pattern])
    expected = {"a/y.png"} if pattern == "*/*.png" else {"a/y.png", "link.png", "x.png"}
    assert [image.relative.as_posix() for image in found.images] == sorted(expected)
    assert {problem.path.name for problem in found.problems} == {"self", "again"}
    assert len(found.problems) == 2
    assert all(problem.is_link for problem in found.problems)


def test_patterns_match_as_a_shell_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.png", "a/b/2.png", "a/b/3.tif", "c/4.png", "c/[5].png", "a/.6.png")
    for pattern, expected in {
        "a/**/*.png": ["1.png", "b/2.png"],
        "*/?.png": ["a/1.png", "c/4.png"],
        "**/b/*": ["a/b/2.png", "a/b/3.tif"],
        "a/*": ["1.png", "b/2.png", "b/3.tif"],
        "a/.*": [".6.png"],
        "[ac]/[14].png": ["a/1.png", "c/4.png"],
        "c/[[]5].png": ["[5].png"],
    }.items():
        assert relatives(tmp_path / pattern) == expected, pattern
        monkeypatch.chdir(tmp_path)
        assert relatives(Path(pattern)) == expected, pattern
    with pytest.raises(UsageError, match="matches no file"):
        search([tmp_path / "nowhere" / "**" / "*.png"])


def test_a_folder_of_other_files_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt", "b/c.doc", "b/.hidden", "z.zip")
    with pytest.raises(UsageError, match=r"no photos in .*; 3 other files, the first is .*notes\.txt"):
        search([tmp_path])
    with pytest.raises(UsageError, match=r"; 1 other file, .*c\.doc"):
        search([tmp_path / "b"])
    assert find_images([tmp_path]) == []


@pytest.mark.parametrize("source", ["in", "in/**/*.png", "in/*/*.png"])
def test_a_folder_that_may_be_listed_only_is_searched(source: str, everybodys: Path) -> None:
    touch(everybodys, "in/listed/x.png")
    (everybodys / "in" / "listed" / "link").symlink_to(".")
    (everybodys / "in" / "listed").chmod(0o744)
    with as_nobody():
        assert [image.path.name for image in search([everybodys / source]).images] == ["x.png"]
