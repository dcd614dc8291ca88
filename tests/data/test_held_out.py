"""What is scored is not what is trained on, and what a training draws is no photo."""

from pathlib import Path
from shutil import copyfile

import pytest

from restore.data import RestorationDataModule
from restore.errors import DataError
from tests.helpers.photos import write_photos


def test_no_photos_of_training_are_tested_unsaid(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    training = write_photos(tmp_path / "photos", 4)
    (tested,) = write_photos(tmp_path / "photos" / "best", 1)
    data = RestorationDataModule(photos_dir=tmp_path / "photos", test_dir=tested.parent)
    with pytest.raises(DataError, match=r"data\.test_dir: 1 of its 1 photos are in data\.photos_dir too"):
        data.setup("test")
    data.setup("predict")
    assert "under another name" not in caplog.text
    copyfile(training[0], tmp_path / "copy.png")
    (tmp_path / "test").mkdir()
    (tmp_path / "copy.png").rename(tmp_path / "test" / "copy.png")
    RestorationDataModule(photos_dir=tmp_path / "photos", test_dir=tmp_path / "test").setup("test")
    assert "data.test_dir: 1 of 1 photos that are held out are trained on under another name" in caplog.text


def test_what_a_training_draws_is_no_photo(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_photos(tmp_path / "panels", 4)  # so called by somebody else
    run = tmp_path / "runs" / "denoise" / "version_0"
    write_photos(run / "panels", 3)
    write_photos(run / "predictions" / "sigma25", 2)
    (run / "config.yaml").touch()
    settings = {"crop_size": 32, "val_crop_size": 48}
    data = RestorationDataModule(photos_dir=tmp_path, **settings)  # type: ignore[arg-type]
    data.setup("fit")
    assert data.describe()["photos"] + data.describe()["validation_photos"] == 4
    assert "data.photos_dir: 5 panels and predictions are no photos" in caplog.text
    asked_for = RestorationDataModule(photos_dir=run / "panels", **settings)  # type: ignore[arg-type]
    asked_for.setup("fit")
    assert asked_for.describe()["photos"] + asked_for.describe()["validation_photos"] == 3


def test_a_folder_that_is_not_searched_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_photos(tmp_path / "photos", 4)
    write_photos(tmp_path / "elsewhere", 1)
    (tmp_path / "photos" / "more").symlink_to(tmp_path / "elsewhere")
    RestorationDataModule(photos_dir=tmp_path / "photos", crop_size=32, val_crop_size=48).setup("fit")
    assert f"data.photos_dir: {tmp_path / 'photos' / 'more'}: " in caplog.text
