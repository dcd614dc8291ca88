"""The reference network for speed: what denoisers are commonly compared with. Random weights; it restores nothing."""

from torch import Tensor, nn

from restore.models.base import JsonValue, RestorationNetwork

__all__ = ["DnCNN"]


class DnCNN(RestorationNetwork):
    """17 convolutions of 64 channels at full resolution that predict the noise (Zhang et al. 2017).

    Batch normalisation is left out, as it is when such a network is deployed: it folds into the convolutions.

    Args:
        depth: Convolutions in all.
        width: Channels between them.
    """

    size_multiple = 1

    def __init__(self, depth: int = 17, width: int = 64) -> None:
        super().__init__()
        self.depth, self.width = depth, width
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """`(B, 3, H, W)` in and out; the mask is not looked at."""
        noise: Tensor = self.layers(image)
        return image - noise.float()

    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments."""
        return {"depth": self.depth, "width": self.width}
