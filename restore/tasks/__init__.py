"""What a network is trained to do: LightningModules that receive network, loss, optimizer and scheduler."""

from restore.tasks.base import RestorationTask
from restore.tasks.denoising import DenoisingAutoencoder
from restore.tasks.inpainting import InpaintingAutoencoder
from restore.tasks.optimizers import Muon
from restore.tasks.reconstruction import ReconstructionAutoencoder
from restore.tasks.schedules import WarmupCosine

__all__ = [
    "DenoisingAutoencoder",
    "InpaintingAutoencoder",
    "Muon",
    "ReconstructionAutoencoder",
    "RestorationTask",
    "WarmupCosine",
]
