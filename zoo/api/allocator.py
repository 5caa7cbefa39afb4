"""How the C library's allocator treats the memory that XLA frees."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os

FEW_CORES = 8  # up to which all threads share one malloc arena


@functools.cache
def keep_freed_memory() -> None:
    """Lets glibc reuse freed memory instead of returning it; best before JAX starts threads.

    XLA on a CPU allocates its temporaries anew in each step: 150 MB of page faults per step of DSI
    `small`, a quarter of the processor time (250 ms against 185 ms on both cores). With many cores
    the compiler's threads would all wait for the lock of one arena, so there each keeps its own
    (beside an H100, with 16 cores and one arena, a first step took 50 s and three quarters of the
    processor time were the kernel's; not measured since).
    """
    trim, mmap, arenas = -1, -3, -8  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX of malloc.h
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((trim, 2**31 - 1), (mmap, 2**31 - 1), (arenas, 1)):
            if option != arenas or (os.cpu_count() or 1) <= FEW_CORES:
                mallopt(option, value)
