"""Photos, pairs and small pictures in, batches out."""

from restore.data.base import CorruptingDataModule
from restore.data.datamodule import RestorationDataModule
from restore.data.imagesets import ImageSetDataModule
from restore.data.pairs import PairedDataModule

__all__ = ["CorruptingDataModule", "ImageSetDataModule", "PairedDataModule", "RestorationDataModule"]
