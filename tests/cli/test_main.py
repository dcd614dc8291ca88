import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from restore.benchmark.speed import PARTS
from restore.cli import benchmark
from restore.cli.main import main
from restore.cli.options import PROTOCOL_NAMES
from restore.errors import ExitCode
from restore.inference.protocols import PROTOCOLS
from restore.models.bundle import read_card, shipped_bundles, write_card
from tests.helpers.networks import write_autoencoder, write_bundle
from tests.helpers.photos import write_photos

HEAVY = ("torch", "lightning", "albumentations", "cv2", "skimage", "numpy")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        *(
            [name, "--help"]
            for name in (
                "anomalies",
                "compress",
                "decompress",
                "encode",
                "evaluate",
                "generate",
                "info",
                "photos",
                "probe",
            )
        ),
    ],
)
def test_help_needs_none_of_the_heavy_packages(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom restore.cli.main import main\n"
        f"try: main({arguments!r})\nexcept SystemExit as end: assert end.code == 0\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []")
    assert "usage: restore" in done.stdout


def test_no_command_and_an_unknown_one_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["polish"], ["photos"], ["photos", "x", "--out", "y", "--tiles", "3"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == ExitCode.USAGE
    assert "usage: restore" in capsys.readouterr().err


def test_photos_restores_a_folder_and_says_how_many(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "in" / "deeper", 2)
    bundle = write_bundle(tmp_path / "bundle")
    command = ["photos", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--bundle", str(bundle), "--no-auto"]
    assert main(command) == ExitCode.OK
    assert sorted(path.name for path in (tmp_path / "out" / "deeper").iterdir()) == ["00.png", "01.png"]
    assert "2 restored" in capsys.readouterr().err
    assert main(command) == ExitCode.OK
    assert "2 done before" in capsys.readouterr().err


def test_photos_exits_with_1_when_one_fails_and_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "in", 2)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing")
    bundle = write_bundle(tmp_path / "bundle")
    code = main(["photos", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--bundle", str(bundle), "--no-auto"])
    told = capsys.readouterr().err
    assert code == ExitCode.FAILED
    assert "1 failed, 2 restored" in told
    assert "broken.jpg" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos", "nowhere", "--out", "out"], "nowhere: no such file or folder"),
        (["photos", "in", "--out", "in"], "would replace a source"),
        (["photos", "empty", "--out", "out"], "no photos in empty"),
        (["photos", "in", "--out", "out", "--bundle", "none"], "none: no such folder, and the shipped bundles are"),
        (["photos", "in", "--out", "out", "--bundle", "fills"], "say where the masks are with --masks"),
        (["photos", "in", "--out", "out", "--bundle", "mine", "--tile", "20"], "tile: must be at least"),
        (["photos", "in", "--out", "out", "--bundle", "mine", "--device", "cuda:99"], "cuda:99"),
        (
            ["photos", "in", "--out", "out", "--bundle", "mine", "--precision", "16-mixed", "--device", "cpu"],
            "CUDA GPU",
        ),
        (["info", "in"], "has no card.json"),
        (["bundle", "in/00.png", "--out", "b"], "not a checkpoint"),
        (["evaluate", "empty", "--bundle", "mine"], "holds no photos"),
        (["evaluate", "in", "--protocol", "holes", "--sigma", "5"], "--sigma: holes has levels of its own"),
        (["evaluate", "tiny", "--bundle", "mine"], "00.png: 40 x 8 pixels; scores need 11 x 11"),
        (["test", "--ckpt_path", "none/last.ckpt"], "--ckpt_path: none/last.ckpt: no such file"),
        (["fit", "--ckpt_path", "in"], "--ckpt_path: in: no such file"),
        (["fit", "--ckpt_path", "in/00.png"], "--ckpt_path: in/00.png: not a checkpoint of `restore fit`"),
        (["fit", "--ckpt_path", "mine/weights.safetensors"], "weights.safetensors: not a checkpoint of `restore fit`"),
        (["test"], "--ckpt_path: name the checkpoint to test; without one, weights are random"),
        (["predict"], "--ckpt_path: name the checkpoint to predict"),
        (["evaluate", "in", "--bundle", "grey"], "in/00.png: is in colour, and grey is for grey pictures; convert it"),
        (
            [
                "benchmark",
                "in",
                "--bundle",
                "mine",
                "--protocol",
                "camera-noise",
                "--sigma",
                "5",
                "--classical",
                "none",
            ],
            "--sigma: camera-noise: levels of their own; it is for gaussian-awgn and clipped-8bit",
        ),
    ],
)
def test_mistakes_are_one_line_that_says_what_and_where(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("in"), 1)
    write_photos(Path("tiny"), 1, (8, 40))
    Path("empty").mkdir()
    write_bundle(Path("mine"))
    write_bundle(Path("fills"), composites=True)
    write_autoencoder(Path("grey"))
    assert main(arguments) in {ExitCode.FAILED, ExitCode.USAGE}
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert len(told.strip().splitlines()) == 1
    assert not Path("out").exists()


def test_ctrl_c_leaves_no_half_file_and_exits_with_130(tmp_path: Path) -> None:
    write_photos(tmp_path / "in", 150, (180, 280), ".jpg")
    bundle = write_bundle(tmp_path / "bundle")
    command = [sys.executable, "-W", "ignore", "-m", "restore", "photos", str(tmp_path / "in"), "--bundle", str(bundle)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background shells have it ignored
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")], stderr=subprocess.PIPE, text=True, env=environment
    )
    signal.signal(signal.SIGINT, former)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*.jpg")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted" in told
    assert "Traceback" not in told
    from restore.images.codec import decode
    from restore.inference.journal import JOURNAL_FILE

    written = [path for path in (tmp_path / "out").iterdir() if path.name != JOURNAL_FILE]
    assert 0 < len(written) < 150, "the interrupt came too early or too late to tell"
    assert all(decode(path).pixels.shape[:2] == (180, 280) for path in written), (
        "a half file or a temporary one is left"
    )


def test_evaluate_prints_a_table_writes_a_csv_and_records_into_the_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(tmp_path / "set", 2)
    bundle = write_bundle(tmp_path / "bundle")
    table = tmp_path / "scores.csv"
    command = ["evaluate", str(tmp_path / "set"), "--bundle", str(bundle), "--sigma", "25", "25", "--csv", str(table)]
    for again in ([], ["--overwrite"]):  # recording again replaces
        assert main([*command, "--record", *again]) == ExitCode.OK
    told = capsys.readouterr().out
    assert "gaussian-awgn" in told
    assert "sigma 25" in told
    assert len(table.read_text().splitlines()) == 3
    assert main(["info", str(bundle)]) == ExitCode.OK
    told = capsys.readouterr().out
    assert told.count("gaussian-awgn on set (2 images), seed 0") == 1
    (recorded,) = read_card(bundle).metrics
    assert [row["baseline"] for row in recorded["results"]] == ["non-local means"]
    assert re.search("known pixels +may change", told)
    assert "non-local means psnr" in told
    write_photos(tmp_path / "set", 3)
    assert main([*command, "--record", "--overwrite"]) == ExitCode.OK
    assert "gaussian-awgn on set, seed 0: sigma 25 gave way, being of other photos" in capsys.readouterr().out


def test_info_prints_json_that_is_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    bundle = write_bundle(tmp_path / "bundle")
    assert main(["info", str(bundle), "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out) == json.loads((bundle / "card.json").read_text())


def test_info_writes_a_page_with_the_limits_of_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    bundle = write_bundle(tmp_path / "bundle")
    card = json.loads((bundle / "card.json").read_text())
    (bundle / "card.json").write_text(json.dumps(card | {"limits": ["It cannot fly."], "guarded": True}))
    page = tmp_path / "docs" / "models.md"
    assert main(["info", str(bundle), "--document", str(page)]) == ExitCode.OK
    text = page.read_text()
    assert f"## {card['name']}" in text
    assert "* It cannot fly." in text
    assert "noise that it finds in flat parts" in text
    assert "images/limits" not in text
    capsys.readouterr()
    assert main(["info"]) == ExitCode.USAGE
    assert "name a bundle: one of" in capsys.readouterr().err


def test_names_that_are_listed_twice_to_spare_an_import_are_the_same() -> None:
    assert tuple(PROTOCOLS) == PROTOCOL_NAMES
    assert tuple(PARTS) == benchmark._SPEED_PARTS
    assert sorted(benchmark._BUNDLES) == shipped_bundles()


def test_files_of_people_are_not_replaced_by_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = str(write_bundle(tmp_path / "noise"))
    (photo,) = write_photos(tmp_path / "in", 1)
    notes = tmp_path / "notes" / "tables.md"
    notes.parent.mkdir()
    notes.write_text("mine\n")
    sources, table = str(tmp_path / "in"), tmp_path / "scores.csv"
    table.write_text("mine\n")
    before = {path: path.read_bytes() for path in (photo, notes, table)}
    score = ["evaluate", sources, "--bundle", bundle, "--sigma", "15", "--no-baseline"]
    measure = ["benchmark", sources, "--bundle", bundle, "--classical", "none"]
    for arguments, message in (
        ([*score, "--csv", str(photo)], "this file's name ends in .csv"),
        ([*score, "--csv", str(table)], "scores.csv: is there already"),
        ([*score, "--csv", str(tmp_path / "in" / "scores.csv")], "lies inside the source folder"),
        (["info", bundle, "--document", str(photo)], "is there already, and no earlier page of bundles"),
        ([*measure, "--out", str(notes.parent)], "tables.md is there already, and no results.json beside it"),
        ([*measure, "--out", sources], "lies inside the source folder"),
    ):
        assert main(arguments) != ExitCode.OK
        assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == [photo.name]
    assert main([*score, "--csv", str(table), "--overwrite"]) == ExitCode.OK
    assert table.read_bytes() != before[table]


def test_info_takes_cards_that_know_little_of_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_bundle(tmp_path / "small")
    card = read_card(bundle)
    card.training = {"crop_size": 64, "photos": 12, "seed": 3}
    write_card(bundle, card)
    assert main(["info", str(bundle)]) == ExitCode.OK
    assert re.search("recipe +12 photos; seed 3", capsys.readouterr().out)
