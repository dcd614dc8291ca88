"""Small trainings in silence."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.loggers import CSVLogger

from restore.corruption import Corruption, GaussianNoise
from restore.data import RestorationDataModule


def quiet_trainer(folder: Path, **arguments: Any) -> pl.Trainer:
    """A trainer on the CPU that prints nothing."""
    settings: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "logger": CSVLogger(folder, name="log"),
        "log_every_n_steps": 1,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
    }
    return pl.Trainer(**{**settings, **arguments})


def small_data(folder: Path, corruption: Corruption | None = None, **arguments: Any) -> RestorationDataModule:
    """Crops of 32 pixels from a folder of small photos."""
    settings: dict[str, Any] = {
        "photos_dir": folder,
        "crop_size": 32,
        "val_crop_size": 48,
        "batch_size": 4,
        "samples_per_epoch": 16,
        "val_share": 0.4,
    }
    return RestorationDataModule(corruption or GaussianNoise((25.0, 25.0)), **{**settings, **arguments})
