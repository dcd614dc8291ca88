"""Configurable damage: batched, stateless, and drawn from a generator that the caller passes in."""

from restore.corruption.base import Compose, Corruption, Identity, OneOf
from restore.corruption.blur import DefocusBlur, GaussianBlur, MotionBlur, Rescale
from restore.corruption.camera import CameraNoise, FilmGrain
from restore.corruption.compression import JpegCompression, Quantise
from restore.corruption.masking import PixelMask, RectangleMask, StrokeMask
from restore.corruption.noise import GaussianNoise

__all__ = [
    "CameraNoise",
    "Compose",
    "Corruption",
    "DefocusBlur",
    "FilmGrain",
    "GaussianBlur",
    "GaussianNoise",
    "Identity",
    "JpegCompression",
    "MotionBlur",
    "OneOf",
    "PixelMask",
    "Quantise",
    "RectangleMask",
    "Rescale",
    "StrokeMask",
]
