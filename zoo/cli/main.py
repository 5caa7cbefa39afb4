"""The command line: `python -m zoo`, installed as `zoo`."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from zoo import records
from zoo.api import allocator
from zoo.cli import compiled, flags, parser
from zoo.train import interrupts

BAD_INPUT, INTERRUPTED = flags.BAD_INPUT, 130  # exit codes


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    0, also after a SIGTERM whose checkpoint is kept; BAD_INPUT with one line on stderr;
    INTERRUPTED after Ctrl-C.
    """
    allocator.keep_freed_memory()
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
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "RESOURCE_EXHAUSTED" not in str(error):  # XLA's
            raise
        print(
            f"zoo: not enough memory ({' '.join(str(error).split())}); choose smaller sizes",
            file=sys.stderr,
        )
        return BAD_INPUT
    except KeyboardInterrupt as error:
        preempted = isinstance(error, interrupts.Preempted)
        print(f"zoo: {str(error) or 'interrupted'}", file=sys.stderr, flush=True)
        # jaxlib crashes in an orderly shutdown if its compiler was interrupted
        if arguments is None:
            os._exit(0 if preempted else INTERRUPTED)
        return 0 if preempted else INTERRUPTED
    return 0
