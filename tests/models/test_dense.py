"""Dense autoencoders against the algebra that they stand for."""

import pytest
import torch
from torch import Tensor, nn

from restore.errors import UsageError
from restore.models import DeepAutoencoder, UndercompleteAutoencoder
from restore.seeds import generator_for


def images(count: int = 4, side: int = 8, channels: int = 1) -> Tensor:
    return torch.rand(count, channels, side, side, generator=generator_for("dense", side))


def no_mask(image: Tensor) -> Tensor:
    return torch.zeros(len(image), 1, *image.shape[2:])


def test_with_the_principal_axes_as_its_matrix_a_tied_linear_one_is_pca() -> None:
    image = images(50)
    centred = image.flatten(1) - 0.5
    axes = torch.linalg.svd(centred, full_matrices=False)[2][:5]
    network = UndercompleteAutoencoder(5, image_size=8, output="linear", tied=True)
    network.encoder[0].weight.data = axes
    expected = centred @ axes.T @ axes + 0.5
    assert torch.allclose(network.encode(image).flatten(1), centred @ axes.T, atol=1e-5)
    assert torch.allclose(network(image, no_mask(image)).flatten(1), expected, atol=1e-5)


def test_the_layers_of_the_default_are_those_of_the_paper() -> None:
    layers = [module for module in DeepAutoencoder().modules() if isinstance(module, nn.Linear)]
    sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
    assert sizes == [784, 128, 64, 32, 64, 128, 784]


def test_each_square_of_a_larger_picture_has_a_code_of_its_own() -> None:
    network = DeepAutoencoder((16, 4), image_size=8)
    image = images(1, 24)
    changed = image.clone()
    changed[..., 8:16, 16:] = 0.0
    difference = (network.encode(changed) != network.encode(image)).any(dim=1)[0]
    assert difference.nonzero().tolist() == [[1, 2]]
    alone = network.encode(image[..., 8:16, 16:])
    assert torch.allclose(alone[0, :, 0, 0], network.encode(image)[0, :, 1, 2], atol=1e-6)
    pictures = network.decode(network.encode(image))
    assert torch.allclose(pictures[..., 8:16, 16:], network.decode(alone), atol=1e-6)


def test_tied_matrices_are_one_and_stored_once() -> None:
    network = DeepAutoencoder((16, 4), image_size=8, tied=True)
    assert sum(value.ndim == 2 for value in network.state_dict().values()) == 2
    code = torch.rand(1, 4, 1, 1, generator=generator_for("code"))
    before = network.decode(code)
    with torch.no_grad():
        network.encoder[1].weight.mul_(2.0)  # type: ignore[operator]  # a linear layer's
    assert not torch.allclose(network.decode(code), before)
    network.decode(code).sum().backward()
    assert all(layer.weight.grad is not None for layer in network.encoder)
    untied = DeepAutoencoder((16, 4), image_size=8)
    untied.decode(code).sum().backward()
    assert all(layer.weight.grad is None for layer in untied.encoder)


@pytest.mark.parametrize("tied", [False, True])
def test_penalties_on_the_weights_are_sums_over_every_matrix(tied: bool) -> None:
    network = DeepAutoencoder((16, 4), image_size=8, tied=tied, l1=0.5, l2=0.25)
    image = images()
    penalties = network.reconstruct(image, no_mask(image)).penalties
    matrices = [value for value in network.state_dict().values() if value.ndim == 2]
    assert len(matrices) == (2 if tied else 4)
    assert penalties["l1"].item() == pytest.approx(0.5 * sum(float(m.abs().sum()) for m in matrices), rel=1e-5)
    assert penalties["l2"].item() == pytest.approx(0.25 * sum(float((m**2).sum()) for m in matrices), rel=1e-5)


def test_dropout_takes_its_share_in_training_only_and_draws_from_the_generator() -> None:
    network = UndercompleteAutoencoder(60, image_size=8, output="linear", dropout=0.25)
    image, state = images(2000), torch.get_rng_state()
    network.decoder[0].weight.data = torch.eye(64)[:, :60].clone()  # shows the code
    seen = (network.reconstruct(image, no_mask(image), generator_for("drop")).image - 0.5).flatten(1)[:, :60]
    code = network.encode(image).flatten(1)
    kept = seen != 0
    assert 1.0 - kept.float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.allclose(seen[kept], code[kept] / 0.75, atol=1e-5)
    again = network.reconstruct(image, no_mask(image), generator_for("drop")).image
    other = network.reconstruct(image, no_mask(image), generator_for("other")).image
    assert torch.equal(seen, (again - 0.5).flatten(1)[:, :60])
    assert not torch.equal(again, other)
    plain = network(image, no_mask(image))
    assert torch.equal(network.eval().reconstruct(image, no_mask(image)).image, plain)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": ()}, "widths: needs at least one layer"),
        ({"image_size": 0}, "image_size and channels: must be 1 or more, not 0 and 1"),
        ({"dropout": 1.0}, "dropout: must be 0 or more and below 1"),
        ({"l2": -1.0}, "l1 and l2: must be finite and 0 or more, not 0 and -1"),
        ({"activation": "softmax"}, "activation: must be one of elu, gelu, .*, not softmax"),
    ],
)
def test_arguments_that_cannot_work_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DeepAutoencoder(**arguments)  # type: ignore[arg-type]  # of several types by design


def test_a_code_as_large_as_the_image_is_not_undercomplete() -> None:
    with pytest.raises(UsageError, match="below the 64 numbers of an image, not 64; SparseAutoencoder"):
        UndercompleteAutoencoder(64, image_size=8)
