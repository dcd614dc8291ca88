"""The variational autoencoder against torch's own distributions."""

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal, kl_divergence

from restore.errors import UsageError
from restore.models import VariationalAutoencoder
from restore.models.variational import Posterior
from restore.seeds import generator_for


def network(beta: float = 1.0) -> VariationalAutoencoder:
    torch.manual_seed(0)
    return VariationalAutoencoder(widths=(4, 8), code_channels=3, pool=2, beta=beta)


def images(side: int = 8, count: int = 5) -> tuple[Tensor, Tensor]:
    image = torch.rand(count, 1, side, side, generator=generator_for("variational", side))
    return image, torch.zeros_like(image)


def test_the_divergence_is_that_of_normal_distributions() -> None:
    mean, log_variance = torch.randn(2, 4, 3, 2, 2, generator=generator_for("posterior")) * 2.0
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    assert torch.allclose(Posterior(mean, log_variance).divergence(), expected, atol=1e-5)


def test_draws_have_the_mean_and_the_deviation_of_the_posterior() -> None:
    posterior = Posterior(torch.full((1, 2, 1, 1), 3.0), torch.full((1, 2, 1, 1), -2.0))
    drawn = posterior.draw(torch.randn(20000, 2, 1, 1, generator=generator_for("draws")))
    assert drawn.mean().item() == pytest.approx(3.0, abs=0.01)
    assert drawn.std().item() == pytest.approx(torch.tensor(-1.0).exp().item(), rel=0.02)


def test_draws_follow_both_parameters() -> None:
    mean, log_variance, noise = torch.randn(3, 2, 4, 1, 1, generator=generator_for("draw"))
    drawn = Posterior(mean.requires_grad_(), log_variance.requires_grad_()).draw(noise)
    slopes = torch.autograd.grad(drawn.sum(), (mean, log_variance))
    assert torch.equal(slopes[0], torch.ones_like(mean))
    assert torch.allclose(slopes[1], 0.5 * (0.5 * log_variance).exp() * noise)


@pytest.mark.parametrize("side", [8, 24])
def test_the_penalty_is_the_divergence_per_value_of_the_image_at_every_size(side: int) -> None:
    image, mask = images(side)
    vae = network(beta=4.0)
    posterior = vae.posterior(image, mask)
    expected = 4.0 * posterior.divergence().sum() / len(image) / side**2
    penalty = vae.reconstruct(image, mask).penalties["kl"]
    assert penalty.item() == pytest.approx(expected.item(), rel=1e-5)
    weight: Tensor = vae.encoder[-1].weight  # type: ignore[assignment]
    slope, expected_slope = (torch.autograd.grad(value, weight)[0] for value in (penalty, expected))
    assert torch.allclose(slope, expected_slope, atol=1e-6)
    assert slope.any()


def test_the_penalty_of_tiled_images_is_that_of_one_tile() -> None:
    vae = network()
    with torch.no_grad():
        for parameter in vae.encoder.parameters():  # one tile must not see the next
            parameter.zero_()
        vae.encoder[-1].bias.fill_(1.0)  # type: ignore[operator]
    small, large = (vae.reconstruct(*images(side)).penalties["kl"].item() for side in (8, 24))
    assert small == pytest.approx(large, rel=1e-6)
    assert small > 0


def test_inference_takes_the_mean_and_training_draws_from_the_generator() -> None:
    vae, (image, mask) = network(), images()
    state = torch.get_rng_state()
    assert torch.equal(vae.encode(image, mask), vae.posterior(image, mask).mean)
    assert torch.equal(vae(image, mask), vae.decode(vae.posterior(image, mask).mean))
    first, again, other = (vae.reconstruct(image, mask, generator_for(name)).image for name in ("a", "a", "b"))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_bound_is_the_likelihood_of_a_drawn_code_and_the_divergence() -> None:
    vae, (image, mask) = network(beta=7.0), images()
    clean = (image > 0.5).float()  # torch's Bernoulli explains only zeros and ones
    posterior = vae.posterior(image, mask)
    noise = torch.randn(posterior.mean.shape, generator=generator_for("noise"))
    codes = posterior.mean + (0.5 * posterior.log_variance).exp() * noise
    likelihood = Bernoulli(probs=vae.decode(codes)).log_prob(clean).flatten(1).sum(dim=1)
    expected = posterior.divergence().flatten(1).sum(dim=1) - likelihood
    assert torch.allclose(vae.negative_elbo(posterior, clean, noise), expected, rtol=1e-4)


def test_samples_are_pictures_of_normal_codes() -> None:
    vae = network()
    drawn = torch.randn(2, 3, 1, 2, generator=generator_for("sample"))
    assert torch.equal(vae.sample(2, generator_for("sample"), columns=2), vae.decode(drawn))


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(UsageError, match="beta: must be finite and 0 or more, not -1"):
        VariationalAutoencoder(beta=-1.0)
