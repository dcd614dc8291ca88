"""What grows with the picture: seconds and resident memory, each in a process of its own."""

import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from restore.benchmark.measurement import Measurement, Setting, write_jpeg
from restore.benchmark.timing import PRINT_PEAK, fit_exponent, run_code
from restore.inference.restorer import Restorer

__all__ = ["growth", "similarity"]


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
    restorer = Restorer.from_bundle(setting.bundle, setting.device, setting.precision_of_photos, setting.tile)
    channels, command = restorer.network.channels, f"`restore photos`, {setting.bundle}, {restorer.precision}"
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in (0, *setting.megapixels):
            side = round(math.sqrt(megapixels * 1e6)) or 128
            source = write_jpeg(Path(folder, f"{megapixels}.jpg"), side, side, channels)
            times[megapixels], peak = _restore_in_a_process(source, Path(folder, "out"), setting)
            name = f"{command}, {f'{megapixels} megapixels' if megapixels else '128 x 128 pixels'}"
            yield Measurement(f"{name}, a process of its own", times[megapixels], "s", megapixels or None)
            yield Measurement(f"{name}, peak resident memory", peak / 1e6, "MB", megapixels or None)
    start = times.pop(0)
    if len(times) > 1:
        exponent = fit_exponent(list(times), list(times.values()), start)
        yield Measurement(f"{command}, exponent of time against size, start taken off", exponent, "")


def _restore_in_a_process(source: Path, out: Path, setting: Setting) -> tuple[float, float]:
    """Seconds, from start to end, and peak resident bytes."""
    command = ["photos", str(source), "--out", str(out), "--bundle", setting.bundle, "--device", setting.device]
    command += ["--precision", setting.precision_of_photos, "--no-auto"]  # a clean picture is otherwise copied
    command += [] if setting.tile is None else ["--tile", str(setting.tile)]
    start = time.perf_counter()
    # The process reads its own mark at the end: what its parent sees of it includes the parent's own memory.
    (peak,) = run_code(f"from restore.cli.main import main; assert main({command!r}) == 0\n{PRINT_PEAK}", last=1)
    return time.perf_counter() - start, peak * 1024
