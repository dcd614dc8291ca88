import contextlib
from pathlib import Path

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
)
from restore.corruption import GaussianNoise
from restore.errors import UsageError
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
            ModelCheckpoint(tmp_path / "checkpoints", monitor="val/psnr", save_top_k=-1, filename="{epoch}"),
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
