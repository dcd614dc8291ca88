import contextlib
import datetime as dt
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim.swa_utils import AveragedModel

from restore.callbacks import (
    AverageWeights,
    BestCheckpoint,
    LogRestorations,
    SaveBundle,
    WriteRestorations,
    check_checkpoint,
)
from restore.callbacks.bundles import bundle_from_checkpoint
from restore.corruption import GaussianNoise
from restore.errors import BundleError, RestoreError, UsageError
from restore.images.codec import decode
from restore.models.bundle import load_bundle
from restore.tasks import DenoisingAutoencoder
from tests.helpers.networks import IdentityNetwork, small_unet, write_bundle
from tests.helpers.photos import write_photos
from tests.helpers.training import quiet_trainer, small_data


def test_the_average_forgets_its_start_and_ends_at_its_decay() -> None:
    callback = AverageWeights(decay=0.9)
    model = torch.nn.Linear(1, 1, bias=False)
    average = AveragedModel(model, **callback._kwargs)
    averaged = average.module.weight
    assert isinstance(averaged, torch.Tensor)
    with torch.no_grad():
        model.weight.fill_(0.0)
        average.update_parameters(model)  # the first update copies
        model.weight.fill_(1.0)
        average.update_parameters(model)
        assert averaged.item() == pytest.approx(1 - 2 / 11)
        for _ in range(200):
            average.update_parameters(model)
        model.weight.fill_(0.0)
        average.update_parameters(model)
    assert averaged.item() == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_an_impossible_decay_is_refused(decay: float) -> None:
    with pytest.raises(UsageError, match="decay"):
        AverageWeights(decay)


def test_a_training_ends_in_a_bundle_with_averaged_weights_and_a_full_card(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)
    torch.manual_seed(0)
    task = DenoisingAutoencoder(small_unet())
    trainer = quiet_trainer(
        tmp_path,
        max_epochs=2,
        enable_checkpointing=True,
        callbacks=[
            AverageWeights(0.9),
            ModelCheckpoint(
                tmp_path / "checkpoints", monitor="val/psnr", mode="max", save_top_k=-1, filename="{epoch}"
            ),
            SaveBundle(tmp_path / "bundle", name="mine", data="test photos", licence="none"),
        ],
    )
    trainer.fit(task, small_data(tmp_path / "photos", seed=5))
    bundle = load_bundle(tmp_path / "bundle")
    card = bundle.card
    assert (card.name, card.data, card.licence) == ("mine", "test photos", "none")
    expected = {"task": "DenoisingAutoencoder", "batch_size": 4, "crop_size": 32, "seed": 5, "photos": 4}
    assert expected.items() <= card.training.items()
    assert card.training["corruption"] == "GaussianNoise(sigma_range=(25.0, 25.0), clip=False)"
    assert card.training["optimizer"]["name"] == "AdamW"
    assert "val/psnr" in card.training["validation"]
    (validated,) = quiet_trainer(tmp_path).validate(
        DenoisingAutoencoder(bundle.network), small_data(tmp_path / "photos", seed=5), verbose=False
    )
    assert validated["val/psnr"] == pytest.approx(card.training["validation"]["val/psnr"], abs=0.01)
    assert card.training["started_from"] == {}


def test_a_card_says_what_bundle_a_training_started_from(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)
    first = write_bundle(tmp_path / "first", licence="for research")
    task = DenoisingAutoencoder(small_unet(), init_from=str(first))
    trainer = quiet_trainer(
        tmp_path, max_epochs=1, enable_checkpointing=True, callbacks=[SaveBundle(tmp_path / "second")]
    )
    trainer.fit(task, small_data(tmp_path / "photos"))
    expected = {
        "bundle": "first",
        "weights_sha256": load_bundle(first).card.weights_sha256,
        "licence": "for research",
    }
    card = load_bundle(tmp_path / "second").card
    assert card.training["started_from"] == expected
    assert card.licence == "for research", "what the weights came from binds what they became"


