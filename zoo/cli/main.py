"""The command line: `python -m zoo`, installed as `zoo`."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
from collections.abc import Sequence

from zoo import records
from zoo.cli import compiled, flags, parser
from zoo.train import interrupts

BAD_INPUT, INTERRUPTED = flags.BAD_INPUT, 130  # exit codes
FEW_CORES = 8  # up to which all threads share one malloc arena


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    0, also after a SIGTERM whose checkpoint is kept; BAD_INPUT with one line on stderr;
    INTERRUPTED after Ctrl-C.
    """
    _keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # an answer may hold characters that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if arguments is None:  # a process of its own
            compiled.keep()
        parsed = parser.parser().parse_args(arguments)
        if hasattr(parsed, "data") and hasattr(parsed, "columns"):
            parsed.data = flags.with_columns(parsed.data, parsed.columns)
        parsed.run(parsed)
        sys.stdout.flush()
    except (records.DataError, FloatingPointError, OSError) as error:
        # the reader has closed the pipe, as in `zoo retrieve ... | head`
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"zoo: {records.printable(' '.join(str(error).split()))}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as error:
        preempted = isinstance(error, interrupts.Preempted)
        print(f"zoo: {str(error) or 'interrupted'}", file=sys.stderr, flush=True)
        # jaxlib crashes in an orderly shutdown if its compiler was interrupted
        if arguments is None:
            os._exit(0 if preempted else INTERRUPTED)
        return 0 if preempted else INTERRUPTED
    return 0


def _keep_freed_memory() -> None:
    """Lets glibc reuse freed memory instead of returning it; call it before JAX starts threads.

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
