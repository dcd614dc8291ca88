"""How time, arithmetic and memory are taken."""

import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from restore.devices import InferencePrecision, compute_dtype
from restore.memory import extra_memory
from restore.models.base import RestorationNetwork

__all__ = [
    "PRINT_PEAK",
    "copy_rate",
    "fit_exponent",
    "macs_per_pixel",
    "matrix_peak",
    "matrix_sides",
    "median_seconds",
    "memory_of",
    "run_code",
    "seconds_of",
]

_SIDES = {"cpu": (1024, 2048, 4096), "cuda": (4096, 8192, 16384)}
_COPIED_BYTES = {"cpu": 2**28, "cuda": 2**31}
# On a GPU, whose clock rises under load and whose kernels take less than a clock on the CPU tells apart.
_WARM_UP_SECONDS, _TIMED_SECONDS = 0.5, 0.05

PRINT_PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
"""Code for `run_code`: prints the most resident memory that the process had, in units of 1,024 bytes."""


def macs_per_pixel(model: RestorationNetwork) -> float:
    """Multiply-adds of a forward pass per pixel of a picture, in colour unless the network is grey, at 256 x 256."""
    device = next(model.parameters()).device
    image = torch.zeros(1, model.channels, 256, 256, device=device)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(image, image[:, :1])
    return float(counter.get_total_flops()) / 2 / 256**2


def median_seconds(function: Callable[[], object], repeat: int, device: torch.device | str = "cpu") -> float:
    """Median time of a run, after one that does not count; on a GPU, of runs in a row after half a second of them."""
    device = torch.device(device)
    if device.type != "cuda":
        function()
        return statistics.median(seconds_of(function, device) for _ in range(repeat))
    start, warm_up = time.perf_counter(), 0
    while time.perf_counter() - start < _WARM_UP_SECONDS:
        seconds_of(function, device)
        warm_up += 1
    runs = max(1, math.ceil(warm_up * _TIMED_SECONDS / _WARM_UP_SECONDS))

    def in_a_row() -> None:
        for _ in range(runs):
            function()

    return statistics.median(seconds_of(in_a_row, device) / runs for _ in range(repeat))


def fit_exponent(sizes: Sequence[float], seconds: Sequence[float], start: float = 0.0) -> float:
    """The exponent e of seconds = start + b * size^e, by least squares on logarithms.

    Args:
        sizes: At least two.
        seconds: As many.
        start: What starting the program takes, whatever the size.
    """
    slope, _ = np.polyfit(np.log(sizes), np.log([max(value - start, 1e-9) for value in seconds]), 1)
    return float(slope)


def matrix_sides(device: torch.device) -> Sequence[int]:
    """Sides of the square matrices of which the fastest product is the limit."""
    return _SIDES.get(device.type, _SIDES["cpu"])


def matrix_peak(device: torch.device, precision: InferencePrecision, repeat: int) -> float:
    """Operations per second of the fastest matrix product, in units of 10^12: the limit of what a network can reach."""
    best = 0.0
    for side in matrix_sides(device):
        if precision == "int8":
            integers = torch.randint(-127, 128, (side, side), dtype=torch.int8, device=device)
            product = partial(torch._int_mm, integers, integers)  # there is no public one
        else:
            matrix = torch.randn(side, side, device=device).to(compute_dtype(precision))
            product = partial(torch.matmul, matrix, matrix)
        best = max(best, 2 * side**3 / median_seconds(product, repeat, device) / 1e12)
    return best


def copy_rate(device: torch.device, repeat: int) -> float:
    """Bytes per second, in units of 10^9, read and written by a copy within the device's memory."""
    size = _COPIED_BYTES.get(device.type, _COPIED_BYTES["cpu"])
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    return 2 * size / median_seconds(lambda: target.copy_(source), repeat, device) / 1e9


def seconds_of(function: Callable[[], object], device: torch.device) -> float:
    """Time of one run, with all that it left to the device."""
    _finish(device)
    start = time.perf_counter()
    function()
    _finish(device)
    return time.perf_counter() - start


def memory_of(function: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that a run holds at most beyond those before it, on the device; None where the system does not tell."""
    if device.type != "cuda":
        return extra_memory(function)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    function()
    return torch.cuda.max_memory_allocated(device) - before


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run_code(code: str, last: int = 2) -> list[float]:
    """The last numbers that Python code prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()[-last:]]
