"""The demonstration: sample photos damaged in four ways, restored, and put beside a classical method."""

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from restore.corruption import (
    CameraNoise,
    Compose,
    GaussianBlur,
    GaussianNoise,
    JpegCompression,
    Quantise,
    RectangleMask,
    StrokeMask,
)
from restore.devices import InferenceChoice
from restore.images.codec import decode
from restore.images.search import FoundImage
from restore.images.tensors import to_float, to_pixels
from restore.inference.baselines import non_local_means, telea, wiener_deconvolution
from restore.inference.protocols import Condition
from restore.inference.restorer import Restorer
from restore.models.bundle import find_bundle, shipped_bundles
from restore.scores import hole_psnr, psnr, ssim
from restore.seeds import generator_for

__all__ = [
    "DAMAGES",
    "SHIPPED",
    "Damage",
    "Outcome",
    "Scores",
    "are_shipped",
    "demonstrate",
    "load_restorers",
    "means",
    "side_by_side",
]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Damage:
    """One kind of damage.

    Attributes:
        condition: Its name, the corruption, the classical method, and whether PSNR counts missing pixels alone.
        protocol: How the damage is done, in a sentence.
    """

    condition: Condition
    protocol: str

    @property
    def name(self) -> str:
        """As it stands in tables, in file names and in the seed."""
        return self.condition.name


DAMAGES = (
    Damage(
        Condition(
            "camera noise", Compose([CameraNoise((10.0, 10.0)), JpegCompression((85.0, 85.0))]), non_local_means(10.0)
        ),
        "Noise as cameras make it: of sigma 10 (of 255) at middle grey, it depends on the brightness and neighbouring "
        "pixels share it; then a JPEG file of quality 85.",
    ),
    Damage(
        Condition("noise", Compose([GaussianNoise((25.0, 25.0), clip=True), Quantise()]), non_local_means(25.0)),
        "White Gaussian noise of sigma 25 (of 255), clipped and rounded to 8 bits as in a file.",
    ),
    Damage(
        Condition(
            "blur",
            Compose([GaussianBlur((2.0, 2.0)), GaussianNoise((2.0, 2.0)), Quantise()]),
            wiener_deconvolution(GaussianBlur((2.0, 2.0))),
        ),
        "Gaussian blur of 2 pixels, reflected at the borders, then noise of sigma 2, rounded to 8 bits.",
    ),
    Damage(
        Condition(
            "missing regions",
            Compose([StrokeMask((0.105, 0.105)), RectangleMask((0.105, 0.105))]),
            telea(),
            has_hole=True,
        ),
        "Strokes and rectangles over about 20 % of the picture. What is missing is known; the rest is left untouched.",
    ),
)
"""What is shown."""

SHIPPED: Mapping[str, str | Path] = {
    "camera noise": "photo",
    "noise": "denoise",
    "blur": "deblur",
    "missing regions": "inpaint",
}
"""The bundle for each damage."""


