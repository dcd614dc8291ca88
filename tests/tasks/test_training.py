import csv
import json
import math
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from restore.callbacks import AverageWeights
from restore.corruption import Compose, GaussianNoise, PixelMask, StrokeMask
from restore.losses import CharbonnierLoss
from restore.models import ConvolutionalAutoencoder, Reconstruction, UNet
from restore.models.blocks import ResidualBlock
from restore.scores import psnr, ssim
from restore.tasks import DenoisingAutoencoder, InpaintingAutoencoder, WarmupCosine
from tests.helpers.networks import IdentityNetwork, small_unet
from tests.helpers.photos import write_photos
from tests.helpers.training import quiet_trainer, small_data


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, 8)
    return folder


def task(**arguments: object) -> DenoisingAutoencoder:
    torch.manual_seed(0)
    return DenoisingAutoencoder(small_unet(), **arguments)  # type: ignore[arg-type]


def weights(module: nn.Module) -> Tensor:
    return torch.cat([value.flatten() for value in module.state_dict().values()])


@pytest.mark.slow
def test_a_network_can_learn_four_photos_by_heart(tmp_path: Path) -> None:
    folder = tmp_path / "four"
    write_photos(folder, 4, (48, 48))
    torch.manual_seed(0)
    network = UNet(widths=(32, 64), blocks=1)
    learner = DenoisingAutoencoder(network, optimizer=lambda p: torch.optim.AdamW(p, lr=3e-3))
    shutil.copytree(folder, tmp_path / "the same")  # photos of training may not be scored, unless they are hidden
    data = small_data(
        folder, val_dir=tmp_path / "the same", crop_size=48, samples_per_epoch=160, grey_share=0.0, seed=1
    )
    quiet_trainer(tmp_path, max_epochs=8, limit_val_batches=0).fit(learner, data)
    (scores,) = quiet_trainer(tmp_path).validate(learner, data, verbose=False)
    gain = scores["val/psnr"] - scores["val/input_psnr"]
    assert gain > 5.5, f"only {gain:.2f} dB above the input"


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(photos: Path, tmp_path: Path) -> None:
    def fit(name: str, epochs: int, ckpt_path: Path | None = None) -> DenoisingAutoencoder:
        keep = ModelCheckpoint(tmp_path / "checkpoints", save_top_k=-1, every_n_epochs=1, filename=name + "-{epoch}")
        trainer = quiet_trainer(
            tmp_path, max_epochs=epochs, callbacks=[AverageWeights(0.9), keep], enable_checkpointing=True
        )
        # The schedule spans the whole training, whenever it stops.
        learner = task(scheduler=lambda optimizer, _steps: WarmupCosine(optimizer, 16, warmup_steps=2))
        trainer.fit(learner, small_data(photos), ckpt_path=ckpt_path)
        return learner

    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")  # meant, below
    straight = fit("straight", 4)
    fit("stopped", 2)
    resumed = fit("resumed", 4, tmp_path / "checkpoints" / "stopped-epoch=1.ckpt")
    assert torch.equal(weights(straight), weights(resumed))


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_stopped_within_or_after_an_epoch_goes_on_with_the_crops_that_it_had_not_had(
    photos: Path, tmp_path: Path, workers: int
) -> None:
    def fit(name: str, steps: int, ckpt_path: Path | None = None) -> DenoisingAutoencoder:
        keep = ModelCheckpoint(tmp_path / name, save_top_k=-1, every_n_train_steps=1, filename="{step}")
        trainer = quiet_trainer(
            tmp_path,
            max_epochs=4,
            max_steps=steps,
            limit_val_batches=0,
            callbacks=[AverageWeights(0.9), keep],
            enable_checkpointing=True,
        )
        learner = task()  # its schedule asks for the length of the training, and so for the loaders, before the resume
        trainer.fit(learner, small_data(photos, num_workers=workers), ckpt_path=ckpt_path)
        return learner

    straight = fit("straight", 11)  # epochs of 4 steps
    for step in (6, 8):
        resumed = fit(f"resumed from {step}", 11, tmp_path / "straight" / f"step={step}.ckpt")
        assert torch.equal(weights(straight), weights(resumed))


