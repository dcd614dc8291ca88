"""Classical methods to compare with, from OpenCV and scikit-image, on the same tensors as a `Restorer`."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from skimage import restoration  # its parts load when they are used: most runs use none
from torch import Tensor

from restore.corruption import DefocusBlur, GaussianBlur, MotionBlur
from restore.errors import RestoreError
from restore.images.tensors import reflect_pad, to_float, to_pixels
from restore.seeds import generator_for

__all__ = [
    "Baseline",
    "Method",
    "biharmonic",
    "navier_stokes",
    "non_local_means",
    "richardson_lucy_deconvolution",
    "telea",
    "total_variation",
    "wavelet",
    "wiener_deconvolution",
]

Plane = npt.NDArray[np.floating]
Method = Callable[[Tensor, Tensor], Tensor]
"""`(C, H, W)` float32 and a mask `(1, H, W)` to `(C, H, W)` float32."""


@dataclass(frozen=True)
class Baseline:
    """A classical method, told what a blind network has to find out.

    Attributes:
        name: As it stands in tables.
        restore: `(C, H, W)` float32 and a mask `(1, H, W)` to `(C, H, W)` float32.
        settings: How it is set.
    """

    name: str
    restore: Method
    settings: str = ""


def non_local_means(sigma: float) -> Baseline:
    """OpenCV's non-local means (Buades et al. 2005), told the noise's standard deviation in 8-bit units.

    Works on 8-bit pixels, so unclipped noise is clipped first. `h` is the multiple of sigma that scores best on
    scikit-image's sample photos.
    """
    strength = 0.8 * sigma

    def restore(image: Tensor, _mask: Tensor) -> Tensor:
        pixels = to_pixels(image)
        if pixels.ndim == 2:
            return to_float(np.asarray(cv2.fastNlMeansDenoising(pixels, None, strength)))
        return to_float(np.asarray(cv2.fastNlMeansDenoisingColored(pixels, None, strength, strength)))

    return Baseline("non-local means", restore, f"h {strength:g}")


def wavelet(sigma: float) -> Baseline:
    """scikit-image's wavelet thresholding (BayesShrink, Chang et al. 2000) in luma and chroma, told sigma."""

    def restore(image: Tensor, _mask: Tensor) -> Tensor:
        colour = image.shape[0] > 1
        pixels = image.permute(1, 2, 0).numpy() if colour else image[0].numpy()
        try:
            result = restoration.denoise_wavelet(
                pixels.astype(np.float64),
                sigma / 255.0,
                convert2ycbcr=colour,
                rescale_sigma=True,
                channel_axis=2 if colour else None,
            )
        except ImportError as error:
            raise RestoreError("wavelets need PyWavelets: pip install 'restore[benchmark]'") from error
        return _as_planes(result)

    return Baseline("wavelets", restore, f"BayesShrink, sigma {sigma:g}")


def total_variation(sigma: float) -> Baseline:
    """scikit-image's total variation (Chambolle 2004), told sigma; the weight scores best on the sample photos."""
    weight = 0.8 * sigma / 255.0

    def restore(image: Tensor, _mask: Tensor) -> Tensor:
        if not weight:  # scikit-image divides by it
            return image.clone()
        return _as_planes(restoration.denoise_tv_chambolle(image.permute(1, 2, 0).numpy(), weight, channel_axis=2))

    return Baseline("total variation", restore, f"weight {weight:g}")


def telea(radius: float = 3.0) -> Baseline:
    """OpenCV's fast-marching inpainting (Telea 2004)."""
    return Baseline("Telea", _fill_with_opencv(cv2.INPAINT_TELEA, radius), f"radius {radius:g}")


def navier_stokes(radius: float = 3.0) -> Baseline:
    """OpenCV's inpainting along isophotes (Bertalmio et al. 2001)."""
    return Baseline("Navier-Stokes", _fill_with_opencv(cv2.INPAINT_NS, radius), f"radius {radius:g}")


def biharmonic() -> Baseline:
    """scikit-image's biharmonic inpainting (Damelin and Hoang 2018): smooth surfaces over each hole; slow."""

    def restore(image: Tensor, mask: Tensor) -> Tensor:
        hole = (mask[0] > 0.5).numpy()
        visible = torch.where(mask > 0.5, 0.0, image).permute(1, 2, 0).numpy()
        filled = restoration.inpaint_biharmonic(visible, hole, split_into_regions=True, channel_axis=2)
        return torch.where(mask > 0.5, _as_planes(filled), image)

    return Baseline("biharmonic", restore)


def wiener_deconvolution(blur: DefocusBlur | GaussianBlur | MotionBlur, balance: float = 0.003) -> Baseline:
    """scikit-image's Wiener filter with the true kernel, reflected beyond the borders against ringing."""
    return Baseline(
        "Wiener",
        _deconvolve(blur, lambda plane, kernel: restoration.wiener(plane, kernel, balance, clip=False)),
        f"balance {balance:g}",
    )


def richardson_lucy_deconvolution(blur: DefocusBlur | GaussianBlur | MotionBlur, iterations: int = 30) -> Baseline:
    """scikit-image's Richardson-Lucy (1972, 1974) with the true kernel, reflected beyond the borders."""

    def sharpen(plane: Plane, kernel: Plane) -> Plane:
        return np.asarray(restoration.richardson_lucy(np.clip(plane, 1e-4, None), kernel, iterations, clip=False))

    return Baseline("Richardson-Lucy", _deconvolve(blur, sharpen), f"{iterations} iterations")


def _fill_with_opencv(method: int, radius: float) -> Method:
    def restore(image: Tensor, mask: Tensor) -> Tensor:
        hole = (mask[0] > 0.5).numpy().astype(np.uint8)
        filled = to_float(np.asarray(cv2.inpaint(to_pixels(image), hole, radius, method)))
        return torch.where(mask > 0.5, filled, image)

    return restore


def _deconvolve(blur: DefocusBlur | GaussianBlur | MotionBlur, sharpen: Callable[[Plane, Plane], Plane]) -> Method:
    """Of a blur that leaves nothing to chance: its intervals are single numbers."""
    kernel = blur.kernels(torch.zeros(1, 1, 1, 1), generator_for("kernel"))[0].double().numpy()
    margin = kernel.shape[0] - 1  # twice the radius

    def restore(image: Tensor, _mask: Tensor) -> Tensor:
        padded = reflect_pad(image.unsqueeze(0), margin, margin, margin, margin)[0].numpy()
        result = torch.from_numpy(np.stack([sharpen(plane, kernel) for plane in padded])).float()
        return result[:, margin : margin + image.shape[1], margin : margin + image.shape[2]]

    return restore


def _as_planes(pixels: Plane) -> Tensor:
    """Floats `(H, W)` or `(H, W, C)` as `(C, H, W)` float32."""
    planes = np.atleast_3d(pixels).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(planes, dtype=np.float32))
