"""Larger networks that start as smaller ones."""

from collections.abc import Mapping

import torch
from torch import Tensor

from restore.models.base import RestorationNetwork
from restore.models.blocks import ResidualBlock

__all__ = ["grow"]

_FIRST = "head.weight"


def grow(network: RestorationNetwork, smaller: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Weights with which a network does what a smaller one of its class did.

    What is new adds nothing at first: the second convolution of residual blocks that follow those of the smaller
    network, and the weights of inputs that follow its inputs, are 0. After Chen et al., "Net2Net", 2016.

    Args:
        network: The larger network, or one as large; is not changed.
        smaller: The other's state.

    Returns:
        A state for `network`, or None if it is not the smaller one with more residual blocks or more inputs.
    """
    state: dict[str, Tensor] = {}
    for name, ours in network.state_dict().items():
        theirs = smaller.get(name)
        block, _, part = name.rpartition(".")[0].rpartition(".")
        if theirs is None and isinstance(network.get_submodule(block), ResidualBlock):
            state[name] = torch.zeros_like(ours) if part == "second" else ours
        elif theirs is not None and theirs.shape == ours.shape:
            state[name] = theirs
        elif theirs is not None and name == _FIRST and len(theirs) == len(ours) and theirs.shape[1] < ours.shape[1]:
            state[name] = torch.cat([theirs, torch.zeros_like(ours[:, theirs.shape[1] :])], dim=1)
        else:
            return None
    return state if smaller.keys() <= state.keys() else None
