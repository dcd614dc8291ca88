"""Where a run writes."""

from pathlib import Path

import lightning.pytorch as pl

__all__ = ["run_folder"]


def run_folder(trainer: pl.Trainer) -> Path:
    """The folder of a run, whatever the logger: the one that its checkpoints' folder lies in.

    Lightning's `Trainer.log_dir` is the same for its own loggers, but shared by all runs with W&B. To be called by all
    processes at once, as in `setup`: they hear it from the first one.
    """
    if not trainer.loggers:
        return Path(trainer.strategy.broadcast(str(trainer.default_root_dir)))
    logger = trainer.loggers[0]
    version = logger.version if isinstance(logger.version, str) else f"version_{logger.version}"
    folder = Path(logger.save_dir or trainer.default_root_dir, str(logger.name), version)
    return Path(trainer.strategy.broadcast(str(folder)))
