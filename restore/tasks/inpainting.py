"""Filling in what is missing."""

import logging

from torch import Tensor

from restore.models.base import composite
from restore.tasks.base import RestorationTask
from restore.types import Batch

__all__ = ["InpaintingAutoencoder"]

_log = logging.getLogger(__name__)


class InpaintingAutoencoder(RestorationTask):
    """Missing pixels are filled in; known ones come back bit for bit (Pathak et al. 2016).

    Scores the hole alone too: `val/hole_psnr`.
    """

    composites = True

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; a word at the first if it has nothing to learn from."""
        if self.global_step == 0 and batch_idx == 0 and not bool(batch["mask"].any()):
            _log.warning(
                "data.corruption: takes no pixels of the first batch, and known ones come back as they are: "
                "add RectangleMask, StrokeMask or PixelMask, or train DenoisingAutoencoder"
            )
        return super().training_step(batch, batch_idx)

    def finish(self, restored: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        """Put the known pixels back."""
        return composite(corrupted, restored, mask)
