"""What `RestorationNetwork` promises, for every network."""

import math

import pytest
import torch
from torch import Tensor

from restore.errors import UsageError
from restore.models import (
    ConvolutionalAutoencoder,
    DeepAutoencoder,
    RestorationNetwork,
    SparseAutoencoder,
    UndercompleteAutoencoder,
    UNet,
    VariationalAutoencoder,
)
from restore.models.base import composite, pad_to_multiple
from restore.seeds import generator_for

NETWORKS: dict[str, RestorationNetwork] = {}
with torch.random.fork_rng(devices=[]):
    torch.manual_seed(0)
    NETWORKS["unet"] = UNet(widths=(8, 16), blocks=1)
    NETWORKS["unet of one level"] = UNet(widths=(8,), blocks=2)
    NETWORKS["unet of four levels"] = UNet(widths=(4, 4, 8, 8), blocks=(2, 1, 1, 1))
    NETWORKS["unet with smooth holes"] = UNet(widths=(8, 16), blocks=1, fill="smooth")
    NETWORKS["unet with splines in holes"] = UNet(widths=(8, 16), blocks=1, fill="spline")
    NETWORKS["unet behind a deconvolution"] = UNet(widths=(8, 16), blocks=1, deconvolve=True)
    NETWORKS["grey unet"] = UNet(widths=(8, 16), blocks=1, channels=1)
    NETWORKS["autoencoder"] = ConvolutionalAutoencoder(widths=(8, 16), code_channels=4)
    NETWORKS["autoencoder of one level"] = ConvolutionalAutoencoder(widths=(8,), code_channels=2)
    NETWORKS["autoencoder with one vector per square"] = ConvolutionalAutoencoder((4, 8), 6, pool=4)
    NETWORKS["plain autoencoder that resizes"] = ConvolutionalAutoencoder(
        (8, 16), 4, channels=1, blocks=0, enlargement="resize", activation="silu", output="sigmoid"
    )
    NETWORKS["undercomplete"] = UndercompleteAutoencoder(20, image_size=8, channels=3)
    NETWORKS["deep and tied"] = DeepAutoencoder((24, 12), image_size=8, tied=True, activation="tanh")
    NETWORKS["sparse by kl"] = SparseAutoencoder(80, image_size=8)
    NETWORKS["sparse by top-k"] = SparseAutoencoder(60, image_size=8, channels=3, sparsity="top-k", active=20)
    NETWORKS["variational"] = VariationalAutoencoder((4, 8), code_channels=3, pool=2)

every_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
colour_networks = pytest.mark.parametrize("network", [n for n in NETWORKS.values() if n.channels == 3])


def inputs(network: RestorationNetwork, height: int = 21, width: int = 26, grey: bool = False) -> tuple[Tensor, Tensor]:
    generator = generator_for("models", height, width)
    channels = 1 if grey or network.channels == 1 else 3
    image = torch.rand(2, channels, height, width, generator=generator) * 1.4 - 0.2
    return image, (torch.rand(2, 1, height, width, generator=generator) < 0.2).float()


@pytest.mark.parametrize("grey", [False, True], ids=["colour", "grey"])
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (2, 3), (13, 1), (31, 17), (16, 32)])
@every_network
def test_any_size_comes_back_finite_and_in_float32(
    network: RestorationNetwork, size: tuple[int, int], grey: bool
) -> None:
    image, mask = inputs(network, *size, grey=grey)
    with torch.inference_mode():
        restored = network(image, mask)
    assert restored.shape == image.shape
    assert restored.dtype == torch.float32
    assert restored.isfinite().all()


@every_network
def test_the_same_input_gives_the_same_bits_in_training_and_in_evaluation(network: RestorationNetwork) -> None:
    image, mask = inputs(network)
    before, state = (image.clone(), mask.clone()), torch.get_rng_state()
    first = network.train()(image, mask)
    assert torch.equal(network(image, mask), first)
    assert torch.equal(network.eval()(image, mask), first)
    reconstruction = network.reconstruct(image, mask, generator_for("reconstruct"))
    assert torch.equal(reconstruction.image, first) == (not isinstance(network, VariationalAutoencoder))
    assert all(penalty.ndim == 0 and penalty.isfinite() for penalty in reconstruction.penalties.values())
    assert torch.equal(image, before[0])
    assert torch.equal(mask, before[1])
    assert torch.equal(torch.get_rng_state(), state)


@every_network
def test_samples_of_a_batch_do_not_see_each_other(network: RestorationNetwork) -> None:
    image, mask = inputs(network)
    assert torch.allclose(network(image, mask)[1:], network(image[1:], mask[1:]), atol=1e-6)


@every_network
def test_autocast_computes_coarsely_but_returns_float32(network: RestorationNetwork) -> None:
    image, mask = inputs(network)
    with torch.autocast("cpu", torch.bfloat16):
        restored = network(image, mask)
    assert restored.dtype == torch.float32
    difference = (restored - network(image, mask)).abs().max().item()
    assert 0 < difference < 0.02


