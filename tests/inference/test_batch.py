import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
import torch
from PIL import Image

from restore import memory
from restore.corruption import MotionBlur
from restore.errors import OutputError, UsageError
from restore.images.codec import decode, read_pages
from restore.images.document import Document, Page
from restore.images.files import plan_outputs
from restore.images.samples import sample_photos
from restore.images.search import find_images, search
from restore.images.tensors import to_float, to_pixels
from restore.inference import batch
from restore.inference.batch import restore_files
from restore.inference.outcome import BatchOptions, PhotoResult
from restore.inference.restorer import Restorer
from restore.models import UNet
from restore.models.bundle import ModelCard, network_entry
from restore.seeds import generator_for
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
    (replaced,) = restore_files(other, plans, BatchOptions(overwrite=True))
    assert replaced.status == "restored"
    assert (decode(plans[0].target).pixels == 64).all()


def test_sources_keep_every_byte(tmp_path: Path) -> None:
    sources = write_photos(tmp_path / "in", 3)
    before = [source.read_bytes() for source in sources]
    plans = plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out")
    list(restore_files(identity(), plans, BatchOptions(overwrite=True)))
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


def run(folder: Path, restorer: Restorer | None = None, **options: object) -> list[PhotoResult]:
    plans = plan_outputs(find_images([folder / "in"]), folder / "out")
    return list(restore_files(restorer or identity(), plans, BatchOptions(**options)))  # type: ignore[arg-type]


def test_depth_grey_and_alpha_come_back_as_they_came(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    pictures: dict[str, npt.NDArray[Any]] = {
        "deep.png": random.integers(0, 65536, (20, 30, 3), dtype=np.uint16),
        "deep-grey.tif": random.integers(0, 65536, (20, 30), dtype=np.uint16),
        "alpha.png": random.integers(1, 256, (20, 30, 4), dtype=np.uint8),
        "grey.png": random.integers(0, 256, (20, 30), dtype=np.uint8),
    }
    for name, pixels in pictures.items():
        assert cv2.imwrite(str(tmp_path / "in" / name), pixels)
    assert [result.status for result in run(tmp_path)] == ["restored"] * 4
    for name, pixels in pictures.items():
        back = cv2.imread(str(tmp_path / "out" / name), cv2.IMREAD_UNCHANGED)
        assert back is not None
        assert back.dtype == pixels.dtype
        assert np.array_equal(back, pixels), name


def test_every_page_is_restored(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 256, (3, 20, 30), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "pages.tif", pages, photometric="minisblack")
    (result,) = run(tmp_path, Restorer(ConstantNetwork(), device="cpu", precision="32"), strength=0.5)
    assert result.status == "restored"
    with tifffile.TiffFile(tmp_path / "out" / "pages.tif") as file:
        back = np.stack([page.asarray() for page in file.pages])
    assert np.array_equal(back, np.round((pages + 63.75) / 2).astype(np.uint8))


def test_strength_blends_source_and_result(tmp_path: Path) -> None:
    (source,) = write_photos(tmp_path / "in", 1)
    before = decode(source).pixels
    run(tmp_path, Restorer(ConstantNetwork(), device="cpu", precision="32"), strength=0.25)
    expected = np.round(before * 0.75 + 0.25 * 63.75)
    assert np.abs(decode(tmp_path / "out" / source.name).pixels - expected).max() <= 1
    for wrong in (-0.1, 1.1):
        with pytest.raises(UsageError, match="strength"):
            BatchOptions(strength=wrong)


def test_the_residual_is_what_was_removed_and_the_comparison_holds_both(tmp_path: Path) -> None:
    (source,) = write_photos(tmp_path / "in", 1)
    before = decode(source).pixels
    run(tmp_path, Restorer(ConstantNetwork(), device="cpu", precision="32"), residual=True, compare=True)
    residual = decode(tmp_path / "out" / "00.png.residual.png").pixels
    assert np.array_equal(residual, np.clip(before.astype(int) - 64 + 128, 0, 255))
    assert decode(tmp_path / "out" / "00.png.compare.jpg").pixels.shape == (64, 160, 3)


def with_protocol(network: IdentityNetwork) -> Restorer:
    card = ModelCard("test", network_entry(network), protocol="gaussian-awgn")
    return Restorer(network, device="cpu", precision="32", card=card)


def test_a_clean_photo_is_copied_byte_for_byte_and_a_noisy_one_is_not(tmp_path: Path) -> None:
    clean, noisy = write_photos(tmp_path / "in", 2, (256, 256))
    pixels = decode(noisy).pixels
    noise = np.random.default_rng(0).normal(0, 15, pixels.shape)
    Image.fromarray((pixels + noise).clip(0, 255).round().astype(np.uint8)).save(noisy)
    first, second = run(tmp_path, with_protocol(ConstantNetwork()))
    assert first.status == "copied"
    assert first.reason.startswith("clean already: noise ")
    assert first.target.read_bytes() == clean.read_bytes()
    assert second.status == "restored"
    assert second.damage is not None
    assert second.damage.noise == pytest.approx(15, abs=3)
    restored = run(tmp_path, with_protocol(ConstantNetwork()), auto=False, overwrite=True)
    assert [result.status for result in restored] == ["restored"] * 2


def test_a_photo_that_moved_is_not_left_alone_by_a_bundle_that_can_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photo,) = (sample for sample in sample_photos() if sample.path.name == "coffee.png")
    clean = to_float(decode(photo.path).pixels)[None]
    (tmp_path / "in").mkdir()
    for name, image in (("still", clean), ("moved", MotionBlur((9.0, 9.0))(clean, generator_for("moved"))[0])):
        Image.fromarray(to_pixels(image[0])).save(tmp_path / "in" / f"{name}.png")
    monkeypatch.setattr(batch, "is_clean", lambda *_: True)  # as edges along the path say

    def ended(network: UNet) -> dict[str, str]:
        card = ModelCard("test", network_entry(network), protocol="gaussian-blur")
        results = run(tmp_path, Restorer(network, device="cpu", precision="32", card=card), overwrite=True)
        return {result.source.stem: result.status for result in results}

    assert ended(UNet((8, 16), 1, deconvolve=True)) == {"still": "copied", "moved": "restored"}
    assert ended(UNet((8, 16), 1)) == {"still": "copied", "moved": "copied"}


