"""Model cards as Markdown: what `docs/models.md` is made of."""

from collections.abc import Iterable, Mapping
from typing import Any

from restore.models.bundle import Bundle

__all__ = ["describe_bundles", "facts_of"]

_HEAD = """# The shipped bundles

Written by `restore info --document docs/models.md` from the bundles' cards; `restore info NAME` prints one of them.
Scores are means over a set's images, by the protocols of [evaluation.md](evaluation.md), the better of classical and
restored in bold. The sets are for reporting and were never trained on; they chose no checkpoint but one, of an ancestor
of `deblur` ([training log](training-log.md), run 3).

To repeat a training: `restore fit --config NAME --data.photos_dir photos/`, with whatever stands here in place of what
`configs/NAME.yaml` has: steps, learning rate, seeds, crops, share of grey, damage. Where weights were started from
others that is the last stage; those before it are in the [training log](training-log.md), with their commands, and
their weights, where they shipped, in the history of this repository. A configuration may start from shipped weights,
whose licence the result then shares; `--model.init_args.init_from null` starts from scratch.
"""

_SCORES = {"psnr": "PSNR, dB", "ssim": "SSIM", "hole_psnr": "PSNR of the hole, dB"}
_BESIDE = {"input_": "input", "baseline_": "classical", "": "restored"}
_CODE = {"damage in training", "target"}


def describe_bundles(bundles: Iterable[Bundle], pictures: Iterable[str] = ()) -> str:
    """The whole page.

    Args:
        bundles: In the order in which they are to stand.
        pictures: Names of the bundles whose failures have a picture, `images/limits-NAME.jpg`.
    """
    with_picture = set(pictures)
    return "\n".join([_HEAD, *(_describe(bundle, bundle.card.name in with_picture) for bundle in bundles)])


def facts_of(bundle: Bundle) -> dict[str, str]:
    """What a card says beside scores and limits, by name; what it does not say is left out."""
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
        "damage in training": training.get("corruption", ""),
        "target": training.get("target", "").removesuffix("Identity()"),
        "recipe": _recipe(training),
        "started from": f"{started['bundle']}, weights {started['weights_sha256'][:16]}" if started else "",
        "versions": ", ".join(f"{name} {version}" for name, version in card.versions.items() if version),
        "weights": f"{card.weights_sha256[:16]}, {parameters * 2 / 1e6:.1f} MB",
    }
    return {name: value for name, value in facts.items() if value}


def _describe(bundle: Bundle, has_picture: bool) -> str:
    card = bundle.card
    lines = [f"## {card.name}", "", card.description, "", "| | |", "|---|---|"]
    for name, value in facts_of(bundle).items():
        lines.append(f"| {name} | `{value}` |" if name in _CODE else f"| {name} | {value} |")
    lines += [""]
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
    known, seed = training.keys(), training.get("seed")
    parts = [
        "{steps:,} steps of {batch_size} crops of {crop_size} pixels ({megapixels:,} megapixels)".format_map(training)
        if known >= {"steps", "batch_size", "crop_size", "megapixels"}
        else "",
        "{loss}, {optimizer[name]} at {optimizer[lr]:g}".format_map(training) if known >= {"loss", "optimizer"} else "",
        f"{training['grey_share']:.0%} grey" if training.get("grey_share") else "",
        f"{training['photos']} photos"
        + f", {training.get('validation_photos')} held out" * ("validation_photos" in known)
        if training.get("photos")
        else "",
        "{precision} on {device} in {minutes:.0f} minutes".format_map(training)
        if known >= {"precision", "device", "minutes"}
        else "",
        f"seed {training['seed']}" if "seed" in known else "",
        f"train_seed {training['train_seed']}" if training.get("train_seed", seed) != seed else "",
        _revision(training.get("git_revision", "")),
    ]
    return "; ".join(part for part in parts if part)


def _revision(revision: str) -> str:
    commit, changed, _ = revision.partition("+")
    return f"revision {commit[:7]}{' with changes that were not committed' * bool(changed)}" if commit else ""


def _table(result: Mapping[str, Any]) -> list[str]:
    rows = result["results"]
    scores = [name for name in _SCORES if name in rows[0]]
    columns = [(prefix, name) for name in scores for prefix in _BESIDE if any(prefix + name in row for row in rows)]
    head = ["", *(f"{_SCORES[name]}: {_BESIDE[prefix]}" for prefix, name in columns)]
    lines = [
        f"`{result['protocol']}` on {result['set']}, {result['images']} images, seed {result['seed']}, "
        f"{result['precision']}:",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for row in rows:
        cells = [row["condition"], *(_score(row, prefix, name) for prefix, name in columns)]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _score(row: Mapping[str, Any], prefix: str, name: str) -> str:
    value = row.get(prefix + name)
    if value is None:
        return ""
    text = f"{value:.4f}" if name == "ssim" else f"{value:.2f}"
    if prefix != "input_" and f"baseline_{name}" in row and value == max(row[name], row[f"baseline_{name}"]):
        text = f"**{text}**"
    return f"{text} ({row['baseline']})" if prefix == "baseline_" and "baseline" in row else text
