import datetime as dt
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from restore.callbacks import (
    AverageWeights,
    BestCheckpoint,
    SaveBundle,
    check_checkpoint,
)
from restore.callbacks.bundles import bundle_from_checkpoint
from restore.errors import BundleError, RestoreError, UsageError
from restore.models.bundle import load_bundle
from restore.tasks import DenoisingAutoencoder
from tests.helpers.networks import small_unet
from tests.helpers.photos import write_photos
from tests.helpers.training import quiet_trainer, small_data


def test_a_score_that_is_not_there_is_refused_before_the_first_step(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)
    checkpoints = BestCheckpoint(tmp_path / "checkpoints", monitor="val/negative_elbo")
    trainer = quiet_trainer(
        tmp_path, max_epochs=1, num_sanity_val_steps=1, enable_checkpointing=True, callbacks=[checkpoints]
    )
    with pytest.raises(UsageError, match=r"no score 'val/negative_elbo' here; --checkpoint\.monitor val/psnr, or"):
        trainer.fit(DenoisingAutoencoder(small_unet()), small_data(tmp_path / "photos"))
    assert trainer.global_step == 0


@pytest.mark.parametrize(
    ("monitor", "mode", "expected"),
    [
        ("val/psnr", "auto", "max"),
        ("val/blur2/hole_psnr", "max", "max"),
        ("val/mse", "auto", "min"),
        ("val/negative_elbo", "min", "min"),
        ("val/code_active", "max", "max"),
    ],
)
def test_which_score_is_the_best_follows_from_its_name(monitor: str, mode: Any, expected: str) -> None:
    assert BestCheckpoint(monitor=monitor, mode=mode).mode == expected


@pytest.mark.parametrize(
    ("monitor", "mode", "message"),
    [
        ("val/psnr", "min", "the best val/psnr is its max, not its min; leave the mode out"),
        ("val/mse", "max", "the best val/mse is its min"),
        ("val/kl", "auto", "name max or min, whichever is the best val/kl"),
    ],
)
def test_no_training_keeps_its_worst_step(monitor: str, mode: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BestCheckpoint(monitor=monitor, mode=mode)


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_a_training_that_ends_before_its_first_validation_has_a_bundle_of_its_last_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_photos(tmp_path / "photos", 6)
    checkpoints = BestCheckpoint(tmp_path / "checkpoints", monitor="val/psnr", save_last=True)
    trainer = quiet_trainer(
        tmp_path, max_steps=1, enable_checkpointing=True, callbacks=[checkpoints, SaveBundle(tmp_path / "bundle")]
    )
    trainer.fit(DenoisingAutoencoder(small_unet()), small_data(tmp_path / "photos"))
    assert load_bundle(tmp_path / "bundle").card.training["steps"] == 1
    assert "ended before its first validation: the bundle is of the last step" in caplog.text


def test_a_resumed_training_remembers_the_best_of_the_one_before(tmp_path: Path) -> None:
    first = BestCheckpoint(tmp_path / "one", monitor="val/psnr")
    first.best_model_path, first.best_model_score = str(tmp_path / "one" / "best.ckpt"), torch.tensor(30.0)
    first.dirpath = str(tmp_path / "one")
    state = first.state_dict()
    second = BestCheckpoint(tmp_path / "two", monitor="val/psnr")
    second.load_state_dict(state)
    assert second.best_k_models == {}, "a file that is gone is not the best"
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "best.ckpt").touch()
    second.load_state_dict(state)
    trainer = quiet_trainer(tmp_path)
    assert not second.check_monitor_top_k(trainer, torch.tensor(29.0))
    assert second.check_monitor_top_k(trainer, torch.tensor(31.0))
    assert second.best_model_path == str(tmp_path / "one" / "best.ckpt")
    second._remove_checkpoint(trainer, second.best_model_path)
    assert (tmp_path / "one" / "best.ckpt").exists(), "the other run's"


