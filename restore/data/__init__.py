"""Photos in, batches out."""

from restore.data.datamodule import RestorationDataModule

__all__ = ["RestorationDataModule"]
