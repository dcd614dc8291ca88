"""How time, arithmetic and memory are taken."""

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
from restore.models.base import RestorationNetwork

__all__ = [
    "MATRIX",
    "PRINT_PEAK",
    "fit_exponent",
    "macs_per_pixel",
    "matrix_peak",
    "median_seconds",
    "run_code",
    "seconds_of",
]

MATRIX = 4096
"""Side of the matrices whose product is the limit."""

PRINT_PEAK = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
"""Code for `run_code`: prints the most resident memory that the process had, in units of 1,024 bytes."""


def macs_per_pixel(model: RestorationNetwork) -> float:
    """Multiply-adds of a forward pass per pixel of a colour picture, at 256 x 256."""
    device = next(model.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(torch.zeros(1, 3, 256, 256, device=device), torch.zeros(1, 1, 256, 256, device=device))
    return float(counter.get_total_flops()) / 2 / 256**2


def median_seconds(function: Callable[[], object], repeat: int, device: torch.device | str = "cpu") -> float:
    """Median time of some runs, after one that does not count."""
    function()
    return statistics.median(seconds_of(function, torch.device(device)) for _ in range(repeat))


def fit_exponent(sizes: Sequence[float], seconds: Sequence[float], start: float = 0.0) -> float:
    """The exponent e of seconds = start + b * size^e, by least squares on logarithms.

    Args:
        sizes: At least two.
        seconds: As many.
        start: What starting the program takes, whatever the size.
    """
    slope, _ = np.polyfit(np.log(sizes), np.log([max(value - start, 1e-9) for value in seconds]), 1)
    return float(slope)


def matrix_peak(device: torch.device, precision: InferencePrecision, repeat: int) -> float:
    """Operations per second of a matrix product, in units of 10^12: the limit of what a network can reach."""
    if precision == "int8":
        integers = torch.randint(-127, 128, (MATRIX, MATRIX), dtype=torch.int8, device=device)
        product = partial(torch._int_mm, integers, integers)  # there is no public one
        return 2 * MATRIX**3 / median_seconds(product, repeat, device) / 1e12
    matrix = torch.randn(MATRIX, MATRIX, device=device).to(compute_dtype(precision))
    return 2 * MATRIX**3 / median_seconds(partial(torch.matmul, matrix, matrix), repeat, device) / 1e12


def seconds_of(function: Callable[[], object], device: torch.device) -> float:
    """Time of one run, with all that it left to the device."""
    _finish(device)
    start = time.perf_counter()
    function()
    _finish(device)
    return time.perf_counter() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run_code(code: str, last: int = 2) -> list[float]:
    """The last numbers that Python code prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(word) for word in done.stdout.split()[-last:]]
