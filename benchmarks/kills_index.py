"""Saves a trie of 200,000 identifiers to a folder; the command that `kills.py` kills.

python benchmarks/kills_index.py OUT
"""

from __future__ import annotations

import sys

import numpy as np

from zoo.docids import table
from zoo.index import store, trie

COUNT, LENGTH, ALPHABET = 200_000, 4, 256


def main() -> None:
    rng = np.random.default_rng(0)
    rows = np.unique(1 + rng.integers(ALPHABET - 1, size=(COUNT, LENGTH)), axis=0)
    index = trie.build(table.Docids(np.ascontiguousarray(rows, np.int32), ALPHABET))
    try:
        store.save(index, sys.argv[1])
    except FileExistsError as error:
        sys.exit(f"already saved: {error}")


if __name__ == "__main__":
    main()
