"""What is counted and fitted; times themselves are never tested."""

from pathlib import Path

import pytest
import torch

from restore.benchmark import growth, speed, training
from restore.benchmark.dncnn import DnCNN
from restore.benchmark.measurement import Measurement, Setting, write_jpeg
from restore.benchmark.timing import fit_exponent, macs_per_pixel, memory_of
from restore.errors import RestoreError
from restore.models import UNet
from restore.models.bundle import ModelCard, network_entry, save_bundle
from tests.helpers.networks import write_bundle


def test_multiply_adds_of_the_reference_network_are_those_of_its_formula() -> None:
    expected = 9 * (3 * 64 + 15 * 64 * 64 + 64 * 3)
    assert macs_per_pixel(DnCNN()) == pytest.approx(expected)
    assert macs_per_pixel(DnCNN()) * 256**2 / 1e9 == pytest.approx(36.5, abs=0.1)


def test_the_reference_network_takes_any_size_and_starts_near_its_input() -> None:
    image = torch.rand(1, 3, 7, 1)
    restored = DnCNN()(image, image[:, :1])
    assert restored.shape == image.shape
    assert (restored - image).square().mean().sqrt() < 1.0


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_the_exponent_of_growth_is_found_beside_a_start_up_time(exponent: float) -> None:
    sizes = [1.0, 4.0, 16.0, 64.0, 256.0]
    seconds = [5.0 + 0.4 * size**exponent for size in sizes]
    assert fit_exponent(sizes, seconds, start=5.0) == pytest.approx(exponent)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.1234, "share", "12%"),
        (1234.5, "MB", "1234 MB"),
        (1.2345, "s", "1.23 s"),
        (0.01234, "s", "0.012 s"),
        (0.0, "s", "0 s"),
    ],
)
def test_figures_have_three_digits(value: float, unit: str, text: str) -> None:
    assert Measurement("x", value, unit).text == text


def by_name(part: str, bundle: Path) -> dict[str, Measurement]:
    setting = Setting(str(bundle), "cpu", "32", repeat=1, megapixels=(1, 2))
    return {measured.name: measured for measured in speed.PARTS[part](setting)}


def test_photos_are_timed_from_file_to_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_LARGE_SIZE", (200, 250))
    monkeypatch.setattr(speed, "_SMALL_PHOTOS", 3)
    found = by_name("photo", write_bundle(tmp_path / "noise"))
    assert len(found) == 5
    assert {measured.unit for measured in found.values()} == {"megapixels/s", "files/s", "share"}
    assert all(measured.value > 0 for measured in found.values())
    assert all(measured.value < 1 for measured in found.values() if measured.unit == "share")
    small = [measured.value for name, measured in found.items() if name.startswith("3 JPEGs") and "share" not in name]
    assert small[1] == pytest.approx(small[0] * 240 * 320 / 1e6)
    grey = UNet(widths=(8, 16), blocks=1, channels=1)
    save_bundle(tmp_path / "grey", grey.state_dict(), ModelCard("grey", network_entry(grey)))
    names = by_name("photo", tmp_path / "grey").keys()
    assert {name.replace("grey", "noise") for name in names} == found.keys()
    assert not names & found.keys()


def test_a_file_that_was_not_restored_is_no_fast_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "_LARGE_SIZE", (200, 250))
    monkeypatch.setattr(speed, "write_jpeg", lambda path, *_size: path.write_bytes(b"\xff\xd8\xff nothing") and path)
    with pytest.raises(RestoreError, match=r"photo\.jpg: failed .*nothing was timed"):
        by_name("photo", write_bundle(tmp_path / "noise"))


def test_training_and_its_data_path_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "_BATCH", 2)
    monkeypatch.setattr(training, "matrix_peak", lambda *_: 1.0)
    bundle = write_bundle(tmp_path / "noise")
    found = by_name("training", bundle)
    assert all("32" in name for name in found)
    assert found["training step, cost of the data path, 32"].value > -1
    assert found["training step, batch in memory, 32"].value > 0
    found = by_name("corruption", bundle)
    assert len(found) == 6
    assert all(measured.value > 0 for measured in found.values())


@pytest.mark.slow
def test_growth_is_measured_in_processes_that_do_restore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "write_jpeg", lambda path, *_size: write_jpeg(path, 100, 120))
    found = by_name("growth", write_bundle(tmp_path / "noise"))
    assert len(found) == 7
    assert all(f"{tmp_path / 'noise'}, 32" in name for name in found)
    assert all(measured.value > 0 for measured in found.values() if measured.unit in {"s", "MB"})


def test_memory_is_that_of_the_run_alone() -> None:
    held = torch.ones(10_000_000)
    small = memory_of(lambda: torch.ones(1_000_000).sum(), held.device)
    large = memory_of(lambda: torch.ones(20_000_000).sum(), held.device)
    assert small is not None
    assert large is not None
    assert 70e6 < large < 120e6
    assert small < 20e6
