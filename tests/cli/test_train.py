"""`restore fit`: what is kept when a training stops, and what is refused in a line."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from restore.cli.main import main
from restore.errors import ExitCode
from restore.models.bundle import load_bundle
from restore.tasks import RestorationTask
from tests.helpers.photos import write_photos

TINY = ["-c", "denoise", "-c", "debug"]
SCHEDULER = "--model.init_args.scheduler=torch.optim.lr_scheduler."


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    usual = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, usual)  # Lightning ignores it from the first one on


def stop_with(monkeypatch: pytest.MonkeyPatch, error: BaseException, epoch: int) -> None:
    def hook(task: RestorationTask, _batch: object, batch_idx: int) -> None:
        if (task.current_epoch, batch_idx) == (epoch, 2):
            raise error

    monkeypatch.setattr(RestorationTask, "on_train_batch_start", hook)


@pytest.mark.parametrize(
    ("error", "code"), [(KeyboardInterrupt(), ExitCode.INTERRUPTED), (SIGTERMException(), 128 + signal.SIGTERM)]
)
def test_a_training_that_is_stopped_keeps_its_last_step_and_the_bundle_of_the_best(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        stop_with(patched, error, epoch=1)
        assert main(["fit", *TINY]) == code
    (run,) = Path("runs").glob("*/version_0")
    last = run / "checkpoints" / "last.ckpt"
    stopped = torch.load(last, weights_only=True)
    assert stopped["global_step"] == 6
    assert stopped["card"]["training"]["validation"] == {}, "of step 4"
    best = load_bundle(run / "bundle").card.training
    assert best["steps"] == 4
    assert best["validation"]["val/psnr"] > 10
    assert f"Stopped at step 6; --ckpt_path {last} goes on" in caplog.text
    assert main(["fit", *TINY, "--ckpt_path", str(last)]) == ExitCode.OK
    assert torch.load(run.parent / "version_1/checkpoints/last.ckpt", weights_only=True)["global_step"] == 8


def test_a_training_that_is_stopped_before_its_first_validation_keeps_its_last_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop_with(monkeypatch, KeyboardInterrupt(), epoch=0)
    assert main(["fit", *TINY]) == ExitCode.INTERRUPTED
    (run,) = Path("runs").glob("*/version_0")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 2
    assert not (run / "bundle").exists()


def test_without_a_logger_a_run_trains_and_the_next_does_not_replace_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["fit", *TINY, "--trainer.logger", "false"]
    assert main(arguments) == ExitCode.OK
    (bundle,) = Path("runs").rglob("bundle")
    assert main(arguments) == ExitCode.USAGE
    assert f"--trainer.default_root_dir: {bundle.parent} holds an earlier run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", *TINY, "--ckpt_path", "last"], "--ckpt_path: last: name the file"),
        (["test", *TINY, "--ckpt_path", "last"], "--ckpt_path: last: name the file"),
        (["validate", *TINY, "--ckpt_path", "best"], "--ckpt_path: best: name the file"),
        (
            ["fit", *TINY, "--trainer.max_epochs=-1", "--trainer.max_time=00:00:01:00"],
            "trainer.max_epochs: a schedule of learning rates needs an end",
        ),
        (["fit", *TINY, "--trainer.val_check_interval", "1000"], "val_check_interval"),
        (["fit", *TINY, "--trainer.enable_checkpointing", "false"], "enable_checkpointing"),
        (["fit", *TINY, "--model.init_args.network.init_args.fill", "navier"], "fill"),
        (["fit", *TINY, "--bundle.protocol", "gausian"], "bundle.protocol: use one of gaussian-awgn"),
        (["fit", *TINY, "--checkpoint.mode", "min"], "checkpoint.mode: the best val/psnr is its max, not its min"),
        (["fit", *TINY, "--panels.photos=-1"], "panels.photos: must be 0 or more"),
        (["fit", *TINY, "--lr_scheduler", "CosineAnnealingLR"], "lr_scheduler"),
        (["fit", *TINY, "--trainer.precision", "bf16-mixed"], "trainer.precision: comes from --precision"),
        (["fit", *TINY, "--checkpoint.save_weights_only", "true"], "checkpoint.save_weights_only"),
        (["fit", *TINY, f"{SCHEDULER}ExponentialLR"], "scheduler: ExponentialLR has gamma where it is told the number"),
        (["fit", *TINY, f"{SCHEDULER}StepLR"], "scheduler: StepLR has step_size where it is told the number of steps"),
        (["fit", *TINY, "--model.init_args.optimizer=torch.optim.Muon"], "optimizer: Muon only supports 2D parameters"),
        (
            ["fit", *TINY, "--model.init_args.loss=torch.nn.L1Loss", "--model.init_args.loss.init_args.reduction=none"],
            "where a training needs a single number: reduction: mean",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.USAGE
    (line,) = re.findall("^restore: .*$", capsys.readouterr().err, re.MULTILINE)
    assert message in line


def test_what_a_loader_process_cannot_read_is_named_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    photos = write_photos(Path("photos"), 4, (64, 128))
    data = ["--data.photos_dir", "photos", "--data.val_crop_size", "48", "--data.cache_mib", "0"]
    for photo in photos:
        photo.write_bytes(photo.read_bytes()[:-2000])  # the headers are whole
    assert main(["fit", *TINY, *data, "--data.num_workers", "1"]) == ExitCode.FAILED
    (line,) = re.findall("^restore: .*$", capsys.readouterr().err, re.MULTILINE)
    assert re.match(r"restore: photos/0\d\.png: damaged or truncated", line)


def test_no_panels_are_drawn_if_none_are_asked_for() -> None:
    assert main(["fit", *TINY, "--panels.photos", "0"]) == ExitCode.OK
    assert not list(Path("runs").rglob("panels"))


def test_a_network_that_no_bundle_can_hold_is_refused_before_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    network = ["--model.init_args.network", "tests.helpers.networks.IdentityNetwork"]
    assert main(["fit", *TINY, *network]) != ExitCode.OK
    assert "model: holds a network 'IdentityNetwork', and this version knows" in capsys.readouterr().err
    assert not list(Path("runs").rglob("*.ckpt"))


def test_torchs_own_cosine_is_told_the_number_of_steps() -> None:
    assert main(["fit", *TINY, f"{SCHEDULER}CosineAnnealingLR", "--trainer.max_epochs", "1"]) == ExitCode.OK


def test_a_word_is_said_if_an_inpainter_has_nothing_to_fill_in(caplog: pytest.LogCaptureFixture) -> None:
    corruption = ["--data.corruption", "GaussianNoise", "--data.evaluation", "null", "--checkpoint.monitor", "val/psnr"]
    assert main(["fit", "-c", "inpaint", "-c", "debug", *corruption]) == ExitCode.OK
    assert "data.corruption: takes no pixels of the first batch" in caplog.text
    caplog.clear()
    assert main(["fit", "-c", "inpaint", "-c", "debug", "--trainer.max_epochs", "1"]) == ExitCode.OK
    assert "takes no pixels" not in caplog.text
