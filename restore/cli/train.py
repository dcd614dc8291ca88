"""`restore fit | validate | test | predict`: Lightning's own command line over our tasks and data."""

import argparse
import json
import logging
import os
import signal
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.exceptions import SIGTERMException

# Imported so that configurations can name their classes without a module path.
import restore.corruption
import restore.losses
import restore.models  # noqa: F401  # see above
from restore.callbacks import (
    AverageWeights,
    BestCheckpoint,
    LogRestorations,
    SaveBundle,
    WriteRestorations,
    check_checkpoint,
)
from restore.callbacks.folders import run_folder
from restore.cli.options import PROTOCOL_NAMES
from restore.data import CorruptingDataModule, PairedDataModule, RestorationDataModule
from restore.devices import PrecisionChoice, choose_device, choose_precision
from restore.errors import OutputError, RestoreError, UsageError
from restore.models.bundle import network_class
from restore.tasks import RestorationTask
from restore.tasks.fitting import keyboard_interrupts

__all__ = ["RestoreCLI", "run"]

_EXPECTED_WARNINGS = (
    "LightningCLI's args parameter",  # our main passes on what stands after `restore`
    ".*isinstance.treespec, LeafSpec",  # inside Lightning 2.6 with torch 2.15
    ".*does not have many workers",  # with the photos in memory, none is what is fastest
    "You requested to overfit but enabled train",  # what the overlay `overfit` asks for
    "Precision .* is not supported by the model summary",  # it counts bytes as for float32, and says so
    "The AccumulateGrad node's stream does not match",  # Lightning makes its distributed module on a stream of its own
    "The number of training batches",  # fewer steps an epoch than between two log lines: nothing to do about it
)


class RestoreCLI(LightningCLI):
    """Task, data and trainer from YAML and options; averaged weights, checkpoints and a bundle come by themselves."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what every run has."""
        parser.add_argument(
            "--precision",
            type=PrecisionChoice,
            default="auto",
            help="auto is bf16-mixed where bfloat16 is faster than float32, 16-mixed on older GPUs, else 32",
        )
        parser.link_arguments(
            ("precision", "trainer.accelerator"), "trainer.precision", compute_fn=_resolve_precision, apply_on="parse"
        )
        parser.add_lightning_class_args(AverageWeights, "average")
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(LogRestorations, "panels")
        parser.add_lightning_class_args(SaveBundle, "bundle")
        parser.add_lightning_class_args(WriteRestorations, "predictions")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/psnr",
                "checkpoint.save_last": True,
                "checkpoint.save_on_exception": True,
                # A metric's name holds a slash, which would become a folder.
                "checkpoint.auto_insert_metric_name": False,
                "checkpoint.filename": "step-{step}",
            }
        )

    def _parse_ckpt_path(self) -> None:
        """Refuse what is no checkpoint; Lightning would look here for settings, which ours do not hold."""
        checkpoint = self.config[self.config.subcommand].get("ckpt_path")
        if _is_file(checkpoint):
            check_checkpoint(Path(checkpoint))

    def before_instantiate_classes(self) -> None:
        """Say what `auto` came to, and refuse to score a network without weights, before anything is made."""
        config = self.config[self.subcommand]
        checkpoint = config.get("ckpt_path")
        if checkpoint in {"best", "last"}:  # Lightning looks in the new run's folder, finds nothing, and goes on
            raise UsageError(
                f"--ckpt_path: {checkpoint}: name the file, such as runs/NAME/version_0/checkpoints/last.ckpt"
            )
        if not checkpoint and self.subcommand != "fit" and not config.model.init_args.get("init_from"):
            raise UsageError(f"--ckpt_path: name the checkpoint to {self.subcommand}; without one, weights are random")
        protocol = config.bundle.get("protocol")
        if protocol and protocol not in PROTOCOL_NAMES:
            raise UsageError(f"bundle.protocol: use one of {', '.join(PROTOCOL_NAMES)}, or nothing, not {protocol}")
        rank_zero_info(f"Precision: {config.trainer.precision} (asked for: {config.precision})")
        config.precision = config.trainer.precision  # what is saved says what the run had, on this computer or another

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the trainer; learning rates are logged where there is a logger."""
        trainer = super().instantiate_trainer(**kwargs)
        if trainer.loggers:
            trainer.callbacks.insert(0, LearningRateMonitor("step"))  # type: ignore[attr-defined]  # set by a connector
        return trainer

    def instantiate_classes(self) -> None:
        """Make everything, and refuse a network that cannot take the pictures, or a checkpoint of another one."""
        super().instantiate_classes()
        if self.subcommand == "fit" and isinstance(self.model, RestorationTask):
            network_class("model", type(self.model.network).__name__)  # or no bundle could be made of what it learns
        if self.model.network.channels == 1 and isinstance(self.datamodule, RestorationDataModule | PairedDataModule):
            raise UsageError(
                "network: is for one channel, and photos come with three, grey ones too: "
                "--model.init_args.network.init_args.channels 3"
            )
        checkpoint = self.config[self.subcommand].get("ckpt_path")
        if _is_file(checkpoint) and isinstance(self.model, RestorationTask):
            check_checkpoint(Path(checkpoint), self.model.network, resumes=self.subcommand == "fit")


class SaveConfig(SaveConfigCallback):
    """The configuration as a file in the run's folder, and as hyperparameters in W&B where that is the logger."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find the run's folder, while all processes are here to agree on it, and save."""
        self._folder = run_folder(trainer)
        if (
            not trainer.loggers
            and stage == "fit"
            and trainer.is_global_zero
            and (self._folder / self.config_filename).exists()
        ):
            raise UsageError(
                f"--trainer.default_root_dir: {self._folder} holds an earlier run, and without a logger no run has a "
                "folder of its own; name another"
            )
        super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Save, on the first process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, str(self._folder / self.config_filename), skip_none=False, overwrite=True)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_hyperparams(json.loads(self.parser.dump(self.config, format="json", skip_none=False)))


def run(command: str, arguments: Sequence[str]) -> int:
    """Run a Lightning subcommand; without `--config`, with the shipped configuration `denoise`.

    Args:
        command: `fit`, `validate`, `test` or `predict`.
        arguments: What stands after it on the command line.

    Returns:
        The exit code.

    Raises:
        UsageError: A key is misspelt, a type is wrong, or a value cannot work.
    """
    arguments = [_shipped_config(a, b) for a, b in zip(["", *arguments], arguments, strict=False)]
    if not any(_names_config(argument) for argument in arguments) and not {"-h", "--help"} & set(arguments):
        arguments = ["--config", str(_configs_folder() / "denoise.yaml"), *arguments]
    args: ArgsType = [command, *arguments]
    torch.set_float32_matmul_precision("high")  # TensorFloat-32 for what stays float32 on a GPU; no effect on a CPU
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # the deprecated calls are Lightning's
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(_is_no_advertisement)
    try:
        with warnings.catch_warnings(), keyboard_interrupts():
            for message in _EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message)
            RestoreCLI(
                RestorationTask,
                CorruptingDataModule,
                subclass_mode_model=True,
                subclass_mode_data=True,
                auto_configure_optimizers=False,  # tasks have their own keys for both
                args=args,
                load_from_checkpoint_support=False,  # it wants hyperparameters in checkpoints: live objects, then
                save_config_callback=SaveConfig,
                save_config_kwargs={"save_to_log_dir": False},
                trainer_defaults={"devices": 1},  # a recipe's steps and rate are those of one
                parser_kwargs={"exit_on_error": False, "prog": "restore"},
            )
    except SIGTERMException:
        return 128 + signal.SIGTERM
    except RestoreError as error:
        text = str(error).rstrip()
        if not text.startswith("Caught "):
            raise
        # From a loader's process it comes with a traceback, whose last line has the class and the message.
        raise type(error)(text.splitlines()[-1].partition(": ")[2]) from None
    except (argparse.ArgumentError, TypeError, ValueError, MisconfigurationException) as error:
        ours = _our_error_behind(error)
        if ours is not None:
            raise ours from None
        if isinstance(error, argparse.ArgumentError) and "_resolve_precision" in str(error):
            raise UsageError("trainer.precision: comes from --precision; use that") from error
        if isinstance(error, argparse.ArgumentError):
            raise UsageError(_readable(str(error))) from error
        if _raised_by_lightning(error):
            raise UsageError(" ".join(str(error).split())) from error
        raise
    except OSError as error:
        if error.filename is None:
            raise
        raise OutputError(f"{error.filename}: {error.strerror}; is it where the run may be written?") from error
    except Exception as error:
        if type(error).__module__.startswith("wandb."):  # loaded only where it is the logger
            raise UsageError(f"W&B: {error}; `wandb login`, or --trainer.logger.init_args.offline true") from error
        raise
    return 0


def _our_error_behind(error: BaseException | None) -> RestoreError | None:
    """What one of our constructors raised, if the parser has wrapped it."""
    while error is not None and not isinstance(error, RestoreError):
        error = error.__cause__ or error.__context__
    return error


def _raised_by_lightning(error: Exception) -> bool:
    """Whether Lightning itself refused something: settings, as far as we know."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("lightning.")


