"""No run replaces a file that it must not: other photos' results, people's own files, sources, views."""

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.errors import OutputError, UsageError
from restore.images.codec import decode
from restore.images.files import PARTIAL_PREFIX
from restore.inference import batch
from restore.inference.batch import restore_files
from restore.inference.journal import DONE_BEFORE, Journal
from restore.inference.masks import MaskFolder
from restore.inference.outcome import BatchOptions, PhotoResult
from restore.inference.photos import plan_photos
from restore.inference.restorer import Restorer
from tests.helpers.networks import ConstantNetwork, IdentityNetwork
from tests.helpers.photos import write_photos


def run(folder: Path, out: Path, *, fills: bool = False, **options: object) -> list[PhotoResult]:
    restorer = Restorer(IdentityNetwork(), composites=fills, device="cpu", precision="32")
    chosen = BatchOptions(auto=False, **options)  # type: ignore[arg-type]
    return list(plan_photos([folder], out).run(restorer, chosen))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nothing can be written but the journal, until it is undone."""

    def fail(path: Path, *_: object) -> None:
        raise OutputError(f"{path}: cannot be written (No space left on device)")

    monkeypatch.setattr(batch, "write_atomically", fail)
    return monkeypatch


def test_a_second_album_leaves_the_results_of_the_first_alone(tmp_path: Path) -> None:
    write_photos(tmp_path / "one", 1)
    (tmp_path / "two").mkdir()
    shutil.copy(write_photos(tmp_path / "more", 2)[1], tmp_path / "two" / "00.png")
    out = tmp_path / "out"
    run(tmp_path / "one", out)
    before = (out / "00.png").read_bytes()
    (skipped,) = run(tmp_path / "two", out)
    assert skipped.status == "skipped"
    assert skipped.reason.startswith(f"the result of another photo, {tmp_path}/one/00.png, stands there")
    assert (out / "00.png").read_bytes() == before
    (replaced,) = run(tmp_path / "two", out, overwrite=True)
    assert replaced.status == "restored"
    (again,) = run(tmp_path / "one", out)
    assert "the result of another photo" in again.reason


def test_photos_that_are_mounted_elsewhere_are_done_before(tmp_path: Path) -> None:
    write_photos(tmp_path / "one", 2)
    run(tmp_path / "one", tmp_path / "out")
    (tmp_path / "one").rename(tmp_path / "mounted")
    assert [result.reason for result in run(tmp_path / "mounted", tmp_path / "out")] == [DONE_BEFORE] * 2


@pytest.mark.parametrize("stands_there_before", [True, False])
def test_a_write_that_failed_gives_no_right_to_somebodys_file(
    stands_there_before: bool, tmp_path: Path, full_disk: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path / "in", 1)
    theirs = tmp_path / "out" / "00.png"
    theirs.parent.mkdir()
    if stands_there_before:
        theirs.write_bytes(b"a week's work")
    (failed,) = run(tmp_path / "in", tmp_path / "out", overwrite=stands_there_before)
    assert failed.status == "failed"
    full_disk.undo()
    theirs.write_bytes(b"a week's work")
    (skipped,) = run(tmp_path / "in", tmp_path / "out")
    assert (skipped.status, theirs.read_bytes()) == ("skipped", b"a week's work")
    assert "no record" in skipped.reason


@pytest.mark.parametrize("journal", [True, False])
def test_a_file_that_appears_while_a_photo_is_restored_stays(journal: bool, tmp_path: Path) -> None:
    write_photos(tmp_path / "in", 1)
    theirs = tmp_path / "out" / "00.png"

    class Slow(IdentityNetwork):
        def forward(self, image, mask):  # type: ignore[no-untyped-def]
            theirs.parent.mkdir(exist_ok=True)
            theirs.write_bytes(b"theirs")
            return super().forward(image, mask)

    plan = plan_photos([tmp_path / "in"], tmp_path / "out")
    restorer, options = Restorer(Slow(), device="cpu", precision="32"), BatchOptions(auto=False)
    (failed,) = plan.run(restorer, options) if journal else restore_files(restorer, plan.plans, options)
    assert (failed.status, theirs.read_bytes()) == ("failed", b"theirs")
    assert "--overwrite replaces it" in failed.reason


def test_a_source_that_vanishes_before_its_result_is_written_is_said(tmp_path: Path) -> None:
    (source,) = write_photos(tmp_path / "in", 1)

    class Vanishes(IdentityNetwork):
        def forward(self, image, mask):  # type: ignore[no-untyped-def]
            source.unlink()
            return super().forward(image, mask)

    restorer = Restorer(Vanishes(), device="cpu", precision="32")
    (failed,) = plan_photos([tmp_path / "in"], tmp_path / "out").run(restorer, BatchOptions(auto=False))
    assert failed.status == "failed"
    assert failed.reason == f"{source}: changed or vanished while it was read; run again"


def test_a_source_that_changes_while_its_view_is_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = write_photos(tmp_path / "in", 1)
    encode = batch.encode  # type: ignore[attr-defined]  # imported there

    def changes(*arguments: object) -> bytes:
        os.utime(source, ns=(1, 1))  # as an editor that saves as many bytes
        return encode(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "encode", changes)
    (failed,) = run(tmp_path / "in", tmp_path / "out", compare=True)
    assert failed.reason == f"{source}: changed or vanished while it was read; run again"
    assert not (tmp_path / "out" / "00.png").exists()


def test_a_photo_is_no_mask_and_a_result_becomes_none(tmp_path: Path) -> None:
    photo = write_photos(tmp_path / "in", 1)[0]
    mask = np.zeros(decode(photo).pixels.shape[:2], np.uint8)
    mask[:5] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "00.png")
    before = (tmp_path / "masks" / "00.png").read_bytes()
    with pytest.raises(OutputError, match="lies inside the folder of masks"):
        run(tmp_path / "in", tmp_path / "masks", fills=True, masks=MaskFolder(tmp_path / "masks"), overwrite=True)
    assert (tmp_path / "masks" / "00.png").read_bytes() == before
    with pytest.raises(UsageError, match=r"00\.png: is the mask of .*00\.png and a photo to restore"):
        run(tmp_path / "in", tmp_path / "out", fills=True, masks=MaskFolder(tmp_path / "in"))
    assert not (tmp_path / "out").exists()
    (result,) = run(tmp_path / "in", tmp_path / "out", fills=True, masks=MaskFolder(tmp_path / "masks"))
    assert result.status == "restored"


VIEWS = ("00.png.residual.png", "00.png.compare.jpg")


def test_views_replace_only_views_that_were_written_before(tmp_path: Path) -> None:
    write_photos(tmp_path / "in", 1)
    out = tmp_path / "out"
    out.mkdir()
    for name in VIEWS:
        (out / name).write_bytes(b"theirs")
    (result,) = run(tmp_path / "in", out, compare=True, residual=True)
    assert result.status == "restored"
    assert [note.partition(": ")[0] for note in result.notes] == [f"{name} was not written" for name in VIEWS]
    assert all("no record" in note for note in result.notes)
    assert {(out / name).read_bytes() for name in VIEWS} == {b"theirs"}
    (result,) = run(tmp_path / "in", out, compare=True, residual=True, overwrite=True)
    assert result.notes == ()
    drawn = [(out / name).read_bytes() for name in VIEWS]
    (out / "00.png").unlink()
    (out / VIEWS[0]).write_bytes(b"edited")
    (result,) = run(tmp_path / "in", out, compare=True, residual=True)
    assert [note.partition(": ")[0] for note in result.notes] == [f"{VIEWS[0]} was not written"]
    assert [(out / name).read_bytes() for name in VIEWS] == [b"edited", drawn[1]]


def test_views_that_would_meet_a_result_are_refused_before_the_first_write(tmp_path: Path) -> None:
    source, _ = write_photos(tmp_path / "in", 2)
    shutil.copy(source, tmp_path / "in" / "00.png.residual.png")
    with pytest.raises(OutputError, match="would be a view of"):
        run(tmp_path / "in", tmp_path / "out", residual=True)
    assert not list((tmp_path / "out").glob("*.png"))
    assert len(run(tmp_path / "in", tmp_path / "out")) == 3


def test_a_view_that_no_format_holds_is_a_note_and_the_photo_is_restored(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.arange(66000, dtype=np.uint8)[None].repeat(2, 0)).save(tmp_path / "in" / "wide.png")
    (result,) = run(tmp_path / "in", tmp_path / "out", compare=True, residual=True)
    assert (result.status, len(result.notes)) == ("restored", 1)
    assert result.notes[0].startswith("wide.png.compare.jpg was not written: cannot write 132000 x 2 pixels as .jpg")
    assert decode(result.target).pixels.shape == (2, 66000)
    assert (tmp_path / "out" / "wide.png.residual.png").exists()


def test_a_source_is_not_replaced_by_another_of_its_names(tmp_path: Path) -> None:
    first, second = write_photos(tmp_path / "in", 2)
    before = second.read_bytes()

    class Links(ConstantNetwork):
        def forward(self, image, mask):  # type: ignore[no-untyped-def]
            if not (tmp_path / "out" / "00.png").exists():
                (tmp_path / "out" / "00.png").hardlink_to(second)
            return super().forward(image, mask)

    plan = plan_photos([tmp_path / "in"], tmp_path / "out")
    restorer = Restorer(Links(), device="cpu", precision="32")
    results = {result.source: result for result in plan.run(restorer, BatchOptions(auto=False, overwrite=True))}
    assert results[first].status == "failed"
    assert "would replace a source" in results[first].reason
    assert second.read_bytes() == before


@pytest.fixture
def mounted_twice(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    if subprocess.run(["mount", "--bind", str(one), str(two)], capture_output=True).returncode:
        pytest.skip("only root can mount a folder twice")
    yield one, two
    subprocess.run(["umount", str(two)], check=True)


def test_a_folder_that_is_mounted_twice_is_one_folder(mounted_twice: tuple[Path, Path]) -> None:
    one, two = mounted_twice
    (source,) = write_photos(one, 1)
    with pytest.raises(OutputError, match="would replace a source"):
        plan_photos([one], two)
    with pytest.raises(OutputError, match="would replace a source"):
        plan_photos([source], two)
    with pytest.raises(OutputError, match="lies inside the source folder"):
        plan_photos([one], two / "new", name_suffix="_restored")


def write_mask(path: Path, rows: slice) -> None:
    mask = np.zeros((64, 80), np.uint8)
    mask[rows] = 255
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(mask).save(path)


def test_masks_that_were_edited_added_or_removed_are_looked_at(tmp_path: Path) -> None:
    write_photos(tmp_path / "in", 3)
    masks = tmp_path / "masks"
    for name in ("00.png", "02.png"):
        write_mask(masks / name, slice(5))

    def statuses() -> list[str]:
        return [result.status for result in run(tmp_path / "in", tmp_path / "out", fills=True, masks=MaskFolder(masks))]

    assert statuses() == ["restored", "copied", "restored"]
    assert statuses() == ["skipped"] * 3
    write_mask(masks / "00.png", slice(10, 30))
    os.utime(masks / "00.png", (10**9, 10**9))
    write_mask(masks / "01.png", slice(10, 30))
    (masks / "02.png").unlink()
    assert statuses() == ["restored", "restored", "copied"]
    assert statuses() == ["skipped"] * 3
    (masks / "00.png").unlink()
    (masks / "00.png").symlink_to("gone.png")
    assert statuses() == ["failed", "skipped", "skipped"]


@pytest.mark.parametrize("status", ["restored", "copied"])
def test_who_may_not_read_a_source_may_not_read_its_result(status: str, tmp_path: Path) -> None:
    (source,) = write_photos(tmp_path / "in", 1)
    source.chmod(0o600)
    masks = tmp_path / "masks"
    masks.mkdir()
    options = {"compare": True} if status == "restored" else {"fills": True, "masks": MaskFolder(masks)}
    (result,) = run(tmp_path / "in", tmp_path / "out", **options)
    assert result.status == status
    written = [path for path in (tmp_path / "out").iterdir() if path.suffix in {".png", ".jpg"}]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}


def test_what_only_its_folder_kept_private_stays_private(tmp_path: Path) -> None:
    for folder, rights in (("open", 0o755), ("private", 0o700), ("private/below", 0o755), ("group", 0o750)):
        for source in write_photos(tmp_path / "in" / folder, 1):
            source.chmod(0o644)
        (tmp_path / "in" / folder).chmod(rights)
    run(tmp_path / "in", tmp_path / "out")
    found = {
        path.parent.relative_to(tmp_path / "out").as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "out").rglob("*.png")
    }
    assert found == {"open": 0o644, "private": 0o600, "private/below": 0o600, "group": 0o640}


def test_one_result_that_cannot_be_looked_at_stops_nothing(tmp_path: Path) -> None:
    write_photos(tmp_path / "in", 2)
    out = tmp_path / "out"
    run(tmp_path / "in", out)
    (out / "00.png").unlink()
    (out / "00.png").symlink_to("/nowhere/archive/00.png")
    (out / "01.png").unlink()
    first, second = run(tmp_path / "in", out)
    assert (first.status, second.status) == ("skipped", "restored")
    assert "what stands there cannot be read (No such file or directory)" in first.reason
    assert (out / "00.png").is_symlink()


def test_a_photo_that_has_the_format_asked_for_is_copied_whatever_its_suffix(tmp_path: Path) -> None:
    for folder in ("in", "masks"):
        (tmp_path / folder).mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for name, kind in (("a.jpeg", "JPEG"), ("b.jpg", "JPEG"), ("c.jpe", "PNG"), ("d.png", "PNG")):
        Image.fromarray(pixels).save(tmp_path / "in" / name, kind)
    restorer = Restorer(IdentityNetwork(), composites=True, device="cpu", precision="32")
    plan = plan_photos([tmp_path / "in"], tmp_path / "out", file_format="jpg")
    results = list(plan.run(restorer, BatchOptions(masks=MaskFolder(tmp_path / "masks"))))
    assert [(r.target.name, r.status) for r in results] == [
        ("a.jpg", "copied"),
        ("b.jpg", "copied"),
        ("c.jpg", "converted"),
        ("d.jpg", "converted"),
    ]
    for result in results:
        assert result.target.read_bytes()[:3] == b"\xff\xd8\xff"
        assert (result.target.read_bytes() == result.source.read_bytes()) == (result.status == "copied")


def test_a_run_leaves_alone_what_another_one_is_writing_in_a_folder_below(tmp_path: Path) -> None:
    write_photos(tmp_path / "in" / "sub", 1)
    write_photos(tmp_path / "in", 1)
    places = [tmp_path / "out", tmp_path / "out" / "sub"]
    for place in places:
        place.mkdir()
        (place / f"{PARTIAL_PREFIX}x.part").touch()
    with Journal(tmp_path / "out" / "sub", {}):
        assert {result.status for result in run(tmp_path / "in", tmp_path / "out")} == {"restored"}
    assert [bool(list(place.glob(f"{PARTIAL_PREFIX}*"))) for place in places] == [False, True]
