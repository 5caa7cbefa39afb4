"""LIMIT through the zoo: `python benchmarks/theory_limit.py` prints R@2 by system and dimension.

46 documents, a query for every pair (`theory.limit`), plain and with hard negatives: each thing is
also disliked by NEGATIVES other persons. Systems: BM25, DPR (size tiny), and the FM-index of SEAL
with two keys, the thing alone and "likes thing": the first two documents, in corpus order, that
hold the key. Dense systems learn every second pair; R@2 is on the other pairs. With --vectors also
free, trained and random vectors by dimension.
"""

from __future__ import annotations

import argparse

import jax
import numpy as np

import theory
import zoo
from theory import limit
from zoo import records
from zoo.index import fm, ngrams

DOCUMENTS, NEGATIVES = 46, 6
WIDTHS = 2, 3, 4, 8, 16, 32, 64


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--vectors", action="store_true", help="the table by dimension too")
    parser.add_argument("--steps", type=int, default=600, help="of DPR (default: 600)")
    parsed = parser.parse_args()
    print("R@2 on the pairs that were not trained | plain | hard negatives")
    collections = [limit.collection(DOCUMENTS, negatives=h) for h in (0, NEGATIVES)]
    rows = {
        "BM25": [_of_system("bm25", data, {}) for data in collections],
        "DPR, tiny": [_of_system("dpr", data, {"steps": parsed.steps}) for data in collections],
        "FM-index, key: thing": [_of_keys(data, ()) for data in collections],
        "FM-index, key: likes thing": [_of_keys(data, ("likes",)) for data in collections],
    }
    for name, values in rows.items():
        print(f"{name:27} | " + " | ".join(f"{value:.3f}" for value in values))
    if parsed.vectors:
        _by_width()


def _by_width() -> None:
    print("d | free: R@2, margin | words trained on half: R@2, other half | random, predicted")
    for width in WIDTHS:
        key = jax.random.key(width)
        free = limit.free_vectors(DOCUMENTS, width, key)
        words = limit.word_vectors(DOCUMENTS, width, key)
        random = limit.recall_at_2(limit.random_words(DOCUMENTS, width, key))
        exact = theory.recall_exact(DOCUMENTS, 2, 2, (width / (DOCUMENTS - 2)) ** 0.5)
        print(
            f"{width:3} | {free.recall:.3f} {free.margin:+.4f} | {words.recall:.3f} "
            f"{words.unseen:.3f} | {random:.3f} {exact:.3f}",
            flush=True,
        )


def _of_system(recipe: str, data: records.Collection, options: dict) -> float:
    size = "tiny" if options else "small"
    fitted = zoo.fit(recipe, data, size=size, options=options)
    queries, qrels = data.split("test")
    found = zoo.open(fitted)(queries, 2)
    rows = fitted.documents.ids
    shares = [
        len({rows[row] for row in answer if row >= 0} & set(qrels.grades[query])) / 2
        for query, answer in zip(queries.ids, found.documents)
    ]
    return float(np.mean(shares))


def _of_keys(data: records.Collection, before: tuple[str, ...]) -> float:
    """R@2 of the first two documents, in corpus order, that hold the key of each query."""
    words = sorted({word for text in data.corpus.texts for word in _words(text)})
    number = {word: row + 1 for row, word in enumerate(words)}
    texts = [np.array([number[w] for w in _words(t)], np.int32) for t in data.corpus.texts]
    tokens, starts = ngrams.join(texts)
    index = fm.build(tokens, starts, alphabet=len(words) + 1)
    queries, qrels = data.split("test")
    keys = np.array([[number[w] for w in (*before, text.split()[-1])] for text in queries.texts])
    found = index.locate(index.find(np.asarray(keys, np.int32)), most=DOCUMENTS)
    shares = []
    for query, row in zip(queries.ids, np.asarray(found.document)):
        first = sorted({int(d) for d in row if d >= 0})[:2]
        shares.append(len({data.corpus.ids[d] for d in first} & set(qrels.grades[query])) / 2)
    return float(np.mean(shares))


def _words(text: str) -> list[str]:
    return text.replace(".", "").split()


if __name__ == "__main__":
    main()