@every_network
def test_half_precision_images_are_taken_as_they_are(network: RestorationNetwork) -> None:
    image, mask = inputs(network)
    image = image.to(torch.bfloat16)
    assert torch.equal(network(image, mask.to(torch.bfloat16)), network(image.float(), mask))


@pytest.mark.parametrize("content", [0.0, -9.0, math.nan, math.inf])
@every_network
def test_what_stands_under_the_mask_has_no_influence(network: RestorationNetwork, content: float) -> None:
    image, mask = inputs(network)
    hidden = torch.where(mask > 0.5, content, image)
    assert torch.equal(network(hidden, mask), network(image, mask))
    assert not torch.equal(network(image, torch.zeros_like(mask)), network(image, mask))


@every_network
def test_gradients_reach_every_parameter(network: RestorationNetwork) -> None:
    network.zero_grad()
    image, mask = inputs(network, 32, 32)
    network.reconstruct(image, mask).image.square().mean().backward()
    missing = [n for n, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not missing
    network.zero_grad()


@every_network
def test_the_configuration_rebuilds_the_network(network: RestorationNetwork) -> None:
    twin = type(network)(**network.config())
    assert twin.config() == network.config()
    assert twin.size_multiple == network.size_multiple
    twin.load_state_dict(network.state_dict())
    assert torch.equal(twin(*inputs(network)), network(*inputs(network)))


@colour_networks
def test_grey_is_the_mean_of_three_equal_channels(network: RestorationNetwork) -> None:
    image, mask = inputs(network, grey=True)
    colour = network(image.expand(-1, 3, -1, -1), mask)
    assert torch.allclose(network(image, mask), colour.mean(dim=1, keepdim=True), atol=1e-6)


@pytest.mark.parametrize("name", ["unet", "autoencoder", "undercomplete", "sparse by top-k"])
def test_crops_at_multiples_of_the_size_multiple_line_up_with_the_whole(name: str) -> None:
    network, margin = NETWORKS[name], 40
    image, mask = inputs(network, 128, 120)
    down, right = 3 * network.size_multiple, 2 * network.size_multiple

    def interior(top: int, left: int) -> Tensor:
        """What a crop from there says of the rows from 64 and the columns from 60, far from every border."""
        with torch.inference_mode():
            restored: Tensor = network(image[..., top:, left:], mask[..., top:, left:])
        return restored[..., 64 - top : -margin, 60 - left : -margin]

    assert interior(0, 0).numel() > 1000
    assert torch.allclose(interior(down, right), interior(0, 0), atol=1e-6)
    assert not torch.allclose(interior(down + 1, right), interior(0, 0), atol=1e-4), "any shift would do"


@every_network
def test_inputs_that_cannot_be_meant_are_refused(network: RestorationNetwork) -> None:
    channels = network.channels
    image, mask = torch.rand(2, 3, 8, 9), torch.zeros(2, 1, 8, 9)
    with pytest.raises(ValueError, match=f"image: needs 1 or {channels} channels, not 4"):
        network(torch.rand(2, 4, 8, 9), mask)
    for wrong in (mask[0], mask[:1], mask.expand(-1, 3, -1, -1), mask[..., :8]):
        with pytest.raises(ValueError, match=r"mask: needs shape \(2, 1, 8, 9\), not "):
            network(image[:, :1], wrong)


@pytest.mark.parametrize("network_class", [UNet, ConvolutionalAutoencoder])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": ()}, r"widths: needs at least one level of at least one channel, not \[\]"),
        ({"widths": (8, 0)}, r"widths: needs at least one level of at least one channel, not \[8, 0\]"),
        ({"channels": 0}, "channels: must be 1 or more"),
    ],
)
def test_architectures_that_cannot_work_are_refused(
    network_class: type[UNet] | type[ConvolutionalAutoencoder], arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        network_class(**arguments)  # type: ignore[arg-type] # of several types by design


def test_composites_keep_every_known_bit() -> None:
    corrupted, restored = torch.randn(2, 3, 3, 9, 9, generator=generator_for("composite"))
    mask = (torch.rand(3, 1, 9, 9, generator=generator_for("mask")) < 0.5).float()
    missing = mask.bool().expand_as(corrupted)
    corrupted[missing], restored[~missing] = math.nan, math.inf  # neither may leak
    result = composite(corrupted, restored, mask)
    assert torch.equal(result[missing], restored[missing])
    assert torch.equal(result[~missing], corrupted[~missing])


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 16)])
def test_padding_adds_the_fewest_rows_and_columns_at_the_far_ends(size: tuple[int, int]) -> None:
    images = torch.rand(1, 2, *size)
    padded = pad_to_multiple(images, 8)
    assert padded.shape[2:] == tuple(math.ceil(side / 8) * 8 for side in size)
    assert torch.equal(padded[..., : size[0], : size[1]], images)
