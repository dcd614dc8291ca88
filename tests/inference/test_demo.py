import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from restore.cli.main import main
from restore.corruption import GaussianNoise
from restore.errors import BundleError
from restore.images.codec import decode
from restore.images.search import FoundImage, find_images
from restore.images.tensors import quantise, to_float
from restore.inference import demo
from restore.inference.demo import DAMAGES, SHIPPED, Outcome, are_shipped, demonstrate, load_restorers, side_by_side
from restore.inference.restorer import Restorer
from restore.seeds import generator_for
from tests.helpers.networks import write_bundle
from tests.helpers.photos import write_photos

KINDS = ("camera noise", "noise", "blur", "missing regions")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    for name in ("photo", "denoise", "deblur", "inpaint"):
        write_bundle(folder / name, composites=name == "inpaint")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[FoundImage]:
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder, 2)  # one in colour, one grey
    return find_images([folder])


@pytest.fixture(scope="module")
def restorers(bundles: Path) -> dict[str, Restorer]:
    return load_restorers({kind: bundles / name for kind, name in SHIPPED.items()}, "cpu", "32")


@pytest.fixture(scope="module")
def outcomes(restorers: dict[str, Restorer], photos: list[FoundImage]) -> list[Outcome]:
    return list(demonstrate(restorers, photos, seed=3))


def test_every_photo_is_shown_under_every_damage(outcomes: list[Outcome]) -> None:
    assert [(one.damage.name, one.photo) for one in outcomes] == [
        (kind, name) for kind in KINDS for name in ("00", "01")
    ]
    assert set(SHIPPED) == set(KINDS) == {damage.name for damage in DAMAGES}


def test_noise_and_its_scores_agree_with_an_independent_computation(
    outcomes: list[Outcome], restorers: dict[str, Restorer], photos: list[FoundImage]
) -> None:
    outcome = outcomes[2]
    clean = to_float(decode(photos[0].path).pixels)
    noise = GaussianNoise((25.0, 25.0))(clean[None], generator_for(3, "demo", "noise", "00.png")).image
    corrupted = quantise(noise)[0]
    restored = (restorers["noise"].network(corrupted[None], torch.zeros(1, 1, 64, 80))[0] * 255).clamp(0, 255).round()
    np.testing.assert_array_equal(outcome.clean, decode(photos[0].path).pixels)
    np.testing.assert_array_equal(outcome.corrupted, (corrupted * 255).round().permute(1, 2, 0).numpy())
    np.testing.assert_allclose(outcome.restored, restored.detach().permute(1, 2, 0).numpy(), atol=1)
    assert outcome.missing == 0


