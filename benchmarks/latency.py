"""What a user waits for: opening, compilation, a warm query, batches, by number of documents.

    python benchmarks/latency.py --documents 1e3 1e5 --keep results/latency.jsonl
    python benchmarks/latency.py --folder runs/dsi --queries pydocs

The first form needs no fit: a network of DSI `small` with random weights over random identifiers
(times do not depend on the values), whole calls of `zoo.open(...)`, medians, with the model's own
time measured in turn. The second compares beams, and MLPs in blocks of rows with MLPs in one piece,
of a fitted system, in one run; with `--queries` also its nDCG@10 on the dev split.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

import jax
import numpy as np

import zoo
from zoo import recipes, records
from zoo.api import fitted as stored
from zoo.data import toy
from zoo.docids import table
from zoo.models import encoder_decoder, generate
from zoo.nets import linear, network, transformer

LENGTH, CODES, K, BATCH = 4, 256, 10, 64
HEADER = (
    "| documents | open s | first query s | warm query ms | model ms | ratio "
    "| batch of 64: ms | queries/s | memory GB |\n"
    "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=float, nargs="*", default=[])
    parser.add_argument("--keep", type=pathlib.Path, help="append the rows to this file")
    parser.add_argument("--folder", help="a fitted system to compare beams and blocks of")
    parser.add_argument("--queries", help="its data, to measure nDCG@10 on")
    parser.add_argument("--cold", action="store_true", help="time `zoo retrieve FOLDER` twice")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(row_of(options.one, options.rounds)))
        return
    if options.documents:
        print(HEADER)
    for count in options.documents:  # a process each, so that memory is its own
        command = [sys.executable, __file__, "--one", f"{count:.0f}"]
        done = subprocess.run(
            [*command, "--rounds", str(options.rounds)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        row = json.loads(done.stdout.splitlines()[-1])
        print(line_of(row), flush=True)
        if options.keep:
            with open(options.keep, "a") as out:
                out.write(json.dumps(row) + "\n")
    if options.folder:
        compare(options.folder, options.queries, options.rounds)
    if options.cold:
        cold(options.folder)
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, jax {jax.__version__}")


def line_of(row: dict) -> str:
    return (
        f"| {row['documents']:,} | {row['open']:.1f} | {row['first']:.1f} | {row['warm']:.1f} "
        f"| {row['model']:.1f} | {row['warm'] / row['model']:.2f} | {row['batch']:.0f} "
        f"| {1000 * BATCH / row['batch']:.0f} | {row['memory']:.1f} |"
    )


def row_of(count: int, rounds: int) -> dict:
    """Times of a system of so many documents."""
    fitted = random_system(count)
    started = time.perf_counter()
    ask = zoo.open(fitted)
    opened = time.perf_counter() - started
    query, many = "bab cec dad", [f"bab cec {number}" for number in range(BATCH)]
    started = time.perf_counter()
    ask(query, K)
    first = time.perf_counter() - started
    ask(many, K)
    own = model_call(ask.ask, query)
    own()
    warm, model, batch = [], [], []
    for _ in range(rounds):  # in turns
        for times, call in (
            (warm, lambda: ask(query, K)),
            (model, own),
            (batch, lambda: ask(many, K)),
        ):
            started = time.perf_counter()
            call()
            times.append(1000 * (time.perf_counter() - started))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    middle = statistics.median
    return {
        "documents": count,
        "open": opened,
        "first": first,
        "warm": middle(warm),
        "model": middle(model),
        "batch": middle(batch),
        "memory": memory,
    }


def model_call(opened: generate.Opened, query: str):
    """A call of the jitted search alone, its source ready."""
    source = jax.numpy.asarray(opened.read(records.Queries(("0",), (query,))))
    model, width = opened.model, opened.width(K)
    widths = (max(opened.first, width), width)[-model.net.spec.target_length :]
    return lambda: jax.block_until_ready(
        generate.answer(
            model.params,
            source,
            opened.legal,
            opened.legal,
            None,
            how=generate.How(model.net, opened.decode, width, widths, opened.collect),
        )
    )


def random_system(count: int) -> stored.Fitted:
    """DSI `small` over `count` documents with random identifiers and weights."""
    small = zoo.fit("dsi", toy.build(50), size="tiny", options={"steps": 1}, quiet=True)
    config = recipes.get("dsi").presets["small"]
    rng = np.random.default_rng(0)
    drawn = np.unique(rng.integers(0, CODES**LENGTH, int(count * 1.01) + 100))[:count]
    codes = 1 + np.stack([drawn // CODES**level % CODES for level in range(LENGTH)], axis=1)
    ids = table.offset(table.build(codes[rng.permutation(len(codes))].astype(np.int32)))
    names = tuple(f"d{row}" for row in range(len(codes)))
    corpus = records.Corpus(names, names, ("",) * len(names))
    sizes = encoder_decoder.sizes_of(config, small.state["tokenizer"], ids)
    net = network.build(transformer.Shape(**sizes))
    params = jax.device_get(net.init(jax.random.key(0)))
    state = generate.pack_state(params, net, ids, small.state["tokenizer"], corpus)
    return stored.Fitted("dsi", "small", config, 0, state, corpus, {"collection": "random"})


def compare(folder: str, data: str | None, rounds: int) -> None:
    """Queries a second of batches at two beams, with MLPs in blocks of rows and in one piece."""
    fitted = zoo.load(folder)
    titles = [text for text in fitted.documents.titles if text.strip()]
    queries = [titles[place % len(titles)] for place in range(BATCH)]
    blocks = {"blocks": linear.BLOCK, "one piece": 2**30}
    cells, leaves = {}, {}
    for beam in (0, 100):
        for name, block in blocks.items():
            linear.BLOCK = block
            jax.clear_caches()
            ask = zoo.open(zoo.with_options(fitted, {"beam": beam}))
            leaves[beam, name] = ask(queries, K).documents
            times = []
            for _ in range(rounds):
                started = time.perf_counter()
                ask(queries, K)
                times.append(time.perf_counter() - started)
            cells[beam, name] = statistics.median(times)
            spent = f"{1000 * cells[beam, name]:.0f} ms a batch of {BATCH}"
            print(f"beam {beam or 'by k'}, {name}: {spent}")
    linear.BLOCK = blocks["blocks"]
    same = (leaves[100, "blocks"] == leaves[100, "one piece"]).mean()
    before = cells[100, "one piece"]
    print(f"beam 100: {before / cells[100, 'blocks']:.2f} x by blocks, {same:.2%} of answers equal")
    print(f"default: {before / cells[0, 'blocks']:.2f} x beam 100 in one piece")
    if data:
        from zoo.data import load
        from zoo.metrics import measures

        collection = load.load(data)
        asked, qrels = collection.split("dev")
        for beam in (0, 100):
            ranking = zoo.open(zoo.with_options(fitted, {"beam": beam}))(asked, K)
            found = measures.evaluate(ranking, qrels, ("nDCG@10",))
            print(
                f"beam {beam or 'by k'}: nDCG@10 {found['nDCG@10']:.4f} on {len(asked)} dev queries"
            )


def cold(folder: str) -> None:
    """Seconds of `zoo retrieve` in new processes."""
    command = [sys.executable, "-m", "zoo", "retrieve", folder, "--query", "join two paths"]
    for which in ("first", "second"):
        started = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        print(f"{which} `zoo retrieve`: {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
