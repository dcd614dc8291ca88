"""What a code is worth: how well it gives the picture back, and what a straight line can read from it, beside PCA.

PCA of as many numbers is the measure: no linear code of that length has a smaller squared error on its own training
pictures, and it takes a second to compute (Pearson 1901). A linear probe is a logistic regression on the frozen codes
(Alain and Bengio 2016): its accuracy says how far the classes lie apart in the code as it is.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from restore.codes.encoder import Encoder
from restore.codes.gathering import Gathered
from restore.codes.pca import fit_pca
from restore.codes.pictures import thumbnail
from restore.codes.sheets import Cell, contact_sheet
from restore.errors import DataError
from restore.images.document import shown
from restore.scores import psnr
from restore.seeds import generator_for

__all__ = ["ProbeRow", "divided", "draw_probe", "fine_energy", "probe_bundle", "probe_pca"]

Floats = npt.NDArray[np.float32]
_ITERATIONS = 1000
_SHOWN, _SHOWN_SIDE = 10, 112
"""Test pictures that are drawn, and their side in pixels."""
_FINE = 0.25
"""Cycles per pixel: half of what pixels can show."""


@dataclass(frozen=True)
class ProbeRow:
    """What was measured of one code.

    Attributes:
        method: The bundle, or `PCA`.
        numbers: Length of the code.
        mse: Mean squared error of the test pictures given back, values in [0, 1], not rounded: what PCA minimises.
        psnr: Mean of the test pictures' own, in dB, as everywhere; see `restore.scores`.
        detail: Energy of the fine detail that is left, above a quarter of a cycle per pixel; 1 is all, blur has less.
        accuracy: Share of the test pictures whose class the probe names; None without classes.
        train_accuracy: Likewise of the training pictures: much above `accuracy`, the probe has learnt them by heart.
        seconds: For codes, pictures and probe.
    """

    method: str
    numbers: int
    mse: float
    psnr: float
    detail: float
    accuracy: float | None
    train_accuracy: float | None
    seconds: float


def divided(pictures: Gathered, share: float, seed: int) -> tuple[Gathered, Gathered]:
    """Training and test pictures of one source, drawn by the seed.

    Args:
        pictures: What there is.
        share: Of the test pictures; at least one picture goes to each part.
        seed: Decides the draw.

    Raises:
        DataError: There are fewer than two pictures.
    """
    count = len(pictures.images)
    if count < 2:
        raise DataError("a probe needs two pictures or more: one to learn from, one to test on")
    order = torch.randperm(count, generator=generator_for(seed, "probe"))
    tested = min(max(round(share * count), 1), count - 1)
    return pictures.chosen(order[tested:]), pictures.chosen(order[:tested])


def probe_bundle(method: str, encoder: Encoder, train: Gathered, test: Gathered) -> tuple[ProbeRow, Tensor]:
    """Measure a bundle's code.

    Args:
        method: Its name in the table.
        encoder: The bundle.
        train: Pictures that the probe learns from.
        test: Pictures that everything is measured on.

    Returns:
        The row, and the test pictures given back, `(N, C, H, W)` float32 in [0, 1].
    """
    started = time.monotonic()
    codes = [_codes_of(encoder, pictures.images) for pictures in (train, test)]
    given_back = torch.cat([encoder.reconstruct(part) for part in test.images.split(256)]).clamp(0.0, 1.0)
    return _row(method, codes[0], codes[1], train, test, given_back, started), given_back


def probe_pca(numbers: int, train: Gathered, test: Gathered) -> tuple[ProbeRow, Tensor]:
    """Measure PCA, fitted to the training pictures.

    Args:
        numbers: Length of the code, up to what `fit_pca` allows.
        train: Pictures that PCA and the probe learn from.
        test: Pictures that everything is measured on.

    Returns:
        As `probe_bundle`.
    """
    started = time.monotonic()
    pca = fit_pca(train.images, numbers)
    codes = [pca.transform(pictures.images.flatten(1).numpy()) for pictures in (train, test)]
    given_back = torch.from_numpy(pca.inverse_transform(codes[1])).float().view_as(test.images).clamp(0.0, 1.0)
    return _row("PCA", codes[0], codes[1], train, test, given_back, started), given_back


def fine_energy(images: Tensor) -> float:
    """Mean energy of what is finer than four pixels a cycle, along either axis.

    Args:
        images: `(N, C, H, W)` float32 in [0, 1].
    """
    total = 0.0
    rows, columns = torch.fft.fftfreq(images.shape[-2]).abs(), torch.fft.fftfreq(images.shape[-1]).abs()
    fine = torch.maximum(rows[:, None], columns[None, :]) > _FINE
    for part in images.split(256):
        total += float(torch.fft.fft2(part)[..., fine].abs().double().square().sum())
    return total / images.numel() / fine.numel()


def draw_probe(test: Tensor, rows: Sequence[ProbeRow], given_back: Sequence[Tensor]) -> npt.NDArray[np.uint8]:
    """Draw the first test pictures above what each code gives back of them.

    Args:
        test: `(N, C, H, W)` float32 in [0, 1].
        rows: What was measured.
        given_back: The test pictures of each row, as `test`.

    Returns:
        `(H, W, 3)` uint8.
    """
    lines = [(["test pictures"], test)]
    for row, pictures in zip(rows, given_back, strict=True):
        read = [] if row.accuracy is None else [f"{100 * row.accuracy:.1f} % read"]
        lines.append(([shown(Path(row.method)), f"{row.numbers} numbers", f"error {row.mse:.4f}", *read], pictures))
    sheet = []
    for words, pictures in lines:
        cells = [Cell(thumbnail(picture, _SHOWN_SIDE)) for picture in pictures[:_SHOWN]]
        sheet.append([*(Cell(cell.pixels, word) for cell, word in zip(cells, [*words, *[""] * _SHOWN], strict=False))])
    return contact_sheet(sheet)


def _codes_of(encoder: Encoder, images: Tensor) -> Floats:
    codes: Floats = torch.cat([encoder.encode(part) for part in images.split(256)]).flatten(1).numpy()
    return codes


def _row(
    method: str, codes: Floats, test_codes: Floats, train: Gathered, test: Gathered, given_back: Tensor, started: float
) -> ProbeRow:
    mse = float((given_back - test.images).double().square().mean())
    decibels = float(psnr(given_back, test.images).mean())
    detail = fine_energy(given_back) / max(fine_energy(test.images), 1e-12)
    accuracy, train_accuracy = _accuracy(codes, train.labels, test_codes, test.labels)
    return ProbeRow(method, codes.shape[1], mse, decibels, detail, accuracy, train_accuracy, time.monotonic() - started)


def _accuracy(
    codes: Floats, labels: list[str] | None, test_codes: Floats, test_labels: list[str] | None
) -> tuple[float | None, float | None]:
    if labels is None or test_labels is None or len(set(labels)) < 2:
        return None, None
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    # Standardised, so that one strength of regularisation serves codes of every scale.
    line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_ITERATIONS)).fit(codes, labels)
    return float(line.score(test_codes, test_labels)), float(line.score(codes, labels))
