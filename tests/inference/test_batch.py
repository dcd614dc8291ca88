from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.errors import OutputError
from restore.images.codec import decode
from restore.images.files import find_images, plan_outputs
from restore.inference.batch import restore_files
from restore.inference.restorer import Restorer
from tests.helpers.networks import ConstantNetwork, IdentityNetwork
from tests.helpers.photos import write_photos


def identity() -> Restorer:
    return Restorer(IdentityNetwork(), device="cpu", precision="32")


def test_folders_are_mirrored_and_lossless_files_come_back_equal(tmp_path: Path) -> None:
    sources = [*write_photos(tmp_path / "in" / "a", 3), *write_photos(tmp_path / "in", 2)]
    plans = plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out")
    results = list(restore_files(identity(), plans))
    assert [result.status for result in results] == ["restored"] * 5
    for source in sources:
        target = tmp_path / "out" / source.relative_to(tmp_path / "in")
        assert np.array_equal(decode(target).pixels, decode(source).pixels)
    assert not list((tmp_path / "out").rglob("*.part"))


def test_a_broken_photo_is_reported_and_the_rest_continue(tmp_path: Path) -> None:
    good, bad, last = write_photos(tmp_path / "in", 3)
    bad.write_bytes(bad.read_bytes()[:300])
    plans = plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out")
    results = {result.source: result for result in restore_files(identity(), plans)}
    assert results[bad].status == "failed"
    assert str(bad) in results[bad].reason
    assert [results[path].status for path in (good, last)] == ["restored", "restored"]
    assert not (tmp_path / "out" / bad.name).exists()


def test_an_unforeseen_failure_of_one_photo_does_not_stop_the_others(tmp_path: Path) -> None:
    class Fails(IdentityNetwork):
        calls = 0

        def forward(self, image, mask):  # type: ignore[no-untyped-def]
            Fails.calls += 1
            if Fails.calls == 1:
                raise MemoryError("no room")
            return super().forward(image, mask)

    write_photos(tmp_path / "in", 2)
    plans = plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out")
    first, second = restore_files(Restorer(Fails(), device="cpu", precision="32"), plans)
    assert (first.status, second.status) == ("failed", "restored")
    assert "MemoryError: no room" in first.reason


def test_results_that_exist_are_kept_unless_overwriting_is_asked_for(tmp_path: Path) -> None:
    (source,) = write_photos(tmp_path / "in", 1)
    plans = plan_outputs(find_images([source]), tmp_path / "out")
    list(restore_files(identity(), plans))
    before = plans[0].target.read_bytes()
    other = Restorer(ConstantNetwork(), device="cpu", precision="32")
    (skipped,) = restore_files(other, plans)
    assert skipped.status == "skipped"
    assert plans[0].target.read_bytes() == before
    (replaced,) = restore_files(other, plans, overwrite=True)
    assert replaced.status == "restored"
    assert (decode(plans[0].target).pixels == 64).all()


def test_sources_keep_every_byte(tmp_path: Path) -> None:
    sources = write_photos(tmp_path / "in", 3)
    before = [source.read_bytes() for source in sources]
    plans = plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out")
    list(restore_files(identity(), plans, overwrite=True))
    assert [source.read_bytes() for source in sources] == before


def test_an_output_folder_that_is_the_source_folder_is_refused_before_any_write(tmp_path: Path) -> None:
    write_photos(tmp_path / "in", 2)
    with pytest.raises(OutputError, match="would replace a source"):
        plan_outputs(find_images([tmp_path / "in"]), tmp_path / "in")


def test_a_photo_turned_by_its_orientation_tag_comes_back_upright(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    Image.fromarray(pixels).save(tmp_path / "in" / "turned.png", exif=exif)
    plans = plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out")
    list(restore_files(identity(), plans))
    assert np.array_equal(decode(tmp_path / "out" / "turned.png").pixels, np.rot90(pixels, -1))
