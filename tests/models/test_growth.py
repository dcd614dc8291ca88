"""Larger networks that start as smaller ones."""

import pytest
import torch

from restore.models import ConvolutionalAutoencoder, UNet
from restore.models.base import RestorationNetwork
from restore.models.growth import grow

IMAGE = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(1))
MASK = torch.zeros(1, 1, 40, 48)


def small() -> UNet:
    torch.manual_seed(1)
    return UNet((8, 16), [1, 2]).eval()


def trained(network: UNet) -> UNet:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2.0).add_(0.01)
    return network


@pytest.mark.parametrize(
    ("blocks", "deconvolve"), [([1, 2], False), ([2, 2], False), ([1, 3], False), ([3, 4], True)], ids=repr
)
def test_a_larger_network_does_what_the_smaller_one_did(blocks: list[int], deconvolve: bool) -> None:
    smaller, larger = trained(small()), UNet((8, 16), blocks, deconvolve=deconvolve).eval()
    state = grow(larger, smaller.state_dict())
    assert state is not None
    larger.load_state_dict(state)
    with torch.inference_mode():
        change = larger(IMAGE, MASK) - IMAGE
        assert change.abs().max() > 0.01
        assert torch.allclose(change, smaller(IMAGE, MASK) - IMAGE, atol=1e-6)


def test_what_is_new_learns() -> None:
    larger = UNet((8, 16), [2, 2], deconvolve=True)
    larger.load_state_dict(grow(larger, trained(small()).state_dict()) or {})
    (larger(IMAGE, MASK) - 0.5).square().mean().backward()
    new = dict(larger.named_parameters())
    for name in ("up.0.1.second.weight", "down.0.1.second.weight"):
        gradient = new[name].grad
        assert not new[name].any(), name
        assert gradient is not None, name
        assert gradient.any(), name
    gradient = larger.head.weight.grad
    assert not larger.head.weight[:, 16:].any()
    assert gradient is not None
    assert gradient[:, 16:].any()


def test_inputs_are_not_taken_away() -> None:
    assert grow(small(), UNet((8, 16), [1, 2], deconvolve=True).state_dict()) is None


@pytest.mark.parametrize(
    "other",
    [
        UNet((8, 16), 1),
        UNet((8, 32), [1, 2]),
        UNet((16, 16), [1, 2]),
        UNet((8, 16, 16), [1, 2, 1]),
        UNet((8,), [1]),
        UNet((8, 16), [1, 2], channels=1),
        ConvolutionalAutoencoder((8,)),
    ],
    ids=lambda network: str(network.config()),
)
def test_what_is_not_larger_in_blocks_or_inputs_is_refused(other: RestorationNetwork) -> None:
    before = {name: value.clone() for name, value in other.state_dict().items()}
    assert grow(other, small().state_dict()) is None
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
