"""`restore anomalies`: misfed and damaged pages, odd pictures: whatever is unlike the normal ones."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from restore.cli.anomaly_report import earlier_heat_maps, planned_files, print_found, summary_of, write_report
from restore.cli.options import LeftOut, add_device_option, add_overwrite_option, plain
from restore.errors import BundleError, UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress
    from torch import Tensor

    from restore.codes.anomalies import Detector, Judgement, ScoreKind
    from restore.codes.gathering import Gathered
    from restore.codes.pictures import PictureSource

__all__ = [
    "add_arguments",
    "build_detector",
    "kind_of",
    "of_class",
    "open_normal",
    "rate_of",
    "read_all",
    "run",
]

_RATE, _SIZE = 0.05, 64
_SETTLED = {"held_out": 0.2, "score": None, "size": None, "colour": False, "numbers": 16, "steps": 500, "seed": 0}
"""Options that the earlier run of --model has settled, and what they are if left out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="pictures to judge: a folder, or mnist:FOLDER, fashion:FOLDER, cifar10:FOLDER, digits",
    )
    known = parser.add_mutually_exclusive_group()
    known.add_argument(
        "--normal", metavar="SOURCE", help="pictures known to be normal, to train on; of a set, its training part"
    )
    known.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help=f"--out folder of an earlier run: judge as it did; it has settled {', '.join(map(_option, _SETTLED))}",
    )
    parser.add_argument(
        "--class",
        dest="normal_class",
        metavar="NAME",
        help="only this class is normal: a digit, or a folder inside SOURCE and --normal such as `good`; "
        "where there are others, the AUROC says how well they are told apart",
    )
    parser.add_argument("--each-class", action="store_true", help="a table: each class in turn against the rest")
    parser.add_argument(
        "--false-alarms",
        type=float,
        metavar="SHARE",
        help="share of normal pictures that may be flagged (default: 0.05, or as in --model)",
    )
    parser.add_argument(
        "--held-out",
        type=float,
        metavar="SHARE",
        help="part of the normal pictures that sets the threshold, unseen by training "
        f"(default: {_SETTLED['held_out']})",
    )
    parser.add_argument(
        "--two-sided",
        action="store_true",
        help="flag also what is given back better than normal pictures, as empty pages are; "
        "half of the false alarms go to each side",
    )
    parser.add_argument(
        "--score",
        choices=("mean", "peak"),
        help="error of the whole picture, or of its worst spot (default: peak for photos, mean for sets)",
    )
    parser.add_argument(
        "--size", type=int, metavar="PIXELS", help="square that pictures are squeezed into (default: 64; a set's own)"
    )
    parser.add_argument("--colour", action="store_true", default=None, help="look at colours as well; grey is quicker")
    parser.add_argument("--numbers", type=int, help=f"length of the code (default: {_SETTLED['numbers']})")
    parser.add_argument("--steps", type=int, help=f"of training, 64 pictures each (default: {_SETTLED['steps']})")
    parser.add_argument("--seed", type=int, help=f"of training, and of what is held out (default: {_SETTLED['seed']})")
    add_device_option(parser)
    parser.add_argument(
        "--out", type=Path, default=Path("anomalies"), metavar="DIR", help="folder for results (default: %(default)s)"
    )
    add_overwrite_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Train or load, judge, print, and write what was found."""
    from rich.console import Console

    from restore.images.files import check_target_folder

    arguments = _completed(arguments)
    _check(arguments)
    check_target_folder(arguments.out)
    console = Console(highlight=False, soft_wrap=True)
    if arguments.each_class:
        from restore.cli.anomaly_table import judge_each_class

        return judge_each_class(arguments, console)
    return _judge(arguments, console)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _completed(arguments: argparse.Namespace) -> argparse.Namespace:
    """With the defaults of what may not be asked for beside --model."""
    given = [name for name in _SETTLED if getattr(arguments, name) is not None]
    if arguments.model is not None and given:
        raise UsageError(
            f"--model: the earlier run has settled {', '.join(map(_option, given))}; leave out what it has"
        )
    return argparse.Namespace(**vars(arguments) | {name: _SETTLED[name] for name in _SETTLED if name not in given})


def _check(arguments: argparse.Namespace) -> None:
    for name, least in (("steps", 1), ("numbers", 1)):
        if getattr(arguments, name) < least:
            raise UsageError(f"--{name}: must be {least} or more, not {getattr(arguments, name)}")
    if not 0.0 < arguments.held_out < 1.0:
        raise UsageError(f"--held-out: must be above 0 and below 1, not {arguments.held_out:g}")
    if arguments.each_class and (arguments.normal_class is not None or arguments.model is not None):
        raise UsageError("--each-class: trains a network for every class; leave out --class and --model")


def _judge(arguments: argparse.Namespace, console: "Console") -> int:
    from rich.progress import Progress

    from restore.codes.pictures import open_pictures
    from restore.images.files import check_outputs

    # Before an hour of training, not after.
    normal = None if arguments.model else open_normal(arguments)
    opened = open_pictures(arguments.source)
    sources = [opened] if normal is None else [opened, normal]
    photos = [photo for source in sources for photo in source.photos]
    files = planned_files(arguments.out, opened.names, with_bundle=normal is not None)
    check_outputs(photos, files, arguments.overwrite)
    check_outputs(photos, earlier_heat_maps(arguments.out), arguments.overwrite)
    left_out = LeftOut(*sources)
    with Progress(console=console, disable=not sys.stderr.isatty()) as progress:
        detector = _load(arguments) if normal is None else _train(arguments, normal, progress, left_out)
        judgements = _judged(arguments, detector, len(opened), progress, left_out)
        summary = summary_of(arguments, detector, judgements) | {"unreadable": left_out.reasons}
        write_report(arguments, detector, judgements, summary, normal is not None, progress)
    print_found(arguments, detector, judgements, summary, console)
    return left_out.exit_code


def _judged(
    arguments: argparse.Namespace, detector: "Detector", count: int, progress: "Progress", left_out: LeftOut
) -> "list[Judgement]":
    """What is said of each picture, the oddest first."""
    from restore.codes.gathering import class_of
    from restore.codes.pictures import open_pictures

    source = open_pictures(arguments.source, detector.encoder.channels, detector.size)
    task = progress.add_task("judging", total=count)
    judgements: list[Judgement] = []
    for judgement in detector.judge(source, class_of, left_out):
        judgements.append(judgement)
        progress.advance(task)
    return sorted(judgements, key=lambda entry: (entry.normal_share, -entry.score))


def _train(
    arguments: argparse.Namespace, normal: "PictureSource", progress: "Progress", left_out: LeftOut
) -> "Detector":
    pictures = read_all(normal, progress, left_out)
    images = pictures.images
    if arguments.normal_class is not None:
        images = of_class(pictures, arguments.normal_class)
    return build_detector(arguments, images, progress, "training")


def open_normal(arguments: argparse.Namespace) -> "PictureSource":
    """The normal pictures, at the size that the network is to see."""
    from restore.codes.pictures import open_pictures
    from restore.images.sets import PICTURE_SETS

    text = arguments.normal
    if text is None:
        if arguments.source.partition(":")[0] not in PICTURE_SETS:
            raise UsageError("--normal: name pictures that are known to be normal, or --model of an earlier run")
        if arguments.source.endswith(":train"):
            raise UsageError(f"{arguments.source}: is what would be trained on; name the test part, or give --normal")
        text = arguments.source.removesuffix(":test") + ":train"
    own = text.partition(":")[0] in PICTURE_SETS
    size = (None if own else _SIZE) if arguments.size is None else arguments.size
    return open_pictures(text, 3 if arguments.colour else 1, size)


def read_all(source: "PictureSource", progress: "Progress", left_out: LeftOut) -> "Gathered":
    """The pictures of a source, in memory."""
    from restore.codes.gathering import gather

    task = progress.add_task("reading", total=len(source))
    return gather(source, lambda count: progress.advance(task, count), left_out)


def of_class(pictures: "Gathered", name: str) -> "Tensor":
    """The pictures of a class."""
    import torch

    labels = pictures.labels
    if labels is None or name not in labels:
        classes = ", ".join(sorted(set(labels or ()))) or "none: folders inside the folder of photos would be"
        raise UsageError(f"--class: {name} is not among the classes of the normal pictures ({classes})")
    return pictures.images[torch.tensor([label == name for label in labels])]


def build_detector(arguments: argparse.Namespace, images: "Tensor", progress: "Progress", title: str) -> "Detector":
    """Train on normal pictures `(N, C, S, S)` as the options say."""
    from restore.codes.anomalies import train_detector
    from restore.models.base import Autoencoder
    from restore.tasks.fitting import fit_reconstruction

    task = progress.add_task(plain(title), total=arguments.steps)

    def train(network: Autoencoder, seen: "Tensor") -> None:
        steps, seed, device = arguments.steps, arguments.seed, arguments.device
        fit_reconstruction(network, seen, steps, seed, device=device, advance=lambda n: progress.advance(task, n))

    return train_detector(
        images,
        arguments.numbers,
        train,
        kind_of(arguments),
        arguments.held_out,
        rate_of(arguments),
        arguments.two_sided,
        arguments.seed,
        arguments.device,
    )


def rate_of(arguments: argparse.Namespace) -> float:
    """The share of normal pictures that may be flagged, of a run that trains."""
    rate: float | None = arguments.false_alarms
    return _RATE if rate is None else rate


def kind_of(arguments: argparse.Namespace) -> "ScoreKind":
    """The score that was asked for, or that fits: a fault of a page is a spot, another digit differs throughout."""
    from restore.images.sets import PICTURE_SETS

    if arguments.score is not None:
        return arguments.score  # type: ignore[no-any-return]  # one of the choices
    return "mean" if arguments.source.partition(":")[0] in PICTURE_SETS else "peak"


def _load(arguments: argparse.Namespace) -> "Detector":
    import json

    import numpy as np

    from restore.codes.anomalies import Detector
    from restore.codes.encoder import Encoder

    path = arguments.model / "anomalies.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        scores = np.array(record["held_out_scores"], dtype=np.float64)
        size, kind, rate = int(record["size"]), record["score"], float(record["false_alarms"])
        two_sided, weights = bool(record["two_sided"]), record["weights_sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--model: {path} is not the record of `restore anomalies` ({error})") from error
    encoder = Encoder.from_bundle(arguments.model / "bundle", arguments.device)
    if weights != encoder.card.weights_sha256:
        raise BundleError(
            f"--model: {path} has the threshold of other weights than those of {arguments.model / 'bundle'}, as a run "
            "that was interrupted leaves them; train anew with --normal"
        )
    rate = rate if arguments.false_alarms is None else arguments.false_alarms
    return Detector(encoder, size, kind, scores, rate, two_sided or arguments.two_sided)
