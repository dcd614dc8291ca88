"""`restore fit | validate | test | predict`: Lightning's own command line over our tasks and data."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

# Imported so that configurations can name their classes without a module path.
import restore.corruption
import restore.losses
import restore.models  # noqa: F401  # see above
from restore.callbacks import LogRestorations, SaveBundle
from restore.data import RestorationDataModule
from restore.devices import PrecisionChoice, choose_device, choose_precision
from restore.errors import UsageError
from restore.tasks import RestorationTask

__all__ = ["RestoreCLI", "run"]


class RestoreCLI(LightningCLI):
    """Task, data and trainer from YAML and options, with averaged weights, checkpoints and a bundle as a matter of course."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what every run has."""
        parser.add_argument(
            "--precision",
            type=PrecisionChoice,
            default="auto",
            help="auto is bf16-mixed where bfloat16 is computed in hardware, 16-mixed on older GPUs, else 32",
        )
        parser.link_arguments(
            ("precision", "trainer.accelerator"), "trainer.precision", compute_fn=_resolve_precision, apply_on="parse"
        )
        parser.add_lightning_class_args(EMAWeightAveraging, "average")
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(LogRestorations, "panels")
        parser.add_lightning_class_args(SaveBundle, "bundle")
        parser.set_defaults(
            {
                "checkpoint.monitor": "val/psnr",
                "checkpoint.mode": "max",
                "checkpoint.save_last": True,
                # A metric's name holds a slash, which would become a folder.
                "checkpoint.auto_insert_metric_name": False,
                "checkpoint.filename": "step-{step}",
            }
        )


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
    try:
        RestoreCLI(
            RestorationTask,
            RestorationDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=args,
            load_from_checkpoint_support=False,  # it wants hyperparameters in checkpoints, which then hold live objects
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"callbacks": [LearningRateMonitor("step")]},
            parser_kwargs={"parser_mode": "yaml", "exit_on_error": False},
        )
    except UsageError:
        raise
    except (ValueError, TypeError) as error:
        if error.__class__.__module__.startswith("jsonargparse") or "ArgumentError" in type(error).__name__:
            raise UsageError(str(error)) from error
        raise
    return 0


def _resolve_precision(choice: PrecisionChoice, accelerator: object) -> str:
    name = {"gpu": "cuda", "cuda": "cuda", "cpu": "cpu", "mps": "mps"}.get(str(accelerator), "auto")
    device = choose_device(name)
    precision = choose_precision(choice, device)
    print(f"Precision: {precision} on {device.type}", file=sys.stderr)
    return precision


def _names_config(argument: str) -> bool:
    return argument in {"-c", "--config"} or argument.startswith("--config=")


def _shipped_config(previous: str, argument: str) -> str:
    """`--config denoise` means the shipped file of that name, unless there is such a file here."""
    if previous in {"-c", "--config"} and not Path(argument).exists():
        shipped = _configs_folder() / f"{argument.removesuffix('.yaml')}.yaml"
        return str(shipped) if shipped.exists() else argument
    return argument


def _configs_folder() -> Path:
    """The shipped configurations: inside the package when installed, beside it in a checkout."""
    inside = Path(__file__).parents[1] / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"
