"""The command `zoo docids report`: schemes of identifiers compared before any training."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from zoo.cli import flags

SCHEMES = ("atomic", "rq", "pq", "lsh", "clusters", "naive", "random")
_CODES = ("rq", "pq", "lsh", "random")  # schemes whose last token is a counter
_MEASURE = "nDCG@10"


def report_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "report",
        "compare schemes of identifiers before any training",
        "zoo docids report --data pydocs",
        report,
    )
    added.add_argument(
        "--data", required=True, metavar="NAME|PATH", help="a collection with judged queries"
    )
    added.add_argument("--split", default="dev", help="judged queries (default: dev)")
    added.add_argument(
        "--embed",
        default="tfidf",
        help="vectors: tfidf, minilm or the folder of an encoder (default: tfidf)",
    )
    added.add_argument("--levels", type=int, default=3, help="codes per identifier (default: 3)")
    added.add_argument("--codes", type=int, default=32, help="codes per level (default: 32)")
    flags.seed(added)


def report(parsed: argparse.Namespace) -> None:
    """Prints a row of measures for the vectors themselves and for each scheme."""
    import jax

    from zoo import records
    from zoo.data import load
    from zoo.index import dense
    from zoo.text import embed
    from zoo.train import log as logs

    schemes = {name: _scheme(name, parsed) for name in SCHEMES}
    collection = load.load(parsed.data)
    if not isinstance(collection, records.Collection):
        raise records.DataError(
            f"{parsed.data}: expected documents with judged queries, got histories of items; "
            "`zoo docids fit --data` makes identifiers of items"
        )
    corpus = collection.corpus
    if len(corpus) < 2:
        raise records.DataError(f"{parsed.data}: expected at least 2 documents, got {len(corpus)}")
    queries, qrels = collection.split(parsed.split)
    embedder, vectors = embed.fit(corpus, parsed.embed, logs.Log())
    asked = embed.embed_texts(embedder, queries.texts, logs.Log(), side=embed.QUERY)
    pairs = dense.search(dense.build(vectors), vectors, 2)[0]
    nearest = np.where(pairs[:, 0] == np.arange(len(corpus)), pairs[:, 1], pairs[:, 0])
    judged = (queries.ids, asked, qrels)
    best = _quality(corpus.ids, vectors, judged)
    columns = (
        f"{'bits':>6} {'collide':>8} {'balance':>8} {'fidelity':>8} {_MEASURE:>8} {'share':>6}"
    )
    print(f"{len(corpus)} documents, {len(queries.ids)} queries of {parsed.split}, {parsed.embed}")
    print(f"{'scheme':<9} {columns}")
    print(f"{'vectors':<9} {'':>6} {'':>8} {'':>8} {'':>8} {best:>8.3f} {1:>6.2f}")
    for name, scheme in schemes.items():
        _, ids = scheme.fit(corpus, vectors, jax.random.key(parsed.seed), logs.Log())
        tokens = ids.tokens[:, :-1] if name in _CODES else ids.tokens
        print(f"{name:<9} {_row(tokens, vectors, nearest, corpus.ids, judged, best, parsed.seed)}")


def _scheme(name: str, parsed: argparse.Namespace) -> Any:
    from zoo.schemes import scheme

    options: dict[str, Any] = {}
    if name in _CODES:
        options = {"levels": parsed.levels, "codes": parsed.codes}
    elif name == "clusters":
        options = {"branching": parsed.codes, "leaf_size": parsed.codes}
    return scheme.scheme(name, **options)


def _row(
    tokens: np.ndarray,
    vectors: np.ndarray,
    nearest: np.ndarray,
    corpus_ids: tuple[str, ...],
    judged: tuple,
    best: float,
    seed: int,
) -> str:
    from zoo.docids import fidelity

    count = len(tokens)
    shift = np.random.default_rng(seed).integers(1, count, count)
    other = (np.arange(count) + shift) % count
    found = _quality(corpus_ids, fidelity.reconstruct(tokens, vectors), judged)
    share = found / best if best else float("nan")
    return (
        f"{fidelity.bits(tokens):>6.1f} {fidelity.colliding(tokens):>8.3f} "
        f"{fidelity.balance(tokens):>8.3f} "
        f"{fidelity.neighbours_first(tokens, nearest, other):>8.3f} {found:>8.3f} {share:>6.2f}"
    )


def _quality(corpus_ids: tuple[str, ...], vectors: np.ndarray, judged: tuple) -> float:
    """nDCG@10 of documents by the inner product of their vectors and the query's."""
    from zoo import records
    from zoo.index import dense
    from zoo.metrics import measures

    query_ids, asked, qrels = judged
    found = dense.search(dense.build(vectors), asked, 10)
    ranking = records.Ranking(query_ids, corpus_ids, *found)
    return measures.evaluate(ranking, qrels, (_MEASURE,))[_MEASURE]