@pytest.mark.parametrize("count", [1, 3])
def test_what_a_guarded_bundle_hardly_changes_is_copied(tmp_path: Path, count: int) -> None:
    sources = write_photos(tmp_path / "in", count, (256, 256))
    for source in sources:  # noise enough that the estimate alone does not call it clean
        pixels = decode(source).pixels
        noise = np.random.default_rng(0).normal(0, 4, pixels.shape)
        Image.fromarray((pixels + noise).clip(0, 255).round().astype(np.uint8)).save(source)
    network = IdentityNetwork()
    card = ModelCard("test", network_entry(network), protocol="camera-noise", guarded=True)
    restorer = Restorer(network, device="cpu", precision="32", card=card)
    results = run(tmp_path, restorer)
    assert {result.status for result in results} == {"copied"}
    assert results[0].reason == "clean already: restoring would change it by 0.0 of 255"
    assert [r.target.read_bytes() for r in results] == [source.read_bytes() for source in sources]
    assert {r.status for r in run(tmp_path, restorer, auto=False, overwrite=True)} == {"restored"}
    other = Restorer(network, device="cpu", precision="32", card=replace(card, guarded=False))
    assert {r.status for r in run(tmp_path, other, overwrite=True)} == {"restored"}


def test_a_clean_photo_is_still_stored_as_asked(tmp_path: Path) -> None:
    (clean,) = write_photos(tmp_path / "in", 1, (256, 256))
    plans = plan_outputs(find_images([tmp_path / "in"]), tmp_path / "out", file_format="tif")
    (result,) = restore_files(with_protocol(ConstantNetwork()), plans)
    assert (result.status, result.target.name) == ("converted", "00.tif")
    assert np.array_equal(decode(result.target).pixels, decode(clean).pixels)


def test_a_source_that_changes_while_it_is_read_is_reported(tmp_path: Path) -> None:
    (source,) = write_photos(tmp_path / "in", 1)

    def slowly(document: Document) -> Iterator[Page]:
        yield from read_pages(document)
        source.write_bytes(source.read_bytes() + b"x")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "read_pages", slowly)
        (result,) = run(tmp_path)
    assert result.status == "failed"
    assert "changed or vanished while it was read" in result.reason
    assert not result.target.exists()


