"""Geometry and colour of the clean picture, by albumentations, on 8-bit pixels."""

import os

import numpy as np
import numpy.typing as npt

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks a server for its version otherwise, on import

import albumentations  # after the variable above

__all__ = ["CropAugmentation"]


class CropAugmentation:
    """A random crop, one of the eight symmetries of the square, and sometimes grey.

    The outcome is a function of the picture and the seed alone: not of the worker, nor of what was drawn before.

    Args:
        crop_size: Side of the crop in pixels.
        grey_share: Share of crops whose colour is taken away; they keep three equal channels.
    """

    def __init__(self, crop_size: int, grey_share: float) -> None:
        self._transform = albumentations.Compose(
            [
                albumentations.RandomCrop(crop_size, crop_size),
                albumentations.D4(p=1.0),
                albumentations.ToGray(p=grey_share),
            ],
            additional_targets={"partner": "image"},
        )

    def __call__(self, pixels: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
        """Augment `(H, W, 3)` uint8 into `(crop_size, crop_size, 3)` uint8."""
        self._transform.set_random_seed(seed % 2**32)
        result: npt.NDArray[np.uint8] = self._transform(image=pixels)["image"]
        return result

    def of_both(
        self, pixels: npt.NDArray[np.uint8], partner: npt.NDArray[np.uint8], seed: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """The same of two pictures of one size, the same place and symmetry of both."""
        self._transform.set_random_seed(seed % 2**32)
        result = self._transform(image=pixels, partner=partner)
        return result["image"], result["partner"]
