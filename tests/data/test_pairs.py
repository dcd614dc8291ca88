"""Pairs: partners stay together, and on one side of the split."""

from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import torch
from PIL import Image

from restore.data import PairedDataModule, RestorationDataModule
from restore.errors import DataError, UsageError
from restore.images.codec import decode
from restore.models.bundle import find_bundle, load_bundle, read_card
from restore.tasks import DenoisingAutoencoder
from tests.helpers.networks import small_unet
from tests.helpers.photos import write_photos
from tests.helpers.training import quiet_trainer


def write_pairs(folder: Path, count: int = 6) -> None:
    """Photos as PNG, and darker by half as JPEG beside them."""
    (folder / "damaged").mkdir(parents=True)
    for path in write_photos(folder / "clean", count):
        pixels = decode(path).pixels
        Image.fromarray(pixels // 2).save(folder / "damaged" / f"{path.stem}.jpg", quality=100, subsampling=0)


def module(folder: Path, **arguments: object) -> PairedDataModule:
    settings: dict[str, object] = {"crop_size": 32, "val_crop_size": 48, "batch_size": 4, "samples_per_epoch": 16}
    data = PairedDataModule(folder / "clean", folder / "damaged", **{**settings, **arguments})  # type: ignore[arg-type]
    data.setup("fit")
    return data


def test_both_pictures_of_a_pair_get_the_same_crop_and_nothing_else(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    data = module(tmp_path)
    for taken in data.train_dataloader():
        batch = data.on_after_batch_transfer(taken, 0)
        assert batch["clean"].shape == (4, 3, 32, 32)
        assert (batch["corrupted"] * 2 - batch["clean"]).abs().mean() < 0.015
        assert not batch["mask"].any()
    (scored,) = list(data.val_dataloader())
    assert (scored["corrupted"] * 2 - scored["clean"]).abs().mean() < 0.015
    assert scored["name"] == ["05.jpg"] or scored["name"][0].endswith(".jpg")


def test_crops_are_the_same_whatever_the_cache_and_others_with_another_seed(tmp_path: Path) -> None:
    write_pairs(tmp_path)

    def crops(**arguments: object) -> torch.Tensor:
        return torch.cat([batch["damaged"] for batch in module(tmp_path, **arguments).train_dataloader()])

    assert torch.equal(crops(), crops(cache_mib=0))
    assert not torch.equal(crops(), crops(train_seed=1))


def test_a_pattern_holds_out_what_it_names(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    data = module(tmp_path, val_match="*0[01].*")
    assert data.describe()["photos"] == 4
    assert [name for batch in data.val_dataloader() for name in batch["name"]] == ["00.jpg", "01.jpg"]
    for pattern, which in (("*2016*", "none"), ("*", "all")):
        with pytest.raises(UsageError, match=f"data.val_match: {which} of the 6 pairs"):
            module(tmp_path, val_match=pattern)


def test_testing_takes_whole_pictures_of_the_held_out_pairs(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    data = PairedDataModule(tmp_path / "clean", tmp_path / "damaged", val_match="00*")
    data.setup("test")
    (loader,) = data.test_dataloader().values()
    assert [tuple(batch["clean"].shape) for batch in loader] == [(1, 3, 64, 80)]


def test_a_picture_without_a_partner_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    (tmp_path / "damaged" / "03.jpg").unlink()
    with pytest.raises(DataError, match=r"data.clean_dir: 1 of 6 pictures have no partner .* such as .*03\.png"):
        module(tmp_path)
    (tmp_path / "clean" / "03.png").unlink()
    (tmp_path / "clean" / "04.png").unlink()
    with pytest.raises(DataError, match=r"data.damaged_dir: 1 of 5 pictures have no partner .* such as .*04\.jpg"):
        module(tmp_path)


def test_two_pictures_of_one_name_and_two_sizes_of_one_pair_are_named(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    Image.fromarray(np.zeros((64, 81, 3), np.uint8)).save(tmp_path / "damaged" / "02.jpg")
    with pytest.raises(DataError, match=r"02\.jpg: 81 x 64 pixels, and .*02\.png has 80 x 64"):
        module(tmp_path)
    Image.fromarray(np.zeros((64, 80, 3), np.uint8)).save(tmp_path / "damaged" / "02.png")
    with pytest.raises(DataError, match=r"data.damaged_dir: .*02\.\w+ and .*02\.\w+ are of one name"):
        module(tmp_path)


def test_a_network_learns_from_pairs(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    data = module(tmp_path, samples_per_epoch=160, val_match="00*")
    torch.manual_seed(0)
    task = DenoisingAutoencoder(small_unet(), optimizer=lambda p: torch.optim.AdamW(p, lr=1e-2))
    quiet_trainer(tmp_path, max_epochs=3, limit_val_batches=0).fit(task, data)
    (scores,) = quiet_trainer(tmp_path).validate(task, data, verbose=False)
    assert scores["val/psnr"] > scores["val/input_psnr"] + 2.0


def test_pairs_in_one_folder_of_photos_are_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_pairs(tmp_path)
    RestorationDataModule(photos_dir=tmp_path, crop_size=32, val_crop_size=48).setup("fit")
    assert "12 of 12 photos share their name with another" in caplog.text
    assert "--config scans" in caplog.text


def test_copies_among_pairs_are_not_scored_unsaid(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_pairs(tmp_path)
    module(tmp_path, val_match="00*")
    assert "under another name" not in caplog.text
    for folder in ("clean", "damaged"):
        (original,) = (tmp_path / folder).glob("00.*")
        copyfile(original, original.with_stem("page 2"))
    module(tmp_path, val_match="00*")
    assert "data.clean_dir: 1 of 1 photos that are held out are trained on under another name" in caplog.text


def test_the_recipe_for_scans_makes_a_bundle_of_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from restore.cli.main import main

    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path)
    data = ["--data.clean_dir", "clean", "--data.damaged_dir", "damaged", "--data.crop_size", "32"]
    small = ["--data.val_crop_size", "48", "--data.batch_size", "1", "--data.samples_per_epoch", "2"]
    assert main(["fit", "-c", "scans", "--trainer.max_epochs", "1", *data, *small]) == 0
    card = load_bundle(Path("runs/scans/version_0/bundle")).card
    assert card.training["corruption"] == "Pairs(5 damaged pictures beside clean ones)"
    assert card.training["started_from"]["bundle"] == "photo"
    assert card.licence == read_card(find_bundle("photo")).licence
    assert main(["photos", "damaged", "--out", "out", "--bundle", "runs/scans/version_0/bundle"]) == 0
    assert len(list(Path("out").glob("*.jpg"))) == 6


def test_one_folder_is_no_pair(tmp_path: Path) -> None:
    write_photos(tmp_path / "pages", 4)
    data = PairedDataModule(tmp_path / "pages", tmp_path / "pages")
    with pytest.raises(DataError, match=r"data\.damaged_dir: .*pages is data\.clean_dir, too"):
        data.setup("fit")
