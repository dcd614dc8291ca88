import random
from pathlib import Path
from shutil import copyfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from restore.corruption import (
    Compose,
    Corruption,
    GaussianBlur,
    GaussianNoise,
    Identity,
    JpegCompression,
    StrokeMask,
)
from restore.data import RestorationDataModule
from restore.data.dataset import split_photos
from restore.errors import DataError, UnreadableImageError, UsageError
from restore.images.search import find_images
from restore.images.tensors import to_float
from restore.seeds import generator_for
from tests.helpers.photos import write_photos


def crops(data: RestorationDataModule, epoch: int = 0) -> list[Tensor]:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(epoch)  # type: ignore[attr-defined]  # ours has it; Lightning calls it
    return [batch["clean"] for batch in loader]


def module(folder: Path | None, **arguments: object) -> RestorationDataModule:
    settings: dict[str, object] = {"crop_size": 32, "val_crop_size": 48, "batch_size": 4, "samples_per_epoch": 16}
    data = RestorationDataModule(photos_dir=folder, **{**settings, **arguments})  # type: ignore[arg-type]
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder / "a", 4)
    write_photos(folder / "b", 4, suffix=".jpg")
    return folder


def test_workers_give_the_crops_that_one_process_gives_and_epochs_differ(photos: Path) -> None:
    alone = crops(module(photos))
    with_workers = crops(module(photos, num_workers=2))
    assert all(torch.equal(a, b) for a, b in zip(alone, with_workers, strict=True))
    flat = torch.cat(alone).flatten(1)
    assert len(torch.unique(flat, dim=0)) == len(flat), "two samples of one epoch are the same crop"
    later = torch.cat(crops(module(photos), epoch=1)).flatten(1)
    assert len(torch.unique(torch.cat([flat, later]), dim=0)) == 2 * len(flat), "epochs repeat a crop"


def test_a_target_stays_within_the_range_of_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "white").save(tmp_path / "white.png")
    Image.new("RGB", (64, 64), "white").save(tmp_path / "other.png")
    data = module(tmp_path, target=GaussianBlur((0.4, 1.4)))
    for batch in data.train_dataloader():
        clean = data.on_after_batch_transfer(batch, 0)["clean"]
        assert clean.max() <= 1.0
        assert clean.min() > 0.99


def test_a_target_is_what_the_network_is_to_give_back(photos: Path) -> None:
    blur = GaussianBlur((2.0, 2.0))
    data = module(photos, target=blur, corruption=Identity())
    drawn = next(iter(data.train_dataloader()))
    batch = data.on_after_batch_transfer(dict(drawn), 0)
    sharp = to_float(drawn["clean"])
    assert torch.equal(batch["clean"], blur(sharp, generator_for(0)).image.clamp(0.0, 1.0))
    assert torch.equal(batch["corrupted"], batch["clean"])
    assert (batch["clean"] - sharp).abs().max() > 0.05


def test_global_random_state_neither_decides_nor_moves(photos: Path) -> None:
    def states() -> tuple[object, ...]:
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    torch.manual_seed(1)
    first = crops(module(photos))
    torch.manual_seed(2)
    data = module(photos)
    before = states()
    dataset = data.train_dataloader().dataset
    batch = [dataset[draw] for draw in range(4)]
    data.on_after_batch_transfer({"clean": torch.stack([crop["clean"] for crop in batch]), "draw": torch.arange(4)}, 0)
    assert states() == before
    assert all(torch.equal(a, b) for a, b in zip(first, crops(module(photos)), strict=True))


def test_no_batch_or_epoch_or_rank_repeats_a_noise_pattern(photos: Path) -> None:
    data = module(photos, corruption=GaussianNoise((25, 25)), grey_share=0.0)
    grey = torch.full((4, 3, 32, 32), 128, dtype=torch.uint8)
    draws = [torch.arange(start, start + 4) for start in (0, 4, 16)]
    noise = [data.on_after_batch_transfer({"clean": grey, "draw": draw}, 0)["corrupted"] for draw in draws]
    again = data.on_after_batch_transfer({"clean": grey, "draw": draws[0]}, 0)["corrupted"]
    assert torch.equal(noise[0], again)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        correlation = np.corrcoef(noise[a].flatten(), noise[b].flatten())[0, 1]
        assert abs(correlation) < 0.05


def test_ranks_share_out_the_draws(photos: Path) -> None:
    from restore.data.augment import CropAugmentation
    from restore.data.dataset import CropDataset, CropSampler, PhotoStore

    store = PhotoStore(find_images([photos]), 32)
    dataset = CropDataset(store, CropAugmentation(32, 0.0), 16, seed=0)
    shares = []
    for rank in range(2):
        sampler = CropSampler(dataset, 2, rank, shuffle=True, seed=0)
        sampler.set_epoch(3)
        shares.append(list(sampler))
    assert sorted(shares[0] + shares[1]) == list(range(48, 64))


