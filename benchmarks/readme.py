"""Writes what a demo measured into the README: `python benchmarks/readme.py demo` after `make demo`.

Keeps the numbers as results/pydocs.json and the picture as docs/hits.png; the table stands between two marks of the README.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS, PICTURE, README = (
    ROOT / "results" / "pydocs.json",
    ROOT / "docs" / "hits.png",
    ROOT / "README.md",
)
OPEN, CLOSE = "<!-- results: `make readme` writes this -->", "<!-- end of results -->"


def block(results: dict) -> str:
    """What stands between the marks."""
    return f"\n{results['table']}\n\nMeasured on {results['machine']}.\n"


def replaced(readme: str, results: dict) -> str:
    """The README with the block of these results."""
    before, rest = readme.split(OPEN)
    return before + OPEN + block(results) + CLOSE + rest.split(CLOSE)[1]


def main(demo: str) -> None:
    shutil.copy(pathlib.Path(demo) / "results.json", RESULTS)
    shutil.copy(pathlib.Path(demo) / "hits.png", PICTURE)
    README.write_text(
        replaced(
            README.read_text(encoding="utf-8"), json.loads(RESULTS.read_text(encoding="utf-8"))
        ),
        encoding="utf-8",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
