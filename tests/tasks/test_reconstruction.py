"""The reconstruction task: what it learns, and what it says of codes."""

import math
from pathlib import Path

import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio
from torch import Tensor, nn

from restore.data import ImageSetDataModule
from restore.errors import UsageError
from restore.images.tensors import to_pixels
from restore.losses import BinaryCrossEntropyLoss
from restore.models import RestorationNetwork, SparseAutoencoder, UndercompleteAutoencoder, VariationalAutoencoder
from restore.tasks import DenoisingAutoencoder, Muon, ReconstructionAutoencoder
from tests.helpers.networks import small_unet
from tests.helpers.training import quiet_trainer


def small_vae() -> VariationalAutoencoder:
    torch.manual_seed(0)
    return VariationalAutoencoder(widths=(8, 8), code_channels=4, pool=7)


def validate(folder: Path, network: RestorationNetwork, batch_size: int = 75) -> dict[str, float]:
    task = ReconstructionAutoencoder(network)
    (scores,) = quiet_trainer(folder).validate(task, ImageSetDataModule(batch_size=batch_size), verbose=False)
    return dict(scores)


def test_a_short_training_beats_the_mean_picture(tmp_path: Path) -> None:
    torch.manual_seed(0)
    task = ReconstructionAutoencoder(
        UndercompleteAutoencoder(32), nn.MSELoss(), optimizer=lambda parameters: Muon(parameters, lr=0.01)
    )
    data = ImageSetDataModule(batch_size=25)
    quiet_trainer(tmp_path, max_epochs=5, limit_val_batches=0, log_every_n_steps=50).fit(task, data)
    (scores,) = quiet_trainer(tmp_path).test(task, data, verbose=False)
    clean = torch.cat([batch["clean"] for batch in data.test_dataloader()[""]])
    mean_picture = (clean - clean.mean(dim=0)).square().mean().item()
    assert scores["test/mse"] < 0.5 * mean_picture
    assert scores["test/input_mse"] == 0.0
    assert 0 < scores["test/code_active"] <= 32


def test_a_bound_that_is_not_a_number_is_not_left_out_of_the_mean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverged(_network: VariationalAutoencoder, _posterior: object, clean: Tensor, _noise: Tensor) -> Tensor:
        return torch.full((len(clean),), 100.0).index_fill(0, torch.tensor([0]), math.nan)

    monkeypatch.setattr(VariationalAutoencoder, "negative_elbo", diverged)
    assert math.isnan(validate(tmp_path, small_vae())["val/negative_elbo"])


def test_a_top_k_code_has_the_share_of_numbers_that_it_keeps(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = SparseAutoencoder(200, sparsity="top-k", active=10)
    network.encoder[0].bias.data.fill_(2.0)  # type: ignore[operator]  # every unit is on
    scores = validate(tmp_path, network)
    assert scores["val/code_nonzero"] == pytest.approx(0.05)


def test_psnr_and_error_are_means_over_images_as_scikit_image_has_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = UndercompleteAutoencoder(32)
    scores = validate(tmp_path, network)
    data = ImageSetDataModule(batch_size=75)
    data.setup("validate")
    clean = torch.cat([batch["clean"] for batch in data.val_dataloader()[""]])
    with torch.inference_mode():
        restored = network.eval()(clean, torch.zeros_like(clean))
    pairs = [(to_pixels(a), to_pixels(b)) for a, b in zip(clean, restored, strict=True)]
    psnrs = [peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    errors = [mean_squared_error(a / 255, b / 255) for a, b in pairs]
    assert scores["val/psnr"] == pytest.approx(sum(psnrs) / len(psnrs), rel=1e-5)
    assert scores["val/mse"] == pytest.approx(sum(errors) / len(errors), rel=1e-5)


def test_a_variational_code_is_described_by_its_divergence(tmp_path: Path) -> None:
    network = small_vae()
    head: nn.Conv2d = network.encoder[-1]  # type: ignore[assignment]  # the means, and the log variances
    head.weight.data[[1, 5]] = 0.0  # the second number ignores the image: its posterior is the prior
    scores = validate(tmp_path, network)
    assert scores["val/code_collapsed"] >= 1
    assert scores["val/kl_01"] == 0.0
    assert sum(scores[f"val/kl_{unit:02d}"] for unit in range(4)) == pytest.approx(scores["val/kl"], rel=1e-5)
    assert scores["val/negative_elbo"] > scores["val/kl"]
    assert scores["val/negative_elbo"] == pytest.approx(784 * math.log(2), rel=0.2), "of pictures that are all grey"
    assert validate(tmp_path, network, batch_size=10) == pytest.approx(scores, rel=1e-4)


def test_its_loss_under_cross_entropy_is_the_bound_per_value(tmp_path: Path) -> None:
    network = small_vae()
    data = ImageSetDataModule(batch_size=1425)
    task = ReconstructionAutoencoder(network, BinaryCrossEntropyLoss(), lambda p: torch.optim.SGD(p, lr=0.0))
    trainer = quiet_trainer(tmp_path, max_steps=1)
    trainer.fit(task, data)
    logged = trainer.callback_metrics
    assert float(logged["train/loss"]) * 784 == pytest.approx(float(logged["val/negative_elbo"]), rel=0.02)


def test_training_draws_anew_at_every_step_and_the_same_in_every_run(tmp_path: Path) -> None:
    data = ImageSetDataModule(batch_size=25)
    data.setup("fit")
    batch = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)

    def losses(seed: int) -> list[float]:
        network = small_vae()
        torch.manual_seed(seed)
        torch.rand(1)  # a draw of someone else's has no influence
        task = DenoisingAutoencoder(network, nn.MSELoss())
        task.trainer = quiet_trainer(tmp_path)
        task.log = lambda *_, **__: None  # type: ignore[method-assign]  # outside of a loop
        task._score = lambda *_: None  # type: ignore[method-assign]
        return [task.training_step(batch, index).item() for index in range(3)]

    first = losses(0)
    assert len(set(first)) == 3
    assert losses(0) == first
    assert losses(1) != first


def test_a_network_without_a_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="network: UNet has no code; choose an autoencoder"):
        validate(tmp_path, small_unet())
