"""`python -m zoo.launch train|eval|infer --gin_file=...` runs t5x's programs from its source."""

from __future__ import annotations

import runpy
import sys

from zoo.launch import compat
from zoo.records import DataError

PROGRAMS = ("train", "eval", "infer")


def main(arguments: list[str]) -> None:
    """Runs a program of t5x in this process, like `python -m t5x.PROGRAM`.

    Exits with 2 and one line on stderr if t5x cannot be imported.
    """
    try:
        if not arguments or arguments[0] not in PROGRAMS:
            got = repr(arguments[0]) if arguments else "nothing"
            raise DataError(
                f"zoo.launch: expected one of {', '.join(PROGRAMS)}, got {got}; "
                "flags after it are t5x's"
            )
        compat.prepare()
    except DataError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    program, *flags = arguments
    if not any(flag.startswith("--gin_search_paths") for flag in flags):
        flags = [f"--gin_search_paths={','.join(compat.search_paths())}", *flags]
    sys.argv = [f"t5x.{program}", *flags]
    runpy.run_module(f"t5x.{program}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