def test_a_resumed_run_ends_in_the_bundle_of_the_best_step_of_all(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)

    def fit(folder: str, epochs: int, checkpoint: str | None = None) -> None:
        torch.manual_seed(0)
        trainer = quiet_trainer(
            tmp_path,
            max_epochs=epochs,
            enable_checkpointing=True,
            callbacks=[
                BestCheckpoint(tmp_path / folder, monitor="val/psnr", save_last=True),
                SaveBundle(tmp_path / folder / "bundle"),
            ],
        )
        # Nothing is learnt, so no later epoch is better than the first.
        task = DenoisingAutoencoder(small_unet(), optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
        trainer.fit(task, small_data(tmp_path / "photos"), ckpt_path=checkpoint)

    fit("one", 1)
    fit("two", 3, str(tmp_path / "one" / "last.ckpt"))
    before, after = (load_bundle(tmp_path / folder / "bundle").card for folder in ("one", "two"))
    assert after.training["steps"] == before.training["steps"] == 4


def test_last_is_the_last_step_and_not_the_best(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)

    def last_step(name: str, **arguments: int) -> int:
        folder = tmp_path / name
        checkpoints = BestCheckpoint(folder / "checkpoints", monitor="val/psnr", save_last=True)
        others = ModelCheckpoint(folder / "others", every_n_train_steps=3, save_top_k=-1)
        callbacks = [others, checkpoints, AverageWeights(0.9), SaveBundle(folder / "bundle")]
        trainer = quiet_trainer(tmp_path, enable_checkpointing=True, callbacks=callbacks, **arguments)
        # Nothing is learnt, so no later epoch is better than the first.
        task = DenoisingAutoencoder(small_unet(), optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
        trainer.fit(task, small_data(tmp_path / "photos"))
        assert load_bundle(folder / "bundle").card.training["steps"] == 4, "the best, whatever else is kept"
        return int(torch.load(checkpoints.last_model_path, weights_only=True)["global_step"])

    assert last_step("epochs", max_epochs=3) == 12
    assert last_step("steps", max_epochs=3, max_steps=6) == 6


def test_a_training_that_diverges_ends_and_leaves_the_best_that_there_was(tmp_path: Path) -> None:
    class Spoil(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 1:
                for parameter in pl_module.parameters():
                    parameter.data.fill_(torch.nan)

    write_photos(tmp_path / "photos", 6)
    checkpoints = BestCheckpoint(tmp_path / "checkpoints", monitor="val/psnr", save_last=True)
    callbacks = [Spoil(), checkpoints, SaveBundle(tmp_path / "bundle")]
    trainer = quiet_trainer(tmp_path, enable_checkpointing=True, callbacks=callbacks, max_epochs=5)
    with pytest.raises(
        RestoreError, match=r"diverged: val/psnr is not a number at step 8; the best until then is .*ckpt"
    ):
        trainer.fit(DenoisingAutoencoder(small_unet()), small_data(tmp_path / "photos"))
    assert torch.load(checkpoints.last_model_path, weights_only=True)["global_step"] == 4
    assert load_bundle(tmp_path / "bundle").card.training["steps"] == 4


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    for name, reason in (("other", "not a checkpoint of `restore fit`"), ("missing", r"cannot be read \(No such file")):
        with pytest.raises(BundleError, match=f"{name}.ckpt: {reason}"):
            bundle_from_checkpoint(tmp_path / f"{name}.ckpt", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"save_weights_only": True}, "save_weights_only: bundles and resumed runs need the rest"),
        ({"every_n_train_steps": 3}, "the best step is known after a validation only"),
        ({"train_time_interval": dt.timedelta(minutes=1)}, "the best step is known after a validation only"),
    ],
    ids=["weights", "steps", "minutes"],
)
def test_checkpoints_of_which_nothing_could_be_made_are_refused_before_the_first_step(
    settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_photos(tmp_path / "photos", 6)
    checkpoints = BestCheckpoint(tmp_path / "checkpoints", monitor="val/psnr", **settings)
    trainer = quiet_trainer(tmp_path, max_epochs=1, enable_checkpointing=True, callbacks=[checkpoints])
    with pytest.raises(UsageError, match=message):
        trainer.fit(DenoisingAutoencoder(small_unet()), small_data(tmp_path / "photos"))


def test_no_training_goes_on_from_weights_alone(tmp_path: Path) -> None:
    network = small_unet()
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "weights.ckpt")
    check_checkpoint(tmp_path / "weights.ckpt", network)
    with pytest.raises(UsageError, match="holds weights alone, from which no training goes on"):
        check_checkpoint(tmp_path / "weights.ckpt", network, resumes=True)
