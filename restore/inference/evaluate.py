"""Scoring a method on a folder of clean photos under a named protocol."""

import csv
import hashlib
import io
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor

from restore.errors import UnsupportedImageError
from restore.images.codec import decode
from restore.images.document import open_regular
from restore.images.search import FoundImage
from restore.images.tensors import to_float
from restore.inference.baselines import Method
from restore.inference.protocols import Condition, Protocol
from restore.scores import MIN_SSIM_SIDE, hole_psnr, psnr, ssim
from restore.seeds import generator_for

__all__ = [
    "DamagedPhoto",
    "ImageScores",
    "Scores",
    "damage_photo",
    "evaluate",
    "fingerprint",
    "rows_as_csv",
    "score",
    "summarise",
]


@dataclass(frozen=True)
class DamagedPhoto:
    """What a method gets, and the truth: `(1, C, H, W)` float32, the mask `(1, 1, H, W)`, 1 = missing."""

    clean: Tensor
    corrupted: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Scores:
    """Of one picture. PSNR in dB; that of the hole is NaN where nothing is missing."""

    psnr: float
    ssim: float
    hole_psnr: float


@dataclass(frozen=True)
class ImageScores:
    """One photo under one condition. PSNR in dB; hole scores are NaN where nothing is missing."""

    condition: str
    image: str
    psnr: float
    ssim: float
    hole_psnr: float
    baseline_psnr: float
    baseline_ssim: float
    baseline_hole_psnr: float
    input_psnr: float
    input_ssim: float
    input_hole_psnr: float


def evaluate(
    method: Method, photos: Sequence[FoundImage], protocol: Protocol, seed: int = 0, baseline: bool = True
) -> Iterator[ImageScores]:
    """Score a method, the condition's classical baseline and the corrupted input itself.

    The damage of a photo is a function of the seed and its relative path, and of nothing else.

    Args:
        method: `(C, H, W)` float32 and a mask `(1, H, W)` to `(C, H, W)` float32, such as `Restorer.restore`.
        photos: Clean photos, grey ones as grey.
        protocol: From `build_protocol`.
        seed: Of the damage.
        baseline: Run the classical baseline too; its scores are NaN otherwise.

    Yields:
        Scores, photo by photo within each condition.

    Raises:
        ImageError: A photo cannot be read, or is smaller than SSIM's window of 11 pixels.
    """
    for condition in protocol.conditions:
        for photo in photos:
            damaged = damage_photo(photo, condition, seed)
            image, mask = damaged.corrupted[0], damaged.mask[0]
            restored = score(method(image, mask), damaged)
            classical = score(condition.baseline.restore(image, mask), damaged) if baseline else _NO_SCORES
            given = score(image, damaged)
            yield ImageScores(
                condition.name,
                photo.relative.as_posix(),
                *(number for scores in (restored, classical, given) for number in asdict(scores).values()),
            )


def damage_photo(photo: FoundImage, condition: Condition, seed: int = 0) -> DamagedPhoto:
    """A photo under a condition: a function of the seed and the photo's relative path, and of nothing else.

    Raises:
        ImageError: The photo cannot be read, or is smaller than SSIM's window of 11 pixels.
    """
    clean = to_float(decode(photo.path).pixels).unsqueeze(0)
    height, width = clean.shape[-2:]
    if min(height, width) < MIN_SSIM_SIDE:
        least = f"{MIN_SSIM_SIDE} x {MIN_SSIM_SIDE}"
        raise UnsupportedImageError(f"{photo.path}: {width} x {height} pixels; scores need {least}: leave it out")
    generator = generator_for(seed, "evaluate", photo.relative.as_posix())
    return DamagedPhoto(clean, *condition.corruption(clean, generator))


def score(restored: Tensor, damaged: DamagedPhoto) -> Scores:
    """Score `(C, H, W)` against the clean photo."""
    with torch.inference_mode():
        image = restored.unsqueeze(0)
        return Scores(
            float(psnr(image, damaged.clean)),
            float(ssim(image, damaged.clean)),
            float(hole_psnr(image, damaged.clean, damaged.mask)),  # 0 / 0 is NaN where there is no hole
        )


def summarise(rows: Sequence[ImageScores]) -> list[dict[str, float | str]]:
    """Means over the photos of each condition, in the order in which the conditions came.

    Returns:
        One entry per condition: `condition`, `images`, and the mean of every score that was taken.
    """
    summary: list[dict[str, float | str]] = []
    for condition in dict.fromkeys(row.condition for row in rows):
        chosen = [asdict(row) for row in rows if row.condition == condition]
        entry: dict[str, float | str] = {"condition": condition, "images": len(chosen)}
        for name in _SCORES:
            scores = [row[name] for row in chosen]
            if not all(math.isnan(score) for score in scores):  # all are where a score does not apply
                entry[name] = round(statistics.fmean(scores), 4)
        summary.append(entry)
    return summary


def rows_as_csv(rows: Sequence[ImageScores]) -> str:
    """A CSV file with one line per photo and condition."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [field.name for field in fields(ImageScores)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    return buffer.getvalue()


def fingerprint(photos: Sequence[FoundImage]) -> str:
    """SHA-256 over names and contents of a test set: what a number was measured on.

    Raises:
        UnreadableImageError: A file is missing, empty, not a regular file, or may not be read.
    """
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(photo.relative.as_posix().encode("utf-8", "surrogateescape") + b"\0")
        with open_regular(photo.path) as file:
            digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


_SCORES = [field.name for field in fields(ImageScores)][2:]
_NO_SCORES = Scores(float("nan"), float("nan"), float("nan"))
