"""Time and memory of beam search over a trie on random logits, without a network.

    python benchmarks/decode_trie.py --items 1e6 --alphabet 256 2048 --length 4 --beam 50 \\
        --batch 8 32
    python benchmarks/decode_trie.py --items 1e5 1e6 1e7 --alphabet 256 2048 --length 3 4 8 \\
        --beam 10 50 100 --batch 1 8 32 \\
        --keep results/decode_trie.jsonl --minutes 9 --plot docs/decode_trie.png

Every cell times four searches in turns in one process, on the same logits:

- plain: no constraint, log-softmax and one `lax.top_k` over beam x alphabet per level;
- two-stage: the same result from `winners.best_of_all`, exact and without an array of that size;
  the fairest baseline;
- dense: a mask over the alphabet. It gathers CSR rows at the level's largest fan-out and scatters
  them to beam x alphabet, like "Vectorizing the Trie" (STATIC, YouTube 2026); our own
  straightforward implementation;
- ours: `Trie`.

The table shows ours / plain, dense / plain and ours / two-stage, bytes per item and seconds of the
build. Each time is the lower quartile over rounds, because other processes on the machine can only
add time. The script compares the results of ours and dense before it times them.

`--keep FILE` appends one line per cell as soon as it is measured and skips cells that the file
already holds: repeat the second command to continue the table. `--again` measures them again; the
last line of a cell counts. The plot shows every cell in the file, and `--readme` writes the table
of docs/performance.md from it.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import itertools
import json
import os
import pathlib
import time

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table as docids
from zoo.index import children, topk, trie
from zoo.search import beam

ROOT = pathlib.Path(__file__).parents[1]
PAGE, KEPT = ROOT / "docs" / "performance.md", ROOT / "results" / "decode_trie.jsonl"
OPEN, CLOSE = (
    "<!-- decoding: `python benchmarks/decode_trie.py --keep results/decode_trie.jsonl --readme` "
    "writes this -->",
    "<!-- end of decoding -->",
)
CELL = ("items", "alphabet", "length", "codes", "beam", "batch")
SPARSE = 8  # a skewed draw reaches few of all identifiers: draw at most one in SPARSE


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Unconstrained:
    """No constraint: every token is legal.

    `select`(score f32[B, K], logits f32[B, K, V], width) finds the best.
    """

    select: callable = dataclasses.field(metadata={"static": True})

    def start(self, batch):
        return jnp.zeros((batch, 1), jnp.int32)

    def choose(self, t, node, before, logits, *, width, score):
        total, place = self.select(
            before, logits, width=min(width, node.shape[1] * logits.shape[2])
        )
        token, parent = place % logits.shape[2], place // logits.shape[2]
        return children.Winners(total, token, token, parent)

    def leaf(self, length, node):
        return node


def plain(score, logits, *, width):
    """One `lax.top_k` over beam x alphabet."""
    total = (score[..., None] + jax.nn.log_softmax(logits, axis=-1)).reshape(len(score), -1)
    total, place = jax.lax.top_k(total, width)
    place, total = jax.lax.sort((place, total), dimension=1, num_keys=1)
    return total, place


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Dense:
    """Legal tokens as a mask over beam x alphabet; `Trie` numbers the children."""

    first: tuple[jax.Array, ...]  # L of i32[M_t + 1]
    token: tuple[jax.Array, ...]  # L of i32[M_{t+1}]
    fanout: tuple[int, ...] = dataclasses.field(metadata={"static": True})

    def start(self, batch):
        return jnp.zeros((batch, 1), jnp.int32)

    def choose(self, t, node, before, logits, *, width, score):
        first, end = self.first[t][node][..., None], self.first[t][node + 1][..., None]
        # -> [B, K, C]
        place = first + jax.lax.broadcasted_iota(jnp.int32, (*node.shape, self.fanout[t]), 2)
        token = jnp.where(place < end, self.token[t].at[place].get(mode="clip"), logits.shape[2])
        scatter = jax.vmap(jax.vmap(lambda to, where, what: to.at[where].set(what, mode="drop")))
        child = scatter(jnp.full(logits.shape, -1, jnp.int32), token, place)  # -> [B, K, V]
        total = before[..., None] + jnp.where(
            child >= 0, jax.nn.log_softmax(logits, axis=-1), -jnp.inf
        )
        total, place = jax.lax.top_k(
            total.reshape(len(node), -1), min(width, node.shape[1] * logits.shape[2])
        )
        place, total = jax.lax.sort((place, total), dimension=1, num_keys=1)
        child = jnp.maximum(topk.pick(child.reshape(len(node), -1), place), 0)
        return children.Winners(total, place % logits.shape[2], child, place // logits.shape[2])

    def leaf(self, length, node):
        return node


def draw(num_items: int, alphabet: int, length: int, law: str, seed: int = 0) -> docids.Docids:
    """Distinct identifiers of codes 1 .. alphabet, positions drawn independently.

    law: uniform, or with probability ~ 1 / code.
    """
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, alphabet + 1) if law == "zipf" else np.ones(alphabet)
    bound = np.cumsum(weight / weight.sum())[:-1]
    bits = int(alphabet).bit_length()
    keys = np.zeros(0, np.uint64)
    while len(keys) < num_items:
        drawn = np.zeros(num_items + num_items // 4, np.uint64)
        halves = np.zeros(len(drawn), np.uint64)
        # the positions that fit in one word are distinct already; the others only make
        # collisions rarer
        for t in range(length):
            code = np.searchsorted(bound, rng.random(len(drawn), np.float32), side="right").astype(
                np.uint64
            )
            if (t + 1) * bits <= 64:
                drawn = drawn << np.uint64(bits) | code
            else:
                halves = halves << np.uint64(bits) | code
        del halves
        keys = np.unique(np.concatenate([keys, drawn]))
    keys = rng.permutation(keys)[:num_items]
    fit = min(length, 64 // bits)
    tokens = np.empty((num_items, length), np.int32)
    for t in range(fit):
        tokens[:, t] = (keys >> np.uint64(bits * (fit - 1 - t))) & np.uint64(2**bits - 1)
    for t in range(fit, length):
        tokens[:, t] = np.searchsorted(bound, rng.random(num_items, np.float32), side="right")
    return docids.Docids(tokens + 1, alphabet + 1)


def dense_of(index: trie.Trie) -> Dense:
    """The nodes of a trie as plain i32 starts and tokens."""
    first, token, num_nodes = [], [], 1
    for level in index.levels:
        starts = np.asarray(jax.jit(level.first)(jnp.arange(num_nodes + 1)))
        num_nodes = int(starts[-1])
        first.append(jnp.asarray(starts))
        token.append(
            jnp.asarray(np.asarray(level.token[:num_nodes]).astype(np.int32) + level.form.low)
        )
    return Dense(tuple(first), tuple(token), tuple(int(np.diff(s).max()) for s in first))


@functools.partial(jax.jit, static_argnames="width")
def search(tables, legal, *, width):
    """Beams for logits that depend on the slot in the beam instead of the prefix.

    tables: L of f32[B, K, V].
    """

    def step(t, token, cache):
        return tables[t][:, : token.shape[1]], cache

    cache = jnp.zeros((len(tables[0]), 1))
    return beam.beam_search(step, cache, legal, width=width, length=len(tables), score="model")


def seconds(finds: dict, rounds: int) -> dict[str, float]:
    """Lower quartile of the seconds of each function, called in turns."""
    taken = {name: [] for name in finds}
    for find in finds.values():
        jax.block_until_ready(find())
    for _ in range(rounds):
        for name, find in finds.items():
            begin = time.perf_counter()
            jax.block_until_ready(find())
            taken[name].append(time.perf_counter() - begin)
    return {name: float(np.quantile(each, 0.25)) for name, each in taken.items()}


def num_bytes(index: trie.Trie) -> tuple[int, int]:
    """Bytes of a trie: (its levels, all arrays)."""
    size = lambda tree: sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
    return size(index.levels), size(index)


def measure(cell: dict, index: trie.Trie, mask: Dense | None, rounds: int) -> dict[str, float]:
    """Microseconds per query of each search; raises if ours and dense differ."""
    length, width, batch, alphabet = (
        cell[name] for name in ("length", "beam", "batch", "alphabet")
    )
    draws = (
        np.random.default_rng(1)
        .normal(size=(length, batch, width, alphabet + 1))
        .astype(np.float32)
    )
    tables = (jnp.asarray(draws[0, :, :1]), *map(jnp.asarray, draws[1:]))
    legal = {
        "ours": index,
        "plain": Unconstrained(plain),
        "two-stage": Unconstrained(functools.partial(children.best_of_all, score="model")),
    }
    legal |= {} if mask is None else {"dense": mask}
    finds = {
        name: functools.partial(search, tables, automaton, width=width)
        for name, automaton in legal.items()
    }
    if mask is not None:
        found, expected = finds["ours"](), finds["dense"]()
        np.testing.assert_allclose(found.score, expected.score, rtol=1e-5)
        # differences only where scores are equal up to rounding
        other = np.asarray(found.leaf != expected.leaf)
        np.testing.assert_allclose(
            np.asarray(found.score)[other], np.asarray(expected.score)[other], rtol=1e-6
        )
        assert other.mean() < 0.01
    return {name: round(each / batch * 1e6, 1) for name, each in seconds(finds, rounds).items()}


def rows_in(file: pathlib.Path) -> dict[tuple, dict]:
    """The last row of each cell in a file; ignores a truncated line."""
    rows = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        rows[tuple(row[name] for name in CELL)] = row
    return rows


def ratio(row: dict, name: str, to: str) -> float:
    return row["us"].get(name, float("nan")) / row["us"][to]


def line(row: dict) -> str:
    return (
        f"{row['items']:9d} {row['alphabet']:5d} {row['length']:2d} {row['codes']:>7} | "
        f"{row['built']:7.2f} {row['levels']:6.2f} {row['bytes']:6.2f} |"
        f" {row['beam']:4d} {row['batch']:5d} | {row['us']['ours']:8.0f} "
        f"{ratio(row, 'ours', 'plain'):6.2f} {ratio(row, 'ours', 'two-stage'):7.2f}"
        f" {ratio(row, 'dense', 'plain'):11.2f}"
    )


def table(rows: dict[tuple, dict]) -> str:
    """Markdown table of the cells of length 4 and beam 50."""
    lines = [
        "| identifiers | codes | bytes each | dense mask's | batch | µs a query | / unconstrained "
        "| / two-stage | dense mask / unconstrained |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    shown = sorted(
        (cell, row)
        for cell, row in rows.items()
        if (row["length"], row["beam"]) == (4, 50) and row["batch"] > 1
    )
    for _, row in shown:
        lines.append(
            f"| {row['items']:,} | 4 x {row['alphabet']:,}, {row['codes']} | {row['bytes']:.1f} | "
            f"{row.get('dense_bytes', float('nan')):.1f} | {row['batch']} | "
            f"{row['us']['ours']:,.0f} |"
            f" {ratio(row, 'ours', 'plain'):.2f} | {ratio(row, 'ours', 'two-stage'):.2f} | "
            f"{ratio(row, 'dense', 'plain'):.2f} |"
        )
    machines = "; ".join(sorted({row["machine"] for _, row in shown}))
    about = (
        "Beam 50, random logits, whole searches in turns, lower quartiles; two-stage: "
        "without a constraint, but with our selection of the best."
    )
    return "\n".join([*lines, "", f"{about} Measured on {machines}."]).replace(" nan ", " - ")


def replaced(page: str, rows: dict[tuple, dict]) -> str:
    """The page with its table replaced by these rows."""
    before, rest = page.split(OPEN)
    return f"{before}{OPEN}\n{table(rows)}\n{CLOSE}{rest.split(CLOSE)[1]}"


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=float, nargs="+", default=[1e6])
    parser.add_argument("--alphabet", type=int, nargs="+", default=[256, 2048])
    parser.add_argument("--length", type=int, nargs="+", default=[4])
    parser.add_argument(
        "--codes", nargs="+", choices=["uniform", "zipf"], default=["uniform", "zipf"]
    )
    parser.add_argument("--beam", type=int, nargs="+", default=[50])
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument(
        "--no-dense", action="store_true", help="leave out the dense mask, by far the slowest"
    )
    parser.add_argument(
        "--keep",
        metavar="FILE.jsonl",
        type=pathlib.Path,
        help="append one line per cell; skip cells that the file holds",
    )
    parser.add_argument(
        "--again", action="store_true", help="measure cells that the file holds again"
    )
    parser.add_argument(
        "--minutes", type=float, default=float("inf"), help="start no new cell after this time"
    )
    parser.add_argument("--plot", metavar="FILE.png")
    parser.add_argument(
        "--readme", action="store_true", help="write the table of docs/performance.md"
    )
    options = parser.parse_args(arguments or None)

    begun = time.perf_counter()
    machine = (
        f"{len(os.sched_getaffinity(0))} cores, {jax.devices()[0].device_kind}, "
        f"jax {jax.__version__}"
    )
    rows = rows_in(options.keep) if options.keep else {}
    print(
        f"{'items':>9} {'V':>5} {'L':>2} {'codes':>7} | {'build s':>7} {'B/item':>6} {'all':>6} | "
        f"{'beam':>4} {'batch':>5} |"
        f" {'us/query':>8} {'/plain':>6} {'/two-st':>7} {'dense/plain':>11}",
        flush=True,
    )
    for num_items, alphabet, length, law in itertools.product(
        map(int, options.items), options.alphabet, options.length, options.codes
    ):
        cells = [
            dict(zip(CELL, (num_items, alphabet, length, law, *pair)))
            for pair in itertools.product(options.beam, options.batch)
        ]
        if num_items * (SPARSE if law == "zipf" else 1) > alphabet**length:
            print(
                f"{num_items:9d} {alphabet:5d} {length:2d} {law:>7} | too few identifiers are "
                "likely under this law",
                flush=True,
            )
            continue
        known = {} if options.again else rows
        for cell in cells:
            if (done := known.get(tuple(cell.values()))) is not None:
                print(line(done), "(kept)", flush=True)
        cells = [cell for cell in cells if tuple(cell.values()) not in known]
        if not cells or time.perf_counter() - begun > 60 * options.minutes:
            continue
        jax.clear_caches()  # each program maps memory, and Linux ends a process at 65,530 maps
        ids = draw(num_items, alphabet, length, law)
        began = time.perf_counter()
        index = jax.block_until_ready(trie.build(ids))
        built = time.perf_counter() - began
        levels, whole = (size / num_items for size in num_bytes(index))
        mask = None if options.no_dense else dense_of(index)
        about = {
            "built": round(built, 3),
            "levels": round(levels, 2),
            "bytes": round(whole, 2),
            "machine": machine,
        }
        if mask is not None:
            about["dense_bytes"] = round(
                sum(leaf.nbytes for leaf in jax.tree.leaves(mask)) / num_items, 2
            )
        for cell in cells:
            if time.perf_counter() - begun > 60 * options.minutes:
                break
            row = cell | about | {"us": measure(cell, index, mask, options.rounds)}
            rows[tuple(cell.values())] = row
            print(line(row), flush=True)
            if options.keep:
                with options.keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    if options.plot:
        plot(rows, options.plot)
    if options.readme:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")


def plot(rows: dict[tuple, dict], file: str) -> None:
    """Plots all cells: one panel per alphabet, length and law of the codes.

    Beams and batches run along the panel; each number of items has its colour.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    panels, sizes, places = (
        sorted({part(cell) for cell in rows})
        for part in (lambda c: c[1:4], lambda c: c[0], lambda c: c[4:])
    )
    # numbers of items with every cell measured
    panels = [
        panel
        for panel in panels
        if len({cell[4:] for cell in rows if cell[1:4] == panel}) == len(places)
    ]
    across = min(len(panels), max(len({length for _, length, _ in panels}), 2))
    down = -(-len(panels) // across)
    figure, axes = plt.subplots(
        down,
        across,
        figsize=(1 + 4 * across, 1 + 2.6 * down),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    kinds = [
        ("ours", "plain", "o", "ours / plain"),
        ("ours", "two-stage", "_", "ours / two-stage"),
        ("dense", "plain", "x", "dense mask / plain"),
    ]
    for panel, axis in zip(panels, axes.flat):
        for (name, to, marker, kind), (i, size) in itertools.product(kinds, enumerate(sizes)):
            cells = [
                (places.index(cell[4:]), ratio(row, name, to))
                for cell, row in rows.items()
                if cell[0] == size and cell[1:4] == panel
            ]
            shift = (i - (len(sizes) - 1) / 2) * 0.25
            axis.scatter(
                [x + shift for x, _ in cells],
                [y for _, y in cells],
                marker=marker,
                color=f"C{i}",
                s=28,
                label=f"{kind}, {size:.0e} items",
            )
        axis.axhline(1, color="0.4", linewidth=0.8)
        axis.set(yscale="log", title="{} codes, {} a document, {}".format(*panel))
        axis.set_xticks(
            range(len(places)), [f"{beam} x {batch}" for beam, batch in places], rotation=60
        )
        axis.yaxis.set_major_formatter(lambda y, _: f"{y:g}")
        axis.set_yticks([0.1, 0.2, 0.5, 1, 2, 5])
        axis.minorticks_off()
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    drawn = [ratio(row, "ours", "plain") for cell, row in rows.items() if cell[1:4] in panels]
    figure.suptitle(
        "Searching the trie is cheaper than searching without a constraint in "
        f"{sum(value < 1 for value in drawn)} of {len(drawn)} settings"
    )
    for axis in axes[-1]:
        axis.set_xlabel("beam x batch")
    for axis in axes[:, 0]:
        axis.set_ylabel("time of the loop, ratio")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(kinds),
        fontsize=8,
    )
    figure.savefig(file, dpi=130)
    plt.close(figure)


if __name__ == "__main__":
    main()
