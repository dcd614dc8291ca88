"""Pictures of codes that are drawn, and of codes between two."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from restore.cli.main import main
from restore.codes.encoder import Encoder
from restore.codes.generate import Sampler, between
from restore.codes.pictures import open_pictures
from restore.errors import BundleError, ExitCode, UsageError
from restore.images.codec import decode
from restore.images.tensors import to_pixels
from restore.models import VariationalAutoencoder
from restore.seeds import generator_for
from tests.helpers.networks import write_autoencoder


def sampler_of(folder: Path, size: int | None = None) -> Sampler:
    return Sampler(Encoder.from_bundle(write_autoencoder(folder, "variational"), "cpu"), size)


def test_a_picture_is_that_of_its_seed_and_number_and_comes_from_the_prior(tmp_path: Path) -> None:
    sampler = sampler_of(tmp_path / "b")
    codes = torch.stack([sampler.code(5, number) for number in range(300)])
    assert abs(codes.mean()) < 0.1
    assert codes.std() == pytest.approx(1.0, abs=0.1)
    assert torch.equal(sampler.code(5, 7), codes[7])
    assert not torch.equal(sampler.code(6, 7), codes[7])
    network = sampler.encoder.network
    assert isinstance(network, VariationalAutoencoder)
    with torch.inference_mode():
        expected = network.sample(1, generator_for(5, "sample", 7))
    (picture,) = sampler.pictures(codes[7:8])
    assert torch.equal(picture, expected[0])
    assert len(list(sampler.pictures(codes, 128))) == 300


def test_larger_pictures_have_more_codes(tmp_path: Path) -> None:
    sampler = sampler_of(tmp_path / "b", 50)
    assert sampler.size == 56
    assert sampler.code(0, 0).shape == (6, 2, 2)
    assert next(sampler.pictures(sampler.code(0, 0)[None])).shape == (1, 56, 56)


def test_the_way_between_two_codes_turns_and_grows_evenly() -> None:
    first, second = torch.tensor([2.0, 0, 0])[:, None, None], torch.tensor([0.0, 4, 0])[:, None, None]
    way = between(first, second, 4)
    assert torch.equal(way[0], first)
    assert torch.equal(way[-1], second)
    assert torch.allclose(way.flatten(1).norm(dim=1), torch.tensor([2.0, 8 / 3, 10 / 3, 4]))
    angles = torch.atan2(way[:, 1, 0, 0], way[:, 0, 0, 0])
    assert torch.allclose(angles, torch.arange(4) * math.pi / 6, atol=1e-6)


@pytest.mark.parametrize("factor", [0.0, 1.0, 3.0, -1.0])
def test_where_there_is_no_angle_the_way_is_straight(factor: float) -> None:
    first = torch.randn(5, 1, 1, generator=generator_for(0))
    way = between(first, factor * first, 3)
    assert torch.allclose(way[1], (1 + factor) / 2 * first, atol=1e-6)
    with pytest.raises(UsageError, match="steps: must be 2 or more"):
        between(first, first, 1)
    with pytest.raises(UsageError, match="differ in size"):
        between(first, first[:4], 3)


def test_networks_without_a_distribution_are_refused(tmp_path: Path) -> None:
    encoder = Encoder.from_bundle(write_autoencoder(tmp_path / "b"), "cpu")
    with pytest.raises(BundleError, match="ConvolutionalAutoencoder, whose codes follow no known law"):
        Sampler(encoder)


def test_the_command_writes_pictures_a_sheet_and_how_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sampler = sampler_of(Path("b"))
    command = ["generate", "--bundle", "b", "--count", "5", "--seed", "3", "--device", "cpu", "--out"]
    assert main([*command, "out"]) == ExitCode.OK
    assert "5 pictures of 28 x 28 pixels" in capsys.readouterr().out
    for number in range(5):
        (picture,) = sampler.pictures(sampler.code(3, number)[None])
        assert np.abs(decode(Path(f"out/sample-{number:04d}.png")).pixels - to_pixels(picture).astype(int)).max() <= 1
    assert decode(Path("out/samples.png")).pixels.shape == (2 * 58 + 2, 3 * 58 + 2, 3)
    about = json.loads(Path("out/generated.json").read_text())
    assert about["seed"] == 3
    assert about["pictures"][4] == {"file": "sample-0004.png", "number": 4}
    assert main([*command, "out"]) == ExitCode.FAILED
    assert "is there already" in capsys.readouterr().err
    assert main([*command, "again"]) == ExitCode.OK
    for path in Path("out").iterdir():
        assert path.read_bytes() == (Path("again") / path.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "5"], "--steps: does nothing here; give --between A B as well"),
        (["--source", "digits"], "--source: does nothing here; give --between with a name in it as well"),
        (["--between", "0", "1", "--source", "digits"], "--source: does nothing here"),
        (["--between", "0", "1", "--count", "5"], "--count: does nothing here; --steps says how many"),
        (
            ["--between", "a.png", "b.png", "--seed", "1"],
            "--seed: does nothing here; no end of --between is the number",
        ),
        (["--count", "0"], "--count: must be 1 or more, not 0"),
    ],
)
def test_options_without_effect_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", "--bundle", "b", "--out", "out", *arguments]) == ExitCode.USAGE
    assert message in capsys.readouterr().err


def test_the_way_between_drawn_pictures_photos_and_pictures_of_a_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sampler = sampler_of(Path("b"))
    command = ["generate", "--bundle", "b", "--device", "cpu", "--out", "out", "--steps", "3", "--source", "digits"]
    assert main([*command, "--between", "1", "test-00004"]) == ExitCode.OK
    image = open_pictures("digits", 1, 28).image("test-00004")
    expected = between(sampler.code(0, 1), sampler.encoder.encode(image[None])[0], 3)
    for number, picture in enumerate(sampler.pictures(expected)):
        pixels = decode(Path(f"out/between-{number:04d}.png")).pixels
        assert np.abs(pixels - to_pixels(picture).astype(int)).max() <= 1
    assert json.loads(Path("out/generated.json").read_text())["pictures"][1]["share"] == 0.5
    Path("out/between-0000.png").rename("photo.png")
    assert main([*command, "--overwrite", "--between", "photo.png", "0"]) == ExitCode.OK
    assert main([*command, "--overwrite", "--between", "out", "0"]) == ExitCode.USAGE
    assert "--between: out holds 4 pictures; name one" in capsys.readouterr().err
