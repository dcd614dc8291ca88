"""Networks: plain modules with scalar arguments, and the bundles that carry them."""

from restore.models.autoencoder import ConvolutionalAutoencoder
from restore.models.base import Reconstruction, RestorationNetwork
from restore.models.unet import UNet

__all__ = ["ConvolutionalAutoencoder", "Reconstruction", "RestorationNetwork", "UNet"]