def test_a_batch_holds_clean_corrupted_and_mask_as_stated(photos: Path) -> None:
    data = module(photos, corruption=StrokeMask((0.2, 0.2), fill=1.0))
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
    clean, corrupted, mask = batch["clean"], batch["corrupted"], batch["mask"]
    assert clean.dtype == corrupted.dtype == mask.dtype == torch.float32
    assert clean.shape == corrupted.shape == (4, 3, 32, 32)
    assert mask.shape == (4, 1, 32, 32)
    assert 0 <= clean.min() <= clean.max() <= 1
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    missing = mask.expand_as(clean) == 1
    assert (corrupted[missing] == 1.0).all()
    assert torch.equal(corrupted[~missing], clean[~missing])


def test_about_the_asked_for_share_of_crops_is_grey() -> None:
    data = module(None, grey_share=0.5, samples_per_epoch=256, batch_size=64, crop_size=16, val_share=0.01)
    clean = torch.cat(crops(data))
    coloured = (clean != clean[:, :1]).flatten(1).any(1)
    from_colour = coloured.float().mean()  # two of the six photos are grey already
    assert 0.2 < from_colour < 0.5


def test_scored_damage_is_the_same_for_any_batch_size_and_number_of_workers(photos: Path) -> None:
    def validation(**arguments: object) -> Tensor:
        data = module(photos, val_share=0.5, **arguments)
        (loader,) = data.val_dataloader().values()
        return torch.cat([batch["corrupted"] for batch in loader])

    reference = validation(batch_size=1)
    assert torch.equal(reference, validation(batch_size=3))
    assert torch.equal(reference, validation(batch_size=2, num_workers=2))
    assert not torch.equal(reference, validation(seed=1))


def test_a_seed_for_training_changes_crops_and_damage_and_nothing_that_is_scored(photos: Path) -> None:
    first, second = module(photos, val_share=0.5), module(photos, val_share=0.5, train_seed=1)
    for one, other in zip(*(next(iter(data.val_dataloader().values())) for data in (first, second)), strict=True):
        assert torch.equal(one["clean"], other["clean"])
        assert torch.equal(one["corrupted"], other["corrupted"])
    assert not torch.equal(crops(first)[0], crops(second)[0])
    batch = next(iter(first.train_dataloader()))
    damaged = [data.on_after_batch_transfer(dict(batch), 0)["corrupted"] for data in (first, second)]
    assert not torch.equal(*damaged)
    again = module(photos, val_share=0.5, seed=0, train_seed=0)
    assert torch.equal(crops(first)[0], crops(again)[0])


@pytest.mark.parametrize("option", ["val_dir", "test_dir"])
def test_photos_of_training_are_not_scored(option: str, tmp_path: Path) -> None:
    write_photos(tmp_path / "all", 4, (64, 80))
    write_photos(tmp_path / "all" / "held out", 2, (64, 80))
    (tmp_path / "link").symlink_to(tmp_path / "all" / "held out")
    for folder in ("all/held out", "link"):
        with pytest.raises(
            DataError, match=f"data.{option}: 2 of its 2 photos are in data.photos_dir too, such as .*00"
        ):
            module(tmp_path / "all", **{option: tmp_path / folder})


