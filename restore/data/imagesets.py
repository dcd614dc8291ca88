"""The small picture sets of the literature, whole in memory, as training, validation and test batches."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from restore.corruption import Corruption, Identity
from restore.data.base import CorruptingDataModule, check_at_least, check_share, prepared
from restore.data.dataset import TrainingCrops
from restore.errors import UsageError
from restore.images.sets import ImageSet, Part, Pictures, load_pictures
from restore.seeds import generator_for
from restore.types import ScoredBatch

__all__ = ["DrawnPictures", "ImageSetDataModule"]


class DrawnPictures(Dataset[TrainingCrops]):
    """Every picture once an epoch.

    Args:
        pictures: What there is.
    """

    def __init__(self, pictures: Pictures) -> None:
        pixels = pictures.pixels if pictures.pixels.ndim == 4 else pictures.pixels[..., None]
        self._planes = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))

    def __len__(self) -> int:
        """Pictures per epoch."""
        return len(self._planes)

    def __getitem__(self, draw: int) -> TrainingCrops:
        """The picture of a draw; draws come from `CropSampler` and never repeat."""
        return {"clean": self._planes[draw % len(self._planes)], "draw": draw}


class ImageSetDataModule(CorruptingDataModule):
    """MNIST, Fashion-MNIST, CIFAR-10, or the digits that come with scikit-learn.

    The first three are read by torchvision from their usual files. Training goes through every picture once an epoch.
    Corruption is numbered and derived as for photos, so scores do not depend on batch size, workers or processes.
    The digits are 1,797 pictures of 8 x 8 pixels, enlarged to 28; the first 1,500 are for training and validation.

    Args:
        kind: Which set; `auto` is MNIST where a folder is named, else the digits.
        folder: Where torchvision keeps its sets: for MNIST, the folder that holds `MNIST/raw`.
        download: Let torchvision download what is missing into the folder.
        corruption: Damage of the training pictures; none if left out.
        evaluation: Damage for validation and test by name; each name becomes keys such as `val/NAME/psnr`. The
            training corruption, without keys of its own, if left out.
        image_size: Side that pictures of another size are brought to, in pixels; their own, and 28 for the digits, if
            left out.
        val_share: Part of the training pictures held out for validation, chosen by the seed.
        batch_size: Pictures per batch and process, in training and scoring.
        num_workers: Loader processes; 0 is fastest, since all pictures are in memory.
        seed: Decides the split, the order and the damage.
    """

    def __init__(
        self,
        kind: Literal["auto"] | ImageSet = "auto",
        folder: Path | str | None = None,
        download: bool = False,
        corruption: Corruption | None = None,
        evaluation: dict[str, Corruption] | None = None,
        image_size: int | None = None,
        val_share: float = 0.05,
        batch_size: int = 128,
        num_workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(corruption or Identity(), evaluation, batch_size, num_workers, seed)
        if image_size is not None:
            check_at_least("image_size", image_size, 11)
        check_share("val_share", val_share)
        chosen = ("digits" if folder is None else "mnist") if kind == "auto" else kind
        if folder is None and chosen != "digits":
            raise UsageError(f"data.folder: name the folder that holds the files of {chosen}")
        self.kind: ImageSet = chosen
        self.folder = None if folder is None else Path(folder)
        self.download, self.image_size, self.val_share = download, image_size, val_share
        self._train: Pictures | None = None
        self._val: Pictures | None = None
        self._test: Pictures | None = None

    def setup(self, stage: str) -> None:
        """Read the part that a stage needs."""
        if stage in {"fit", "validate"} and self._train is None:
            pictures = self._load("train")
            order = torch.randperm(len(pictures), generator=generator_for(self.seed, "split")).numpy()
            held_out = min(max(round(self.val_share * len(pictures)), 1), len(pictures) - 1)
            self._val, self._train = pictures.chosen(order[:held_out]), pictures.chosen(order[held_out:])
            if stage == "fit" and len(self._train) < self.batch_size:
                raise UsageError(f"data.batch_size: {self.batch_size} is more than the {len(self._train)} pictures")
        if stage in {"test", "predict"} and self._test is None:
            self._test = self._load("test")

    def train_dataloader(self) -> DataLoader[TrainingCrops]:
        """Clean 8-bit pictures; `on_after_batch_transfer` makes batches of them."""
        return self._training_loader(DrawnPictures(prepared(self._train)))

    def val_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """One loader per named corruption."""
        return self._evaluation_loaders(self._val, self.batch_size, None)

    def test_dataloader(self) -> dict[str, DataLoader[ScoredBatch]]:
        """One loader per named corruption, of the set's own test pictures."""
        return self._evaluation_loaders(self._test, self.batch_size, None)

    def describe(self) -> dict[str, Any]:
        """What a bundle's card says of the data, as plain JSON values."""
        return {
            "set": self.kind,
            "photos": 0 if self._train is None else len(self._train),
            "validation_photos": 0 if self._val is None else len(self._val),
            "corruption": repr(self.corruption),
            "crop_size": 0 if self._train is None else self._train.pixels.shape[1],
            "batch_size": self.batch_size,
            "seed": self.seed,
        }

    def _load(self, part: Part) -> Pictures:
        return load_pictures(self.kind, part, self.folder, self.download, self.image_size)
