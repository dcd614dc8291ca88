"""Training without a configuration."""

import signal

import pytest
import torch

from restore.codes.pictures import open_pictures
from restore.models import DeepAutoencoder
from restore.tasks.fitting import fit_reconstruction


def network() -> DeepAutoencoder:
    torch.manual_seed(0)
    return DeepAutoencoder((64, 8), 28)


def test_a_short_training_lowers_the_error_and_depends_on_the_seed_alone() -> None:
    images = next(open_pictures("digits:train", 1).batches(300)).images
    mean_picture = float((images - images.mean(dim=0)).square().mean())
    trained = []
    state = torch.get_rng_state()
    for seed in (0, 0, 1):
        net = network()
        steps: list[int] = []
        torch.set_rng_state(state)
        fit_reconstruction(net, images, 200, seed, advance=steps.append)
        assert sum(steps) == 200
        assert not net.training
        trained.append(net)
    with torch.inference_mode():
        given_back = [net(images, torch.zeros(len(images), 1, 28, 28)) for net in trained]
    assert float((given_back[0] - images).square().mean()) < 0.6 * mean_picture
    assert torch.equal(given_back[0], given_back[1])
    assert not torch.equal(given_back[0], given_back[2])
    assert torch.equal(torch.get_rng_state(), state)


def test_ctrl_c_is_a_keyboard_interrupt_as_everywhere() -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    usual = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit_reconstruction(network(), torch.rand(5, 1, 28, 28), 3, 0, advance=interrupt)
    finally:
        signal.signal(signal.SIGINT, usual)  # Lightning ignores it from the first one on


def test_fewer_pictures_than_a_batch_are_a_batch() -> None:
    few, seen = network(), torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    before = {name: value.clone() for name, value in few.state_dict().items()}
    steps: list[int] = []
    fit_reconstruction(few, seen, 3, 0, advance=steps.append)
    assert sum(steps) == 3
    assert [name for name, value in few.state_dict().items() if torch.equal(value, before[name])] == []
    with torch.inference_mode():
        trained, untrained = (net(seen, torch.zeros(5, 1, 28, 28)) for net in (few, network()))
    assert float((trained - seen).square().mean()) < float((untrained - seen).square().mean())
