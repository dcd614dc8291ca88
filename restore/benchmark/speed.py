"""Speed and memory on this machine, each figure beside the limit that it is to be judged by."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from restore.benchmark.dncnn import DnCNN
from restore.benchmark.timing import (
    MATRIX,
    PRINT_PEAK,
    fit_exponent,
    macs_per_pixel,
    matrix_peak,
    median_seconds,
    run_code,
    seconds_of,
)
from restore.corruption import Compose, Corruption, GaussianBlur, GaussianNoise, OneOf, RectangleMask, StrokeMask
from restore.data import RestorationDataModule
from restore.devices import (
    InferenceChoice,
    InferencePrecision,
    choose_device,
    choose_precision,
    compute_dtype,
    has_fast_bfloat16,
)
from restore.images.codec import decode
from restore.images.files import find_images, plan_outputs
from restore.images.samples import sample_photos
from restore.inference.batch import restore_files
from restore.inference.outcome import BatchOptions
from restore.inference.restorer import Restorer
from restore.memory import peak_resident
from restore.models import UNet
from restore.models.base import RestorationNetwork
from restore.seeds import generator_for
from restore.tasks import Muon

__all__ = ["PARTS", "Measurement", "Setting"]

_SIDE = 768
"""Side of the square that networks are timed on."""

_BATCH = 16

_SMALL_PHOTOS, _SMALL_SIZE = 500, (240, 320)


@dataclass(frozen=True)
class Measurement:
    """A figure.

    Attributes:
        name: What was measured, with its circumstances.
        value: How much.
        unit: Of what.
        megapixels: Size of the picture, where growth with it is measured.
    """

    name: str
    value: float
    unit: str
    megapixels: int | None = None

    @property
    def text(self) -> str:
        """Three significant digits and the unit, shares as per cent."""
        if self.unit == "share":
            return f"{self.value:.0%}"
        digits = max(0, 2 - math.floor(math.log10(abs(self.value)))) if self.value else 0
        return f"{self.value:.{min(digits, 3)}f} {self.unit}"


@dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        bundle: Shipped name or folder.
        device: As for `Restorer`.
        precision: As for `Restorer`, but `auto` is `fast` from file to file, as for `restore photos`.
        tile: As for `Restorer`.
        repeat: Runs of which the median counts, after one that does not.
        megapixels: Sizes for the growth of time and memory.
    """

    bundle: str = "denoise"
    device: str = "auto"
    precision: InferenceChoice = "auto"
    tile: int | None = None
    repeat: int = 5
    megapixels: Sequence[int] = (1, 4, 16, 64, 256)


def network(setting: Setting) -> Iterator[Measurement]:
    """Forward passes beside the reference network and the matrix product of the same minute."""
    device = choose_device(setting.device)
    contenders: dict[str, RestorationNetwork] = {
        setting.bundle: Restorer.from_bundle(setting.bundle, setting.device).network,
        "DnCNN": _on(device, DnCNN()).eval(),
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
        yield Measurement(f"matrix product {MATRIX} x {MATRIX}, {precision}", peak, "TFLOP/s")
        for name, model in contenders.items():
            seconds = _forward_seconds(model, device, precision, setting.repeat if name != "DnCNN" else 2)
            yield Measurement(
                f"network {name}, {_SIDE} x {_SIDE}, {precision}", _SIDE**2 / 1e6 / seconds, "megapixels/s"
            )
            achieved = 2 * macs_per_pixel(model) * _SIDE**2 / seconds / 1e12
            yield Measurement(f"network {name}, {precision}, share of the matrix product", achieved / peak, "share")
    pixels = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), np.uint8)
    seconds = median_seconds(lambda: cv2.fastNlMeansDenoisingColored(pixels, None, 10, 10), setting.repeat)
    yield Measurement(f"OpenCV non-local means, {_SIDE} x {_SIDE}", _SIDE**2 / 1e6 / seconds, "megapixels/s")


