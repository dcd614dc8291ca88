"""What the published numbers are measured on. A change here makes every number of that protocol another one."""

import pytest

from restore.benchmark.tables import TITLES
from restore.errors import UsageError
from restore.inference.protocols import PROTOCOLS, build_protocol

_CAMERA = (
    "shot_range=(0.2, 0.9), gamma_range=(1.0, 2.4), mosaic_share=0.7, matrix_range=(0.0, 1.0), "
    "luma_blur_range=(0.0, 0.8), chroma_blur_range=(0.0, 3.0), chroma_range=(0.3, 1.2), "
    "sharpening_range=(0.0, 1.0), scale_range=(1.0, 1.8)"
)
_BLURRED = "Compose(corruptions=[{}, GaussianNoise(sigma_range=(2.0, 2.0), clip=False)])"
_STROKES = "StrokeMask(share_range=({}, {}), fill=0.5, width_range=(3.0, 15.0))"
_RECTANGLES = "RectangleMask(share_range=({}, {}), fill=0.5, side_range=(0.05, 0.35))"
_BINS = [(0.01, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6)]

DAMAGE = {
    "gaussian-awgn": {
        f"sigma {sigma:g}": f"GaussianNoise(sigma_range=({sigma}, {sigma}), clip=False)" for sigma in (15.0, 25.0, 50.0)
    },
    "clipped-8bit": {
        f"sigma {sigma:g}": f"Compose(corruptions=[GaussianNoise(sigma_range=({sigma}, {sigma}), clip=True), "
        "Quantise()])"
        for sigma in (15.0, 25.0, 50.0)
    },
    "camera-noise": {
        f"sigma {sigma:g}": f"Compose(corruptions=[CameraNoise(sigma_range=({sigma}, {sigma}), {_CAMERA}), "
        "JpegCompression(quality_range=(85.0, 85.0))])"
        for sigma in (5.0, 10.0, 20.0)
    },
    "gaussian-blur": {
        f"blur {sigma:g} px": _BLURRED.format(f"GaussianBlur(sigma_range=({sigma}, {sigma}))")
        for sigma in (1.0, 2.0, 3.0)
    },
    "motion-blur": {
        f"motion {length:g} px": _BLURRED.format(
            f"MotionBlur(length_range=({length}, {length}), angle_range=(30.0, 30.0))"
        )
        for length in (5.0, 10.0, 15.0)
    },
    "defocus-blur": {
        f"defocus {radius:g} px": _BLURRED.format(f"DefocusBlur(radius_range=({radius}, {radius}))")
        for radius in (2.0, 4.0, 8.0)
    },
    "holes": {
        "strokes 10-30 %": _STROKES.format(0.1, 0.3),
        "rectangles 10-30 %": _RECTANGLES.format(0.1, 0.3),
        "pixels 50 %": "PixelMask(share_range=(0.5, 0.5), fill=0.5)",
    },
    "holes-by-share": {
        f"{kind} {100 * low:g}-{100 * high:g} %": mask.format(low, high)
        for kind, mask in (("strokes", _STROKES), ("rectangles", _RECTANGLES))
        for low, high in _BINS
    },
    "clean": {"clean": "Identity()"},
}

_DENOISERS = ["non-local means h 16", "wavelets BayesShrink, sigma 20", "total variation weight 0.0627451"]
_DECONVOLUTIONS = ["Richardson-Lucy 10 iterations", "Wiener balance 0.3"]
_FILLS = ["Telea radius 3", "Navier-Stokes radius 3", "biharmonic"]

CLASSICAL = {
    "gaussian-awgn": ["non-local means h 40", "wavelets BayesShrink, sigma 50", "total variation weight 0.156863"],
    "clipped-8bit": ["non-local means h 40", "wavelets BayesShrink, sigma 50", "total variation weight 0.156863"],
    "camera-noise": _DENOISERS,
    "gaussian-blur": ["Wiener balance 0.003", "Richardson-Lucy 30 iterations"],
    "motion-blur": _DECONVOLUTIONS,
    "defocus-blur": _DECONVOLUTIONS,
    "holes": _FILLS,
    "holes-by-share": _FILLS,
    "clean": ["non-local means h 8"],
}
"""The methods of each protocol's last condition, and how they are set."""


def test_every_protocol_has_its_settings_here_and_a_table() -> None:
    assert set(DAMAGE) == set(PROTOCOLS) <= set(TITLES)


@pytest.mark.parametrize("name", DAMAGE)
def test_the_damage_is_that_of_the_published_numbers(name: str) -> None:
    conditions = build_protocol(name).conditions
    assert {condition.name: repr(condition.corruption) for condition in conditions} == DAMAGE[name]
    assert [condition.has_hole for condition in conditions] == ["Mask" in damage for damage in DAMAGE[name].values()]


@pytest.mark.parametrize("name", CLASSICAL)
def test_the_classical_methods_are_set_as_in_the_published_tables(name: str) -> None:
    last = build_protocol(name).conditions[-1]
    methods = (last.baseline, *last.others)
    assert [f"{method.name} {method.settings}".strip() for method in methods] == CLASSICAL[name]


def test_an_unknown_protocol_is_answered_with_those_there_are() -> None:
    with pytest.raises(UsageError, match="protocol 'noise' is unknown: use one of gaussian-awgn, "):
        build_protocol("noise")
