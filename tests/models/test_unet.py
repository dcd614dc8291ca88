"""The U-Net: its size, its cost, and that it starts near the identity."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from restore.errors import UsageError
from restore.models import UNet
from restore.seeds import generator_for


@pytest.fixture(scope="module")
def default() -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return UNet().eval()


def test_the_default_has_the_parameters_and_the_cost_that_are_published(default: UNet) -> None:
    assert sum(parameter.numel() for parameter in default.parameters()) == 4_180_876
    assert default.size_multiple == 8
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        default(torch.rand(1, 3, 64, 64), torch.zeros(1, 1, 64, 64))
    assert counter.get_total_flops() / 2 / 64**2 == pytest.approx(196_500, rel=0.002)  # multiply-adds a pixel


def test_a_fresh_network_nearly_returns_its_input(default: UNet) -> None:
    image = torch.rand(1, 3, 32, 32, generator=generator_for("unet"))
    with torch.inference_mode():
        residual = default(image, torch.zeros(1, 1, 32, 32)) - image
    assert 0.0 < residual.square().mean().sqrt().item() < 0.05


def test_the_input_passes_in_full_precision_beside_a_bfloat16_residual() -> None:
    network = UNet(widths=(8, 16), blocks=1)
    for parameter in network.tail.parameters():
        torch.nn.init.zeros_(parameter)
    image, mask = torch.rand(1, 3, 17, 19, generator=generator_for("unet")), torch.zeros(1, 1, 17, 19)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(network(image, mask), image)


def test_missing_pixels_start_from_the_middle_of_the_range() -> None:
    network = UNet(widths=(8,), blocks=1)
    for parameter in network.tail.parameters():
        torch.nn.init.zeros_(parameter)
    image, mask = torch.rand(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    mask[..., 2:5, 3:6] = 1
    assert torch.equal(network(image, mask), torch.where(mask > 0.5, 0.5, image))


@pytest.mark.parametrize(("widths", "multiple"), [((4,), 2), ((4, 4), 4), ((4, 4, 4, 4), 16)])
def test_every_level_halves_the_resolution_once_more(widths: tuple[int, ...], multiple: int) -> None:
    assert UNet(widths).size_multiple == multiple


def test_a_network_without_blocks_is_refused() -> None:
    with pytest.raises(UsageError, match="blocks and channels: must be 1 or more, not 0 and 3"):
        UNet(blocks=0)


def test_each_level_may_have_its_own_number_of_blocks() -> None:
    network = UNet((4, 4, 8), blocks=(3, 1, 2))
    assert [len(stack) for stack in (*network.down, network.bottom, *network.up)] == [3, 1, 2, 3, 1]
    assert network.config()["blocks"] == [3, 1, 2]
    with pytest.raises(UsageError, match=r"one for each of the 2 levels, not \[1, 1, 1\]"):
        UNet((4, 4), blocks=(1, 1, 1))