@pytest.mark.parametrize("other", [{"batch_size": 8}, {"num_workers": 2}])
def test_validation_does_not_depend_on_batch_size_or_workers(
    photos: Path, tmp_path: Path, other: dict[str, int]
) -> None:
    def validate(**arguments: int) -> dict[str, float]:
        data = small_data(
            photos, batch_size=arguments.get("batch_size", 1), num_workers=arguments.get("num_workers", 0)
        )
        (scores,) = quiet_trainer(tmp_path).validate(task(), data, verbose=False)
        return dict(scores)

    assert validate(**other) == pytest.approx(validate(), abs=1e-5)


@pytest.mark.slow
def test_validation_does_not_depend_on_the_number_of_processes(photos: Path, tmp_path: Path) -> None:
    scores = []
    for processes in (1, 2):
        out = tmp_path / f"{processes}.json"
        command = [sys.executable, "-W", "ignore", "-m", "tests.helpers.validate_in_processes"]
        for _attempt in range(2):  # Lightning finds a free port and opens it later: another program may be quicker
            done = subprocess.run(
                [*command, str(photos), str(processes), str(out)],
                capture_output=True,
                text=True,
                timeout=200,
                check=False,
            )
            if done.returncode == 0:
                break
        assert done.returncode == 0, done.stderr[-2000:]
        scores.append(json.loads(out.read_text()))
    assert set(scores[0]) == {"val/psnr", "val/ssim", "val/input_psnr", "val/input_ssim"}
    assert scores[1] == pytest.approx(scores[0], abs=1e-5)


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_training_scores_are_logged_with_the_batch_that_they_are_of(photos: Path, tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, max_epochs=3, limit_val_batches=0, log_every_n_steps=5)
    trainer.fit(task(), small_data(photos, samples_per_epoch=16))
    (table,) = tmp_path.rglob("metrics.csv")
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["step"] for row in rows if row["train/psnr"]] == ["4", "9"]
    assert all(row["train/loss"] for row in rows if row["train/psnr"])


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_a_training_may_log_no_steps(photos: Path, tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, max_epochs=1, limit_val_batches=0, log_every_n_steps=0)
    trainer.fit(task(), small_data(photos, samples_per_epoch=4))
    assert trainer.global_step > 0
    assert not any("train/psnr" in table.read_text() for table in tmp_path.rglob("metrics.csv"))


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_logged_scores_are_the_scorers_also_under_mixed_precision(photos: Path, tmp_path: Path, precision: str) -> None:
    learner = task()
    data = small_data(photos, batch_size=2)
    (scores,) = quiet_trainer(tmp_path, precision=precision).validate(learner, data, verbose=False)
    by_hand: list[tuple[float, float, float]] = []
    for batch in data.val_dataloader()[""]:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision != "32-true"):
            restored = learner(batch["corrupted"], batch["mask"])
        clean, noisy = batch["clean"], batch["corrupted"]
        by_hand += zip(
            psnr(restored, clean).tolist(), ssim(restored, clean).tolist(), psnr(noisy, clean).tolist(), strict=True
        )
    count = len(by_hand)
    assert scores["val/psnr"] == pytest.approx(sum(row[0] for row in by_hand) / count, abs=1e-4)
    assert scores["val/ssim"] == pytest.approx(sum(row[1] for row in by_hand) / count, abs=1e-5)
    assert scores["val/input_psnr"] == pytest.approx(sum(row[2] for row in by_hand) / count, abs=1e-4)


def test_each_named_corruption_is_scored_alone_and_all_together(photos: Path, tmp_path: Path) -> None:
    data = small_data(photos, evaluation={"weak": GaussianNoise((5, 5)), "strong": GaussianNoise((50, 50))})
    trainer = quiet_trainer(tmp_path)
    trainer.validate(DenoisingAutoencoder(IdentityNetwork()), data, verbose=False)
    scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert scores["val/weak/psnr"] == pytest.approx(34.15, abs=0.4)
    assert scores["val/strong/psnr"] == pytest.approx(14.6, abs=0.8)
    assert scores["val/psnr"] == pytest.approx((scores["val/weak/psnr"] + scores["val/strong/psnr"]) / 2, abs=1e-4)
    assert all(scores[key] == scores[key.replace("psnr", "input_psnr")] for key in ("val/psnr", "val/weak/psnr"))


