"""Networks: plain modules with scalar arguments, and the bundles that carry them."""

from restore.models.autoencoder import ConvolutionalAutoencoder
from restore.models.base import Autoencoder, Reconstruction, RestorationNetwork
from restore.models.dense import DeepAutoencoder, UndercompleteAutoencoder
from restore.models.sparse import SparseAutoencoder
from restore.models.unet import UNet
from restore.models.variational import VariationalAutoencoder

__all__ = [
    "Autoencoder",
    "ConvolutionalAutoencoder",
    "DeepAutoencoder",
    "Reconstruction",
    "RestorationNetwork",
    "SparseAutoencoder",
    "UNet",
    "UndercompleteAutoencoder",
    "VariationalAutoencoder",
]
