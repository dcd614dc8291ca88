"""The tables of `docs/damage.md`, measured again: a test that fails shows the table as it would be now.

They take minutes, need the photos beside the checkout, and run when asked for: `pytest -m measured`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from skimage.restoration import estimate_sigma

from restore.data.dataset import split_photos
from restore.images.codec import decode
from restore.images.samples import sample_photos
from restore.images.search import FoundImage, search
from restore.images.tensors import to_float
from restore.inference.clean import is_clean
from restore.inference.damage import Damage, estimate_damage
from restore.inference.restorer import Restorer
from restore.scores import psnr
from tests.helpers.damage import Floats, Pixels, as_file, blurred, demosaiced, jpeg, noisy, underexposed

pytestmark = pytest.mark.measured
PAGE = Path(__file__).parents[2] / "docs" / "damage.md"
TEST_SETS = ("CBSD68", "BSD68", "Set12")
SIGMAS = (5.0, 10.0, 15.0, 25.0, 50.0)
Damaged = Callable[[Pixels, float, int], Floats | Pixels]


def enlarged(pixels: Pixels, sigma: float, seed: int) -> Pixels:
    return np.asarray(
        cv2.resize(as_file(noisy(pixels, sigma, seed)), None, fx=2.0, fy=2.0, interpolation=cv2.INTER_CUBIC), np.uint8
    )


def unchanged(pixels: Pixels, _: float, __: int) -> Pixels:
    return pixels


def blurred_a_pixel(pixels: Pixels, _: float, seed: int) -> Pixels:
    return as_file(noisy(blurred(pixels, 1.0), 2.0, seed))


NOISE: dict[str, Damaged] = {
    "float": noisy,
    "8 bit": lambda pixels, sigma, seed: as_file(noisy(pixels, sigma, seed)),
    "JPEG 85": lambda pixels, sigma, seed: jpeg(as_file(noisy(pixels, sigma, seed)), 85),
    "JPEG 75": lambda pixels, sigma, seed: jpeg(as_file(noisy(pixels, sigma, seed)), 75),
    "dark, 8 bit": underexposed,
    "dark, JPEG 85": lambda pixels, sigma, seed: jpeg(underexposed(pixels, sigma, seed), 85),
}
"""Ways in which noise arrives."""


@pytest.fixture(scope="module")
def sets(cbsd68: Path) -> dict[str, list[Path]]:
    """None of these photos had a part in choosing the limits."""
    test, photos = cbsd68.parent, cbsd68.parents[1] / "photos"
    known = {name: sorted((test / name).glob("*.png")) for name in TEST_SETS}
    held_out = [photo.path for photo in held_out_photos(photos)]
    free = [*sorted((photos / "free").glob("*.webp")), *sorted((photos / "stock").glob("*.webp"))]
    trained = [path for path in [*sorted((photos / "bsds").glob("*.jpg"))[5::12], *free[6::14]] if path not in held_out]
    return {**known, "samples": [photo.path for photo in sample_photos()], "held out": held_out, "trained on": trained}


def chosen_on(photos: Path) -> list[Path]:
    """The training photos that the limits were chosen on."""
    free = [*sorted((photos / "free").glob("*.webp")), *sorted((photos / "stock").glob("*.webp"))]
    return [*sorted((photos / "bsds").glob("*.jpg"))[2::6], *free[3::7]]


def held_out_photos(photos: Path) -> list[FoundImage]:
    """Those that the training of the `denoise` that ships held out."""
    return split_photos(search([photos], []).images, 0.03, seed=1)["val"]


def pixels_of(paths: Iterable[Path]) -> Iterator[Pixels]:
    for path in paths:
        yield np.asarray(decode(path).pixels, np.uint8)


def test_limits(cbsd68: Path) -> None:
    paths = chosen_on(cbsd68.parents[1] / "photos")
    rows = []
    kinds: dict[str, Damaged] = {f"noise 10, {kind}": damaged for kind, damaged in NOISE.items()}
    for name, damaged in {"as they are": unchanged, **kinds, "blur 1 px, noise 2": blurred_a_pixel}.items():
        found = [estimate_damage(damaged(centre(pixels), 10.0, seed)) for seed, pixels in enumerate(pixels_of(paths))]
        noise, blur = ([getattr(damage, name) for damage in found] for name in ("noise", "blur"))
        rows.append([name, len(paths), *extremes(noise), *extremes(blur)])
    check("limits", ["", "photos", "noise: least", "5 %", "95 %", "most", "blur: least", "5 %", "95 %", "most"], rows)


def test_clean(sets: dict[str, list[Path]]) -> None:
    restorer = Restorer.from_bundle("denoise", device="cpu")
    rows = []
    for name, paths in sets.items():
        touched = [pixels for pixels in pixels_of(paths) if finds_noise(pixels)]
        scores = [psnr(to_float(restorer.restore(pixels))[None], to_float(pixels)[None]).item() for pixels in touched]
        above = sum(score > 42.0 for score in scores)
        worst = f"{min(scores):.1f} dB" if scores else ""
        share = (len(paths) - len(touched) + above) / len(paths)
        rows.append([name, len(paths), len(paths) - len(touched), above, len(touched) - above, worst, f"{share:.1%}"])
        assert share >= 0.95
    check("clean", ["", "photos", "left alone", "above 42 dB", "below", "worst", "left alone or above"], rows)


def test_missed(sets: dict[str, list[Path]]) -> None:
    rows = [row for name, paths in sets.items() if name != "trained on" for row in missed(name, paths)]
    check("missed", ["", "photos", *(f"sigma {sigma:g}" for sigma in SIGMAS)], rows)


def missed(name: str, paths: Sequence[Path]) -> list[list[object]]:
    """How many are taken for clean, by kind and strength of noise."""
    kinds = {kind: damaged for kind, damaged in NOISE.items() if kind != "float"}
    counts = np.zeros((len(kinds), len(SIGMAS)), int)
    for seed, pixels in enumerate(pixels_of(paths)):
        for row, damaged in enumerate(kinds.values()):
            for column, sigma in enumerate(SIGMAS):
                counts[row, column] += not finds_noise(damaged(pixels, sigma, seed))
    assert not counts[:2, 1:].any()
    return [[f"{name}, {kind}", len(paths), *row] for kind, row in zip(kinds, counts.tolist(), strict=True)]


def test_sigma(sets: dict[str, list[Path]]) -> None:
    rows = []
    paths = [path for name in (*TEST_SETS, "held out") for path in sets[name]]
    for kind in ("float", "8 bit", "JPEG 85"):
        for sigma in SIGMAS:
            ours, theirs = [], []
            for seed, pixels in enumerate(pixels_of(paths)):
                damaged = NOISE[kind](pixels, sigma, seed)
                ours.append(estimate_damage(damaged).noise - sigma)
                theirs.append(wavelet_sigma(damaged) - sigma)
            rows.append([f"sigma {sigma:g}, {kind}", len(paths), *errors(ours), *errors(theirs)])
    check("sigma", ["", "photos", "bias", "spread", "worst", "wavelets: bias", "spread", "worst"], rows)


def test_correlated(sets: dict[str, list[Path]]) -> None:
    kinds: dict[str, Damaged] = {"through a colour filter array": demosaiced, "enlarged to twice its size": enlarged}
    paths = sets["CBSD68"][::4]
    rows = []
    for kind, damaged in kinds.items():
        for sigma in SIGMAS:
            found = [estimate_damage(damaged(pixels, sigma, seed)) for seed, pixels in enumerate(pixels_of(paths))]
            missed = sum(is_clean(damage, "clipped-8bit") for damage in found)
            rows.append([f"sigma {sigma:g}, {kind}", len(paths), missed, *quantiles([d.noise for d in found])])
    check("correlated", ["", "photos", "missed", "noise: 5 %", "median", "95 %"], rows)


def test_blur(sets: dict[str, list[Path]]) -> None:
    rows = []
    paths = [path for name in (*TEST_SETS, "held out") for path in sets[name]]
    for sigma in (0.0, 2.0, 10.0, 25.0):
        for blur in (0.0, 1.0, 2.0, 3.0):
            found = [
                estimate_damage(as_file(noisy(blurred(pixels, blur), sigma, seed)))
                for seed, pixels in enumerate(pixels_of(paths))
            ]
            sharp = sum(is_clean(damage, "gaussian-blur") for damage in found)
            spread = quantiles([damage.blur for damage in found])
            rows.append([f"blur {blur:g} px, noise {sigma:g}", len(paths), *spread, f"{sharp / len(paths):.0%}"])
    check("blur", ["", "photos", "5 %", "median", "95 %", "left alone by `deblur`"], rows)


def test_jpeg(sets: dict[str, list[Path]]) -> None:
    rows = []
    paths = [path for name in (*TEST_SETS, "held out") for path in sets[name]]
    before = [estimate_damage(pixels).noise for pixels in pixels_of(paths)]
    for quality in (0, 95, 90, 85, 75, 50, 30):
        found = [estimate_damage(jpeg(pixels, quality) if quality else pixels) for pixels in pixels_of(paths)]
        change = np.median([damage.noise - noise for damage, noise in zip(found, before, strict=True)])
        alone = sum(is_clean(damage, "clipped-8bit") for damage in found) / len(paths)
        name = f"quality {quality}" if quality else "as they are"
        spread = quantiles([damage.blocking for damage in found])
        rows.append([name, len(paths), *spread, f"{change:.1f}", f"{alone:.0%}"])
    head = ["", "photos", "blocking: 5 %", "median", "95 %", "noise moves by", "left alone by `denoise`"]
    check("jpeg", head, rows)


def test_scans(cbsd68: Path) -> None:
    scans = cbsd68.parents[1] / "scans"
    rows = []
    for name, paths in {
        "documents, scanned": sorted((scans / "documents" / "degraded").glob("*.webp")),
        "documents, black and white": sorted((scans / "documents" / "clean").glob("*.png")),
        "old photographs": sorted((scans / "old-photos").glob("*.webp")),
    }.items():
        found = [estimate_damage(pixels) for pixels in pixels_of(paths)]
        alone = [sum(is_clean(damage, protocol) for damage in found) for protocol in ("clipped-8bit", "gaussian-blur")]
        middle = [range_of([getattr(damage, name) for damage in found]) for name in Damage.__dataclass_fields__]
        rows.append([name, len(paths), *middle, *alone])
    head = ["", "pictures", "noise", "blur, px", "blocking", "left alone by `denoise`", "by `deblur`"]
    check("scans", head, rows)


def finds_noise(pixels: npt.NDArray[np.generic]) -> bool:
    return not is_clean(estimate_damage(pixels), "clipped-8bit")


def wavelet_sigma(pixels: Floats | Pixels) -> float:
    """Donoho and Johnstone's estimate, in 8-bit units."""
    image = pixels if pixels.dtype == np.float32 else (pixels / 255.0).astype(np.float32)
    sigmas = np.atleast_1d(estimate_sigma(image, channel_axis=-1 if image.ndim == 3 else None))
    return float(np.sqrt(np.mean(np.square(sigmas))) * 255.0)