def test_inpainting_gives_known_pixels_back_bit_for_bit(photos: Path, tmp_path: Path) -> None:
    data = small_data(photos, StrokeMask((0.2, 0.3)))
    data.setup("fit")
    batch = next(iter(data.val_dataloader()[""]))
    torch.manual_seed(0)
    inpainter = InpaintingAutoencoder(small_unet())
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        restored = inpainter(batch["corrupted"], batch["mask"])
    known = (batch["mask"] == 0).expand_as(restored)
    assert torch.equal(restored[known], batch["clean"][known])
    assert not torch.equal(restored[~known], batch["corrupted"][~known])
    (scores,) = quiet_trainer(tmp_path).validate(inpainter, data, verbose=False)
    assert scores["val/hole_psnr"] < scores["val/psnr"]


@pytest.mark.parametrize("network", [small_unet(), ConvolutionalAutoencoder(widths=(8, 16), code_channels=4)])
@pytest.mark.parametrize("loss", [None, CharbonnierLoss(), nn.MSELoss()])
def test_any_network_trains_under_any_task_and_loss(
    photos: Path, tmp_path: Path, network: UNet, loss: nn.Module | None
) -> None:
    corruption = Compose([PixelMask((0.3, 0.3)), GaussianNoise((10, 10))])
    before = weights(network)
    for kind in (DenoisingAutoencoder, InpaintingAutoencoder):
        trainer = quiet_trainer(tmp_path, max_epochs=1, limit_val_batches=0)
        trainer.fit(kind(network, loss), small_data(photos, corruption))
        assert math.isfinite(trainer.callback_metrics["train/loss"])
    assert not torch.equal(before, weights(network))


def test_a_networks_penalties_are_added_and_logged_by_name(photos: Path, tmp_path: Path) -> None:
    class Penalised(IdentityNetwork):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, image: Tensor, mask: Tensor) -> Tensor:
            return image * self.gain

        def reconstruct(self, image: Tensor, mask: Tensor, generator: torch.Generator | None = None) -> Reconstruction:
            return Reconstruction(self(image, mask), {"sparsity": 3.0 * self.gain.abs()})

    trainer = quiet_trainer(tmp_path, max_steps=1, limit_val_batches=0)
    learner = DenoisingAutoencoder(Penalised(), optimizer=lambda p: torch.optim.SGD(p, lr=0.1), scheduler=None)
    trainer.fit(learner, small_data(photos))
    assert trainer.callback_metrics["train/sparsity"] == 3.0
    assert 3.0 < trainer.callback_metrics["train/loss"] < 3.3
    assert learner.network.gain < 0.75, "the penalty's gradient did not arrive"  # type: ignore[operator]


def test_warmup_rises_to_the_peak_and_the_cosine_falls_to_its_end() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    scheduler = WarmupCosine(optimizer, total_steps=100, warmup_steps=10, final_ratio=0.01)
    rates = []
    for _ in range(100):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates[:10] == sorted(rates[:10])
    assert max(rates) == rates[10] == pytest.approx(2.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(1.01, abs=0.01)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.02)


def test_checkpoints_hold_plain_data(photos: Path, tmp_path: Path) -> None:
    trainer = quiet_trainer(tmp_path, max_steps=1, limit_val_batches=0)
    trainer.fit(task(), small_data(photos))
    trainer.save_checkpoint(tmp_path / "plain.ckpt")
    content = torch.load(tmp_path / "plain.ckpt", weights_only=True)
    assert content["network"] == {
        "name": "UNet",
        "config": {"widths": [8, 16], "blocks": 1, "channels": 3, "fill": "grey", "deconvolve": False},
    }
    assert all(key.startswith("network.") for key in content["state_dict"])


@pytest.mark.slow
def test_training_leaves_every_level_of_the_unet_alive(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = UNet(widths=(32, 64, 128), blocks=1)
    learner = DenoisingAutoencoder(network, optimizer=lambda p: torch.optim.AdamW(p, lr=2e-3))
    data = small_data(photos, samples_per_epoch=400)
    quiet_trainer(tmp_path, max_epochs=1, limit_val_batches=0).fit(learner, data)
    dead: dict[str, float] = {}

    def watch(name: str, block: ResidualBlock) -> None:
        def look(_module: nn.Module, _inputs: object, hidden: Tensor) -> None:
            dead[name] = 1.0 - float((hidden > 0).flatten(2).any(2).any(0).float().mean())

        block.first.register_forward_hook(look)

    for name, module in network.named_modules():
        if isinstance(module, ResidualBlock):
            watch(name, module)
    batch = next(iter(data.val_dataloader()[""]))
    with torch.no_grad():
        network(batch["corrupted"], batch["mask"])
    assert len(dead) == 5
    assert max(dead.values()) < 0.1, f"hidden channels that no picture excites: {dead}"
