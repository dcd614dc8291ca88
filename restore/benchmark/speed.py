"""Speed and memory on this machine, each figure beside the limit that it is to be judged by."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from restore.benchmark.dncnn import DnCNN
from restore.benchmark.growth import growth, similarity
from restore.benchmark.measurement import Measurement, Setting, place_network, write_jpeg
from restore.benchmark.timing import (
    copy_rate,
    macs_per_pixel,
    matrix_peak,
    matrix_sides,
    median_seconds,
)
from restore.benchmark.training import corruption, training
from restore.devices import (
    InferencePrecision,
    choose_device,
    computing_in,
    has_fast_bfloat16,
)
from restore.errors import RestoreError
from restore.images.files import PlannedImage, plan_outputs
from restore.images.search import find_images
from restore.inference.batch import restore_files
from restore.inference.outcome import BatchOptions, PhotoResult
from restore.inference.restorer import Restorer
from restore.models.base import RestorationNetwork

__all__ = ["PARTS"]

_SIDE = 768
"""Side of the square that networks are timed on."""

_LARGE_SIZE = (3000, 4000)
_SMALL_PHOTOS, _SMALL_SIZE = 500, (240, 320)


def network(setting: Setting) -> Iterator[Measurement]:
    """Forward passes beside the reference network and the matrix product of the same minute."""
    device = choose_device(setting.device)
    contenders: dict[str, RestorationNetwork] = {
        setting.bundle: Restorer.from_bundle(setting.bundle, setting.device).network,
        "DnCNN": place_network(DnCNN(), device).eval(),
    }
    precisions: list[InferencePrecision] = ["32"]
    if has_fast_bfloat16(device):
        precisions.append("bf16-mixed")
    quantised = Restorer.from_bundle(setting.bundle, setting.device, "fast")
    if quantised.precision == "int8":
        precisions.append("int8")
    for precision in precisions:
        if precision == "int8":
            contenders = {setting.bundle: quantised.network}
        peak = matrix_peak(device, precision, setting.repeat)
        sides = ", ".join(map(str, matrix_sides(device)))
        yield Measurement(f"matrix product, the fastest of sides {sides}, {precision}", peak, "TFLOP/s")
        for name, model in contenders.items():
            seconds = _forward_seconds(model, device, precision, setting.repeat)
            yield Measurement(
                f"network {name}, {_SIDE} x {_SIDE}, {precision}", _SIDE**2 / 1e6 / seconds, "megapixels/s"
            )
            achieved = 2 * macs_per_pixel(model) * _SIDE**2 / seconds / 1e12
            yield Measurement(f"network {name}, {precision}, share of the matrix product", achieved / peak, "share")
    yield Measurement("copy in memory, read and written", copy_rate(device, setting.repeat), "GB/s")
    pixels = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), np.uint8)
    seconds = median_seconds(lambda: cv2.fastNlMeansDenoisingColored(pixels, None, 10, 10), setting.repeat)
    yield Measurement(f"OpenCV non-local means on the CPU, {_SIDE} x {_SIDE}", _SIDE**2 / 1e6 / seconds, "megapixels/s")


def photo(setting: Setting) -> Iterator[Measurement]:
    """`restore photos` on a 12-megapixel JPEG and on many small ones, from file to file."""
    restorer = Restorer.from_bundle(setting.bundle, setting.device, setting.precision_of_photos, setting.tile)
    channels = restorer.network.channels
    with tempfile.TemporaryDirectory() as folder:
        source = write_jpeg(Path(folder, "photo.jpg"), *_LARGE_SIZE, channels)
        plans = plan_outputs(find_images([source]), Path(folder, "out"))
        repeat = max(2, setting.repeat // 2)
        options = BatchOptions(auto=False, overwrite=True)
        results = [result for _ in range(repeat + 1) for result in _restored(restorer, plans, options)][1:]
    seconds = statistics.median(result.seconds for result in results)
    inside = statistics.median(result.network_seconds for result in results)
    megapixels = math.prod(_LARGE_SIZE) / 1e6
    what = f"{setting.bundle}, {restorer.precision}"
    name = f"{megapixels:g}-megapixel JPEG to JPEG, {what}"
    yield Measurement(f"{name}, tiles of {restorer.tile}", megapixels / seconds, "megapixels/s")
    yield Measurement(f"{name}, share of the time in the network", inside / seconds, "share")
    with tempfile.TemporaryDirectory() as folder:
        for index in range(_SMALL_PHOTOS):
            write_jpeg(Path(folder, "in", f"{index}.jpg"), *_SMALL_SIZE, channels)
        plans = plan_outputs(find_images([Path(folder, "in")]), Path(folder, "out"))
        start = time.perf_counter()
        results = _restored(restorer, plans, options)
        seconds = time.perf_counter() - start
    name = f"{_SMALL_PHOTOS} JPEGs of {_SMALL_SIZE[1]} x {_SMALL_SIZE[0]}, {what}"
    yield Measurement(name, len(results) / seconds, "files/s")
    megapixels = len(results) * math.prod(_SMALL_SIZE) / 1e6
    yield Measurement(f"{name}, in pixels", megapixels / seconds, "megapixels/s")
    share = sum(result.network_seconds for result in results) / seconds
    yield Measurement(f"{name}, share of the time in the network", share, "share")


PARTS: dict[str, Callable[[Setting], Iterator[Measurement]]] = {
    "network": network,
    "photo": photo,
    "corruption": corruption,
    "training": training,
    "ssim": similarity,
    "growth": growth,
}
"""What can be measured, by name."""


def _forward_seconds(
    model: RestorationNetwork, device: torch.device, precision: InferencePrecision, repeat: int
) -> float:
    image = torch.rand(1, model.channels, _SIDE, _SIDE, device=device).contiguous(memory_format=torch.channels_last)
    mask = torch.zeros(1, 1, _SIDE, _SIDE, device=device)

    @torch.inference_mode()
    def forward() -> None:
        with computing_in(precision, device):
            model(image, mask)

    return median_seconds(forward, repeat, device)


def _restored(restorer: Restorer, plans: Sequence[PlannedImage], options: BatchOptions) -> list[PhotoResult]:
    results = list(restore_files(restorer, plans, options))
    for result in results:
        if result.status != "restored":
            raise RestoreError(f"{result.source}: {result.status} ({result.reason}), so that nothing was timed")
    return results
