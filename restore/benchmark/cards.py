"""Results as the bundles' cards keep them."""

from typing import Any

from restore.benchmark.plan import precision_of
from restore.benchmark.quality import INPUT
from restore.benchmark.tables import main_score, natural_key

__all__ = ["card_results"]

Json = dict[str, Any]


def card_results(results: Json, method: str, weights: str) -> list[Json]:
    """A bundle's scores as its card keeps them.

    Args:
        results: As `restore benchmark` writes them.
        method: Name of the bundle in them.
        weights: SHA-256 of its weights; scores of others that had the same name are left out.

    Returns:
        An entry for `ModelCard.record` for each protocol, set and choice of seeds. Beside its own scores, each
        condition has those of the corrupted picture (`input_psnr`, ...) and of the best classical method that was
        scored under the same seeds (its name, `baseline`, and `baseline_psnr`, ...).
    """
    places: dict[tuple[str, str, tuple[int, ...]], list[Json]] = {}
    for entry in results["quality"]:
        if entry["kind"] == "bundle" and entry["method"] == method and entry["identity"].startswith(weights):
            places.setdefault((entry["protocol"], entry["set"], tuple(entry["seeds"])), []).append(entry)
    found = []
    for (protocol, test_set, seeds), entries in places.items():
        found.append(
            {
                "protocol": protocol,
                "set": test_set,
                "seed": seeds[0] if len(seeds) == 1 else ", ".join(map(str, seeds)),
                "images": entries[0]["images"],
                "fingerprint": entries[0]["fingerprint"],
                "precision": precision_of(entries[0]["identity"]),
                "results": [
                    _beside_others(entry, results)
                    for entry in sorted(entries, key=lambda e: natural_key(e["condition"]))
                ],
            }
        )
    return found


def _beside_others(entry: Json, results: Json) -> Json:
    place = ("protocol", "set", "condition", "seeds")
    others = [other for other in results["quality"] if all(other[part] == entry[part] for part in place)]
    scores = [name for name in ("psnr", "ssim", "hole_psnr") if entry[name] is not None]
    beside = {"condition": entry["condition"], "images": entry["images"], **{name: entry[name] for name in scores}}
    for other in others:
        if other["kind"] == INPUT:
            beside |= {f"input_{name}": other[name] for name in scores}
    classical = [other for other in others if other["kind"] == "classical"]
    if classical:
        best = max(classical, key=main_score)
        beside |= {"baseline": best["method"], **{f"baseline_{name}": best[name] for name in scores}}
    return beside
