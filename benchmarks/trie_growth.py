"""Time and memory of building, changing, filtering and loading a trie, beside rebuilding it.

python benchmarks/trie_growth.py --items 1e6 --alphabet 2048 --length 4
python benchmarks/trie_growth.py --items 2e7 --alphabet 2048 --length 8     (about 20 GB)
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import tempfile
import time

import decode_trie
import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table
from zoo.index import filters, growth, store, trie


def timed(name: str, call, against: float | None = None, *, rounds: int = 3):
    """The result of a call; prints its minimum seconds, and the first, which compiles."""
    taken = []
    for _ in range(rounds):
        begin = time.perf_counter()
        result = jax.block_until_ready(call())
        taken.append(time.perf_counter() - begin)
    best = min(taken)
    print(
        f"{name:<44} {best:9.3f} s" + (f"   {best / against:6.3f} x build" if against else ""),
        flush=True,
    )
    return result, best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=float, default=1e6)
    parser.add_argument("--alphabet", type=int, default=2048)
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--codes", choices=["uniform", "zipf"], default="uniform")
    parser.add_argument("--changed", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    num_items, changed = int(options.items), options.changed
    ids = decode_trie.draw(num_items + changed, options.alphabet, options.length, options.codes)
    old, new = (
        table.Docids(ids.tokens[part], ids.alphabet)
        for part in (slice(changed, None), slice(changed))
    )
    print(
        f"{num_items} identifiers of {options.length} x {options.alphabet}, {options.codes}; "
        f"identifiers themselves {old.tokens.nbytes / 2**30:.2f} GB"
    )

    def build():
        return trie.build(table.Docids(old.tokens, old.alphabet))

    index, built = timed("build", build, rounds=options.rounds)
    print(
        f"{'bytes an item':<44} "
        f"{sum(leaf.nbytes for leaf in jax.tree.leaves(index)) / num_items:9.2f}"
    )
    print(
        f"{'peak memory so far':<44} "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:9.2f} GB"
    )
    if num_items > 5_000_000:
        return
    timed(f"add {changed}", lambda: growth.add(index, new, num_items + np.arange(changed)), built)
    timed(f"remove {changed}", lambda: growth.remove(index, np.arange(changed)), built)
    timed(
        "keep a random half",
        lambda: filters.keep(index, np.random.default_rng(0).random(num_items) < 0.5),
        built,
    )
    rows = jnp.asarray(np.random.default_rng(0).integers(0, num_items, (32, 50)))
    tokens = jnp.asarray(old.tokens)[rows]
    exclude = jax.jit(filters.without)
    timed("exclude 50 of each of 32 queries", lambda: exclude(index, tokens, rows), built)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "trie"
        timed("save", lambda: store.save(index, path), built, rounds=1)
        timed("load", lambda: store.load(path), built)
        timed("load, memory-mapped", lambda: store.load(path, mapped=True), built)


if __name__ == "__main__":
    main()
