"""From a training run to a bundle."""

import importlib.metadata
import logging
import pickle
import platform
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info

from restore.callbacks.checkpoints import BestCheckpoint
from restore.callbacks.folders import run_folder
from restore.errors import BundleError, RestoreError
from restore.models import UNet
from restore.models.bundle import ModelCard, load_bundle, network_entry, save_bundle, write_card
from restore.models.int8 import measure_ranges

__all__ = ["SaveBundle", "bundle_from_checkpoint"]

_log = logging.getLogger(__name__)

_PACKAGES = ("restore", "torch", "lightning", "torchmetrics", "albumentations")


class SaveBundle(pl.Callback):
    """Put a model card into every checkpoint, and make a bundle of the best one when training ends.

    Args:
        dirpath: Folder of the bundle; `bundle` in the run's folder if left out.
        name: Name on the card.
        description: What the bundle restores, in a sentence.
        protocol: The evaluation that the bundle is meant for: see `restore evaluate --help`. None if empty.
        data: What it was trained on; photos without names stay nameless.
        licence: Terms under which the weights may be used; those of the weights that training started from, if empty.
        guarded: Whether restoring limits changes by the noise in flat parts: see `restore.inference.guard`.
        turned: Whether restoring takes the mean over the picture and its half turn; twice the time.
    """

    def __init__(
        self,
        dirpath: Path | str | None = None,
        name: str = "unnamed",
        description: str = "",
        protocol: str = "",
        data: str = "",
        licence: str = "",
        guarded: bool = False,
        turned: bool = False,
    ) -> None:
        self.dirpath = None if dirpath is None else Path(dirpath)
        self.name, self.description, self.protocol = name, description, protocol
        self.data, self.licence, self.guarded, self.turned = data, licence, guarded, turned
        self._seconds_before, self._started, self._revision = 0.0, 0.0, ""
        self._folder = Path()
        self._validated = -1

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the run's folder, while all processes are here to agree on it; say what scores leave out."""
        self._folder = self.dirpath or run_folder(trainer) / "bundle"
        ways = [f"bundle.{way}" for way in ("guarded", "turned") if getattr(self, way)]
        if stage != "fit" and ways:
            rank_zero_info(
                f"Restored by the network alone, without {' and '.join(ways)}: `restore evaluate` scores the bundle"
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, and note the code that trains before anyone edits it."""
        self._started, self._revision = time.monotonic(), _git_revision()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note which step the coming scores are of."""
        self._validated = -1 if trainer.sanity_checking else trainer.global_step

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the card, as plain data, with the scores of this step if it was validated."""
        seconds = self._elapsed()
        checkpoint["training_seconds"] = seconds
        scores = {
            key: round(float(value), 4)
            for key, value in sorted(trainer.callback_metrics.items())
            if key.startswith("val/") and self._validated == trainer.global_step
        }
        card = ModelCard(
            name=self.name,
            description=self.description,
            protocol=self.protocol,
            data=self.data,
            licence=self.licence or pl_module.started_from.get("licence", ""),  # type: ignore[union-attr,operator]
            guarded=self.guarded,
            turned=self.turned,
            network=network_entry(pl_module.network),  # type: ignore[arg-type]  # restoration tasks have one
            composites=pl_module.composites,  # type: ignore[arg-type]
            training={
                **_recipe(trainer, pl_module),
                "minutes": round(seconds / 60, 1),
                "git_revision": self._revision,
                "validation": scores,
            },
            versions={name: _version(name) for name in _PACKAGES} | {"python": platform.python_version()},
        )
        checkpoint["card"] = asdict(card)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on with the clock where a resumed run left it."""
        self._seconds_before = float(checkpoint.get("training_seconds", 0.0))

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the bundle of the best checkpoint; of the last one, if none was ever validated."""
        best, last = self._paths(trainer)
        if not best and not trainer.fast_dev_run:  # type: ignore[attr-defined]  # Lightning's own
            what = f"the bundle is of the last step, {last}" if last else "there is no checkpoint, and so no bundle"
            scored = any(name.startswith("val/") for name in trainer.callback_metrics)
            why = "No step was to be kept" if scored else "The training ended before its first validation"
            _log.warning("%s: %s", why, what)
        self._save(trainer, best or last)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Write the bundle of the best checkpoint so far, whatever stopped the training."""
        if trainer.state.fn != TrainerFn.FITTING:
            return
        try:
            self._save(trainer, self._paths(trainer)[0])
        except (RestoreError, OSError) as error:  # must not hide what stopped the training
            _log.warning("No bundle was written: %s", error)

    def _paths(self, trainer: pl.Trainer) -> tuple[str, str]:
        """Of the best checkpoint and of the last one; ours, where there are others."""
        ours = next((one for one in trainer.checkpoint_callbacks if isinstance(one, BestCheckpoint)), None)
        checkpoints = ours or trainer.checkpoint_callback
        return getattr(checkpoints, "best_model_path", ""), getattr(checkpoints, "last_model_path", "")

    def _save(self, trainer: pl.Trainer, checkpoint: str) -> None:
        if trainer.is_global_zero and checkpoint and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            card = bundle_from_checkpoint(Path(checkpoint), self._folder)
            steps, all_steps = card.training["steps"], trainer.global_step
            rank_zero_info(f"Bundle: {self._folder}, of step {steps}; the training came to step {all_steps}")
            best = {f"best/{name}": value for name, value in card.training["validation"].items()} | {"best/step": steps}
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):  # its summary has the last values otherwise
                    logger.experiment.summary.update(best)

    def _elapsed(self) -> float:
        return self._seconds_before + (time.monotonic() - self._started if self._started else 0.0)


