"""Pictures that are unlike the normal ones: those that a network trained on normal pictures gives back badly."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from restore.codes.encoder import Encoder
from restore.codes.pca import fit_pca
from restore.codes.pictures import OnFailure, PictureSource
from restore.codes.thresholds import check_held_out, normal_share, oddness, threshold_for
from restore.devices import choose_device
from restore.errors import DataError
from restore.models.base import Autoencoder
from restore.models.bundle import ModelCard, network_entry
from restore.models.dense import DeepAutoencoder
from restore.seeds import derive_seed, generator_for

__all__ = [
    "Detector",
    "Judgement",
    "ScoreKind",
    "TrainNetwork",
    "area_under_curve",
    "error_maps",
    "hold_out",
    "network_scores",
    "pca_scores",
    "scores_of",
    "train_detector",
]

ScoreKind = Literal["mean", "peak"]
TrainNetwork = Callable[[Autoencoder, Tensor], None]
"""Trains a network in place to give back pictures `(N, C, H, W)` float32 in [0, 1]; see `restore.tasks.fitting`."""

_WIDTH = 128
"""Of the layers around the code."""
_PEAK_SHARE = 8
"""The window of `peak` is this part of a side: a stain or a folded corner fills it."""


@dataclass(frozen=True)
class Judgement:
    """What is said of one picture.

    Attributes:
        name: As its source names it.
        label: What it shows, where the source says so.
        score: Reconstruction error; 0 is perfect.
        normal_share: Share of normal pictures that are at least as odd: small is suspicious.
        flagged: Whether the score lies outside the thresholds.
        error: `(1, H, W)` float32: where the error lies.
        given_back: `(C, H, W)` float32: what the network made of it.
    """

    name: str
    label: str | None
    score: float
    normal_share: float
    flagged: bool
    error: Tensor
    given_back: Tensor


class Detector:
    """A network that has seen normal pictures only, and what it made of others that are normal too.

    Args:
        encoder: The network.
        size: Side of the square that pictures are squeezed into, in pixels.
        kind: How an error map becomes a score.
        held_out: `N` scores of normal pictures that training has not seen.
        rate: Share of normal pictures that may be flagged.
        two_sided: Flag also what is given back better than normal pictures are, as empty pages are; half of the rate
            goes to each side.

    Raises:
        UsageError: There are too few held-out pictures for that rate.
    """

    def __init__(
        self,
        encoder: Encoder,
        size: int,
        kind: ScoreKind,
        held_out: npt.NDArray[np.float64],
        rate: float,
        two_sided: bool = False,
    ) -> None:
        self.encoder, self.size, self.kind, self.rate, self.two_sided = encoder, size, kind, rate, two_sided
        self.held_out = np.sort(held_out)
        self.threshold = threshold_for(self.held_out, rate / 2 if two_sided else rate)
        self.low_threshold = -threshold_for(-self.held_out[::-1], rate / 2) if two_sided else -math.inf

    def judge(
        self,
        source: PictureSource,
        label_of: Callable[[str], str | None] = lambda _: None,
        on_failure: OnFailure | None = None,
    ) -> Iterator[Judgement]:
        """Judge pictures one after the other.

        Args:
            source: Opened with the encoder's channels, and `size`.
            label_of: What a photo of this name shows; sets say so themselves.
            on_failure: Told of photos that cannot be read.
        """
        for batch in source.batches(64, on_failure):
            given_back = self.encoder.reconstruct(batch.images)
            errors = error_maps(batch.images, given_back)
            scores = scores_of(errors, self.kind)
            for index, (name, score) in enumerate(zip(batch.names, scores.tolist(), strict=True)):
                label = label_of(name) if batch.labels is None else str(int(batch.labels[index]))
                share, flagged = self.normal_share(score), self.is_odd(score)
                yield Judgement(name, label, score, share, flagged, errors[index], given_back[index])

    def is_odd(self, score: float) -> bool:
        """Whether a score lies outside the thresholds."""
        return not self.low_threshold <= score <= self.threshold

    def normal_share(self, score: float) -> float:
        """Share of normal pictures that are at least as odd; see the function `normal_share`."""
        return normal_share(score, self.held_out, self.two_sided)

    def oddness(self, score: float) -> float:
        """What orders pictures, the odder the higher; see the function `oddness`."""
        return oddness(score, self.held_out, self.two_sided)


def train_detector(
    normal: Tensor,
    numbers: int,
    train: TrainNetwork,
    kind: ScoreKind = "mean",
    held_out: float = 0.2,
    rate: float = 0.05,
    two_sided: bool = False,
    seed: int = 0,
    device: str = "auto",
) -> Detector:
    """Train a dense network on normal pictures, and set the threshold on others that are normal too.

    Args:
        normal: `(N, C, S, S)` float32 in [0, 1].
        numbers: Length of the code: short enough that odd pictures do not pass through it.
        train: How to train.
        kind: How an error map becomes a score.
        held_out: Share of the pictures that training does not see, in (0, 1).
        rate: Share of normal pictures that may be flagged.
        two_sided: As for `Detector`.
        seed: Decides the first weights and what is held out.
        device: As for `choose_device`.

    Raises:
        UsageError: As `check_held_out`.
    """
    check_held_out(len(normal), held_out, rate, two_sided)  # before the training, not after
    seen, unseen = hold_out(normal, held_out, seed)
    channels, size = normal.shape[1], normal.shape[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        network = DeepAutoencoder((_WIDTH, numbers), size, channels)
    train(network, seen)
    # As a bundle keeps them, so that a later run judges with the very same network.
    network.load_state_dict({name: value.half().float() for name, value in network.state_dict().items()})
    card = ModelCard(
        name="anomalies",
        network=network_entry(network),
        description="Gives back what looks like the pictures it was trained on, and nothing else.",
        training={"crop_size": size, "photos": len(seen), "seed": seed},
    )
    encoder = Encoder(network, card, choose_device(device))
    scores = network_scores(encoder, unseen, kind)
    return Detector(encoder, size, kind, scores, rate, two_sided)


def hold_out(normal: Tensor, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures to train on, and a share of others that training does not see, drawn by the seed."""
    unseen = round(share * len(normal))
    order = torch.randperm(len(normal), generator=generator_for(seed, "held out"))
    return normal[order[unseen:]], normal[order[:unseen]]