def _readable(message: str) -> str:
    """The lines of a parser's message that say what is wrong, without the types it also tried."""
    noise = ("Does not validate against", "Subtypes:", "Errors:", "Given value", "- Expected a <class 'NoneType'>")
    lines = (line.strip() for line in message.splitlines())
    return " ".join(line.removeprefix("- ") for line in lines if line and not line.startswith(noise))


def _is_file(checkpoint: str | None) -> bool:
    """Whether that is a path of this computer, and not a word of Lightning's (`last`) or a place elsewhere."""
    words = {None, "", "best", "last", "hpc"}
    return checkpoint not in words and not str(checkpoint).startswith("registry") and "://" not in str(checkpoint)


def _resolve_precision(choice: PrecisionChoice, accelerator: object) -> str:
    name = {"gpu": "cuda", "cuda": "cuda", "cpu": "cpu", "mps": "mps"}.get(str(accelerator), "auto")
    device = choose_device(name)
    if device.type == "mps":
        raise UsageError("scores need float64, which 'mps' lacks: train with --trainer.accelerator cpu")
    return choose_precision(choice, device)


def _is_no_advertisement(record: logging.LogRecord) -> bool:
    return "Tip:" not in record.getMessage()


def _names_config(argument: str) -> bool:
    return argument in {"-c", "--config"} or argument.startswith("--config=")


def _shipped_config(previous: str, argument: str) -> str:
    """`--config denoise` or `--config=denoise` is the shipped file of that name, unless there is such a file here."""
    option, name = ("", argument) if previous in {"-c", "--config"} else argument.partition("=")[::2]
    if option not in {"", "--config"} or not name or Path(name).is_file():
        return argument
    shipped = _configs_folder() / f"{name.removesuffix('.yaml')}.yaml"
    return (f"{option}={shipped}" if option else str(shipped)) if shipped.is_file() else argument


def _configs_folder() -> Path:
    """The shipped configurations: inside the package when installed, beside it in a checkout."""
    inside = Path(__file__).parents[1] / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"
