"""Bundles come back whole, or say what is wrong with them; and files never carry code."""

import hashlib
import inspect
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from restore import models
from restore.errors import BundleError, OutputError, UsageError
from restore.models import (
    ConvolutionalAutoencoder,
    DeepAutoencoder,
    RestorationNetwork,
    SparseAutoencoder,
    UndercompleteAutoencoder,
    UNet,
    VariationalAutoencoder,
    bundle,
)
from restore.models.bundle import (
    CARD_FILE,
    WEIGHTS_FILE,
    ModelCard,
    find_bundle,
    load_bundle,
    network_class,
    network_entry,
    read_card,
    save_bundle,
    write_card,
)
from restore.seeds import generator_for
from tests.helpers.networks import write_bundle

SMALL: dict[str, Callable[[], RestorationNetwork]] = {
    "unet": lambda: UNet(widths=(4, 8), blocks=1),
    "autoencoder": lambda: ConvolutionalAutoencoder(widths=(4, 8), code_channels=2),
    "undercomplete": lambda: UndercompleteAutoencoder(20, image_size=8, channels=3),
    "deep and tied": lambda: DeepAutoencoder((24, 12), image_size=8, channels=3, tied=True),
    "sparse": lambda: SparseAutoencoder(80, image_size=8, channels=3),
    "variational": lambda: VariationalAutoencoder((4, 8), code_channels=3, channels=3, pool=2),
}


def build(kind: str = "unet") -> RestorationNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SMALL[kind]()


def write(folder: Path, kind: str = "unet", **entries: Any) -> Path:
    network = build(kind)
    save_bundle(folder, network.state_dict(), ModelCard(folder.name, network_entry(network), **entries))
    return folder


def change_card(folder: Path, **entries: Any) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    (folder / CARD_FILE).write_text(json.dumps({**card, **entries}))


