"""`photo` beside non-local means with the best strength for all photos, on camera noise in photos that training left out.

python heldout.py FOLDER: the middle 512 x 512 pixels of each photo there, camera noise of sigma 5, 10 and 20 and a JPEG file
of quality 85. Non-local means (OpenCV, in colour) is given each of 18 pairs of strengths, and the best pair of each
sigma counts: more than a user can know.
"""

import itertools
import statistics
import sys
from pathlib import Path

import cv2
import numpy as np

from restore import Restorer
from restore.corruption import CameraNoise, Compose, JpegCompression
from restore.images.codec import decode
from restore.images.search import find_images
from restore.images.tensors import to_float, to_pixels
from restore.seeds import generator_for

SIDE = 512
STRENGTHS = list(itertools.product((0.5, 0.75, 1.0, 1.25, 1.5, 2.0), (1.0, 2.0, 3.0)))


def psnr(pixels, clean):
    error = np.mean((pixels.astype(np.float64) - clean) ** 2)
    return 10 * np.log10(255**2 / error)


def middle(pixels):
    top, left = ((side - SIDE) // 2 for side in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def main() -> None:
    restorer = Restorer.from_bundle("photo")
    photos = [(photo.relative.as_posix(), middle(decode(photo.path).pixels)) for photo in find_images([Path(sys.argv[1])])]
    for sigma in (5.0, 10.0, 20.0):
        damage = Compose([CameraNoise((sigma, sigma)), JpegCompression((85.0, 85.0))])
        pairs = []
        for name, clean in photos:
            noisy = damage(to_float(clean)[None], generator_for(0, "held out", name, f"{sigma:g}")).image[0]
            pairs.append((to_pixels(noisy), clean))
        means = [
            statistics.fmean(
                psnr(cv2.fastNlMeansDenoisingColored(noisy, None, luma * sigma, colour * sigma), clean)
                for noisy, clean in pairs
            )
            for luma, colour in STRENGTHS
        ]
        print(
            f"sigma {sigma:g}: {len(pairs)} photos, input {statistics.fmean(itertools.starmap(psnr, pairs)):.2f} dB, "
            f"non-local means {max(means):.2f} dB, with h = {STRENGTHS[means.index(max(means))]} sigma, "
            f"photo {statistics.fmean(psnr(restorer.restore(noisy), clean) for noisy, clean in pairs):.2f} dB",
            flush=True,
        )


if __name__ == "__main__":
    main()
