"""What only a GPU can show; `make gpu-check` runs these, and they are skipped where there is none."""

import copy
import math
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch

from restore import Restorer
from restore.corruption import GaussianBlur, GaussianNoise, RectangleMask
from restore.models import UNet
from restore.scores import psnr, ssim
from restore.seeds import generator_for
from restore.tasks import DenoisingAutoencoder, Muon
from tests.helpers.photos import damaged_pair, write_photos
from tests.helpers.training import quiet_trainer, small_data

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
    # What else there is on a machine that nobody has seen, such as a scheduler, may warn.
    pytest.mark.filterwarnings("default"),
    # The first steps in float16 may overflow and be skipped, by design.
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step"),
]


class _Losses(pl.Callback):
    """The loss of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, *_: object
    ) -> None:
        assert isinstance(outputs, dict)
        self.losses.append(float(outputs["loss"]))


def _train(folder: Path, precision: str) -> tuple[list[float], float]:
    """Losses of 300 steps, and PSNR on the validation photos."""
    write_photos(folder / "photos", 12, (128, 128))
    torch.manual_seed(0)
    learner = DenoisingAutoencoder(UNet((32, 64), blocks=1), optimizer=Muon)
    data = small_data(folder / "photos", crop_size=64, batch_size=8, samples_per_epoch=2400, seed=1)
    losses = _Losses()
    settings = {"accelerator": "gpu", "precision": precision, "max_epochs": 1, "callbacks": [losses]}
    trainer = quiet_trainer(folder, **settings)
    trainer.fit(learner, data)
    (scores,) = trainer.validate(learner, data, verbose=False)
    return losses.losses, float(scores["val/psnr"])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> float:
    """PSNR of a training in float32."""
    return _train(tmp_path_factory.mktemp("float32"), "32-true")[1]


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_mixed_precision_trains_as_float32_does(tmp_path: Path, precision: str, reference: float) -> None:
    losses, score = _train(tmp_path, precision)
    assert len(losses) == 300
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-30:]) < 0.7 * sum(losses[:30])
    assert score == pytest.approx(reference, abs=0.3), f"{score:.2f} dB against {reference:.2f} in float32"


@pytest.mark.parametrize(("precision", "bound"), [("32", 0.5), ("bf16-mixed", 4.0), ("16-mixed", 1.0)])
def test_a_gpu_restores_as_a_cpu_does(precision: str, bound: float) -> None:
    image = torch.rand(3, 300, 411, generator=generator_for("gpu"))
    on_cpu = Restorer.from_bundle("denoise", device="cpu", precision="32").restore(image)
    on_gpu = Restorer.from_bundle("denoise", device="cuda", precision=precision).restore(image)  # type: ignore[arg-type]
    assert (on_gpu - on_cpu).abs().max().item() * 255 < bound


def test_tiles_give_the_picture_that_the_whole_gives() -> None:
    image = torch.rand(3, 700, 900, generator=generator_for("tiles"))
    whole = Restorer.from_bundle("denoise", device="cuda", precision="32").restore(image)
    tiled = Restorer.from_bundle("denoise", device="cuda", precision="32", tile=400).restore(image)
    # On a CPU 0.08: the network sees a little farther than tiles overlap.
    assert (whole - tiled).abs().max().item() * 255 < 0.5


def test_a_forced_lack_of_memory_halves_the_tile() -> None:
    image = torch.rand(3, 3000, 3000, generator=generator_for("memory"))
    ours = Restorer.from_bundle("denoise", device="cuda", tile=4096)
    expected = copy.copy(ours).restore(image)
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    limit = torch.cuda.memory_reserved() + 600 * 2**20
    torch.cuda.set_per_process_memory_fraction(limit / total)
    try:
        answer = ours.restore(image)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert free > limit, "the GPU has no memory left for this test"
    assert ours.tile < 4096
    assert (answer - expected).abs().max().item() * 255 < 4.0


def test_scores_are_those_of_a_cpu() -> None:
    restored, clean = damaged_pair(0, 5.0)
    for score, bound in ((psnr, 1e-4), (ssim, 1e-5)):
        assert score(restored.cuda(), clean.cuda()).item() == pytest.approx(score(restored, clean).item(), abs=bound)


@pytest.mark.parametrize("kind", [GaussianNoise((25, 25)), GaussianBlur((2, 2)), RectangleMask((0.2, 0.2))])
def test_damage_is_drawn_on_the_gpu(kind: GaussianNoise | GaussianBlur | RectangleMask) -> None:
    images = torch.rand(4, 3, 64, 64, device="cuda")
    first = kind(images, generator_for("gpu", device="cuda"))
    second = kind(images, generator_for("gpu", device="cuda"))
    assert first.image.device.type == first.mask.device.type == "cuda"
    assert torch.equal(first.image, second.image)
    assert not torch.equal(first.image, images) or first.mask.any()
