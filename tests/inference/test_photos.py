"""Whole runs: as a function, as a command, killed in the middle, and on a disk that fills up."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import restore
from restore import BatchOptions, PhotoResult, restore_photos
from restore.cli.main import main
from restore.errors import ExitCode, OutputError, UsageError
from restore.images.codec import decode
from restore.images.files import PARTIAL_PREFIX
from restore.inference.journal import JOURNAL_FILE, Journal
from restore.inference.masks import MaskFolder
from restore.inference.photos import plan_photos
from restore.inference.restorer import Restorer
from tests.helpers.networks import write_bundle
from tests.helpers.photos import write_photos

ALL = BatchOptions(auto=False)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != JOURNAL_FILE
    }


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle") / "noise")


def test_a_second_run_does_what_is_left_and_nothing_else(tmp_path: Path, bundle: Path) -> None:
    sources = write_photos(tmp_path / "in", 3)
    before = contents(tmp_path / "in")
    first = restore_photos([tmp_path / "in"], tmp_path / "out", bundle, ALL, limit=2)
    assert [result.status for result in first] == ["restored"] * 2
    seen: list[PhotoResult] = []
    second = restore_photos([tmp_path / "in"], tmp_path / "out", bundle, ALL, on_result=seen.append)
    assert [result.status for result in second] == ["skipped", "skipped", "restored"] == [r.status for r in seen]
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.png")}
    sources[1].write_bytes(sources[2].read_bytes())
    third = restore_photos(str(tmp_path / "in"), tmp_path / "out", bundle, ALL)
    assert [result.status for result in third] == ["skipped", "restored", "skipped"]
    changed = {path.name for path, when in times.items() if path.stat().st_mtime_ns != when}
    assert changed == {"01.png"}
    assert contents(tmp_path / "in") == before | {"01.png": before["02.png"]}


def test_lists_and_patterns_keep_their_trees(tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("a", "b/c"):
        write_photos(tmp_path / "in" / folder, 1)
    results = restore_photos([tmp_path / "in" / "**" / "*.png"], tmp_path / "one", bundle, ALL)
    assert {result.target.relative_to(tmp_path).as_posix() for result in results} == {"one/a/00.png", "one/b/c/00.png"}
    listed = tmp_path / "list.txt"
    listed.write_text("in/a/00.png\r\n\nin/b/c/00.png\nin/a/gone.png\n")
    monkeypatch.chdir(tmp_path)
    command = ["photos", "--from-file", "list.txt", "--out", "two", "--bundle", str(bundle), "--no-auto"]
    assert main(command) == ExitCode.FAILED  # gone.png
    assert set(contents(tmp_path / "two")) == {"a/00.png", "b/c/00.png"}
    with pytest.raises(UsageError, match="matches no file"):
        restore_photos([tmp_path / "*.bmp"], tmp_path / "three", bundle)


def test_names_and_formats_as_asked(tmp_path: Path, bundle: Path) -> None:
    write_photos(tmp_path / "in", 1, suffix=".JPG")
    (result,) = restore_photos(
        [tmp_path / "in"], tmp_path / "out", bundle, ALL, name_suffix="_restored", file_format="png"
    )
    assert result.target.name == "00_restored.png"
    with Image.open(result.target) as image:
        assert image.format == "PNG"
    write_photos(tmp_path / "in", 1, suffix=".png")
    with pytest.raises(OutputError, match=r"00\.JPG and .*00\.png would both become .*00\.tif"):
        restore_photos([tmp_path / "in"], tmp_path / "out", bundle, ALL, file_format="tif")
    with pytest.raises(UsageError, match="format 'xyz': use one of"):
        restore_photos([tmp_path / "in"], tmp_path / "out", bundle, ALL, file_format="xyz")


def test_results_inside_a_source_folder_are_refused(tmp_path: Path, bundle: Path) -> None:
    write_photos(tmp_path / "in", 1)
    with pytest.raises(OutputError, match="lies inside the source folder"):
        restore_photos([tmp_path / "in"], tmp_path / "in" / "restored", bundle)
    assert set(contents(tmp_path)) == {"in/00.png"}


def test_outside_the_mask_every_bit_stays_also_at_16_bits_with_alpha(tmp_path: Path) -> None:
    fills = write_bundle(tmp_path / "fills", composites=True, protocol="holes")
    random = np.random.default_rng(0)
    pixels = random.integers(0, 65536, (40, 50, 4), dtype=np.uint16)
    pixels[:10, :, 3] = 0
    for name in ("in/a", "in/none", "masks"):
        (tmp_path / name).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "in" / "a" / "x.png"), pixels)
    cv2.imwrite(str(tmp_path / "in" / "none" / "y.png"), pixels)
    hole = np.zeros((40, 50), np.uint8)
    hole[5:25, 10:30] = 255
    (tmp_path / "masks" / "a").mkdir()
    cv2.imwrite(str(tmp_path / "masks" / "a" / "x.png"), hole)
    options = BatchOptions(masks=MaskFolder(tmp_path / "masks", dilate=2))
    first, second = restore_photos([tmp_path / "in"], tmp_path / "out", fills, options)
    assert (first.status, second.status) == ("restored", "copied")
    assert "no mask" in second.reason
    back = cv2.imread(str(first.target), cv2.IMREAD_UNCHANGED)
    assert back is not None
    known = cv2.dilate(hole, np.ones((5, 5), np.uint8)) == 0
    assert np.array_equal(back[known], pixels[known])
    assert np.array_equal(back[:, :, 3], pixels[:, :, 3])
    assert (back[hole > 0] != pixels[hole > 0]).mean() > 0.5
    with pytest.raises(UsageError, match="--masks"):
        restore_photos([tmp_path / "in"], tmp_path / "other", fills)


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    tmp_path: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "in", 2)
    before = contents(tmp_path)
    command = ["photos", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--bundle", str(bundle), "--dry-run"]
    assert main(command) == ExitCode.OK
    assert contents(tmp_path) == before
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path}/in/{name} -> {tmp_path}/out/{name}" for name in ("00.png", "01.png")
    ]


def test_reports_have_failures_first(tmp_path: Path, bundle: Path) -> None:
    write_photos(tmp_path / "in", 2)
    (tmp_path / "in" / "<b>.png").write_bytes(b"no picture")
    command = ["photos", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--bundle", str(bundle), "--overwrite"]
    command.append("--no-auto")
    for name in ("r.json", "r.csv", "r.html"):
        assert main([*command, "--report", str(tmp_path / name)]) == ExitCode.FAILED
    rows = json.loads((tmp_path / "r.json").read_text())["photos"]
    assert [row["status"] for row in rows[:1]] == ["failed"]
    assert [row["status"] for row in csv.DictReader((tmp_path / "r.csv").read_text().splitlines())] == [
        row["status"] for row in rows
    ]
    page = (tmp_path / "r.html").read_text()
    assert "&lt;b&gt;.png" in page
    assert "<b>.png" not in page
    assert page.count("data:image/jpeg;base64,") == 4
    assert page.index("&lt;b&gt;.png") < page.index("01.png")
    assert main([*command, "--report", str(tmp_path / "r.txt")]) == ExitCode.USAGE


def run_in_a_process(folder: Path, bundle: Path, out: str = "out") -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "restore", "photos", "in", "--out", out, "--bundle", str(bundle), "--no-auto"]
    environment = os.environ | {"PYTHONPATH": str(Path(restore.__file__).parent.parent), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_with_the_same_files(tmp_path: Path, bundle: Path) -> None:
    write_photos(tmp_path / "in", 24, (150, 200), ".jpg")
    before = contents(tmp_path / "in")
    assert run_in_a_process(tmp_path, bundle, "whole").wait(120) == 0
    expected = contents(tmp_path / "whole")
    assert len(expected) == 24
    kills = 0
    for wait_for in (1, 8, 16):
        process = run_in_a_process(tmp_path, bundle)
        while process.poll() is None and len(list((tmp_path / "out").glob("*.jpg"))) < wait_for:
            time.sleep(0.002)
        kills += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        done = contents(tmp_path / "out")
        assert all(done[name] == expected[name] for name in done if not name.endswith(".part"))
    assert kills >= 2
    assert run_in_a_process(tmp_path, bundle).wait(120) == 0
    assert contents(tmp_path / "out") == expected
    assert contents(tmp_path / "in") == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True)
    if made.returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_up_is_a_line_per_file_and_what_is_there_is_whole(
    tmp_path: Path, small_disk: Path, bundle: Path
) -> None:
    # Sources that compress well and results that do not, or too little room would be found before the first write.
    (tmp_path / "in").mkdir()
    for index in range(8):
        Image.new("RGB", (300, 300), (40 * index, 90, 60)).save(tmp_path / "in" / f"{index}.png")
    results = restore_photos([tmp_path / "in"], small_disk / "out", bundle, ALL, file_format="bmp")
    assert [result.status for result in results].count("failed") >= 6
    assert all("No space left on device" in result.reason for result in results if result.status == "failed")
    for result in results:
        if result.status == "restored":
            assert decode(result.target).pixels.shape == (300, 300, 3)
    assert not list(small_disk.rglob("*.part"))


def test_a_target_without_room_is_found_before_the_first_write(tmp_path: Path, small_disk: Path, bundle: Path) -> None:
    write_photos(tmp_path / "in", 6, (280, 280))
    with pytest.raises(OutputError, match=r"has 0.3 MB free, and the results need about 0.5 MB"):
        restore_photos([tmp_path / "in"], small_disk / "out", bundle, ALL)
    assert not (small_disk / "out").exists()


def test_a_mask_that_was_edited_is_seen_by_the_plan_and_counted_by_the_limit(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "fills", composites=True)
    write_photos(tmp_path / "in", 2)
    (tmp_path / "masks").mkdir()
    mask = np.zeros(decode(tmp_path / "in" / "00.png").pixels.shape[:2], np.uint8)
    for name in ("00.png", "01.png"):
        mask[:5] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / name)
    options = BatchOptions(auto=False, masks=MaskFolder(tmp_path / "masks"))
    plan = plan_photos([tmp_path / "in"], tmp_path / "out")
    restorer = Restorer.from_bundle(bundle, device="cpu")
    assert [result.status for result in plan.run(restorer, options)] == ["restored"] * 2
    assert [decision.work for _, decision in plan.decisions(restorer, options)] == [False, False]
    mask[:9] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / "01.png")
    assert [decision.work for _, decision in plan.decisions(restorer, options)] == [False, True]
    limited = plan.limited(restorer, options, 1)
    assert [result.status for result in limited.run(restorer, options)] == ["skipped", "restored"]


def test_a_run_below_anothers_folder_leaves_what_that_is_writing(tmp_path: Path, bundle: Path) -> None:
    write_photos(tmp_path / "in", 1)
    part = tmp_path / "out" / "sub" / f"{PARTIAL_PREFIX}0011.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half")
    with Journal(tmp_path / "out", {}):
        restore_photos([tmp_path / "in"], tmp_path / "out" / "sub", bundle, ALL)
        assert part.exists()
    restore_photos([tmp_path / "in"], tmp_path / "out" / "sub", bundle, ALL)
    assert not part.exists()


def test_a_run_that_cannot_begin_reports_nothing(tmp_path: Path, bundle: Path) -> None:
    write_photos(tmp_path / "in", 1)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    seen: list[PhotoResult] = []
    with Journal(tmp_path / "out", {}), pytest.raises(OutputError, match="another run is writing here"):
        restore_photos([tmp_path / "in"], tmp_path / "out", bundle, ALL, on_result=seen.append)
    assert seen == []
    results = restore_photos([tmp_path / "in"], tmp_path / "out", bundle, ALL)
    assert [result.status for result in results] == ["skipped", "restored"]


def test_a_format_that_is_asked_for_is_what_the_result_is(tmp_path: Path, bundle: Path) -> None:
    (source,) = write_photos(tmp_path / "in", 1)
    source.rename(tmp_path / "in" / "00.jpg")
    for clean, folder in ((True, "copied"), (False, "restored")):
        options = BatchOptions(auto=clean)
        (kept,) = restore_photos([tmp_path / "in"], tmp_path / folder, bundle, options)
        (made,) = restore_photos([tmp_path / "in"], tmp_path / f"{folder}_jpg", bundle, options, file_format="jpg")
        with Image.open(kept.target) as before, Image.open(made.target) as after:
            assert (before.format, after.format) == ("PNG", "JPEG")
    (same,) = restore_photos([tmp_path / "copied_jpg"], tmp_path / "again", bundle, file_format="jpg")
    assert same.status == "copied"
    assert same.target.read_bytes() == same.source.read_bytes()