@pytest.mark.parametrize("name", ["corrupted", "classical", "restored"])
def test_scores_are_those_of_the_pixels_that_are_shown(
    outcomes: list[Outcome], photos: list[FoundImage], name: str
) -> None:
    for outcome, photo in zip(outcomes, photos * len(KINDS), strict=True):
        picture, clean = getattr(outcome, name), outcome.clean
        channels = 2 if clean.ndim == 3 else None
        _, plane = structural_similarity(
            picture,
            clean,
            channel_axis=channels,
            full=True,
            data_range=255,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        assert outcome.scores[name].ssim == pytest.approx(plane[5:-5, 5:-5].mean(), abs=1e-4)
        if outcome.damage.condition.has_hole:
            generator = generator_for(3, "demo", "missing regions", photo.relative.as_posix())
            hole = outcome.damage.condition.corruption(to_float(clean)[None], generator).mask[0, 0].bool().numpy()
            picture, clean = picture[hole], clean[hole]
        expected = -10 * np.log10(np.mean((picture / 255.0 - clean / 255.0) ** 2))
        assert outcome.scores[name].psnr == pytest.approx(expected, abs=1e-3)


def test_missing_regions_cover_about_a_fifth_and_the_rest_is_untouched(outcomes: list[Outcome]) -> None:
    for outcome in outcomes[6:]:
        assert 0.17 < outcome.missing < 0.22
        known = outcome.corrupted != 128
        for picture in (outcome.restored, outcome.classical, outcome.clean):
            np.testing.assert_array_equal(picture[known], outcome.corrupted[known])


def test_damage_depends_on_the_seed_and_on_nothing_else(
    outcomes: list[Outcome], restorers: dict[str, Restorer], photos: list[FoundImage]
) -> None:
    alone = list(demonstrate(restorers, photos[1:], seed=3))
    for one, again in zip(outcomes[1::2], alone, strict=True):
        assert one.scores == again.scores
        np.testing.assert_array_equal(one.restored, again.restored)
    other = next(demonstrate(restorers, photos, seed=4))
    assert other.scores != outcomes[0].scores


def test_means_are_over_the_photos(outcomes: list[Outcome]) -> None:
    summary = demo.means(outcomes)
    assert list(summary) == list(KINDS)
    for kind, first, second in zip(KINDS, outcomes[::2], outcomes[1::2], strict=True):
        for name in ("corrupted", "classical", "restored"):
            both = first.scores[name], second.scores[name]
            assert summary[kind][name].psnr == pytest.approx(sum(one.psnr for one in both) / 2)
            assert summary[kind][name].ssim == pytest.approx(sum(one.ssim for one in both) / 2)


def test_side_by_side_holds_the_exact_pixels_below_the_captions(outcomes: list[Outcome]) -> None:
    for outcome in outcomes[:2]:
        sheet = side_by_side(outcome)
        assert sheet.shape == (64 + 26, 4 * 80 + 24, *outcome.clean.shape[2:])
        for column, name in enumerate(("clean", "corrupted", "classical", "restored")):
            left = column * 88
            np.testing.assert_array_equal(sheet[26:, left : left + 80], getattr(outcome, name))
            assert sheet[:26, left : left + 80].min() < 128  # something is written there


def test_only_bundles_of_the_package_are_called_shipped(
    bundles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "shipped_bundles", lambda: ["deblur", "denoise", "inpaint", "photo"])
    monkeypatch.setattr("restore.models.bundle._SHIPPED", bundles)
    monkeypatch.chdir(tmp_path)
    assert are_shipped()
    assert not are_shipped({**SHIPPED, "blur": bundles / "deblur"})
    monkeypatch.chdir(bundles)  # a folder of that name goes first
    assert not are_shipped()


def test_a_missing_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere"):
        load_restorers({**SHIPPED, "noise": tmp_path / "nowhere"})


@pytest.fixture
def workplace(
    tmp_path: Path, bundles: Path, photos: list[FoundImage], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A working directory with bundles under the shipped names, and two small sample photos."""
    for name in SHIPPED.values():
        (tmp_path / name).symlink_to(bundles / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("restore.images.samples.sample_photos", lambda: photos)
    threads = torch.get_num_threads()
    yield tmp_path
    assert torch.get_num_threads() == threads


def test_command_writes_page_and_pictures_and_prints_a_narrow_table(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--device", "cpu", "--seed", "3"]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "\x1b" not in printed
    assert "demo/index.html" in printed
    assert "PSNR counts the missing pixels" in " ".join(printed.split())
    names = sorted(path.name for path in (workplace / "demo").iterdir())
    expected = [f"{kind.replace(' ', '-')}-{photo}.png" for kind in KINDS for photo in ("00", "01")]
    assert names == sorted(["index.html", *expected])
    page = (workplace / "demo" / "index.html").read_text(encoding="utf-8")
    assert page.count('type="range"') == 8
    assert "restore demo --out demo --seed 3" in page
    assert "The bundles are not those that come with restore" in page
    assert "weights sha256" in page
    rows = [line.strip() for line in printed.splitlines() if " dB / " in line]
    assert [row.count(" dB / ") for row in rows] == [3, 3, 3, 3]
    assert all(row.startswith(kind) for row, kind in zip(rows, KINDS, strict=True))
    assert len({row.index(" dB / ") for row in rows}) == 1  # aligned


def test_command_says_the_same_again_and_replaces_only_its_own_files(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--device", "cpu"]) == 0
    first, page = capsys.readouterr().out, (workplace / "demo" / "index.html").read_bytes()
    (workplace / "demo" / "notes.txt").write_text("mine")
    assert main(["demo", "--device", "cpu"]) == 0
    assert (
        capsys.readouterr().out.split(" s in all")[0].rsplit("\n", 1)[0]
        == first.split(" s in all")[0].rsplit("\n", 1)[0]
    )
    assert (workplace / "demo" / "index.html").read_bytes() == page
    assert (workplace / "demo" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["index.html", "blur-00.png"])
def test_command_leaves_other_peoples_files_alone(
    workplace: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    site = workplace / "site"
    site.mkdir()
    (site / name).write_text("my site")
    assert main(["demo", "--out", "site"]) == 1
    assert "choose another --out folder" in capsys.readouterr().err
    assert [path.name for path in site.iterdir()] == [name]
    assert (site / name).read_text() == "my site"


def test_command_fails_before_it_writes(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "file").write_text("")
    assert main(["demo", "--out", "file"]) == 1
    assert "is a file" in capsys.readouterr().err
    (workplace / "deblur").unlink()
    (workplace / "deblur").mkdir()
    (workplace / "deblur" / "card.json").write_text("{}")
    assert main(["demo", "--out", "new"]) == 1
    assert "deblur" in capsys.readouterr().err
    assert not (workplace / "new").exists()


def test_options_have_the_documented_defaults() -> None:
    from restore.cli.demo import add_arguments

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    parsed = parser.parse_args([])
    assert (parsed.out, parsed.seed, parsed.device, parsed.precision) == (Path("demo"), 0, "auto", "auto")


def test_page_vouches_for_shipped_bundles(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "are_shipped", lambda: True)
    assert main(["demo", "--device", "cpu"]) == 0
    page = (workplace / "demo" / "index.html").read_text(encoding="utf-8")
    assert "None of these photos was used in training." in page
    assert "The bundles are not those" not in page
