"""Freed memory is used again without the kernel's help."""

import subprocess
import sys

import pytest
import torch

from restore.memory import extra_memory, peak_resident

_PROGRAM = """
import resource, torch
from restore.memory import keep_freed_memory
torch.set_num_threads(1)
assert keep_freed_memory()
def layers():
    blocks = [torch.ones(5 << 20) for _ in range(8)]  # 20 MiB each
layers()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    layers()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets an option of glibc")
def test_blocks_that_come_again_cost_few_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    pages_asked_for = 20 * 8 * 20 * 256
    assert int(done.stdout) < pages_asked_for / 5  # without it, nearly all of them


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_what_a_function_takes_is_told_apart_from_what_was_there() -> None:
    def take(mebibytes: int) -> None:
        torch.ones(mebibytes << 18)

    held = torch.ones(100 << 18)
    small, large = extra_memory(lambda: take(50)), extra_memory(lambda: take(200))
    assert small is not None
    assert large is not None
    assert small == pytest.approx(50 << 20, rel=0.1)
    assert large == pytest.approx(200 << 20, rel=0.1)
    peak = peak_resident()
    assert peak is not None
    assert peak > held.nbytes + large
