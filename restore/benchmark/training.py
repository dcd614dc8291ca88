"""Speed and memory of training."""

import statistics
import time
from collections.abc import Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from restore.benchmark.measurement import Measurement, Setting, place_network
from restore.benchmark.timing import macs_per_pixel, matrix_peak, seconds_of
from restore.corruption import Compose, Corruption, GaussianBlur, GaussianNoise, OneOf, RectangleMask, StrokeMask
from restore.data import RestorationDataModule
from restore.devices import choose_device, choose_precision, computing_in
from restore.memory import peak_resident
from restore.models import UNet
from restore.seeds import generator_for
from restore.tasks import Muon

__all__ = ["corruption", "training"]

_BATCH = 16


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
            if device.type == "cuda":
                torch.cuda.synchronize(device)
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
    model = place_network(UNet(), device)
    optimizer = Muon(model.parameters())
    batches = iter(data.train_dataloader())

    def draw() -> tuple[Tensor, Tensor, Tensor]:
        raw = {name: value.to(device) for name, value in next(batches).items()}
        batch = data.on_after_batch_transfer(raw, 0)
        return batch["corrupted"].contiguous(memory_format=torch.channels_last), batch["mask"], batch["clean"]

    def step(corrupted: Tensor, mask: Tensor, clean: Tensor) -> None:
        with computing_in(precision, device):
            restored = model(corrupted, mask)
        with computing_in("32", device) if precision == "32" else nullcontext():  # convolutions of the way back, too
            nn.functional.l1_loss(restored, clean).backward()
        optimizer.step()
        optimizer.zero_grad()

    memory = draw()
    step(*memory)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    # In turn, so that a machine that slows down does so for both.
    bare, fed = [], []
    for _ in range(steps):
        bare.append(seconds_of(lambda: step(*memory), device))
        fed.append(seconds_of(lambda: step(*draw()), device))
    seconds, batch_pixels = statistics.median(bare), memory[2][:, 0].numel()
    yield Measurement(f"training step, batch in memory, {precision}", batch_pixels / 1e6 / seconds, "megapixels/s")
    fed_seconds = statistics.median(fed)
    name = f"training step, fed by the data path, {precision}"
    yield Measurement(name, _BATCH / fed_seconds, "crops of 128 x 128/s")
    yield Measurement(f"training step, cost of the data path, {precision}", fed_seconds / seconds - 1, "share")
    # Backward costs two forward passes.
    achieved = 3 * 2 * macs_per_pixel(model) * batch_pixels / seconds / 1e12
    peak_bytes = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    peak = matrix_peak(device, precision, setting.repeat)
    yield Measurement(f"training step, {precision}, share of the matrix product", achieved / peak, "share")
    if peak_bytes is not None:
        yield Measurement(f"training, {precision}, peak memory on the GPU", peak_bytes / 1e6, "MB")
    elif (peak_bytes := peak_resident()) is not None:
        yield Measurement(f"training, {precision}, peak resident memory of this process", peak_bytes / 1e6, "MB")


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