def test_copies_of_training_photos_are_not_scored_unsaid(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_photos(tmp_path / "all", 4, (64, 80))
    (tmp_path / "val").mkdir()
    copyfile(tmp_path / "all" / "02.png", tmp_path / "val" / "other.png")
    module(tmp_path / "all")
    assert "trained on under another name" not in caplog.text
    module(tmp_path / "all", val_dir=tmp_path / "val")
    assert "data.val_dir: 1 of 1 photos that are held out are trained on under" in caplog.text
    for photo in sorted((tmp_path / "all").iterdir()):
        copyfile(photo, photo.with_name(f"again {photo.name}"))
        (photo.with_name(f"link {photo.name}")).symlink_to(photo)
    module(tmp_path / "all", val_share=0.2)
    assert "2 of 2 photos that are held out are trained on under another name" in caplog.text


def test_bad_files_of_both_parts_are_said_at_once(tmp_path: Path) -> None:
    for part, size in (("train", (64, 80)), ("val", (72, 96))):
        write_photos(tmp_path / part, 2, size)
        (tmp_path / part / f"{part}.jpg").write_bytes(f"no photo to {part}".encode())
    with pytest.raises(DataError, match=r"val\.jpg.*; .*train\.jpg"):
        module(tmp_path / "train", val_dir=tmp_path / "val")


def test_scores_of_damage_that_training_never_shows_are_warned_of(
    photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise: dict[str, Corruption] = {"noise25": GaussianNoise((25, 25))}
    module(photos, corruption=Compose([GaussianBlur(), GaussianNoise()]), evaluation=noise).train_dataloader()
    module(photos, corruption=JpegCompression()).train_dataloader()
    assert "data.evaluation scores" not in caplog.text
    module(photos, corruption=Compose([JpegCompression()]), evaluation=noise).train_dataloader()
    assert "data.evaluation scores GaussianNoise, but training has JpegCompression: best step" in caplog.text


def test_testing_takes_whole_photos_and_leaves_grey_ones_grey(tmp_path: Path) -> None:
    write_photos(tmp_path, 6, (50, 71))
    data = RestorationDataModule(test_dir=tmp_path)
    data.setup("test")
    (loader,) = data.test_dataloader().values()
    shapes = [tuple(batch["clean"].shape) for batch in loader]
    assert shapes.count((1, 1, 50, 71)) == 2
    assert shapes.count((1, 3, 50, 71)) == 4


def test_named_corruptions_become_loaders_of_that_name(photos: Path) -> None:
    data = module(photos, evaluation={"weak": GaussianNoise((5, 5)), "strong": GaussianNoise((50, 50))})
    deviations = {
        name: float((batch["corrupted"] - batch["clean"]).std() * 255)
        for name, loader in data.val_dataloader().items()
        for batch in loader
    }
    assert deviations == {"weak": pytest.approx(5, rel=0.05), "strong": pytest.approx(50, rel=0.05)}


def test_the_split_follows_names_and_seed_and_keeps_photos_apart(photos: Path) -> None:
    found = find_images([photos])
    parts = split_photos(found, 0.25, seed=0)
    assert len(parts["val"]) == 2
    assert sorted(parts["train"] + parts["val"]) == sorted(found)
    assert split_photos(found[::-1], 0.25, seed=0)["val"] == parts["val"][::-1]
    assert any(split_photos(found, 0.25, seed)["val"] != parts["val"] for seed in range(1, 5))
    for seed in range(3):
        (loader,) = module(photos, val_share=0.25, seed=seed).val_dataloader().values()
        names = [photo.relative.as_posix() for photo in split_photos(found, 0.25, seed)["val"]]
        assert [name for batch in loader for name in batch["name"]] == names


def test_every_command_has_photos_without_any_data() -> None:
    data = module(None, crop_size=128, val_crop_size=128)
    assert data.describe()["photos"] == 5
    assert data.describe()["validation_photos"] == 1


def test_photos_over_the_memory_limit_are_decoded_on_demand_with_the_same_result(photos: Path) -> None:
    for cached, streamed in zip(crops(module(photos)), crops(module(photos, cache_mib=0)), strict=True):
        assert torch.equal(cached, streamed)


def test_folders_may_be_strings(photos: Path) -> None:
    as_text = RestorationDataModule(
        photos_dir=str(photos / "a"), val_dir=str(photos / "b"), crop_size=32, val_crop_size=48
    )
    as_text.setup("fit")
    assert as_text.describe()["photos"] == as_text.describe()["validation_photos"] == 4


def test_a_folder_that_is_missing_or_empty_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.photos_dir: .*nowhere is not a folder"):
        module(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no photos"):
        module(tmp_path)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"data\.photos_dir: no photos in .*; 1 other file, and it is .*notes\.txt"):
        module(tmp_path)


def test_a_photo_smaller_than_the_crop_is_named_with_its_size(tmp_path: Path) -> None:
    write_photos(tmp_path, 3)
    small = write_photos(tmp_path / "small", 1, (20, 30))[0]
    with pytest.raises(DataError, match=rf"{small}: 30 x 20 pixels, smaller than the crop of"):
        module(tmp_path, val_dir=None)


def test_an_unreadable_photo_is_named(tmp_path: Path) -> None:
    write_photos(tmp_path, 3)
    (tmp_path / "broken.jpg").write_bytes(b"not a photo")
    with pytest.raises(UnreadableImageError, match=r"broken\.jpg"):
        module(tmp_path)


def test_all_that_cannot_be_used_is_named_at_once_and_by_its_header(tmp_path: Path) -> None:
    write_photos(tmp_path / "val", 1)
    scans = tmp_path / "scans"
    write_photos(scans, 6, (20, 30))
    (scans / "broken.jpg").write_bytes(b"not a photo")
    page = Image.new("RGB", (64, 64))
    page.save(scans / "pages.tif", save_all=True, append_images=[page])
    with pytest.raises(DataError, match=r"8 of 8 files cannot be used: .*00\.png: 30 x 20 pixels.*; and 3 more"):
        module(scans, val_dir=tmp_path / "val", cache_mib=0)
    for path in [*scans.glob("*.png"), scans / "broken.jpg"]:
        path.unlink()
    with pytest.raises(DataError, match=r"pages\.tif: several pages or frames; split them first"):
        module(scans, val_dir=tmp_path / "val", cache_mib=0)


def test_one_photo_cannot_be_split(tmp_path: Path) -> None:
    write_photos(tmp_path, 1)
    with pytest.raises(DataError, match="one photo cannot be split"):
        module(tmp_path)


@pytest.mark.parametrize(
    "arguments", [{"crop_size": 3}, {"batch_size": 0}, {"val_share": 1.5}, {"samples_per_epoch": 2}]
)
def test_impossible_settings_name_their_key(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=rf"data\.{next(iter(arguments))}"):
        RestorationDataModule(**arguments)  # type: ignore[arg-type]


def test_asking_for_batches_too_early_says_what_to_call() -> None:
    with pytest.raises(UsageError, match="call setup"):
        RestorationDataModule().train_dataloader()
