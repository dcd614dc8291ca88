"""What a training run keeps of its steps."""

import logging
import warnings
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from restore.errors import RestoreError, UsageError
from restore.models import RestorationNetwork

__all__ = ["BestCheckpoint", "check_checkpoint"]

_log = logging.getLogger(__name__)


class BestCheckpoint(ModelCheckpoint):
    """Lightning's, but for four things.

    Whether the highest or the lowest score is the best follows from its name. `last.ckpt` is of the last step, whether
    or not it is the best. A training that has diverged ends. And a resumed run, which writes into a folder of its own,
    remembers the best of the one before.

    Args:
        dirpath: Folder of the checkpoints; `checkpoints` in the run's folder if left out.
        monitor: Name of the score.
        mode: `max` or `min`, the best score; `auto` is `max` for PSNR and SSIM and `min` for errors and losses.
        settings: Lightning's own.

    Raises:
        UsageError: The mode contradicts the score, or is `auto` for a score that is neither good nor bad.
    """

    _diverged = False

    def __init__(
        self,
        dirpath: Path | str | None = None,
        monitor: str | None = None,
        mode: Literal["auto", "max", "min"] = "auto",
        **settings: Any,
    ) -> None:
        best = _best_is(monitor)
        if best and mode not in {"auto", best}:
            raise UsageError(f"checkpoint.mode: the best {monitor} is its {best}, not its {mode}; leave the mode out")
        if monitor and not best and mode == "auto":
            raise UsageError(f"checkpoint.mode: name max or min, whichever is the best {monitor}")
        super().__init__(dirpath, monitor=monitor, mode=best or mode.replace("auto", "min"), **settings)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse settings of Lightning's with which nothing could be made of the checkpoints.

        Raises:
            UsageError: There is one.
        """
        if stage == "fit" and self.save_weights_only:
            raise UsageError(
                "checkpoint.save_weights_only: bundles and resumed runs need the rest of a checkpoint; leave it out"
            )
        if stage == "fit" and self.monitor and (self._every_n_train_steps or self._train_time_interval is not None):
            raise UsageError(
                "checkpoint: the best step is known after a validation only; in place of every_n_train_steps and "
                "train_time_interval, validate more often with --trainer.val_check_interval"
            )
        super().setup(trainer, pl_module, stage)

    def on_sanity_check_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse to look for the best by a score that there is not, before the first step instead of after an epoch.

        Raises:
            UsageError: There is none of that name.
        """
        found = trainer.callback_metrics
        if self.monitor is not None and self.monitor not in found:
            raise UsageError(
                f"checkpoint.monitor: there is no score {self.monitor!r} here; --checkpoint.monitor val/psnr, or one "
                f"of {', '.join(sorted(name for name in found if name != 'val/psnr'))}"
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what Lightning saves, and the last step."""
        super().on_train_epoch_end(trainer, pl_module)
        self._keep_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what Lightning saves, and the last step.

        Raises:
            RestoreError: The score that checkpoints are compared by is not a number any more.
        """
        score = trainer.callback_metrics.get(self.monitor or "")
        if trainer.state.fn == TrainerFn.FITTING and score is not None and score.isnan():
            self._diverged = True
            kept = f"the best until then is {self.best_model_path}" if self.best_model_path else "nothing was kept"
            raise RestoreError(
                f"the training has diverged: {self.monitor} is not a number at step {trainer.global_step}; {kept}; "
                "use a smaller learning rate, or --trainer.gradient_clip_val 1"
            )
        super().on_validation_end(trainer, pl_module)
        if not self._should_save_on_train_epoch_end(trainer):  # there the best comes first, which this would prevent
            self._keep_last(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Keep the step that the training came to, and say how it goes on."""
        if self.save_last and not self._diverged and self._should_save_on_exception(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        if trainer.state.fn == TrainerFn.FITTING and self.last_model_path and not self._diverged:
            within = " within its validation, which is not made again" if trainer.validating else ""
            step, path = trainer.global_step, self.last_model_path
            _log.warning("Stopped at step %d%s; --ckpt_path %s goes on", step, within, path)

    def _keep_last(self, trainer: pl.Trainer) -> None:
        if self.save_last and not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the best so far; it stays where it is, and is no longer removed when a better one comes."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The dirpath has changed from")
            super().load_state_dict(state_dict)
        best = state_dict["best_model_path"]
        if self.dirpath != state_dict.get("dirpath") and best and Path(best).is_file():
            self.best_model_score = state_dict["best_model_score"]
            self.best_k_models = {best: state_dict["best_model_score"]}
            self.kth_best_model_path, self.kth_value = best, state_dict["best_model_score"]

    def _remove_checkpoint(self, trainer: pl.Trainer, filepath: str) -> None:
        if self.dirpath is None or Path(filepath).parent == Path(self.dirpath):
            super()._remove_checkpoint(trainer, filepath)


def _best_is(monitor: str | None) -> Literal["max", "min"] | None:
    """Which of a score's values is the best; None where that depends on what is wanted."""
    name = (monitor or "").rpartition("/")[-1]
    if name.endswith(("psnr", "ssim")):
        return "max"
    return "min" if name in {"mse", "loss", "negative_elbo"} else None


def check_checkpoint(path: Path, network: RestorationNetwork | None = None, resumes: bool = False) -> None:
    """Refuse what is no checkpoint of `restore fit`, or one of another network.

    Args:
        path: The file.
        network: Into which its weights are to go, if that is known.
        resumes: Whether a training is to go on from it.

    Raises:
        UsageError: It is not there, is something else, has weights of other names or shapes, or nothing but weights.
    """
    if not path.is_file():
        raise UsageError(f"--ckpt_path: {path}: no such file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # names and shapes
        state = content["state_dict"]
    except Exception as error:  # whatever the many formats that torch tries to read may raise
        raise UsageError(f"--ckpt_path: {path}: not a checkpoint of `restore fit`") from error
    if resumes and "optimizer_states" not in content:
        raise UsageError(f"--ckpt_path: {path}: holds weights alone, from which no training goes on")
    if network is None:
        return
    theirs = {key.removeprefix("network."): value.shape for key, value in state.items() if key.startswith("network.")}
    ours = {key: value.shape for key, value in network.state_dict().items()}
    if theirs != ours:
        raise UsageError(
            f"--ckpt_path: {path}: holds weights of another network; name the config.yaml in its run's folder"
        )