def errors(values: Sequence[float]) -> list[str]:
    """Mean, standard deviation and the largest in size."""
    return [f"{np.mean(values):.1f}", f"{np.std(values):.1f}", f"{max(values, key=abs):.1f}"]


def extremes(values: Sequence[float]) -> list[str]:
    return [f"{value:.2f}" for value in np.quantile(values, [0.0, 0.05, 0.95, 1.0])]


def centre(pixels: Pixels) -> Pixels:
    """The middle 512 x 512 pixels."""
    top, left = (max(0, (side - 512) // 2) for side in pixels.shape[:2])
    return pixels[top : top + 512, left : left + 512]


def quantiles(values: Sequence[float]) -> list[str]:
    return [f"{value:.2f}" for value in np.quantile(values, [0.05, 0.5, 0.95])]


def range_of(values: Sequence[float]) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:.1f} ({low:.1f} to {high:.1f})"


def check(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """The table between the markers of that name has these words, and these numbers within 2 % or 0.1."""
    lines = [head, ["---"] * len(head), *rows]
    measured = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    found = re.search(rf"<!-- damage {name} -->\n(.*?)\n<!-- /damage -->", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    written = found[1] if found else ""
    number = r"-?\d+\.?\d*"
    same = re.sub(number, "0", measured) == re.sub(number, "0", written) and [
        float(value) for value in re.findall(number, measured)
    ] == pytest.approx([float(value) for value in re.findall(number, written)], rel=0.02, abs=0.1)
    assert same, f"docs/damage.md, table {name!r}, as measured now:\n{measured}"
