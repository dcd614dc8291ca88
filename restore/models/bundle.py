"""Products: a folder with weights (safetensors, float16) and a card (JSON), rebuilt through a table of classes."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from restore.errors import BundleError, UsageError
from restore.images.files import write_atomically
from restore.models.autoencoder import ConvolutionalAutoencoder
from restore.models.base import JsonValue, RestorationNetwork
from restore.models.dense import DeepAutoencoder, UndercompleteAutoencoder
from restore.models.growth import grow
from restore.models.sparse import SparseAutoencoder
from restore.models.unet import UNet
from restore.models.variational import VariationalAutoencoder

__all__ = [
    "CARD_FILE",
    "WEIGHTS_FILE",
    "Bundle",
    "ModelCard",
    "find_bundle",
    "load_bundle",
    "network_class",
    "network_entry",
    "read_card",
    "save_bundle",
    "shipped_bundles",
    "write_card",
]

CARD_FILE, WEIGHTS_FILE = "card.json", "weights.safetensors"
FORMAT = 1
_SHIPPED = Path(__file__).parent.parent / "weights"

# The only classes that a bundle can name: files carry data, never code.
_NETWORKS: dict[str, type[RestorationNetwork]] = {
    "ConvolutionalAutoencoder": ConvolutionalAutoencoder,
    "DeepAutoencoder": DeepAutoencoder,
    "SparseAutoencoder": SparseAutoencoder,
    "UNet": UNet,
    "UndercompleteAutoencoder": UndercompleteAutoencoder,
    "VariationalAutoencoder": VariationalAutoencoder,
}


@dataclass
class ModelCard:
    """What a bundle says of itself.

    Attributes:
        name: Short name, as in `--bundle denoise`.
        network: `name` and `config` of the network; see `network_entry`.
        composites: Whether known pixels are put back untouched, as inpainting needs.
        protocol: Name of the evaluation that the weights are meant for.
        description: What it restores, in a sentence.
        data: What it was trained on.
        licence: Terms of the weights.
        training: The recipe: corruption, optimizer, steps, seed, precision, time, git revision.
        guarded: Whether its changes are limited by the noise in flat parts; see `restore.inference.guard`.
        turned: Whether a picture is restored twice, once turned by half a turn, and the mean is taken: twice the time,
            and errors that depend on the direction cancel (geometric self-ensemble, Timofte et al. 2016).
        ranges: How large activations get, for computing in 8-bit integers; see `restore.models.int8`.
        limits: What it cannot do, and known failures, a sentence each.
        metrics: Measured results, each with its protocol.
        versions: Of the packages that trained it.
        weights_sha256: Of the weights file, checked on loading.
        format: Version of this layout.
    """

    name: str
    network: dict[str, Any]
    composites: bool = False
    protocol: str = ""
    description: str = ""
    data: str = ""
    licence: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    guarded: bool = False
    turned: bool = False
    ranges: dict[str, list[float]] = field(default_factory=dict)
    limits: list[str] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    weights_sha256: str = ""
    format: int = FORMAT

    def record(self, result: dict[str, Any]) -> str:
        """Add a measured result; of one protocol, set and seed there is one, on the same photos in the same precision.

        Conditions that an earlier one of these has and this one lacks are taken over from it, unless it was measured
        on other photos of that name or in another precision: then it gives way.

        Args:
            result: `protocol`, `set`, `seed`, `images`, `fingerprint`, `precision` and `results`, one
                per condition.

        Returns:
            What gave way, and why, in words; empty if nothing did.
        """
        key = ("protocol", "set", "seed")
        earlier = next((e for e in self.metrics if all(e.get(part) == result[part] for part in key)), None)
        self.metrics = [*(entry for entry in self.metrics if entry is not earlier), result]
        if earlier is None:
            return ""
        if all(earlier.get(part) == result[part] for part in ("fingerprint", "precision")):
            again = {row["condition"] for row in result["results"]}
            others = [row for row in earlier["results"] if row["condition"] not in again]
            self.metrics[-1] = {**result, "results": [*result["results"], *others]}
            return ""
        photos = earlier.get("fingerprint") != result["fingerprint"]
        why = "of other photos" if photos else f"measured in {earlier.get('precision')}"
        names = ", ".join(row["condition"] for row in earlier["results"])
        return f"{result['protocol']} on {result['set']}, seed {result['seed']}: {names} gave way, being {why}"


@dataclass(frozen=True)
class Bundle:
    """Weights and card, loaded.

    Attributes:
        network: In evaluation mode, float32, on the CPU.
        card: What it says of itself.
        path: Where it came from.
    """

    network: RestorationNetwork
    card: ModelCard
    path: Path

    def copy_weights_to(self, network: RestorationNetwork) -> None:
        """Start another network from these weights: one of the same shapes, or a larger one (`restore.models.growth`).

        Raises:
            UsageError: The class or the shapes of the weights differ otherwise. Settings that change no shape may.
        """
        theirs, ours = self.card.network, network_entry(network)
        state = grow(network, self.network.state_dict()) if theirs["name"] == ours["name"] else None
        if state is None:
            raise UsageError(f"init_from: {self.path} holds {theirs}, and the network to train is {ours}")
        network.load_state_dict(state)


def network_entry(network: RestorationNetwork) -> dict[str, JsonValue]:
    """What it takes to rebuild a network: its name and its configuration."""
    return {"name": type(network).__name__, "config": network.config()}


def network_class(place: str, name: object) -> type[RestorationNetwork]:
    """The class of a network that bundles can be made of, and loaded from.

    Args:
        place: What to say of where it is.
        name: Of its class.

    Raises:
        BundleError: It is not one of this version's.
    """
    if not isinstance(name, str) or name not in _NETWORKS:
        raise BundleError(f"{place}: holds a network {name!r}, and this version knows {', '.join(_NETWORKS)}")
    return _NETWORKS[name]


def shipped_bundles() -> list[str]:
    """The names of the bundles that come with the package."""
    return sorted(card.parent.name for card in _SHIPPED.glob(f"*/{CARD_FILE}"))


def find_bundle(name_or_path: str | Path) -> Path:
    """The folder of a bundle: a path that exists, else a shipped name.

    Raises:
        BundleError: There is neither.
    """
    path = Path(name_or_path)
    if (path / CARD_FILE).exists():
        return path
    if str(name_or_path) in shipped_bundles():
        return _SHIPPED / str(name_or_path)
    reason = f"has no {CARD_FILE}" if path.is_dir() else "no such folder"
    raise BundleError(f"{name_or_path}: {reason}, and the shipped bundles are {', '.join(shipped_bundles()) or 'none'}")


def save_bundle(folder: Path, state: dict[str, Tensor], card: ModelCard) -> None:
    """Write a bundle; the card goes last, so that a folder with a card is complete.

    Args:
        folder: Where; made if it is missing.
        state: The network's state, stored as float16.
        card: Its `weights_sha256` is filled in.

    Raises:
        BundleError: A weight is not finite, or too large for float16, or the network is of another program.
    """
    half = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in state.items()}
    broken = [name for name, value in half.items() if not value.isfinite().all()]
    if broken:
        raise BundleError(f"{folder}: {broken[0]} is not finite in float16; the training has diverged")
    network_class(str(folder), card.network.get("name"))  # or a bundle that is there would give way to one for nobody
    weights = save(half)
    card.weights_sha256 = hashlib.sha256(weights).hexdigest()
    write_atomically(folder / WEIGHTS_FILE, weights)
    write_card(folder, card)


def write_card(folder: Path, card: ModelCard) -> None:
    """Write a bundle's card anew."""
    text = json.dumps(asdict(card), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(folder / CARD_FILE, (text + "\n").encode())


def read_card(folder: Path) -> ModelCard:
    """Read a bundle's card without its weights.

    Raises:
        BundleError: It is missing, damaged, or of a format that this version does not know.
    """
    path = folder / CARD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        version = content.get("format")
        if version != FORMAT:
            raise BundleError(f"{path}: has format {version}, and this version of restore reads format {FORMAT}")
        known = {entry.name for entry in fields(ModelCard)}
        card = ModelCard(**{name: value for name, value in content.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: not a model card ({error})") from error
    for name, blank in vars(ModelCard(name="", network={})).items():
        if not isinstance(getattr(card, name), type(blank)):
            raise BundleError(
                f"{path}: not a model card ({name}: {getattr(card, name)!r}, not a {type(blank).__name__})"
            )
    return card


def load_bundle(name_or_path: str | Path) -> Bundle:
    """Rebuild a network from a bundle.

    Args:
        name_or_path: A shipped name, or a bundle's folder.

    Returns:
        The network with its weights in float32, and the card.

    Raises:
        BundleError: The bundle is missing or damaged, or its parts do not belong together.
    """
    folder = find_bundle(name_or_path)
    card = read_card(folder)
    kind = network_class(str(folder), card.network.get("name"))
    try:
        with torch.device("meta"):  # no memory and no random numbers: the weights come below
            network = kind(**card.network.get("config", {}))
        data = (folder / WEIGHTS_FILE).read_bytes()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise BundleError(f"{folder}: cannot be loaded ({error})") from error
    if hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise BundleError(f"{folder}: {WEIGHTS_FILE} is not the file that {CARD_FILE} was written for; copy both again")
    try:
        network.load_state_dict({key: value.float() for key, value in load(data).items()}, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise BundleError(f"{folder}: the weights do not fit {card.network} ({error})") from error
    return Bundle(network.eval(), card, folder)
