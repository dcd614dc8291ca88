"""`photo` beside non-local means at its best, on camera noise in photos that training left out.

python heldout.py FOLDER: the middle 512 x 512 pixels of each photo there, camera noise of sigma 5, 10 and 20 and a JPEG
file of quality 85. Non-local means (OpenCV, in colour) is given each of 18 pairs of strengths, and the best pair of
each sigma counts: more than a user can know.
"""

import itertools
import statistics
import sys
from pathlib import Path

import cv2

from restore import Restorer
from restore.corruption import CameraNoise, Compose, JpegCompression
from restore.images.codec import decode
from restore.images.search import find_images
from restore.images.tensors import to_float, to_pixels
from restore.scores import psnr
from restore.seeds import generator_for

SIDE = 512
STRENGTHS = list(itertools.product((0.5, 0.75, 1.0, 1.25, 1.5, 2.0), (1.0, 2.0, 3.0)))


def score(pixels, clean):
    """PSNR in dB of one picture."""
    return psnr(to_float(pixels)[None], to_float(clean)[None]).item()


def middle(pixels):
    """The square that is scored."""
    top, left = ((side - SIDE) // 2 for side in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def main() -> None:
    """Print a line for each sigma."""
    restorer = Restorer.from_bundle("photo")
    found = find_images([Path(sys.argv[1])])
    photos = [(photo.relative.as_posix(), middle(decode(photo.path).pixels)) for photo in found]
    for sigma in (5.0, 10.0, 20.0):
        damage = Compose([CameraNoise((sigma, sigma)), JpegCompression((85.0, 85.0))])
        pairs = []
        for name, clean in photos:
            noisy = damage(to_float(clean)[None], generator_for(0, "held out", name, f"{sigma:g}")).image[0]
            pairs.append((to_pixels(noisy), clean))
        means = [
            statistics.fmean(
                score(cv2.fastNlMeansDenoisingColored(noisy, None, luma * sigma, colour * sigma), clean)
                for noisy, clean in pairs
            )
            for luma, colour in STRENGTHS
        ]
        sys.stdout.write(
            f"sigma {sigma:g}: {len(pairs)} photos, input {statistics.fmean(itertools.starmap(score, pairs)):.2f} dB, "
            f"non-local means {max(means):.2f} dB, with h = {STRENGTHS[means.index(max(means))]} sigma, "
            f"photo {statistics.fmean(score(restorer.restore(noisy), clean) for noisy, clean in pairs):.2f} dB\n"
        )


if __name__ == "__main__":
    main()
