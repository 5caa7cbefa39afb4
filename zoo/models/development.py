"""Dev queries that choose weights, from the dev split or from train queries that are held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zoo import records

SHARE = 0.1  # of the train queries that are held out where there is no dev split
MOST = 500  # dev queries
DEPTH = 10
DISCOUNTS = 1 / np.log2(np.arange(DEPTH) + 2)
LEADING = 100  # documents by each score that may lead by a sum of scores


class Development(NamedTuple):
    """Train pairs, and dev queries with the grades of their documents by row."""

    queries: list[str]  # train queries, one for each pair
    answers: np.ndarray  # i64[n] row of a relevant document of each
    dev: list[str]
    judged: list[Mapping[int, int]]  # of each dev query, row -> grade above 0
    kind: str  # dev split, held out, or none

    def grades(self, num_documents: int) -> np.ndarray:
        """f32[B, N] grades of all documents, 0 where there is none."""
        found = np.zeros((len(self.judged), num_documents), np.float32)
        for row, judged in enumerate(self.judged):
            found[row, list(judged)] = list(judged.values())
        return found

    def ideal(self) -> np.ndarray:
        """f64[B] DCG@10 of the best ranking of each dev query."""
        best = [np.sort(np.fromiter(each.values(), float))[::-1][:DEPTH] for each in self.judged]
        return np.array([gains @ DISCOUNTS[: len(gains)] for gains in best])

    def mean(self, scores: np.ndarray) -> float:
        """Mean nDCG@10 of scores f32[B, N] of the dev queries."""
        return float((dcg(scores, self.grades(scores.shape[1])) / self.ideal()).mean())


def dcg(scores: np.ndarray, grades: np.ndarray) -> np.ndarray:
    """f64[B] DCG@10 of documents with scores and grades f32[B, M], ties by place."""
    few = min(DEPTH, scores.shape[1])
    best = np.sort(np.argpartition(-scores, few - 1, axis=1)[:, :few], axis=1)
    order = np.argsort(-gather(scores, best), axis=1, kind="stable")
    return gather(grades, gather(best, order)) @ DISCOUNTS[:few]


def leading(scores: Sequence[np.ndarray], *, depth: int = LEADING) -> np.ndarray:
    """i64[B, M] documents among the `depth` best by any of some scores f32[B, N], each once.

    Queries with fewer documents than others have some further ones.
    """
    among = np.zeros(scores[0].shape, np.float32)
    for each in scores:
        few = min(depth, each.shape[1])
        np.put_along_axis(among, np.argpartition(-each, few - 1, axis=1)[:, :few], 1.0, axis=1)
    most = int(among.sum(axis=1).max(initial=1))
    return np.sort(np.argpartition(-among, most - 1, axis=1)[:, :most], axis=1)


def gather(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values [B, M] at places i[B, K] -> [B, K]."""
    return np.take_along_axis(values, places, axis=1)


def split(collection: records.Collection, *, seed: int = 0) -> Development:
    """Train and dev queries of a collection.

    Without a dev split, a tenth of the train queries is held out: half of it all queries of some
    documents, which are then as unseen as documents without train queries; the other half are
    queries of any documents.
    """
    rows, texts = collection.corpus.rows(), _texts(collection)
    train = _grades(collection, "train", rows)
    dev, kind = _grades(collection, "dev", rows), "dev split"
    rng = np.random.default_rng(seed)
    if not dev and len(train) >= 2 / SHARE:
        held = _held_out(train, rng)
        dev = {query: train[query] for query in train if query in held}
        train = {query: train[query] for query in train if query not in held}
        kind = "held out"
    names = list(dev)
    if len(names) > MOST:
        names = [names[row] for row in np.sort(rng.permutation(len(names))[:MOST])]
    pairs = [(texts[query], row) for query, judged in train.items() for row in judged]
    return Development(
        [text for text, _ in pairs],
        np.array([row for _, row in pairs], np.int64),
        [texts[query] for query in names],
        [dev[query] for query in names],
        kind if names else "none",
    )


def all_pairs(collection: records.Collection) -> tuple[list[str], list[int]]:
    """Texts of all train queries, none held out, and the row of a relevant document of each."""
    rows, texts = collection.corpus.rows(), _texts(collection)
    train = _grades(collection, "train", rows)
    pairs = [(texts[query], row) for query, judged in train.items() for row in judged]
    return [text for text, _ in pairs], [row for _, row in pairs]


def _held_out(train: Mapping[str, Mapping[int, int]], rng: np.random.Generator) -> set[str]:
    wanted = round(SHARE * len(train))
    of_document: dict[int, list[str]] = {}
    for query, judged in train.items():
        for row in judged:
            of_document.setdefault(row, []).append(query)
    held: set[str] = set()
    documents = list(of_document)
    for place in rng.permutation(len(documents)):
        if len(held) >= wanted / 2:
            break
        held.update(of_document[documents[place]])
    queries = list(train)
    for place in rng.permutation(len(queries)):
        if len(held) >= wanted:
            break
        held.add(queries[place])
    return held


def _grades(
    collection: records.Collection, name: str, rows: Mapping[str, int]
) -> dict[str, dict[int, int]]:
    if name not in collection.qrels:
        return {}
    found = {
        query: {rows[document]: grade for document, grade in judged.items() if grade > 0}
        for query, judged in collection.qrels[name].among(rows).grades.items()
    }
    return {query: judged for query, judged in found.items() if judged}


def _texts(collection: records.Collection) -> dict[str, str]:
    return dict(zip(collection.queries.ids, collection.queries.texts))
