"""What the documents tell people to type works."""

import json
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image

from restore.benchmark.cards import card_results
from restore.benchmark.tables import fill_in
from restore.cli.main import main
from restore.errors import ExitCode
from restore.models.bundle import find_bundle, read_card, shipped_bundles
from tests.helpers.photos import write_photos

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "CONTRIBUTING.md"]
SMALL = ["--config", "debug", "--data.photos_dir", "photos"]


def commands(text: str) -> list[list[str]]:
    """The indented `restore` command lines of a document, comments removed, continued lines joined."""
    joined = text.replace("\\\n", " ")
    lines = re.findall(r"^    (?:\.venv/bin/)?restore (.*)$", joined, flags=re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_the_commands_of_the_readme_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(Path("photos"), 6, (128, 128))
    write_photos(Path("scans"), 2)
    write_photos(Path("others"), 2)
    restored, fitted, evaluated, autoencoder, drawn = commands(README)
    assert main(restored) == ExitCode.OK
    assert len(list(Path("restored").iterdir())) == 3  # two photos and the journal
    assert main([*fitted, *SMALL]) == ExitCode.OK
    assert main(evaluated) == ExitCode.OK
    assert main([*autoencoder, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"]) == ExitCode.OK
    assert main(drawn) == ExitCode.OK
    assert list(Path("drawn").glob("*.png"))


def test_the_page_of_the_bundles_is_that_of_their_cards(tmp_path: Path) -> None:
    page = ROOT / "docs" / "models.md"
    copy = tmp_path / "docs" / "models.md"
    (tmp_path / "docs" / "images").mkdir(parents=True)
    for picture in (ROOT / "docs" / "images").glob("limits-*.jpg"):
        (copy.parent / "images" / picture.name).touch()
    assert main(["info", "--document", str(copy)]) == ExitCode.OK
    assert copy.read_text(encoding="utf-8") == page.read_text(encoding="utf-8")


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path, 1)[0].rename("beach.png")
    with Image.open("beach.png") as photo:
        photo.convert("RGB").save("beach.jpg")
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(example, {})  # noqa: S102  # the README's own code
    with Image.open("beach-restored.png") as restored, Image.open("beach.jpg") as given:
        assert restored.size == given.size


def test_the_python_example_of_the_usage_page_runs() -> None:
    usage = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", usage, flags=re.DOTALL)
    assert examples
    for example in examples:
        exec(example, {})  # noqa: S102  # the page's own code


def test_the_yaml_example_of_the_usage_page_is_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    usage = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", usage, flags=re.DOTALL)
    Path("mine.yaml").write_text(example)
    write_photos(Path("photos"), 6, (128, 128))
    assert main(["fit", "--config", "denoise", "--config", "mine.yaml", *SMALL]) == ExitCode.OK


def test_a_command_that_trains_another_class_of_network_trains_the_one_that_the_page_describes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    option = "--model.init_args.network.class_path"
    texts = [path.read_text(encoding="utf-8") for path in DOCUMENTS]
    swapped = [command for text in texts for command in commands(text) if option in command]
    # One that stands in a sentence would escape.
    assert sum(text.count(option) for text in texts) == len(swapped)
    (denoiser,) = swapped
    monkeypatch.chdir(tmp_path)
    assert main([*denoiser, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"]) == ExitCode.OK
    network = read_card(Path("runs/mnist-denoise/version_0/bundle")).network
    assert (network["name"], network["config"]["widths"]) == ("DeepAutoencoder", [128, 64, 32])


def test_every_command_that_a_document_names_exists() -> None:
    from restore.cli.main import _COMMANDS, _LIGHTNING

    known = set(_COMMANDS) | set(_LIGHTNING)
    for path in DOCUMENTS:
        for command in commands(path.read_text(encoding="utf-8")):
            assert command[0] in known, f"{path.name}: restore {command[0]}"


def test_every_make_target_that_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+)(?=[ :a-z-]*:)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        for target in re.findall(r"(?:^    |`)make ([a-z-]+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
            assert target in targets, f"{path.name}: make {target}"


@pytest.mark.parametrize("document", sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("*.md")))
def test_links_between_files_lead_somewhere(document: str) -> None:
    path = ROOT / document
    for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("name", ["README.md", "docs/evaluation.md", "docs/performance.md"])
def test_tables_are_those_of_the_committed_results(name: str) -> None:
    results = json.loads((ROOT / "docs" / "results" / "results.json").read_text(encoding="utf-8"))
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "<!-- benchmark " in text
    assert fill_in(text, results) == text, f"{name}: run `restore benchmark --out docs/results --document {name}`"


def test_committed_results_are_those_of_the_shipped_weights() -> None:
    results = json.loads((ROOT / "docs" / "results" / "results.json").read_text(encoding="utf-8"))
    shipped = {name: read_card(find_bundle(name)).weights_sha256 for name in shipped_bundles()}
    measured = {
        (entry["method"], entry["identity"].split()[0]) for entry in results["quality"] if entry["kind"] == "bundle"
    }
    assert measured == set(shipped.items())


def test_the_cards_of_the_shipped_bundles_hold_the_committed_results() -> None:
    results = json.loads((ROOT / "docs" / "results" / "results.json").read_text(encoding="utf-8"))
    for name in shipped_bundles():
        card = read_card(find_bundle(name))
        assert {result["protocol"] for result in card.metrics} > {"clean"}
        assert card.metrics == card_results(results, name, card.weights_sha256)
