"""The clock on a card, and what a bundle does that its network does not."""

from pathlib import Path
from typing import Any

import pytest
import torch

from restore.callbacks import BestCheckpoint, SaveBundle
from restore.tasks import DenoisingAutoencoder
from tests.helpers.networks import small_unet
from tests.helpers.photos import write_photos
from tests.helpers.training import quiet_trainer, small_data


def test_a_resumed_training_goes_on_with_the_clock_of_the_one_before(tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", 6)

    def fit(name: str, epochs: int, checkpoint: Path | None = None) -> tuple[Path, dict[str, Any]]:
        best = BestCheckpoint(tmp_path / name, monitor="val/psnr", mode="max", save_last=True)
        callbacks = [best, SaveBundle(tmp_path / name / "bundle")]
        trainer = quiet_trainer(tmp_path, max_epochs=epochs, enable_checkpointing=True, callbacks=callbacks)
        trainer.fit(DenoisingAutoencoder(small_unet()), small_data(tmp_path / "photos"), ckpt_path=checkpoint)
        last = tmp_path / name / "last.ckpt"
        return last, torch.load(last, weights_only=True)

    path, first = fit("one", 1)
    assert 0.0 < first["training_seconds"] < 3600.0
    torch.save(first | {"training_seconds": 36_000.0}, path)
    _, second = fit("two", 2, path)
    assert 36_000.0 < second["training_seconds"] < 39_600.0
    assert second["card"]["training"]["minutes"] == pytest.approx(second["training_seconds"] / 60, abs=0.06)


def test_scores_of_the_network_alone_are_told_from_those_of_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr("restore.callbacks.bundles.rank_zero_info", told.append)
    trainer, task = quiet_trainer(tmp_path), DenoisingAutoencoder(small_unet())
    for stage in ("fit", "validate", "test", "predict"):
        SaveBundle(tmp_path / "bundle").setup(trainer, task, stage)
    SaveBundle(tmp_path / "bundle", guarded=True, turned=True).setup(trainer, task, "fit")
    assert told == []
    SaveBundle(tmp_path / "bundle", turned=True).setup(trainer, task, "predict")
    SaveBundle(tmp_path / "bundle", guarded=True, turned=True).setup(trainer, task, "test")
    assert [text.split(":")[0] for text in told] == [
        "Restored by the network alone, without bundle.turned",
        "Restored by the network alone, without bundle.guarded and bundle.turned",
    ]