def change_weights(folder: Path, data: bytes) -> None:
    """Other weights, and a card that vouches for them."""
    (folder / WEIGHTS_FILE).write_bytes(data)
    change_card(folder, weights_sha256=hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("kind", SMALL)
def test_a_network_comes_back_within_float16(kind: str, tmp_path: Path) -> None:
    network, loaded = build(kind), load_bundle(write(tmp_path / "b", kind)).network
    assert type(loaded) is type(network)
    assert loaded.config() == network.config()
    assert not loaded.training
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert value.device.type == "cpu"
        assert torch.equal(value, network.state_dict()[name].half().float())
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    image = torch.rand(1, 3, 21, 18, generator=generator_for("bundle"))
    mask = torch.zeros(1, 1, 21, 18)
    assert torch.allclose(loaded(image, mask), network(image, mask), atol=2e-3)


def test_a_card_comes_back_whole(tmp_path: Path) -> None:
    entries: dict[str, Any] = {
        "composites": True,
        "protocol": "irregular-holes",
        "description": "Füllt Löcher, schnell",
        "data": "photos",
        "licence": "MIT",
        "training": {"steps": 3, "corruption": "PixelMask()"},
        "metrics": [{"psnr": 31.5}],
        "versions": {"torch": "2.15"},
    }
    folder = write(tmp_path / "b", **entries)
    loaded = load_bundle(folder)
    assert loaded.path == folder
    assert loaded.card == read_card(folder)
    assert {name: getattr(loaded.card, name) for name in entries} == entries
    loaded.card.description = "Else"
    write_card(folder, loaded.card)
    assert load_bundle(folder).card.description == "Else"


def test_channels_last_weights_are_stored_too(tmp_path: Path) -> None:
    network = build().to(memory_format=torch.channels_last)
    save_bundle(tmp_path, network.state_dict(), ModelCard("b", network_entry(network)))
    expected = build().state_dict()
    assert all(
        torch.equal(v, expected[n].half().float()) for n, v in load_bundle(tmp_path).network.state_dict().items()
    )


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    write(tmp_path / "b")
    before = torch.get_rng_state()
    load_bundle(tmp_path / "b")
    assert torch.equal(torch.get_rng_state(), before)


def without_weights(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()


def without_card(folder: Path) -> None:
    (folder / CARD_FILE).unlink()


def one_bit_changed(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS_FILE).read_bytes())
    data[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(data)


def weights_cut_short(folder: Path) -> None:
    change_weights(folder, (folder / WEIGHTS_FILE).read_bytes()[:-10])


def one_weight_missing(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    del weights["tail.bias"]
    save_file(weights, folder / WEIGHTS_FILE)
    change_weights(folder, (folder / WEIGHTS_FILE).read_bytes())


def card_text(text: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / CARD_FILE).write_text(text)

    return damage


def card_entries(**entries: Any) -> Callable[[Path], None]:
    return lambda folder: change_card(folder, **entries)


def network_is(name: object, **config: object) -> Callable[[Path], None]:
    return card_entries(network={"name": name, "config": config})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without_weights, "cannot be loaded .*No such file"),
        (without_card, "has no card.json, and the shipped bundles are "),
        (one_bit_changed, "weights.safetensors is not the file that card.json was written for"),
        (weights_cut_short, "the weights do not fit"),
        (one_weight_missing, r"the weights do not fit .*tail\.bias"),
        (card_text("{"), "not a model card"),
        (card_text(""), "not a model card"),
        (card_text("[]"), "not a model card"),
        (card_text('{"format": 1, "name": "b"}'), "not a model card .*network"),
        (card_entries(format=2), "has format 2, and this version of restore reads format 1"),
        (card_entries(format=None), "has format None"),
        (card_entries(network="UNet"), "not a model card .network: 'UNet', not a dict"),
        (card_entries(training=None), "not a model card .training: None, not a dict"),
        (card_entries(limits="none"), "not a model card .limits: 'none', not a list"),
        (network_is("os.system"), "holds a network 'os.system', and this version knows ConvolutionalAutoencoder, Deep"),
        (network_is("restore.models.unet.UNet"), "holds a network 'restore.models.unet.UNet'"),
        (network_is(["UNet"]), "holds a network"),
        (network_is("UNet", widths=[4, 16], blocks=1), "the weights do not fit .*size mismatch"),
        (network_is("UNet", widths=[0]), "cannot be loaded .*widths"),
        (network_is("UNet", widths="wide"), "cannot be loaded"),
        (network_is("UNet", depth=3), "cannot be loaded .*depth"),
        (network_is("UNet", widths=[4, 2**40], blocks=1), "cannot be loaded|do not fit"),
    ],
)
def test_damage_is_named(damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "photos-bundle")
    damage(folder)
    with pytest.raises(BundleError, match=f"(?s)photos-bundle.*{message}"):
        load_bundle(folder)


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    folder = write(tmp_path / "b")
    change_weights(folder, pickle.dumps(Trap()))
    with pytest.raises(BundleError, match="the weights do not fit"):
        load_bundle(folder)
    torch.save(build().state_dict(), folder / WEIGHTS_FILE)
    change_weights(folder, (folder / WEIGHTS_FILE).read_bytes())
    with pytest.raises(BundleError, match="the weights do not fit"):
        load_bundle(folder)
    assert not (tmp_path / "sprung").exists()


def test_entries_of_a_later_version_are_passed_over(tmp_path: Path) -> None:
    folder = write(tmp_path / "b", protocol="gaussian-awgn")
    change_card(folder, colour="blue")
    assert load_bundle(folder).card.protocol == "gaussian-awgn"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])
def test_weights_that_float16_cannot_hold_are_refused_and_nothing_is_written(value: float, tmp_path: Path) -> None:
    state = build().state_dict()
    state["tail.bias"][1] = value
    with pytest.raises(BundleError, match=r"tail\.bias is not finite in float16"):
        save_bundle(tmp_path / "b", state, ModelCard("b", {}))
    assert not (tmp_path / "b").exists()


