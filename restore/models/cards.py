"""Model cards as Markdown: what `docs/models.md` is made of."""

from collections.abc import Iterable, Mapping
from typing import Any

from restore.models.bundle import Bundle

__all__ = ["describe_bundles"]

_HEAD = """# The shipped bundles

Written by `restore info --document docs/models.md` from the bundles' cards; `restore info NAME` prints one of them.
Scores are means over a set's images, by the protocols of [evaluation.md](evaluation.md); the sets are for reporting
and were never used for training or for choosing a checkpoint. What was tried on the way is in the
[training log](training-log.md).
"""

_SCORES = {"psnr": "PSNR, dB", "ssim": "SSIM", "hole_psnr": "PSNR of the hole, dB"}


def describe_bundles(bundles: Iterable[Bundle], pictures: Iterable[str] = ()) -> str:
    """The whole page.

    Args:
        bundles: In the order in which they are to stand.
        pictures: Names of the bundles whose failures have a picture, `images/limits-NAME.jpg`.
    """
    with_picture = set(pictures)
    return "\n".join([_HEAD, *(_describe(bundle, bundle.card.name in with_picture) for bundle in bundles)])


def _describe(bundle: Bundle, has_picture: bool) -> str:
    card, training = bundle.card, bundle.card.training
    parameters = sum(parameter.numel() for parameter in bundle.network.parameters())
    started = training.get("started_from") or {}
    facts = {
        "network": f"{card.network['name']}, {_settings(card.network['config'])}; {parameters / 1e6:.2f} M parameters",
        "known pixels": "come back untouched" if card.composites else "may change",
        "guard": "takes away no more than 1.2 times the noise that it finds in flat parts" if card.guarded else "",
        "twice": "restores the picture and its half turn, and takes the mean" if card.turned else "",
        "trained on": card.data,
        "licence": card.licence,
        "damage in training": f"`{training['corruption']}`" if training.get("corruption") else "",
        "target": f"`{training['target']}`" if training.get("target", "Identity()") != "Identity()" else "",
        "recipe": _recipe(training),
        "started from": f"{started['bundle']}, weights `{started['weights_sha256'][:16]}`" if started else "",
        "weights": f"`{card.weights_sha256[:16]}`, {parameters * 2 / 1e6:.1f} MB",
    }
    lines = [f"## {card.name}", "", card.description, "", "| | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in facts.items() if value]
    lines += ["", "To train it anew on photos of your own:", ""]
    lines += [f"    restore fit --config {card.name} --data.photos_dir photos/", ""]
    for result in card.metrics:
        lines += _table(result)
    if card.limits:
        lines += ["Limits:", "", *(f"* {limit}" for limit in card.limits), ""]
    if has_picture:
        lines += [f"![Where {card.name} fails](images/limits-{card.name}.jpg)", ""]
    return "\n".join(lines)


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


def _recipe(training: Mapping[str, Any]) -> str:
    if not training:
        return ""
    optimizer = training["optimizer"]
    parts = [
        f"{training['steps']:,} steps of {training['batch_size']} crops of {training['crop_size']} pixels "
        f"({training['megapixels']:,} megapixels)",
        f"{training['loss']}, {optimizer['name']} at {optimizer['lr']:g}",
        f"{training['precision']} on {training['device']} in {training['minutes']:.0f} minutes",
        f"seed {training['seed']}",
        f"revision {training['git_revision'][:7]}" if training.get("git_revision") else "",
    ]
    return "; ".join(part for part in parts if part)


def _table(result: Mapping[str, Any]) -> list[str]:
    rows = result["results"]
    scores = [name for name in _SCORES if name in rows[0]]
    head = [""]
    for name in scores:
        head += [f"{_SCORES[name]}: input", "classical", "**restored**"]
    lines = [
        f"`{result['protocol']}` on {result['set']}, {result['images']} images, seed {result['seed']}, "
        f"{result['precision']}:",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for row in rows:
        cells = [row["condition"]]
        for name in scores:
            digits = 4 if name == "ssim" else 2
            values = [row.get(prefix + name) for prefix in ("input_", "baseline_", "")]
            shown = ["" if value is None else f"{value:.{digits}f}" for value in values]
            cells += [*shown[:2], f"**{shown[2]}**"]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]
