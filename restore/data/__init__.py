"""Photos and small pictures in, batches out."""

from restore.data.base import CorruptingDataModule
from restore.data.datamodule import RestorationDataModule
from restore.data.imagesets import ImageSetDataModule

__all__ = ["CorruptingDataModule", "ImageSetDataModule", "RestorationDataModule"]
