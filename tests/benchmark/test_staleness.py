"""What makes a measured cell outdated, and that nothing else does."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restore.benchmark import plan as planning
from restore.benchmark.plan import Plan, plan_cells
from restore.benchmark.quality import Cell, CellStore, Contender, is_outdated, measure
from restore.benchmark.report import Report
from restore.benchmark.sets import open_set, open_sets
from restore.errors import UnreadableImageError, UsageError
from restore.images.search import FoundImage
from restore.inference.baselines import total_variation
from restore.inference.evaluate import DamagedPhoto, damage_photo
from restore.inference.protocols import Condition, build_protocol
from restore.inference.restorer import Restorer
from restore.models.bundle import find_bundle, read_card, shipped_bundles, write_card
from tests.helpers.networks import write_bundle
from tests.helpers.photos import write_photos

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "results.json"


def cell(folder: Path, method: str = "a", identity: str = "1", seed: int = 0) -> Cell:
    contender = Contender(method, "bundle", lambda image, _mask: image, identity)
    protocol = build_protocol("clipped-8bit")
    return Cell(open_set(str(folder)), protocol, protocol.conditions[0], contender, seed)


def keep(store: CellStore, *cells: Cell) -> None:
    for one in cells:
        row = {"image": "00.png", "psnr": 30.0, "ssim": 0.9, "hole_psnr": None, "shift": [0.0]}
        store.keep(one, [row | {"residual_correlation": None}])


def kept(store: CellStore) -> list[tuple[str, int]]:
    return sorted((key["method"], key["seed"]) for key, _ in store.everything())


def test_other_photos_outdate_every_method_and_another_identity_its_own(tmp_path: Path) -> None:
    _, last = write_photos(tmp_path / "set", 2)
    report = Report(tmp_path / "out")
    first, second = cell(tmp_path / "set"), cell(tmp_path / "set", "b")
    keep(report.store, first, second)
    before = report.results()["quality"]
    keep(report.store, cell(tmp_path / "set", identity="2"))
    assert kept(report.store) == [("a", 0), ("b", 0)]
    Image.fromarray(np.asarray(Image.open(last))[::-1]).save(last)  # the damage is told by the first one alone
    report.earlier = before
    keep(report.store, cell(tmp_path / "set"))
    assert kept(report.store) == [("a", 0)]
    assert [entry["method"] for entry in report.results()["quality"]] == ["a"]


def test_damage_computed_in_another_way_outdates_every_method_and_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path / "set", 1)
    report = Report(tmp_path / "out")
    old = [cell(tmp_path / "set", method, seed=seed) for method in ("a", "b") for seed in (0, 1)]
    elsewhere = replace(old[0], condition=old[0].protocol.conditions[1])
    keep(report.store, *old, elsewhere)
    assert len({one.key["damage"] for one in old}) == 1
    assert len(kept(report.store)) == 5
    report.earlier = report.results()["quality"]

    def mended(photo: FoundImage, condition: Condition, seed: int) -> DamagedPhoto:
        damaged = damage_photo(photo, condition, seed)
        return replace(damaged, corrupted=damaged.corrupted + 1e-3)

    monkeypatch.setattr("restore.benchmark.quality.damage_photo", mended)
    fresh = cell(tmp_path / "set", seed=1)
    assert report.store.find(fresh) is None
    report.keep(fresh, measure(fresh))
    left = {(key["condition"], key["method"], key["seed"]) for key, _ in report.store.everything()}
    assert left == {(fresh.condition.name, "a", 1), (elsewhere.condition.name, "a", 0)}
    told = {(entry["condition"], entry["method"]) for entry in report.results()["quality"]}
    assert told == {(fresh.condition.name, "a"), (elsewhere.condition.name, "a")}


def test_summaries_that_do_not_tell_their_damage_stay() -> None:
    parts = ("set", "protocol", "condition", "kind", "method", "fingerprint", "identity")
    old = dict.fromkeys(parts, "x")
    assert not is_outdated(old, old | {"damage": "1"})
    assert is_outdated(old | {"damage": "2"}, old | {"damage": "1"})


def test_a_known_set_is_told_by_the_photos_of_each_entry(tmp_path: Path) -> None:
    (known,) = {entry["fingerprint"] for entry in json.loads(RESULTS.read_text())["quality"] if entry["set"] == "Set12"}
    place = {"protocol": "p", "set": "Set12", "condition": "c", "kind": "bundle", "identity": "1"}
    earlier = [place | {"method": "a", "fingerprint": known}, place | {"method": "b", "fingerprint": "other"}]
    report = Report(tmp_path, sets={"Set12": {"name": "Set12", "known": True}}, earlier=earlier)
    assert [entry["known"] for entry in report.results()["quality"]] == [True, False]


def test_two_folders_of_one_name_are_refused_unless_they_hold_the_same(tmp_path: Path) -> None:
    for name in ("x", "y"):
        write_photos(tmp_path / name / "val", 1)
    names = [str(tmp_path / name / "val") for name in ("x", "y")]
    assert len(open_sets(names)) == 1
    write_photos(tmp_path / "y" / "val", 2)
    with pytest.raises(UsageError, match=r"x/val and .*y/val: different photos.* as val; rename"):
        open_sets(names)


def test_a_card_that_changes_what_comes_out_changes_the_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path / "set", 1)
    folder = write_bundle(tmp_path / "bundle")

    def identity() -> str:
        restorer = Restorer.from_bundle(folder, device="cpu", precision="32")
        plan = Plan([open_set(str(tmp_path / "set"))], {"m": restorer}, ["clean"], classical="none")
        (only,) = plan_cells(plan)
        return only.contender.identity

    card = read_card(folder)
    first = identity()
    assert first.startswith(f"{card.weights_sha256} card ")
    card.description = "other words"
    write_card(folder, card)
    assert identity() == first
    card.network["config"]["fill"] = "spline"
    write_card(folder, card)
    second = identity()
    monkeypatch.setattr(planning, "_REVISION", 2)
    assert len({first, second, identity()}) == 3


def test_the_committed_results_are_those_of_the_shipped_cards() -> None:
    results = json.loads(RESULTS.read_text())
    shipped = {name: read_card(find_bundle(name)) for name in shipped_bundles()}
    for entry in (entry for part in ("quality", "methods") for entry in results[part] if entry["kind"] == "bundle"):
        card = shipped[entry.get("method") or entry["name"]]
        assert entry["identity"].startswith(f"{card.weights_sha256} card {planning._card_digest(card)} ")


def test_interleaved_runs_keep_what_the_other_wrote(tmp_path: Path) -> None:
    cost = dict.fromkeys(("parameters", "macs_per_pixel", "peak_megabytes", "precision", "threads", "machine"))

    def entry(name: str, speed: float) -> dict[str, object]:
        return {"name": name, "megapixels_per_second": speed, **cost, "precision": "", "machine": "m"}

    Report(tmp_path, methods={"old": entry("old", 1.0)}).write()
    one, other = Report.open(tmp_path), Report.open(tmp_path)
    one.methods |= {"a": entry("a", 1.0), "old": entry("old", 2.0)}
    one.sets["s"] = {"name": "s"}
    one.write()
    other.methods["b"] = entry("b", 1.0)
    results = other.write()
    assert results["methods"] == [entry("a", 1.0), entry("b", 1.0), entry("old", 2.0)]
    assert results["sets"] == [{"name": "s"}]


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(UnreadableImageError, match=r"gone\.png: cannot be opened"):
        open_set(str(tmp_path))


def test_total_variation_of_no_noise_is_the_picture() -> None:
    image = torch.rand(3, 8, 8)
    assert torch.equal(total_variation(0.0).restore(image, image[:1]), image)
