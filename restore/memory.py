"""Memory of this process: how the C library hands it out, what pictures may take, how much there was at most."""

import ctypes
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from restore.errors import UsageError

__all__ = ["PixelBudget", "extra_memory", "keep_freed_memory", "peak_resident", "return_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 32 * 2**20


class PixelBudget:
    """Pixels that may be in memory at a time; one picture may always be there, however large."""

    def __init__(self, pixels: int) -> None:
        self._limit, self._used, self._closed = pixels, 0, False
        self._changed = threading.Condition()

    def take(self, pixels: int) -> int:
        """Wait until there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._used or self._used + pixels <= self._limit)
            if self._closed:
                raise UsageError("interrupted")
            self._used += pixels
        return pixels

    def give_back(self, pixels: int) -> None:
        """Make room for those that wait."""
        with self._changed:
            self._used -= pixels
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody waits any longer."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def keep_freed_memory() -> bool:
    """Have glibc keep freed blocks of up to 32 MiB, of which a network's layers ask for the same ones again and again.

    By default they go back to the kernel, which clears every page anew: 50,000 pages for each tile of a photo. Larger
    blocks, such as decoded pictures, still go back at once.

    Returns:
        Whether it took effect: not without glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def return_freed_memory() -> None:
    """Give the system what `keep_freed_memory` has kept, before something else needs much."""
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # another C library has none
            trim(0)


def peak_resident() -> int | None:
    """The most memory that this process has had, in bytes; None where the system does not tell in this way."""
    return _status("VmHWM")


def extra_memory(function: Callable[[], object]) -> int | None:
    """Run a function, and say how much more memory the process held at most than before, in bytes.

    Freed blocks go back to the system first, so that they do not hide what the function takes.

    Returns:
        None where the system does not tell: not on Linux.
    """
    before = None
    return_freed_memory()
    if sys.platform.startswith("linux"):
        try:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # resets the mark: proc(5)
            before = _status("VmRSS")
        except OSError:  # a kernel or a container without it
            before = None
    function()
    peak = peak_resident()
    return None if before is None or peak is None else max(peak - before, 0)


def _status(name: str) -> int | None:
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), None)
