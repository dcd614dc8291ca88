"""Every configuration that ships is run: fit, validate, bundle, restore one photo."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from restore.cli.main import main
from restore.data import RestorationDataModule
from restore.errors import ExitCode, UsageError
from restore.images.codec import decode
from restore.images.sets import load_pictures
from restore.inference.restorer import Restorer
from restore.models.bundle import find_bundle, load_bundle
from tests.helpers.photos import write_photos

CONFIGS = Path(__file__).parents[1] / "configs"
OVERLAYS = {"debug", "overfit", "wandb"}
SETS = sorted(path.stem for path in CONFIGS.glob("*.yaml") if "ImageSetDataModule" in path.read_text())
WITHOUT_WEIGHTS = {"compress", "scans"}
RECIPES = sorted({path.stem for path in CONFIGS.glob("*.yaml")} - OVERLAYS - WITHOUT_WEIGHTS - set(SETS))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SILENT", "true")


def one_thread() -> dict[str, str]:
    """For processes side by side."""
    paths = [str(CONFIGS.parent), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def fit(*arguments: str) -> Path:
    """Run `restore fit` and give the run's folder."""
    assert main(["fit", *arguments]) == ExitCode.OK
    (run,) = Path("runs").glob("*/version_0")
    return run


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_fits_validates_bundles_and_restores_a_photo(recipe: str, tmp_path: Path) -> None:
    run = fit("-c", recipe, "-c", "debug")
    (best,) = (run / "checkpoints").glob("step-*.ckpt")
    assert main(["validate", "-c", recipe, "-c", "debug", "--ckpt_path", str(best)]) == ExitCode.OK
    bundle = load_bundle(run / "bundle")
    assert bundle.card.name == recipe
    assert bundle.card.training["steps"] in {4, 8}  # the better of two epochs
    (photo,) = write_photos(tmp_path / "in", 1)
    if bundle.card.composites:
        pixels = decode(photo).pixels
        mask = pixels[..., 0] > 128
        restored = Restorer.from_bundle(run / "bundle", device="cpu").restore(pixels, mask)
        assert (restored[~mask] == pixels[~mask]).all()
    else:
        assert main(["photos", str(photo), "--out", "out", "--bundle", str(run / "bundle")]) == ExitCode.OK
        assert decode(Path("out", photo.name)).pixels.shape == decode(photo).pixels.shape


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_weights_that_ship_under_its_own_name(recipe: str) -> None:
    assert load_bundle(find_bundle(recipe)).card.name == recipe