@dataclass(frozen=True)
class Scores:
    """PSNR in dB, over the missing pixels alone where there are any; SSIM over the whole picture."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class Outcome:
    """One photo under one damage; all pictures `(H, W)` or `(H, W, 3)` uint8, all scores taken on just these pixels.

    Attributes:
        damage: What was done to it.
        photo: Name of the photo, without suffix.
        missing: Share of the pixels that are missing, 0 to 1.
        clean: The photo.
        corrupted: After the damage.
        classical: The damage's classical method.
        restored: The network.
        scores: Of `corrupted`, `classical` and `restored`, by those names.
    """

    damage: Damage
    photo: str
    missing: float
    clean: Pixels
    corrupted: Pixels
    classical: Pixels
    restored: Pixels
    scores: Mapping[str, Scores]


def load_restorers(
    bundles: Mapping[str, str | Path] = SHIPPED,
    device: str = "auto",
    precision: InferenceChoice = "auto",
    tile: int | None = None,
) -> dict[str, Restorer]:
    """Load a bundle for each damage.

    Args:
        bundles: A shipped name or a bundle's folder, by the damage's name.
        device: As for `Restorer`.
        precision: As for `Restorer`.
        tile: As for `Restorer`.

    Raises:
        BundleError: A bundle is missing or damaged.
        UsageError: Device, precision or tile cannot be.
    """
    return {damage.name: Restorer.from_bundle(bundles[damage.name], device, precision, tile) for damage in DAMAGES}


def are_shipped(bundles: Mapping[str, str | Path] = SHIPPED) -> bool:
    """Whether all bundles come with the package, of whose training it is known that it left the sample photos out.

    A folder in the working directory that is named like a shipped bundle goes first, and is not shipped.
    """
    return all(str(bundle) in shipped_bundles() and find_bundle(bundle) != Path(bundle) for bundle in bundles.values())


def demonstrate(restorers: Mapping[str, Restorer], photos: Sequence[FoundImage], seed: int = 0) -> Iterator[Outcome]:
    """Damage, restore and score every photo in every way.

    The damage is a function of the seed, its own name and the photo's relative path, and of nothing else.

    Args:
        restorers: By the damage's name, as `load_restorers` returns them.
        photos: Clean photos, grey ones as grey, at least 11 pixels wide and high.
        seed: Of the damage.

    Yields:
        One outcome per damage and photo, damage by damage.

    Raises:
        ImageError: A photo cannot be read.
    """
    for damage in DAMAGES:
        for photo in photos:
            clean = to_float(decode(photo.path).pixels)
            yield _outcome(damage, photo, clean, restorers[damage.name], seed)


def means(outcomes: Iterable[Outcome]) -> dict[str, dict[str, Scores]]:
    """Mean scores over the photos, by the damage's name and then by `corrupted`, `classical` and `restored`."""
    grouped: dict[str, dict[str, list[Scores]]] = {}
    for outcome in outcomes:
        for name, scores in outcome.scores.items():
            grouped.setdefault(outcome.damage.name, {}).setdefault(name, []).append(scores)
    return {
        damage: {
            name: Scores(statistics.fmean(one.psnr for one in taken), statistics.fmean(one.ssim for one in taken))
            for name, taken in methods.items()
        }
        for damage, methods in grouped.items()
    }


def side_by_side(outcome: Outcome) -> Pixels:
    """Clean, corrupted, classical and restored in a row, each under a caption with its PSNR.

    Returns:
        `(H + 26, 4 * W + 24)` or, for colour, `(H + 26, 4 * W + 24, 3)` uint8, on white.
    """
    height, width = outcome.clean.shape[:2]
    where = " in the holes" if outcome.damage.condition.has_hole else ""
    captions = {
        "clean": ("clean", ""),
        "corrupted": ("corrupted", where),
        "classical": (outcome.damage.condition.baseline.name, where),
        "restored": ("restored", where),
    }
    sheet = Image.new(
        "L" if outcome.clean.ndim == 2 else "RGB", (4 * width + 3 * _GAP, height + _CAPTION), color="white"
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for column, (name, (label, suffix)) in enumerate(captions.items()):
        left = column * (width + _GAP)
        text = f"{label}  {outcome.scores[name].psnr:.2f} dB{suffix}" if name in outcome.scores else label
        draw.text((left + 2, 5), text, fill="black", font=font)
        sheet.paste(Image.fromarray(getattr(outcome, name)), (left, _CAPTION))
    return np.asarray(sheet)


_GAP, _CAPTION = 8, 26


def _outcome(damage: Damage, photo: FoundImage, clean: Tensor, restorer: Restorer, seed: int) -> Outcome:
    relative = photo.relative.as_posix()
    generator = generator_for(seed, "demo", damage.name, relative)
    (corrupted,), (mask,) = damage.condition.corruption(clean.unsqueeze(0), generator)
    pictures = {
        "corrupted": corrupted,
        "classical": damage.condition.baseline.restore(corrupted, mask),
        "restored": restorer.restore(corrupted, mask),
    }
    return Outcome(
        damage,
        photo.relative.stem,
        float(mask.mean()),
        to_pixels(clean),
        **{name: to_pixels(picture) for name, picture in pictures.items()},
        scores={name: _score(picture, clean, mask, damage) for name, picture in pictures.items()},
    )


def _score(picture: Tensor, clean: Tensor, mask: Tensor, damage: Damage) -> Scores:
    pair = picture.unsqueeze(0), clean.unsqueeze(0)
    with torch.inference_mode():
        decibels = hole_psnr(*pair, mask.unsqueeze(0)) if damage.condition.has_hole else psnr(*pair)
        return Scores(float(decibels), float(ssim(*pair)))
