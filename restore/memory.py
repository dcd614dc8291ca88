"""Memory as the C library hands it out, for the commands; importing `restore` as a library changes nothing."""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 32 * 2**20


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
