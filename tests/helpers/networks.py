"""Networks with known answers, and bundles that are quick to make."""

from pathlib import Path

import torch
from torch import Tensor

from restore.models import ConvolutionalAutoencoder, RestorationNetwork, UNet, VariationalAutoencoder
from restore.models.base import JsonValue
from restore.models.bundle import ModelCard, network_entry, save_bundle


class IdentityNetwork(RestorationNetwork):
    """Gives back its input, as float32."""

    def __init__(self, size_multiple: int = 8) -> None:
        super().__init__()
        self.size_multiple = size_multiple

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return image.float()

    def config(self) -> dict[str, JsonValue]:
        return {"size_multiple": self.size_multiple}


class ConstantNetwork(IdentityNetwork):
    """Gives 0.25 everywhere."""

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return torch.full_like(image, 0.25)


def small_unet() -> UNet:
    """A U-Net that runs in a millisecond."""
    return UNet(widths=(8, 16), blocks=1)


def write_bundle(
    folder: Path, composites: bool = False, protocol: str = "gaussian-awgn", licence: str = "", corruption: str = ""
) -> Path:
    """A bundle of a small random U-Net."""
    torch.manual_seed(0)
    network = small_unet()
    training = {"corruption": corruption} if corruption else {}
    card = ModelCard(
        folder.name, network_entry(network), composites, protocol=protocol, licence=licence, training=training
    )
    save_bundle(folder, network.state_dict(), card)
    return folder


def write_autoencoder(folder: Path, kind: str = "vector", seed: int = 0) -> Path:
    """A bundle of a small random autoencoder.

    `vector` has one code of 6 numbers for 28 grey pixels a side, `map` a map of 4 numbers for 8 RGB pixels each, and
    `variational` draws grey squares of 28 pixels.
    """
    torch.manual_seed(seed)
    network = {
        "vector": ConvolutionalAutoencoder((4, 8), 6, channels=1, pool=7),
        "map": ConvolutionalAutoencoder((4, 8, 8), 4),
        "variational": VariationalAutoencoder((4, 8), 6),
    }[kind]
    card = ModelCard(folder.name, network_entry(network), training={"crop_size": 32 if kind == "map" else 28})
    save_bundle(folder, network.state_dict(), card)
    return folder
