"""Pictures side by side with words under them, drawn by Pillow."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

__all__ = ["COLOURS", "INK", "PAPER", "Cell", "contact_sheet", "font"]

Pixels = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

PAPER: Colour = (255, 255, 255)
INK: Colour = (51, 51, 51)
COLOURS: tuple[Colour, ...] = (
    (31, 119, 180),
    (255, 127, 14),
    (44, 160, 44),
    (214, 39, 40),
    (148, 103, 189),
    (140, 86, 75),
    (227, 119, 194),
    (127, 127, 127),
    (188, 189, 34),
    (23, 190, 207),
)
"""Ten that are told apart easily: Tableau's."""


@dataclass(frozen=True)
class Cell:
    """A picture of a sheet.

    Attributes:
        pixels: `(H, W)` or `(H, W, 3)` uint8; None leaves the place empty.
        caption: Words below it; each line is cut to the picture's place.
    """

    pixels: Pixels | None = None
    caption: str = ""


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that Pillow carries."""
    return ImageFont.load_default(size)


def contact_sheet(rows: Sequence[Sequence[Cell]], gap: int = 8, text: int = 13) -> Pixels:
    """Rows of pictures; all places are as large as the largest picture.

    Args:
        rows: Of cells; they may differ in length.
        gap: Between places, and around them, in pixels.
        text: Height of the captions' letters, in pixels.

    Returns:
        `(H, W, 3)` uint8.
    """
    cells = [cell for row in rows for cell in row]
    height = max((cell.pixels.shape[0] for cell in cells if cell.pixels is not None), default=1)
    width = max((cell.pixels.shape[1] for cell in cells if cell.pixels is not None), default=1)
    line = text + 3
    below = line * max((cell.caption.count("\n") + 1 for cell in cells if cell.caption), default=0)
    columns = max(map(len, rows), default=0)
    size = (columns * (width + gap) + gap, len(rows) * (height + below + gap) + gap)
    canvas = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(canvas)
    for number, row in enumerate(rows):
        for column, cell in enumerate(row):
            left, top = gap + column * (width + gap), gap + number * (height + below + gap)
            if cell.pixels is not None:
                picture = Image.fromarray(np.ascontiguousarray(cell.pixels)).convert("RGB")
                canvas.paste(picture, (left + (width - picture.width) // 2, top + (height - picture.height) // 2))
            for index, words in enumerate(cell.caption.split("\n")):
                draw.text((left, top + height + 1 + index * line), _cut(words, width, font(text)), INK, font(text))
    return np.asarray(canvas)


def _cut(words: str, width: int, face: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The end of a name says more than its beginning."""
    if face.getlength(words) <= width:
        return words
    start = 1
    while start < len(words) and face.getlength("…" + words[start:]) > width:
        start += 1
    return "…" + words[start:]
