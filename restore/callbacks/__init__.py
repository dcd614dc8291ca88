"""What averages, draws, logs and writes while Lightning runs."""

from restore.callbacks.averaging import AverageWeights
from restore.callbacks.bundles import SaveBundle
from restore.callbacks.checkpoints import BestCheckpoint, check_checkpoint
from restore.callbacks.panels import LogRestorations
from restore.callbacks.predictions import WriteRestorations

__all__ = [
    "AverageWeights",
    "BestCheckpoint",
    "LogRestorations",
    "SaveBundle",
    "WriteRestorations",
    "check_checkpoint",
]