def test_a_score_that_is_not_there_is_refused_before_the_first_step(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)
    checkpoints = BestCheckpoint(tmp_path / "checkpoints", monitor="val/negative_elbo", mode="min")
    trainer = quiet_trainer(
        tmp_path, max_epochs=1, num_sanity_val_steps=1, enable_checkpointing=True, callbacks=[checkpoints]
    )
    with pytest.raises(UsageError, match=r"no score 'val/negative_elbo' here; --checkpoint\.monitor val/psnr, or"):
        trainer.fit(DenoisingAutoencoder(small_unet()), small_data(tmp_path / "photos"))
    assert trainer.global_step == 0


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
def test_a_training_that_ends_before_its_first_validation_has_a_bundle_of_its_last_step(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_photos(tmp_path / "photos", 6)
    checkpoints = BestCheckpoint(tmp_path / "checkpoints", monitor="val/psnr", mode="max", save_last=True)
    trainer = quiet_trainer(
        tmp_path, max_steps=1, enable_checkpointing=True, callbacks=[checkpoints, SaveBundle(tmp_path / "bundle")]
    )
    trainer.fit(DenoisingAutoencoder(small_unet()), small_data(tmp_path / "photos"))
    assert load_bundle(tmp_path / "bundle").card.training["steps"] == 1
    assert "ended before its first validation: the bundle is of the last step" in caplog.text


def test_a_resumed_training_remembers_the_best_of_the_one_before(tmp_path: Path) -> None:
    first = BestCheckpoint(tmp_path / "one", monitor="val/psnr", mode="max")
    first.best_model_path, first.best_model_score = str(tmp_path / "one" / "best.ckpt"), torch.tensor(30.0)
    first.dirpath = str(tmp_path / "one")
    state = first.state_dict()
    second = BestCheckpoint(tmp_path / "two", monitor="val/psnr", mode="max")
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
                BestCheckpoint(tmp_path / folder, monitor="val/psnr", mode="max", save_last=True),
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
        checkpoints = BestCheckpoint(folder / "checkpoints", monitor="val/psnr", mode="max", save_last=True)
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
    checkpoints = BestCheckpoint(tmp_path / "checkpoints", monitor="val/psnr", mode="max", save_last=True)
    callbacks = [Spoil(), checkpoints, SaveBundle(tmp_path / "bundle")]
    trainer = quiet_trainer(tmp_path, enable_checkpointing=True, callbacks=callbacks, max_epochs=5)
    with pytest.raises(
        RestoreError, match=r"diverged: val/psnr is not a number at step 8; the best until then is .*ckpt"
    ):
        trainer.fit(DenoisingAutoencoder(small_unet()), small_data(tmp_path / "photos"))
    assert torch.load(checkpoints.last_model_path, weights_only=True)["global_step"] == 4
    assert load_bundle(tmp_path / "bundle").card.training["steps"] == 4


def test_the_average_has_the_layout_of_the_weights(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)
    average = AverageWeights(0.9)
    trainer = quiet_trainer(tmp_path, max_steps=1, callbacks=[average])
    task = DenoisingAutoencoder(small_unet())
    trainer.fit(task, small_data(tmp_path / "photos"))
    assert average._average_model is not None
    averaged = dict(average._average_model.module.named_parameters())
    for name, weight in task.named_parameters():
        assert averaged[name].stride() == weight.stride()
    assert task.network.get_parameter("head.weight").is_contiguous(memory_format=torch.channels_last)


def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    for name, reason in (("other", "not a checkpoint of `restore fit`"), ("missing", r"cannot be read \(No such file")):
        with pytest.raises(BundleError, match=f"{name}.ckpt: {reason}"):
            bundle_from_checkpoint(tmp_path / f"{name}.ckpt", tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_panels_show_corrupted_restored_and_clean_side_by_side(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)
    data = small_data(tmp_path / "photos", evaluation={"none": GaussianNoise((0, 0))})
    trainer = quiet_trainer(tmp_path, callbacks=[LogRestorations(photos=2)])
    trainer.validate(DenoisingAutoencoder(IdentityNetwork()), data, verbose=False)
    (path,) = (tmp_path / "log").rglob("panels/*.png")
    panel = decode(path).pixels
    assert panel.shape == (2 * 48, 3 * 48, 3)
    assert (panel[:, :48] == panel[:, 48:96]).all()
    assert (panel[:, 48:96] == panel[:, 96:]).all()
    assert panel.std() > 10


def test_predictions_are_written_by_corruption_and_name(tmp_path: Path) -> None:
    sources = write_photos(tmp_path / "photos", 2)
    data = small_data(tmp_path / "photos", test_dir=tmp_path / "photos", evaluation={"none": GaussianNoise((0, 0))})
    trainer = quiet_trainer(tmp_path, callbacks=[WriteRestorations(tmp_path / "out")])
    trainer.predict(DenoisingAutoencoder(IdentityNetwork()), data, return_predictions=False)
    for source in sources:
        written = decode(tmp_path / "out" / "none" / f"{source.name}.png")
        assert (written.pixels == decode(source).pixels).all()


class Interrupts(pl.Callback):
    """Stops the training at a step: before it, or in the validation that follows it."""

    def __init__(self, step: int, in_validation: bool) -> None:
        self.step, self.in_validation = step, in_validation

    def on_train_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if not self.in_validation and trainer.global_step == self.step:
            raise KeyboardInterrupt

    def on_validation_batch_start(self, trainer: pl.Trainer, *_: object) -> None:
        if self.in_validation and trainer.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("in_validation", [False, True])
def test_an_interrupted_training_goes_on_to_the_weights_it_would_have_had(
    in_validation: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_photos(tmp_path / "photos", 6)

    def fit(name: str, ckpt_path: str | None = None, *more: pl.Callback) -> tuple[DenoisingAutoencoder, BestCheckpoint]:
        torch.manual_seed(0)
        task = DenoisingAutoencoder(small_unet(), scheduler=None)
        checkpoints = BestCheckpoint(
            tmp_path / name,
            monitor="val/psnr",
            mode="max",
            save_last=True,
            save_on_exception=True,
            save_on_train_epoch_end=False,
        )
        trainer = quiet_trainer(
            tmp_path, max_epochs=3, enable_checkpointing=True, callbacks=[AverageWeights(0.9), *more, checkpoints]
        )
        with contextlib.suppress(SystemExit):  # what Lightning makes of Ctrl-C
            trainer.fit(task, small_data(tmp_path / "photos"), ckpt_path=ckpt_path, weights_only=True)
        return task, checkpoints

    whole, _ = fit("whole")
    _, stopped = fit("stopped", None, Interrupts(8, in_validation))
    assert torch.load(stopped.last_model_path, weights_only=True)["global_step"] == 8
    assert ("within its validation, which is not made again" in caplog.text) == in_validation
    resumed, _ = fit("resumed", stopped.last_model_path)
    for ours, theirs in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0.0, atol=0.0)


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
    checkpoints = BestCheckpoint(tmp_path / "checkpoints", monitor="val/psnr", mode="max", **settings)
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
