"""The autoencoder: everything passes through a code of the documented size."""

import pytest
import torch

from restore.errors import UsageError
from restore.models import ConvolutionalAutoencoder
from restore.seeds import generator_for


@pytest.fixture
def network() -> ConvolutionalAutoencoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ConvolutionalAutoencoder()


def test_the_default_code_holds_a_twelfth_of_the_numbers(network: ConvolutionalAutoencoder) -> None:
    image = torch.rand(1, 3, 48, 64, generator=generator_for("autoencoder"))
    code = network.encode(image, torch.zeros(1, 1, 48, 64))
    assert code.shape == (1, 16, 6, 8)
    assert code.numel() * 12 == image.numel()


def test_sides_of_the_code_are_rounded_up(network: ConvolutionalAutoencoder) -> None:
    assert network.encode(torch.rand(1, 1, 17, 8), torch.zeros(1, 1, 17, 8)).shape == (1, 16, 3, 1)


def test_the_picture_is_a_function_of_the_code(network: ConvolutionalAutoencoder) -> None:
    image, mask = torch.rand(1, 3, 24, 32, generator=generator_for("autoencoder")), torch.zeros(1, 1, 24, 32)
    assert torch.equal(network.decode(network.encode(image, mask)), network(image, mask))
    # And of nothing else: with a constant code, the picture is of no image.
    torch.nn.init.zeros_(next(p for p in network.encoder[-1].parameters() if p.dim() == 4))
    assert torch.equal(network(image, mask), network(1 - image, mask))


def test_a_silent_decoder_gives_the_middle_of_the_range(network: ConvolutionalAutoencoder) -> None:
    for parameter in network.decoder[-1].parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(network.decode(torch.rand(1, 16, 2, 2)), torch.full((1, 3, 16, 16), 0.5))


def test_a_code_without_channels_is_refused() -> None:
    with pytest.raises(UsageError, match="code_channels and channels: must be 1 or more, not 0 and 3"):
        ConvolutionalAutoencoder(code_channels=0)