def network_scores(encoder: Encoder, images: Tensor, kind: ScoreKind) -> npt.NDArray[np.float64]:
    """Scores by the error of a network.

    Args:
        encoder: The network.
        images: `(N, C, S, S)` float32 in [0, 1].
        kind: How an error map becomes a score.

    Returns:
        `(N,)`.
    """
    parts = [scores_of(error_maps(part, encoder.reconstruct(part)), kind) for part in images.split(256)]
    scores: npt.NDArray[np.float64] = torch.cat(parts).numpy()
    return scores


def pca_scores(normal: Tensor, images: Tensor, numbers: int, kind: ScoreKind) -> npt.NDArray[np.float64]:
    """Scores by the error of PCA, to measure the network against.

    Args:
        normal: `(N, C, S, S)` float32 in [0, 1]: what PCA is fitted to.
        images: `(M, C, S, S)`: what is scored.
        numbers: Components, up to what `fit_pca` allows.
        kind: How an error map becomes a score.

    Returns:
        `(M,)`.
    """
    pca = fit_pca(normal, numbers)
    given_back = pca.inverse_transform(pca.transform(images.flatten(1).numpy()))
    errors = error_maps(images, torch.from_numpy(given_back).float().view_as(images))
    scores: npt.NDArray[np.float64] = scores_of(errors, kind).numpy()
    return scores


def error_maps(images: Tensor, given_back: Tensor) -> Tensor:
    """Squared errors.

    Args:
        images: `(B, C, H, W)` float32 in [0, 1].
        given_back: As `images`; clamped to [0, 1] here.

    Returns:
        `(B, 1, H, W)`: means over the channels.
    """
    return (images - given_back.clamp(0.0, 1.0)).square().mean(dim=1, keepdim=True)


def scores_of(errors: Tensor, kind: ScoreKind) -> Tensor:
    """One number per picture.

    Args:
        errors: `(B, 1, H, W)`.
        kind: `mean` over the picture; or `peak`: the largest mean over a square of an eighth of the shorter side.

    Returns:
        `(B,)` float64.
    """
    errors = errors.double()
    if kind == "mean":
        return errors.flatten(1).mean(dim=1)
    window = max(min(errors.shape[-2:]) // _PEAK_SHARE, 1)
    return F.avg_pool2d(errors, window, stride=1).flatten(1).amax(dim=1)


def area_under_curve(scores: Sequence[float], odd: Sequence[bool]) -> float:
    """Probability that an odd picture has a higher score than a normal one (AUROC), ties counting half.

    Args:
        scores: Of each picture: its `oddness`.
        odd: Whether it is.

    Raises:
        DataError: All are odd, or none is.
    """
    if len(set(odd)) < 2:
        raise DataError("an AUROC needs normal pictures and others among those that are judged")
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(odd, scores))