@pytest.mark.parametrize("recipe", SETS)
def test_a_recipe_for_a_picture_set_runs_on_the_digits_that_come_along(
    recipe: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.enable_model_summary", "false"]
    run = fit("-c", recipe, *few)
    (best,) = (run / "checkpoints").glob("step-*.ckpt")
    assert main(["test", "-c", recipe, "--ckpt_path", str(best)]) == ExitCode.OK
    card = load_bundle(run / "bundle").card
    assert card.name == recipe
    assert card.training["set"] == "digits"
    digit = load_pictures("digits", "test")[0]
    mask = digit > 128
    restored = Restorer.from_bundle(run / "bundle", device="cpu").restore(digit, mask)
    assert restored.shape == digit.shape
    assert card.composites == bool((restored[~mask] == digit[~mask]).all())
    assert list((run / "panels").glob("*.png"))
    (photo,) = write_photos(Path("in"), 1)
    main(["photos", str(photo), "--out", "out", "--bundle", str(run / "bundle"), "--dry-run"])
    refused = f"{recipe} gives pictures back through a code and restores nothing" in capsys.readouterr().err
    assert refused == (card.training["task"] == "ReconstructionAutoencoder")


def test_the_recipe_for_compression_makes_a_bundle_that_compresses_a_photo(tmp_path: Path) -> None:
    small = ["--data.samples_per_epoch", "16", "--trainer.max_epochs", "1", "--trainer.enable_model_summary", "false"]
    run = fit("-c", "compress", *small)
    assert load_bundle(run / "bundle").card.name == "compress"
    (photo,) = write_photos(tmp_path / "in", 1)
    bundle = ["--bundle", str(run / "bundle")]
    assert main(["compress", str(photo), "--out", "small", "--step", "0.1", *bundle]) == ExitCode.OK
    assert main(["decompress", "small", "--out", "back", *bundle]) == ExitCode.OK
    assert decode(Path("back", photo.name)).pixels.shape == decode(photo).pixels.shape


def test_photo_fast_is_trained_on_the_damage_of_photo() -> None:
    texts = [(CONFIGS / f"{name}.yaml").read_text() for name in ("photo", "photo-fast")]
    photo, fast = (text[text.index("\ndata:") : text.index("\ntrainer:")] for text in texts)
    assert photo == fast


def test_the_overfit_overlay_runs() -> None:
    run = fit("-c", "denoise", "-c", "overfit", "-c", "debug", "--trainer.max_epochs", "1")
    assert (run / "metrics.csv").exists()


def test_without_a_configuration_fit_is_the_denoiser_on_sample_photos() -> None:
    small = ["--data.samples_per_epoch", "4", "--data.batch_size", "2", "--data.crop_size", "32"]
    network = [
        "--model.init_args.network.init_args.widths",
        "[8,16]",
        "--model.init_args.network.init_args.blocks",
        "1",
    ]
    run = fit(*small, *network, "--trainer.max_epochs", "1")
    assert load_bundle(run / "bundle").card.training["photos"] == 5


def test_testing_and_predicting_take_a_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("-c", "denoise", "-c", "debug")
    checkpoint = str(run / "checkpoints" / "last.ckpt")
    write_photos(Path("whole"), 2)
    for command in ("test", "predict"):
        arguments = ["-c", "denoise", "-c", "debug", "--data.test_dir", "whole", "--ckpt_path", checkpoint]
        assert main([command, *arguments]) == ExitCode.OK
    written = sorted(path.relative_to("runs").as_posix() for path in Path("runs").rglob("predictions/*/*.png"))
    assert len(written) == 6
    assert written[0].endswith("predictions/noise15/00.png.png")
    others = [
        "-c",
        "denoise",
        "-c",
        "debug",
        "--ckpt_path",
        checkpoint,
        "--model.init_args.network.init_args.fill",
        "smooth",
    ]
    assert main(["validate", *others]) == ExitCode.OK  # a setting without weights
    capsys.readouterr()
    others[-2:] = ["--model.init_args.network.init_args.widths", "[8,24]"]
    assert main(["validate", *others]) != ExitCode.OK
    assert f"{checkpoint}: holds weights of another network; name the config.yaml" in capsys.readouterr().err


def test_the_wandb_overlay_writes_an_offline_run_with_scores_settings_and_panels() -> None:
    import wandb

    from tests.helpers.wandb_files import read_run

    assert main(["fit", "-c", "denoise", "-c", "debug", "-c", "wandb"]) == ExitCode.OK
    wandb.teardown()  # after `finish` its service may still be writing the file
    (run,) = Path("runs/wandb").glob("offline-run-*")
    history, settings = read_run(next(run.glob("run-*.wandb")))
    assert {"val/psnr", "val/noise25/psnr", "val/input_psnr", "train/loss"} <= set(history)
    assert 5 < history["val/psnr"] < 50
    assert history["best/val/psnr"] >= round(history["val/psnr"], 4)
    assert history["best/step"] in {4, 8}
    assert list(run.rglob("media/images/val/panel_*.png"))
    assert settings["data"]["init_args"]["crop_size"] == 64
    assert settings["model"]["class_path"] == "restore.tasks.DenoisingAutoencoder"
    # In a folder of its own, which the next run leaves alone.
    (bundle,) = Path("runs/restore").glob("*/bundle")
    assert load_bundle(bundle).card.name == "denoise"
    assert {path.name for path in bundle.parent.iterdir()} == {"bundle", "checkpoints", "config.yaml"}


@pytest.mark.parametrize("arguments", [["--config=denoise", "--config=debug"], ["-c", "denoise", "-c", "debug"]])
def test_shipped_names_are_found_in_both_spellings_and_beside_folders_of_the_name(arguments: list[str]) -> None:
    Path("denoise").mkdir()
    assert load_bundle(fit(*arguments) / "bundle").card.name == "denoise"


@pytest.mark.slow
def test_two_processes_train_draw_panels_and_make_one_bundle() -> None:
    write_photos(Path("photos"), 8, (96, 96))
    command = [sys.executable, "-W", "ignore", "-m", "restore", "fit", "-c", "denoise", "-c", "debug"]
    data = ["--data.photos_dir", "photos", "--data.val_share", "0.4", "--data.val_crop_size", "64"]
    processes = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
    for _attempt in range(2):  # Lightning finds a free port and opens it later: another program may be quicker
        done = subprocess.run(
            [*command, *data, *processes], capture_output=True, text=True, timeout=200, check=False, env=one_thread()
        )
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stderr[-2000:]
    (bundle,) = Path("runs").rglob("bundle")
    assert load_bundle(bundle).card.training["steps"] in {2, 4}
    assert len(list((bundle.parent / "panels").glob("*.png"))) == 2


def test_too_few_pictures_for_the_processes_are_an_error_that_says_so() -> None:
    write_photos(Path("photos"), 8, (96, 96))
    data = RestorationDataModule(photos_dir=Path("photos"), crop_size=32, val_crop_size=32, samples_per_epoch=16)
    data.trainer = SimpleNamespace(world_size=2, global_rank=0)  # type: ignore[assignment]  # all that is asked for
    data.setup("fit")
    with pytest.raises(UsageError, match="16 is more than the 8 training pictures of each of 2 processes"):
        data.train_dataloader()
    with pytest.raises(UsageError, match="1 pictures to score on are too few for 2 processes"):
        data.val_dataloader()


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--data.sample_per_epoch", "64"], "sample_per_epoch", ExitCode.USAGE),
        (["--data.corruption.sigma_rang", "[1,2]"], "sigma_rang", ExitCode.USAGE),
        (["--model.network.init_args.widths", "3.5"], "widths", ExitCode.USAGE),
        (["--trainer.max_epochz", "3"], "max_epochz", ExitCode.USAGE),
        (["--trainer.max_epochs", "x"], "trainer.max_epochs", ExitCode.USAGE),
        (["--data.corruption.sigma_range", "[5,2]"], "sigma_range: needs 0 <= low <= high", ExitCode.USAGE),
        (["--data.crop_size", "7"], "data.crop_size: must be 16 or more", ExitCode.USAGE),
        (["--data.photos_dir", "nowhere"], "data.photos_dir: nowhere is not a folder", ExitCode.FAILED),
        (["--precision", "16-mixed", "--trainer.accelerator", "cpu"], "16-mixed needs a CUDA GPU", ExitCode.USAGE),
        (["-c", "nowhere.yaml"], "nowhere.yaml", ExitCode.USAGE),
    ],
)
def test_misspelt_keys_and_wrong_values_are_named(
    arguments: list[str], message: str, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *arguments]) == code
    told = capsys.readouterr().err
    last = told.strip().splitlines()[-1]
    assert message in last
    assert last.startswith("restore: ")
    assert len(last) < 500
    assert "Traceback" not in told


def test_a_misspelt_key_in_a_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    text = (CONFIGS / "denoise.yaml").read_text().replace("weight_decay", "weight_decai")
    Path("mine.yaml").write_text(text)
    assert main(["fit", "-c", "mine.yaml"]) == ExitCode.USAGE
    assert "weight_decai" in capsys.readouterr().err


def test_weights_of_another_architecture_are_refused_with_both_named(capsys: pytest.CaptureFixture[str]) -> None:
    run = fit("-c", "denoise", "-c", "debug")
    assert main(["fit", "-c", "denoise", "--model.init_args.init_from", str(run / "bundle")]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "[32, 64]" in told
    assert "[64, 128, 256]" in told
