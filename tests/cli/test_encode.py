"""`restore encode` as people run it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore.cli.main import main
from restore.codes.encoder import Encoder
from restore.errors import ExitCode
from restore.images.codec import decode
from tests.helpers.networks import write_autoencoder, write_bundle
from tests.helpers.photos import write_photos


def test_a_folder_of_photos_becomes_codes_a_map_duplicates_and_neighbours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("in"), 6, (48, 70))
    with Image.open("in/02.png") as photo:
        photo.save("in/copy.jpg", quality=90)
        photo.resize((140, 96)).save("asked.png")
    Path("in/broken.png").write_bytes(b"nothing")
    write_autoencoder(Path("b"), "map")
    files = ["--out", "c.npz", "--plot", "map.png", "--duplicates", "d.csv", "--table", "n.json", "--sheet", "s.png"]
    assert (
        main(["encode", "in", "--bundle", "b", *files, "--neighbours", "asked.png", "--count", "2"]) == ExitCode.FAILED
    )
    told = capsys.readouterr()
    assert "7 pictures of in, each squeezed into 32 x 32 pixels: 4 x 4 x 4 = 64 numbers" in told.out
    assert "left out: in/broken.png: not an image that can be read" in told.err
    with np.load("c.npz") as stored:
        assert stored["codes"].shape == (7, 64)
        assert json.loads(str(stored["about"]))["size"] == 32
    with Path("d.csv").open(encoding="utf-8") as file:
        assert [(row["first"], row["second"]) for row in csv.DictReader(file)] == [("02.png", "copy.jpg")]
    neighbours = json.loads(Path("n.json").read_text())
    assert {row["name"] for row in neighbours} == {"02.png", "copy.jpg"}
    assert all(row["relative"] < 0.1 for row in neighbours)
    assert decode(Path("map.png")).pixels.shape[2] == 3
    assert decode(Path("s.png")).pixels.shape[1] == 8 + 3 * 128
    Path("in/broken.png").unlink()
    assert main(["encode", "in", "--bundle", "b", "--neighbours", "in/02.png", "--count", "1"]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines()[-1].endswith("  copy.jpg")


def test_digits_are_named_by_their_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_autoencoder(tmp_path / "b")
    out = tmp_path / "c.npz"
    command = ["encode", "digits", "--bundle", str(bundle), "--out", str(out), "--neighbours", "test-00003"]
    assert main(command) == ExitCode.OK
    assert "297 pictures of digits (test), each squeezed into 28 x 28 pixels: 6 x 1 x 1" in capsys.readouterr().out
    first = out.read_bytes()
    assert main([*command, "--overwrite"]) == ExitCode.OK
    assert out.read_bytes() == first


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["in", "--bundle", "b"], "nothing to write: give --out", ExitCode.USAGE),
        (["in", "--bundle", "b", "--out", "c.txt"], "c.txt: this file's name ends in .npz or .parquet", ExitCode.USAGE),
        (["in", "--bundle", "b", "--out", "c.npz", "--sheet", "e.png"], "--sheet: shows duplicates", ExitCode.USAGE),
        (
            ["in", "--bundle", "b", "--duplicates", "d.csv", "--table", "n.csv"],
            "--table: holds neighbours; give --neighbours PHOTO as well",
            ExitCode.USAGE,
        ),
        (["in", "--bundle", "unet", "--out", "c.npz"], "holds a UNet, which has no code", ExitCode.FAILED),
        (["in", "--bundle", "b", "--out", "c.npz", "--neighbours", "nowhere"], "nowhere: no such file", ExitCode.USAGE),
        (
            ["in", "--bundle", "b", "--out", "c.npz", "--neighbours", "in"],
            "--neighbours: in holds 3 pictures",
            ExitCode.USAGE,
        ),
        (
            ["in", "--bundle", "b", "--out", "c.npz", "--method", "tsne"],
            "--method: does nothing here; give",
            ExitCode.USAGE,
        ),
        (["in", "--bundle", "b", "--plot", "m.png", "--seed", "1"], "--seed: does nothing here; give", ExitCode.USAGE),
        (["in", "--bundle", "b", "--plot", "m.png", "--limit", "0.1"], "give --duplicates FILE as", ExitCode.USAGE),
        (["in", "--bundle", "b", "--plot", "m.png", "--count", "5"], "give --neighbours PHOTO as", ExitCode.USAGE),
        (["in", "--bundle", "b", "--plot", "m.png"], "a map needs 4 pictures or more", ExitCode.USAGE),
        (["in", "--bundle", "b", "--duplicates", "torn.png/d.csv"], "torn.png: cannot be written to", ExitCode.FAILED),
        (["in", "--bundle", "b", "--neighbours", "torn.png"], "torn.png: not an image that can be", ExitCode.FAILED),
        (["in", "--bundle", "b", "--out", "c.npz", "--batch", "0"], "--batch: must be 1 or more", ExitCode.USAGE),
        (
            ["in", "--bundle", "b", "--neighbours", "x.png", "--count", "0"],
            "--count: must be 1 or more",
            ExitCode.USAGE,
        ),
        (["in", "--bundle", "b", "--duplicates", "d.csv", "--limit", "0"], "--limit: must be above 0", ExitCode.USAGE),
        (["in", "--bundle", "b", "--out", "c.npz", "--size", "0"], "size: must be 1 or more", ExitCode.USAGE),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
    code: ExitCode,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("in"), 3)
    write_autoencoder(Path("b"))
    write_bundle(Path("unet"))
    Path("torn.png").write_bytes(b"no picture")

    def encode_all(*_: object) -> None:
        raise AssertionError("it was encoded")

    monkeypatch.setattr(Encoder, "encode_all", encode_all)
    assert main(["encode", *arguments]) == code
    told = capsys.readouterr().err
    assert message in told
    assert len(told.strip().splitlines()) == 1
