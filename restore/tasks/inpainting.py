"""Filling in what is missing."""

from torch import Tensor

from restore.models.base import composite
from restore.tasks.base import RestorationTask

__all__ = ["InpaintingAutoencoder"]


class InpaintingAutoencoder(RestorationTask):
    """Missing pixels are filled in; known ones come back bit for bit (Pathak et al. 2016).

    Scores the hole alone too: `val/hole_psnr`.
    """

    composites = True

    def finish(self, restored: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        """Put the known pixels back."""
        return composite(corrupted, restored, mask)
