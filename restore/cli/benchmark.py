"""`restore benchmark`: speed and memory on this machine, as a table."""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from restore.cli.options import add_device_options

if TYPE_CHECKING:
    from restore.corruption import Corruption

__all__ = ["add_arguments", "run"]

_Row = tuple[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--bundle", default="denoise", help="shipped name or folder (default: %(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="runs of which the median counts (default: %(default)s)")
    add_device_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measure, and print what was measured as it comes."""
    import torch
    from rich.console import Console

    console = Console(highlight=False)
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, device {arguments.device}")
    for section in (_network, _photo, _corruption, _memory):
        for name, value in section(arguments):
            console.print(f"{name:<72} {value:>24}", soft_wrap=True)
    return 0


def _network(arguments: argparse.Namespace) -> Iterator[_Row]:
    """Forward passes of 768 x 768 pixels, against the matrix product of the same minute."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from restore.devices import choose_device, has_fast_bfloat16
    from restore.inference.restorer import Restorer

    device = choose_device(arguments.device)
    image, side = torch.rand(3, 768, 768), 4096
    speeds: dict[str, float] = {}
    for precision in ("32", "bf16-mixed") if has_fast_bfloat16(device) else ("32",):
        restorer = Restorer.from_bundle(arguments.bundle, arguments.device, precision)
        seconds = _median(partial(restorer.restore, image), arguments.repeat)
        speeds[precision] = image[0].numel() / 1e6 / seconds
        yield f"network, {precision}, 768 x 768", f"{speeds[precision]:.2f} MP/s"
    if "bf16-mixed" not in speeds:
        return
    yield "network, bfloat16 against float32", f"{speeds['bf16-mixed'] / speeds['32']:.1f} x"
    matrix = torch.randn(side, side, dtype=torch.bfloat16, device=device)
    peak = 2 * side**3 / _median(lambda: matrix @ matrix, arguments.repeat, device) / 1e12
    with FlopCounterMode(display=False) as counter:
        restorer.network(image[None, :, :64, :64].to(device), image[None, :1, :64, :64].to(device))
    achieved = counter.get_total_flops() / 64**2 * speeds["bf16-mixed"] * 1e6 / 1e12
    yield "bfloat16 matrix product, 4096 x 4096", f"{peak:.2f} TFLOP/s"
    yield "network, share of that", f"{achieved:.2f} TFLOP/s, {achieved / peak:.0%}"


def _photo(arguments: argparse.Namespace) -> Iterator[_Row]:
    """`restore photos` on a 12-megapixel JPEG."""
    from restore.images.files import find_images, plan_outputs
    from restore.inference.batch import restore_files
    from restore.inference.restorer import Restorer

    with tempfile.TemporaryDirectory() as folder:
        source = _write_jpeg(Path(folder, "photo.jpg"), 3000, 4000)
        plans = plan_outputs(find_images([source]), Path(folder, "out"))
        restorer = Restorer.from_bundle(arguments.bundle, arguments.device, arguments.precision, arguments.tile)
        results = [result for _ in range(3) for result in restore_files(restorer, plans, overwrite=True)][1:]
    seconds = statistics.median(result.seconds for result in results)
    network = statistics.median(result.network_seconds for result in results)
    name = f"12-megapixel JPEG, {restorer.precision}, tiles of {restorer.tile}"
    yield f"{name}: decode, restore, encode, write", f"{seconds:.2f} s, {12 / seconds:.2f} MP/s"
    yield f"{name}: share of the time in the network", f"{network / seconds:.0%}"


def _corruption(arguments: argparse.Namespace) -> Iterator[_Row]:
    """Corruption of 16 crops at once where the network runs, against one by one in two loader workers."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    from restore.corruption import Compose, GaussianBlur, GaussianNoise, OneOf, RectangleMask, StrokeMask
    from restore.devices import choose_device
    from restore.seeds import generator_for

    device, batches = choose_device(arguments.device), 30

    class Clean(Dataset[torch.Tensor]):
        """Crops, corrupted one by one if there is a corruption."""

        def __init__(self, corruption: "Corruption | None") -> None:
            self.corruption = corruption

        def __len__(self) -> int:
            return 16 * batches

        def __getitem__(self, index: int) -> torch.Tensor:
            crop = torch.rand(3, 128, 128, generator=generator_for("crop", index))
            if self.corruption is None:
                return crop
            return self.corruption(crop.unsqueeze(0), generator_for("damage", index)).image[0]

    kinds: dict[str, Corruption] = {
        "noise": GaussianNoise(),
        "blur and noise": Compose([GaussianBlur(), GaussianNoise((0, 5))]),
        "strokes or rectangles": OneOf([StrokeMask(), RectangleMask()]),
    }
    for name, corruption in kinds.items():

        def rate(loader: "DataLoader[torch.Tensor]", batched: "Corruption | None") -> float:
            iterator = iter(loader)
            next(iterator)  # the workers' start does not count
            start = time.perf_counter()
            for index, batch in enumerate(iterator):
                if batched is not None:
                    batched(batch.to(device), generator_for("damage", index, device=device))
            return 16 * (batches - 1) / (time.perf_counter() - start)

        here = rate(DataLoader(Clean(None), batch_size=16, num_workers=2), corruption)
        workers = rate(DataLoader(Clean(corruption), batch_size=16, num_workers=2), None)
        yield f"{name}: crops of 128 x 128 corrupted in batches", f"{here:.0f} per second"
        yield f"{name}: one by one in two workers", f"{workers:.0f} per second"


def _memory(arguments: argparse.Namespace) -> Iterator[_Row]:
    """Peak resident memory of `restore photos` as a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for height, width in ((300, 400), (3000, 4000), (6000, 8000), (10000, 10000)):
            source = _write_jpeg(Path(folder, f"{height}.jpg"), height, width)
            start = time.perf_counter()
            peak = _peak_memory(source, Path(folder, "out"), arguments)
            seconds = time.perf_counter() - start
            decoded = height * width * 3 / 1e6
            size = f"{height * width / 1e6:.0f} megapixels" if height > 300 else "0.12 megapixels (the program itself)"
            name = f"resident memory, {size}, {decoded:.0f} MB decoded"
            yield name, f"{peak / 1e6:.0f} MB, {seconds:.1f} s"


def _peak_memory(source: Path, out: Path, arguments: argparse.Namespace) -> float:
    command = ["photos", str(source), "--out", str(out), "--bundle", arguments.bundle, "--device", arguments.device]
    command += ["--precision", arguments.precision, "--tile", str(arguments.tile)]
    # The process reads its own mark at the end: what its parent sees of it includes the parent's own memory.
    code = (
        f"from restore.cli.main import main; assert main({command!r}) == 0\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) * 1024.0


def _write_jpeg(path: Path, height: int, width: int) -> Path:
    """A noisy picture of any size, from a sample photo repeated and mirrored."""
    import numpy as np
    from PIL import Image

    from restore.images.codec import decode
    from restore.images.samples import sample_photos

    pixels = decode(next(photo.path for photo in sample_photos() if photo.relative.stem == "coffee")).pixels
    rows, columns = (-(-side // length) for side, length in zip((height, width), pixels.shape[:2], strict=True))
    large = np.pad(
        pixels, ((0, (rows - 1) * pixels.shape[0]), (0, (columns - 1) * pixels.shape[1]), (0, 0)), "symmetric"
    )
    Image.fromarray(large[:height, :width]).save(path, quality=92)
    return path


def _median(function: Callable[[], object], repeat: int, device: object = None) -> float:
    import torch

    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        function()
        if torch.device(str(device or "cpu")).type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])
