"""What goes wrong in a feeder, done to scanned pages: `python misfed_pages.py PAGES OUT`.

Seventy pages go to OUT/normal/good, thirty others to OUT/judged/good and, each with one fault, to OUT/judged/skewed,
cut, folded, blank, stained and turned. Pages are WebP files, and are shrunk to 800 pixels; the seed is 0.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

NORMAL, BED = 70, (40, 40, 40)
rng = np.random.default_rng(0)


def skewed(page: Image.Image) -> Image.Image:
    """Turned by 4 to 12 degrees; the bed shows in the corners."""
    return page.rotate(rng.uniform(4, 12) * rng.choice([-1, 1]), Image.Resampling.BICUBIC, fillcolor=BED)


def cut(page: Image.Image) -> Image.Image:
    """The bed shows below half to 85 % of the height."""
    ImageDraw.Draw(page).rectangle([0, int(page.height * rng.uniform(0.5, 0.85)), page.width, page.height], fill=BED)
    return page


def folded(page: Image.Image) -> Image.Image:
    """A corner of 15 to 35 % of the shorter side is gone."""
    across, down = rng.uniform(0.15, 0.35, 2)
    side, right = min(page.size), page.width
    ImageDraw.Draw(page).polygon([(right, 0), (right - int(across * side), 0), (right, int(down * side))], fill=BED)
    return page


def blank(page: Image.Image) -> Image.Image:
    """Paper of its colour, with noise of 3 of 255."""
    paper = np.percentile(np.asarray(page).reshape(-1, 3), 70, axis=0)
    noisy = rng.normal(0, 3, (page.height, page.width, 1)) + paper
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def stained(page: Image.Image) -> Image.Image:
    """A soft brown spot, 15 to 30 % of the shorter side across."""
    stain = Image.new("L", page.size)
    radius = rng.uniform(0.05, 0.1) * min(page.size) * 1.5
    x, y = rng.uniform(0.2, 0.8) * page.width, rng.uniform(0.2, 0.8) * page.height
    ImageDraw.Draw(stain).ellipse([x - radius, y - radius, x + radius, y + radius], fill=200)
    stain = stain.filter(ImageFilter.GaussianBlur(radius / 5))
    return Image.composite(Image.new("RGB", page.size, (90, 60, 30)), page, stain)


def turned(page: Image.Image) -> Image.Image:
    """Upside down."""
    return page.rotate(180)


FAULTS: tuple[Callable[[Image.Image], Image.Image], ...] = (skewed, cut, folded, blank, stained, turned)


def main(source: Path, out: Path) -> None:
    """Write the folders."""
    paths = sorted(source.glob("*.webp"))
    for number, index in enumerate(rng.permutation(len(paths))):
        page = Image.open(paths[index]).convert("RGB")
        page.thumbnail((800, 800))
        parts = [("normal/good" if number < NORMAL else "judged/good", page)]
        if number >= NORMAL:
            parts += [(f"judged/{fault.__name__}", fault(page.copy())) for fault in FAULTS]
        for folder, picture in parts:
            path = out / folder / f"{paths[index].stem}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, quality=90)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
