"""Writes the results of a demo into docs/results.md: `python benchmarks/readme.py demo`.

Run `make demo` first. Stores the numbers in results/pydocs.json and the picture in docs/hits.png,
which the README also shows. Replaces the table between two marks of the page.
"""

from __future__ import annotations

import json
import pathlib
import shutil
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS, PICTURE, PAGE = (
    ROOT / "results" / "pydocs.json",
    ROOT / "docs" / "hits.png",
    ROOT / "docs" / "results.md",
)
OPEN, CLOSE = "<!-- results: `make readme` writes this -->", "<!-- end of results -->"


def block(results: dict) -> str:
    """The text between the marks."""
    return f"\n{results['table']}\n\nMeasured on {results['machine']}.\n"


def replaced(page: str, results: dict) -> str:
    """The text of the page with the block of these results."""
    before, rest = page.split(OPEN)
    return before + OPEN + block(results) + CLOSE + rest.split(CLOSE)[1]


def main(demo: str) -> None:
    shutil.copy(pathlib.Path(demo) / "results.json", RESULTS)
    shutil.copy(pathlib.Path(demo) / "hits.png", PICTURE)
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
