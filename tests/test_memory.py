"""Freed memory is used again without the kernel's help."""

import subprocess
import sys

import pytest

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
