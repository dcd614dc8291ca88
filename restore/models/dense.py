"""Dense autoencoders: every number of the code sees every pixel of its square."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restore.errors import UsageError
from restore.models.base import Autoencoder, JsonValue, Reconstruction, pad_to_multiple
from restore.models.blocks import Activation, Output, activation_layer, finish_output, prepare_inputs

__all__ = ["DeepAutoencoder", "UndercompleteAutoencoder"]


class DeepAutoencoder(Autoencoder):
    """Dense layers down to a code, and the same sizes up again (Hinton and Salakhutdinov 2006).

    Works on squares of `image_size` pixels: an image of that size has one code vector, a larger one is padded to a
    multiple and each of its squares is coded on its own. Missing pixels are seen as 0.5.

    Args:
        widths: Outputs of the encoder's layers; the last is the length of the code.
        image_size: Side of the square that one code stands for, in pixels.
        channels: Image channels; 3 serves grey images too.
        activation: Between the layers.
        code_activation: On the code.
        output: `sigmoid` stays inside (0, 1), as binary cross-entropy needs; `linear` gives 0.5 + sum.
        tied: Let the decoder's matrices be the encoder's, transposed: half the weights.
        dropout: Share of the hidden activations, the code among them, that training sets to zero; the others grow by
            1 / (1 - share).
        l1: Weight of the sum of |w| over all matrices, logged as `train/l1`.
        l2: Weight of the sum of w^2 over all matrices, logged as `train/l2`.

    Raises:
        UsageError: A setting is out of its range.
    """

    def __init__(
        self,
        widths: Sequence[int] = (128, 64, 32),
        image_size: int = 28,
        channels: int = 1,
        activation: Activation = "gelu",
        code_activation: Activation = "linear",
        output: Output = "sigmoid",
        tied: bool = False,
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> None:
        super().__init__()
        if not widths or min(widths) < 1:
            raise UsageError(f"widths: needs at least one layer of at least one number, not {list(widths)}")
        if image_size < 1 or channels < 1:
            raise UsageError(f"image_size and channels: must be 1 or more, not {image_size} and {channels}")
        if not 0.0 <= dropout < 1.0:
            raise UsageError(f"dropout: must be 0 or more and below 1, not {dropout:g}")
        if not all(0.0 <= value < math.inf for value in (l1, l2)):
            raise UsageError(f"l1 and l2: must be finite and 0 or more, not {l1:g} and {l2:g}")
        self.widths, self.image_size, self.channels = tuple(widths), image_size, channels
        self.activation, self.code_activation, self.output = activation, code_activation, output
        self.tied, self.dropout, self.l1, self.l2 = tied, dropout, l1, l2
        self.size_multiple, self.code_channels = image_size, self.widths[-1]
        sizes = [channels * image_size**2, *widths]
        self.encoder = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        # Tied, the decoder has biases of its own and no matrices: two names of one tensor would be stored twice.
        self.decoder = (
            nn.ModuleList() if tied else nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(reversed(sizes)))
        )
        self.offsets = nn.ParameterList(torch.zeros(size) for size in reversed(sizes[:-1])) if tied else None
        self.hidden, self.last = activation_layer(activation), activation_layer(code_activation)
        for layer in (*self.encoder, *self.decoder):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def encode(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """The code, `(B, code_channels, H / image_size, W / image_size)`, sides rounded up."""
        return self._code(self._sums(image, mask, None, 0.0)).movedim(-1, 1)

    def decode(self, code: Tensor) -> Tensor:
        """The picture of a code, `(B, channels, h image_size, w image_size)` float32."""
        return self._decode(code, None, 0.0)

    def reconstruct(self, image: Tensor, mask: Tensor, generator: torch.Generator | None = None) -> Reconstruction:
        """Restore for training, with dropout while the network is in training mode, and the penalties."""
        share = self.dropout if self.training else 0.0
        sums = self._sums(image, mask, generator, share)
        code = self._code(sums)
        picture = self._decode(_drop(code.movedim(-1, 1), share, generator), generator, share)
        return Reconstruction(self.fit(picture, image), self._penalties(sums, code))

    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments."""
        return {
            "widths": list(self.widths),
            "image_size": self.image_size,
            "channels": self.channels,
            "activation": self.activation,
            "code_activation": self.code_activation,
            "output": self.output,
            "tied": self.tied,
            "dropout": self.dropout,
            "l1": self.l1,
            "l2": self.l2,
        }

    def _sums(self, image: Tensor, mask: Tensor | None, generator: torch.Generator | None, share: float) -> Tensor:
        """What the activation makes a code of: `(B, h, w, code_channels)`."""
        mask = image.new_zeros(image.shape[0], 1, *image.shape[2:]) if mask is None else mask
        visible = prepare_inputs(image, mask, self.channels)[:, : self.channels]
        squares = F.pixel_unshuffle(pad_to_multiple(visible, self.image_size), self.image_size)
        x = squares.movedim(1, -1)  # (B, h, w, channels image_size^2)
        for layer in self.encoder[:-1]:
            x = _drop(self.hidden(layer(x)), share, generator)
        sums: Tensor = self.encoder[-1](x)
        return sums

    def _code(self, sums: Tensor) -> Tensor:
        code: Tensor = self.last(sums)
        return code

    def _decode(self, code: Tensor, generator: torch.Generator | None, share: float) -> Tensor:
        x = code.movedim(1, -1)
        matrices = self._decoder_matrices()
        for index, (weight, bias) in enumerate(matrices):
            x = F.linear(x, weight, bias)
            if index < len(matrices) - 1:
                x = _drop(self.hidden(x), share, generator)
        return finish_output(F.pixel_shuffle(x.movedim(-1, 1), self.image_size), self.output)

    def _decoder_matrices(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of each of the decoder's layers, in order."""
        if self.offsets is None:
            return [(layer.weight, layer.bias) for layer in self.decoder]  # type: ignore[misc]  # linear layers
        layers = reversed(self.encoder)
        return [(layer.weight.t(), bias) for layer, bias in zip(layers, self.offsets, strict=True)]  # type: ignore[operator]

    def _penalties(self, sums: Tensor, code: Tensor) -> dict[str, Tensor]:
        """Terms of the loss by name; both `(B, h, w, code_channels)`, the code being that of the sums."""
        matrices: list[Tensor] = [layer.weight for layer in (*self.encoder, *self.decoder)]
        penalties: dict[str, Tensor] = {}
        if self.l1:
            penalties["l1"] = self.l1 * torch.stack([matrix.abs().sum() for matrix in matrices]).sum()
        if self.l2:
            penalties["l2"] = self.l2 * torch.stack([matrix.square().sum() for matrix in matrices]).sum()
        return penalties


class UndercompleteAutoencoder(DeepAutoencoder):
    """One dense layer to a code smaller than the image, and one back.

    Without a sigmoid at the end, the best such network spans the same subspace as PCA (Baldi and Hornik 1989).

    Args:
        code_size: Length of the code.
        image_size: Side of the square that one code stands for, in pixels.
        channels: Image channels; 3 serves grey images too.
        code_activation: On the code.
        output: `sigmoid` stays inside (0, 1), as binary cross-entropy needs; `linear` gives 0.5 + sum.
        tied: Let the decoder's matrix be the encoder's, transposed: half the weights.
        dropout: Share of the code that training sets to zero; the rest grows by 1 / (1 - share).
        l1: Weight of the sum of |w| over both matrices, logged as `train/l1`.
        l2: Weight of the sum of w^2 over both matrices, logged as `train/l2`.

    Raises:
        UsageError: A setting is out of its range.
    """

    def __init__(
        self,
        code_size: int = 64,
        image_size: int = 28,
        channels: int = 1,
        code_activation: Activation = "linear",
        output: Output = "sigmoid",
        tied: bool = False,
        dropout: float = 0.0,
        l1: float = 0.0,
        l2: float = 0.0,
    ) -> None:
        if not 1 <= code_size < channels * image_size**2:
            raise UsageError(
                f"code_size: must be 1 or more and below the {channels * image_size**2} numbers of an image, "
                f"not {code_size}; SparseAutoencoder has larger codes"
            )
        super().__init__((code_size,), image_size, channels, "linear", code_activation, output, tied, dropout, l1, l2)

    def config(self) -> dict[str, JsonValue]:
        """The constructor's arguments."""
        config = super().config()
        del config["widths"], config["activation"]
        return {"code_size": self.code_channels, **config}


def _drop(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """Set a share of the numbers to zero, and let the others grow so that their mean stays."""
    if not share:
        return x
    kept = torch.rand(x.shape, generator=generator, device=x.device) >= share
    return x * kept / (1.0 - share)
