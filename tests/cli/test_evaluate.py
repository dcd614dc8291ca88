"""What `restore evaluate` refuses, leaves out, and says of what it was not told."""

from pathlib import Path

import pytest

from restore.cli.main import main
from restore.errors import ExitCode
from restore.models.bundle import read_card
from tests.helpers.networks import write_bundle
from tests.helpers.photos import write_photos


def test_holes_are_for_bundles_that_keep_what_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "set", 1)
    for protocol in ("holes", "holes-by-share"):
        bundle = str(write_bundle(tmp_path / "noise"))
        assert main(["evaluate", str(tmp_path / "set"), "--bundle", bundle, "--protocol", protocol]) == ExitCode.USAGE
        told = " ".join(capsys.readouterr().err.split())
        assert f"--protocol: {protocol} is for bundles that put known pixels back, such as inpaint" in told
    bundle = str(write_bundle(tmp_path / "hole", True, "holes"))
    assert main(["evaluate", str(tmp_path / "set"), "--bundle", bundle, "--no-baseline"]) == ExitCode.OK


def test_clean_pictures_are_not_given_to_a_classical_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "set", 1)
    bundle = write_bundle(tmp_path / "noise")
    command = ["evaluate", str(tmp_path / "set"), "--bundle", str(bundle), "--protocol", "clean", "--record"]
    assert main(command) == ExitCode.OK
    assert "classical" not in capsys.readouterr().out
    (result,) = read_card(bundle).metrics
    assert not any("baseline" in name for row in result["results"] for name in row)


def test_levels_of_one_name_are_one_level(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_photos(tmp_path / "set", 1)
    bundle = str(write_bundle(tmp_path / "noise", protocol=""))
    command = ["evaluate", str(tmp_path / "set"), "--bundle", bundle, "--sigma", "25", "25.0000001", "--no-baseline"]
    assert main(command) == ExitCode.OK
    told = " ".join(capsys.readouterr().out.split())
    assert told.count("sigma 25") == 1
    assert "protocol gaussian-awgn (the card names none;" in told