def test_a_save_that_stops_halfway_leaves_no_bundle_that_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "b")
    other = {name: value + 1 for name, value in build().state_dict().items()}

    def fail(*_: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(bundle, "write_card", fail)
    for target in (folder, tmp_path / "new"):
        with pytest.raises(OutputError):
            save_bundle(target, other, ModelCard("b", network_entry(build())))
        with pytest.raises(BundleError):
            load_bundle(target)


@pytest.mark.parametrize("kind", SMALL)
def test_weights_start_another_network_of_the_same_architecture(kind: str, tmp_path: Path) -> None:
    loaded, network = load_bundle(write(tmp_path / "b", kind)), SMALL[kind]()
    loaded.copy_weights_to(network)
    assert all(torch.equal(value, network.state_dict()[name]) for name, value in loaded.network.state_dict().items())
    next(network.parameters()).data.add_(1)
    assert not torch.equal(next(network.parameters()), next(loaded.network.parameters())), "they share memory"


@pytest.mark.parametrize("other", [UNet(widths=(4, 4), blocks=1), ConvolutionalAutoencoder(widths=(4,))])
def test_weights_of_another_architecture_are_refused_with_both_names(other: RestorationNetwork, tmp_path: Path) -> None:
    loaded = load_bundle(write(tmp_path / "b"))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(UsageError) as caught:
        loaded.copy_weights_to(other)
    message = str(caught.value)
    assert message.startswith(f"init_from: {tmp_path / 'b'} holds ")
    assert str(network_entry(build())) in message
    assert str(network_entry(other)) in message
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_a_folder_comes_before_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = tmp_path / "shipped"
    write(shipped / "denoise", description="shipped")
    (shipped / "half-written").mkdir()
    monkeypatch.setattr(bundle, "_SHIPPED", shipped)
    monkeypatch.chdir(tmp_path)
    assert bundle.shipped_bundles() == ["denoise"]
    assert load_bundle("denoise").card.description == "shipped"
    write(tmp_path / "denoise", description="mine")
    assert load_bundle("denoise").card.description == "mine"
    with pytest.raises(BundleError, match="deblur: no such folder, and the shipped bundles are denoise"):
        find_bundle("deblur")


def test_a_network_that_no_bundle_can_be_loaded_with_replaces_none(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "good")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    other = ModelCard("other", {"name": "MyNet", "config": {}})
    with pytest.raises(BundleError, match=r"holds a network 'MyNet', and this version knows .*UNet"):
        save_bundle(folder, {}, other)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_every_network_of_ours_can_be_in_a_bundle() -> None:
    kinds = [getattr(models, name) for name in models.__all__]
    networks = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, RestorationNetwork)]
    concrete = [kind for kind in networks if not inspect.isabstract(kind)]
    assert len(concrete) > 5
    assert all(network_class("here", kind.__name__) is kind for kind in concrete)


def test_a_recorded_result_joins_its_like_and_says_what_it_takes_the_place_of() -> None:
    def result(fingerprint: str = "f", precision: str = "32", **scores: float) -> dict[str, Any]:
        place = {"protocol": "p", "set": "s", "seed": 0, "images": 1, "fingerprint": fingerprint}
        rows = [{"condition": condition, "psnr": psnr} for condition, psnr in scores.items()]
        return {**place, "precision": precision, "results": rows}

    card = ModelCard("x", {})
    assert card.record(result(a=1.0, c=2.0)) == ""
    assert card.record(result(b=3.0, a=4.0)) == ""
    assert card.metrics == [result(b=3.0, a=4.0, c=2.0)]
    assert card.record({**result(a=5.0), "seed": 1}) == ""
    assert card.record(result("other", a=6.0)) == "p on s, seed 0: b, a, c gave way, being of other photos"
    assert card.record(result("other", "int8", b=7.0)) == "p on s, seed 0: a gave way, being measured in 32"
    assert card.metrics == [{**result(a=5.0), "seed": 1}, result("other", "int8", b=7.0)]