def bundle_from_checkpoint(checkpoint: Path, folder: Path) -> ModelCard:
    """Turn a checkpoint of `restore fit` into a bundle; averaged weights, where there are any.

    Args:
        checkpoint: A `.ckpt` file that `SaveBundle` saw.
        folder: Where the bundle goes.

    Returns:
        Its card.

    Raises:
        BundleError: The file cannot be read, or is not such a checkpoint.
    """
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        card = ModelCard(**content["card"])
        state = content["state_dict"]
    except OSError as error:
        raise BundleError(f"{checkpoint}: cannot be read ({error.strerror})") from error
    except (KeyError, TypeError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise BundleError(f"{checkpoint}: not a checkpoint of `restore fit`") from error
    prefix = "network."
    save_bundle(folder, {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, card)
    network = load_bundle(folder).network
    if isinstance(network, UNet) and not card.composites:
        card.ranges = measure_ranges(network)
        write_card(folder, card)
    return card


def _recipe(trainer: pl.Trainer, task: pl.LightningModule) -> dict[str, Any]:
    optimizer = trainer.optimizers[0]
    settings = {
        name: value
        for name, value in optimizer.defaults.items()
        if isinstance(value, bool | int | float | str | tuple) and name not in {"foreach", "fused", "capturable"}
    }
    described: dict[str, Any] = getattr(getattr(trainer, "datamodule", None), "describe", dict)()
    samples = trainer.global_step * trainer.accumulate_grad_batches * trainer.world_size
    crops = samples * int(described.get("batch_size", 0))
    return {
        "task": type(task).__name__,
        "started_from": task.started_from,
        "loss": repr(task.loss),
        "optimizer": {"name": type(optimizer).__name__, **settings},
        "scheduler": [type(config.scheduler).__name__ for config in trainer.lr_scheduler_configs],
        "precision": str(trainer.precision),
        "steps": trainer.global_step,
        "epochs": trainer.current_epoch + 1,
        "megapixels": round(crops * int(described.get("crop_size", 0)) ** 2 / 1e6),
        **described,
        "device": torch.cuda.get_device_name() if trainer.strategy.root_device.type == "cuda" else "CPU",
    }


def _git_revision() -> str:
    """The commit of the code that trains, with `+changes` if files differ from it; empty outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        git = ["git", "-C", str(root)]
        revision = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", "restore", "configs"], check=False).returncode
    except (OSError, subprocess.CalledProcessError):
        return ""
    return revision + ("+changes" if changed else "")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