def test_what_is_no_picture_is_a_line_of_its_own_and_nothing_hangs(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (good,) = write_photos(folder, 1)
    (folder / "empty.png").touch()
    (folder / "text.jpg").write_text("hello")
    os.mkfifo(folder / "pipe.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "self.png").symlink_to("self.png")
    (folder / "loop").symlink_to(folder)
    odd = os.fsdecode(b"od\xffd\nname.png")
    (folder / odd).write_bytes(good.read_bytes())
    found = search([folder])
    assert [problem.path.name for problem in found.problems] == ["loop"]
    results = {result.source.name: result for result in run(tmp_path)}
    failed = {"empty.png", "text.jpg", "pipe.png", "gone.png", "self.png"}
    assert {name for name, result in results.items() if result.status == "failed"} == failed
    assert results[odd].status == "restored"
    assert results[odd].target.name == odd
    assert all(result.reason.isprintable() for result in results.values())


def test_how_much_is_read_ahead_is_bounded_by_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_photos(tmp_path / "in", 8)
    monkeypatch.setattr(batch, "_PIXELS_AHEAD", 64 * 80)  # one photo
    taken: list[int] = []
    take = memory.PixelBudget.take

    def watched(self: memory.PixelBudget, pixels: int) -> int:
        result = take(self, pixels)
        taken.append(self._used)
        return result

    monkeypatch.setattr(memory.PixelBudget, "take", watched)
    assert [result.status for result in run(tmp_path)] == ["restored"] * 8
    assert taken == [64 * 80] * 8


def test_half_a_float_that_is_not_finite_is_computed_again(tmp_path: Path) -> None:
    class Overflows(IdentityNetwork):
        def forward(self, image, mask):  # type: ignore[no-untyped-def]
            return image.float() * (float("nan") if torch.is_autocast_enabled("cpu") else 1.0)

    (source,) = write_photos(tmp_path / "in", 1)
    (result,) = run(tmp_path, Restorer(Overflows(), device="cpu", precision="bf16-mixed"))
    assert result.status == "restored"
    assert result.notes == ("values that are not finite in bf16-mixed: a tile was computed again in float32",)
    assert np.array_equal(decode(result.target).pixels, decode(source).pixels)


def test_a_network_that_is_broken_fails_and_never_writes_black(tmp_path: Path) -> None:
    class Broken(IdentityNetwork):
        def forward(self, image, mask):  # type: ignore[no-untyped-def]
            return image.float() * float("nan")

    write_photos(tmp_path / "in", 1)
    (result,) = run(tmp_path, Restorer(Broken(), device="cpu", precision="32"))
    assert (result.status, result.target.exists()) == ("failed", False)
    assert "not finite" in result.reason


def test_small_photos_of_one_size_share_a_pass_and_come_out_the_same(tmp_path: Path) -> None:
    sources = write_photos(tmp_path / "in", 12, (40, 48))
    write_photos(tmp_path / "in" / "other", 3, (32, 48))

    class Counts(UNet):
        sizes: list[int]

        def forward(self, image, mask, blur=None):  # type: ignore[no-untyped-def]
            self.sizes.append(len(image))
            time.sleep(0.02)  # in which others are read
            return super().forward(image, mask, blur)

    torch.manual_seed(0)
    network = Counts((8,), 1)
    network.sizes = []
    together = Restorer(network, device="cpu", precision="32")
    assert {result.status for result in run(tmp_path, together)} == {"restored"}
    assert sum(network.sizes) == 15
    assert len(network.sizes) < 15
    for source in sources:
        expected = together.restore(decode(source).pixels)
        difference = decode(tmp_path / "out" / source.name).pixels.astype(int) - expected
        assert np.abs(difference).max() <= 1


def test_one_bad_picture_of_those_that_share_a_pass_fails_alone(tmp_path: Path) -> None:
    class HatesWhite(IdentityNetwork):
        def forward(self, image, mask):  # type: ignore[no-untyped-def]
            if (image == 1).flatten(1).all(dim=1).any():
                raise ValueError("white")
            return image.float()

    write_photos(tmp_path / "in", 5, (40, 48))
    Image.new("RGB", (48, 40), "white").save(tmp_path / "in" / "02.png")
    results = run(tmp_path, Restorer(HatesWhite(), device="cpu", precision="32"))
    assert [result.status for result in results] == ["restored", "restored", "failed", "restored", "restored"]