def photo(setting: Setting) -> Iterator[Measurement]:
    """`restore photos` on a 12-megapixel JPEG and on many small ones, from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        source = _write_jpeg(Path(folder, "photo.jpg"), 3000, 4000)
        plans = plan_outputs(find_images([source]), Path(folder, "out"))
        restorer = Restorer.from_bundle(setting.bundle, setting.device, _of_photos(setting), setting.tile)
        repeat = max(2, setting.repeat // 2)
        options = BatchOptions(auto=False, overwrite=True)
        results = [result for _ in range(repeat + 1) for result in restore_files(restorer, plans, options)][1:]
    seconds = statistics.median(result.seconds for result in results)
    inside = statistics.median(result.network_seconds for result in results)
    name = f"12-megapixel JPEG to JPEG, {restorer.precision}"
    yield Measurement(f"{name}, tiles of {restorer.tile}", 12 / seconds, "megapixels/s")
    yield Measurement(f"{name}, share of the time in the network", inside / seconds, "share")
    with tempfile.TemporaryDirectory() as folder:
        for index in range(_SMALL_PHOTOS):
            _write_jpeg(Path(folder, "in", f"{index}.jpg"), *_SMALL_SIZE)
        plans = plan_outputs(find_images([Path(folder, "in")]), Path(folder, "out"))
        start = time.perf_counter()
        results = list(restore_files(restorer, plans, options))
        seconds = time.perf_counter() - start
    name = f"{_SMALL_PHOTOS} JPEGs of {_SMALL_SIZE[1]} x {_SMALL_SIZE[0]}, {restorer.precision}"
    yield Measurement(name, len(results) / seconds, "files/s")
    share = sum(result.network_seconds for result in results) / seconds
    yield Measurement(f"{name}, share of the time in the network", share, "share")


def corruption(setting: Setting) -> Iterator[Measurement]:
    """Damaging 16 crops at once where the network runs, against one by one in two loader workers."""
    device, batches = choose_device(setting.device), 30
    count = _BATCH * batches
    kinds: dict[str, Corruption] = {
        "noise": GaussianNoise(),
        "blur and noise": Compose([GaussianBlur(), GaussianNoise((0, 5))]),
        "strokes or rectangles": OneOf([StrokeMask(), RectangleMask()]),
    }
    for name, kind in kinds.items():

        def rate(loader: "DataLoader[Tensor]", batched: Corruption | None) -> float:
            iterator = iter(loader)
            next(iterator)  # the workers' start does not count
            start = time.perf_counter()
            for index, batch in enumerate(iterator):
                if batched is not None:
                    batched(batch.to(device), generator_for("damage", index, device=device))
            return (count - _BATCH) / (time.perf_counter() - start)

        here = rate(DataLoader(_Crops(None, count), batch_size=_BATCH, num_workers=2), kind)
        workers = rate(DataLoader(_Crops(kind, count), batch_size=_BATCH, num_workers=2), None)
        yield Measurement(f"{name}, in batches", here, "crops of 128 x 128/s")
        yield Measurement(f"{name}, one by one in two workers", workers, "crops of 128 x 128/s")


def training(setting: Setting) -> Iterator[Measurement]:
    """Training steps fed by the data module, against the same step on one batch in memory."""
    device = choose_device(setting.device)
    precision = choose_precision("auto" if setting.precision in {"fast", "int8"} else setting.precision, device)  # type: ignore[arg-type]
    steps = 4 * setting.repeat
    data = RestorationDataModule(batch_size=_BATCH, samples_per_epoch=_BATCH * (steps + 1))
    data.setup("fit")
    torch.manual_seed(0)
    model = _on(device, UNet())
    optimizer = Muon(model.parameters())
    batches = iter(data.train_dataloader())

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        raw = {name: value.to(device) for name, value in next(batches).items()}
        batch = data.on_after_batch_transfer(raw, 0)
        return batch["corrupted"].contiguous(memory_format=torch.channels_last), batch["mask"], batch["clean"]

    def step(corrupted: Tensor, mask: Tensor, clean: Tensor) -> None:
        with torch.autocast(device.type, compute_dtype(precision), enabled=precision != "32"):
            restored = model(corrupted, mask)
        nn.functional.l1_loss(restored, clean).backward()
        optimizer.step()
        optimizer.zero_grad()

    memory = draw()
    step(*memory)
    # In turn, so that a machine that slows down does so for both.
    bare, fed = [], []
    for _ in range(steps):
        bare.append(seconds_of(lambda: step(*memory), device))
        fed.append(seconds_of(lambda: step(*draw()), device))
    seconds, batch_pixels = statistics.median(bare), memory[2][:, 0].numel()
    yield Measurement(f"training step, batch in memory, {precision}", batch_pixels / 1e6 / seconds, "megapixels/s")
    yield Measurement("training step, cost of the data path", statistics.median(fed) / seconds - 1, "share")
    # Backward costs two forward passes.
    achieved = 3 * 2 * macs_per_pixel(model) * batch_pixels / seconds / 1e12
    peak = matrix_peak(device, precision, setting.repeat)
    yield Measurement(f"training step, {precision}, share of the matrix product", achieved / peak, "share")
    if device.type == "cuda":
        yield Measurement("training, peak memory", torch.cuda.max_memory_allocated(device) / 1e6, "MB")
    elif (peak_bytes := peak_resident()) is not None:
        yield Measurement("training, peak resident memory of this process", peak_bytes / 1e6, "MB")


def similarity(_setting: Setting) -> Iterator[Measurement]:
    """SSIM of 12 megapixels, in a process of its own."""
    code = (
        "import time, torch; from restore.scores import ssim\n"
        "a = torch.rand(1, 3, 3000, 4000); b = torch.rand_like(a); start = time.perf_counter(); ssim(a, b)\n"
        "print(time.perf_counter() - start)\n" + PRINT_PEAK
    )
    seconds, peak = run_code(code)
    yield Measurement("SSIM of 12 megapixels", seconds, "s")
    yield Measurement("SSIM of 12 megapixels, peak resident memory, both pictures included", peak * 1024 / 1e6, "MB")


def growth(setting: Setting) -> Iterator[Measurement]:
    """Time and peak resident memory of `restore photos`, a process each, from small to very large."""
    times: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in (0, *setting.megapixels):
            side = round(math.sqrt(megapixels * 1e6)) or 128
            source = _write_jpeg(Path(folder, f"{megapixels}.jpg"), side, side)
            times[megapixels], peak = _restore_in_a_process(source, Path(folder, "out"), setting)
            name = f"`restore photos`, {megapixels} megapixels" if megapixels else "`restore photos`, 128 x 128 pixels"
            yield Measurement(f"{name}, a process of its own", times[megapixels], "s", megapixels or None)
            yield Measurement(f"{name}, peak resident memory", peak / 1e6, "MB", megapixels or None)
    start = times.pop(0)
    if len(times) > 1:
        exponent = fit_exponent(list(times), list(times.values()), start)
        yield Measurement("`restore photos`, exponent of time against size, start taken off", exponent, "")


PARTS: dict[str, Callable[[Setting], Iterator[Measurement]]] = {
    "network": network,
    "photo": photo,
    "corruption": corruption,
    "training": training,
    "ssim": similarity,
    "growth": growth,
}
"""What can be measured, by name."""


class _Crops(Dataset[Tensor]):
    """Random crops, damaged one by one if there is a corruption."""

    def __init__(self, kind: Corruption | None, count: int) -> None:
        self.kind, self.count = kind, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        crop = torch.rand(3, 128, 128, generator=generator_for("crop", index))
        if self.kind is None:
            return crop
        return self.kind(crop.unsqueeze(0), generator_for("damage", index)).image[0]


def _on(device: torch.device, model: RestorationNetwork) -> RestorationNetwork:
    model.to(device)
    model.to(memory_format=torch.channels_last)
    return model


def _of_photos(setting: Setting) -> InferenceChoice:
    return "fast" if setting.precision == "auto" else setting.precision


def _forward_seconds(
    model: RestorationNetwork, device: torch.device, precision: InferencePrecision, repeat: int
) -> float:
    image = torch.rand(1, 3, _SIDE, _SIDE, device=device).contiguous(memory_format=torch.channels_last)
    mask = torch.zeros(1, 1, _SIDE, _SIDE, device=device)

    @torch.inference_mode()
    def forward() -> None:
        with torch.autocast(device.type, compute_dtype(precision), enabled=precision != "32"):
            model(image, mask)

    return median_seconds(forward, repeat, device)


def _restore_in_a_process(source: Path, out: Path, setting: Setting) -> tuple[float, float]:
    """Seconds, from start to end, and peak resident bytes."""
    command = ["photos", str(source), "--out", str(out), "--bundle", setting.bundle, "--device", setting.device]
    command += ["--precision", _of_photos(setting)]
    command += [] if setting.tile is None else ["--tile", str(setting.tile)]
    start = time.perf_counter()
    # The process reads its own mark at the end: what its parent sees of it includes the parent's own memory.
    (peak,) = run_code(f"from restore.cli.main import main; assert main({command!r}) == 0\n{PRINT_PEAK}", last=1)
    return time.perf_counter() - start, peak * 1024


def _write_jpeg(path: Path, height: int, width: int) -> Path:
    """A picture of any size, from a sample photo repeated and mirrored."""
    pixels = decode(next(photo.path for photo in sample_photos() if photo.relative.stem == "coffee")).pixels
    mirrored = np.concatenate([pixels, pixels[:, ::-1]], axis=1)
    mirrored = np.concatenate([mirrored, mirrored[::-1]], axis=0)
    rows, columns = (-(-side // length) for side, length in zip((height, width), mirrored.shape[:2], strict=True))
    path.parent.mkdir(exist_ok=True)
    large = np.tile(mirrored, (rows, columns, 1))[:height, :width]
    Image.fromarray(large).save(path, quality=92)
    return path
