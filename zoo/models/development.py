"""Dev queries that choose weights, from the dev split or from train queries that are held out.

A choice has the best weighted mean of nDCG@10, less a penalty if it loses what the start finds:

    value = sum_q w_q g(q) - PENALTY n / (n + SURE) max(0, GUARD mean_u floor(u) - mean_u g(u))

with g the nDCG, over the n dev queries u for documents without a train query; floor is the nDCG of
a ranking that has learned nothing. A dev split without such queries says nothing about these
documents, and weights chosen on it can lose them (pydocs: .49 where dense search has .58), so train
queries join it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo import records

SHARE = 0.1  # of the train queries that are held out where there is no dev split
MOST = 500  # dev queries
DEPTH = 10
DISCOUNTS = 1 / np.log2(np.arange(DEPTH) + 2)
GUARD = 0.985  # of the floor that unseen documents keep; .97 is wanted, dev queries are a sample
PENALTY = 5.0
SURE = 10  # dev queries of unseen documents at which the penalty has half of its force
MOST_UNSEEN = 0.5  # weight of unseen documents that held-out queries get at most
LEADING = 100  # documents by each score that may lead by a sum of scores


class Development(NamedTuple):
    """Train pairs, and dev queries with the grades of their documents by row."""

    queries: list[str]  # train queries, one for each pair
    answers: np.ndarray  # i64[n] row of a relevant document of each
    dev: list[str]
    judged: list[Mapping[int, int]]  # of each dev query, row -> grade above 0
    kind: str  # dev split, held out, dev split and held out, or none
    weights: np.ndarray  # f64[B] of the dev queries, with sum 1

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

    def gains(self, scores: np.ndarray) -> np.ndarray:
        """f64[B] nDCG@10 of scores f32[B, N] of the dev queries."""
        return dcg(scores, self.grades(scores.shape[1])) / self.ideal()

    def unseen(self) -> np.ndarray:
        """bool[B] whether no relevant document of a dev query has a train query."""
        seen = set(self.answers.tolist())
        return np.array([seen.isdisjoint(judged) for judged in self.judged], bool)

    def value(self, gains: np.ndarray, floor: np.ndarray | None) -> float:
        """The value of this module of nDCGs f64[B]; without a floor f64[B] no penalty."""
        value = float(self.weights @ gains)
        unseen = self.unseen()
        count = int(unseen.sum())
        if floor is None or not self.weights[unseen].sum():
            return value
        lost = GUARD * floor[unseen].mean() - gains[unseen].mean()
        return value - PENALTY * count / (count + SURE) * max(0.0, float(lost))


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

    Without a dev split, a tenth of the train queries is held out: queries of any documents, and for
    a share of it all queries of some documents, which are then as unseen as those without train
    queries. The share is that of documents without train queries, at most MOST_UNSEEN, and queries
    for unseen documents weigh so much. The same joins a dev split that has no query for a document
    without train queries, if the corpus has such documents; a dev split alone weighs its queries
    equally.
    """
    rows, texts = collection.corpus.rows(), _texts(collection)
    train = _grades(collection, "train", rows)
    dev, kind = _grades(collection, "dev", rows), "dev split"
    rng = np.random.default_rng(seed)
    answered = {row for judged in train.values() for row in judged}
    share = min(1 - len(answered) / max(len(rows), 1), MOST_UNSEEN)
    missing = len(answered) < len(rows) and all(
        not answered.isdisjoint(judged) for judged in dev.values()
    )
    balanced = (missing or not dev) and len(train) >= 2 / SHARE
    if balanced:
        held = _held_out(train, share, rng)
        kind = "dev split and held out" if dev else "held out"
        room = MOST // 2 if dev else MOST
        dev = _few(dev, MOST - room, rng)
        dev |= {query: train[query] for query in _few(held, room, rng)}
        train = {query: train[query] for query in train if query not in held}
    dev = _few(dev, MOST, rng)
    names = list(dev)
    pairs = [(texts[query], row) for query, judged in train.items() for row in judged]
    given = Development(
        [text for text, _ in pairs],
        np.array([row for _, row in pairs], np.int64),
        [texts[query] for query in names],
        [dev[query] for query in names],
        kind if names else "none",
        np.full(len(names), 1 / max(len(names), 1)),
    )
    return given._replace(weights=_weights(given.unseen(), share)) if balanced else given


def _weights(unseen: np.ndarray, share: float) -> np.ndarray:
    """f64[B] weights with sum 1, of the unseen ones `share`."""
    if unseen.all() or not unseen.any():
        return np.full(len(unseen), 1 / max(len(unseen), 1))
    return np.where(unseen, share / unseen.sum(), (1 - share) / (~unseen).sum())


def _few(queries: Mapping[str, Any], most: int, rng: np.random.Generator) -> dict[str, Any]:
    """At most so many of the queries, drawn, in their order."""
    names = list(queries)
    if len(names) > most:
        names = [names[row] for row in np.sort(rng.permutation(len(names))[:most])]
    return {name: queries[name] for name in names}


def all_pairs(collection: records.Collection) -> tuple[list[str], list[int]]:
    """Texts of all train queries, none held out, and the row of a relevant document of each."""
    rows, texts = collection.corpus.rows(), _texts(collection)
    train = _grades(collection, "train", rows)
    pairs = [(texts[query], row) for query, judged in train.items() for row in judged]
    return [text for text, _ in pairs], [row for _, row in pairs]


def _held_out(train: Mapping[str, Any], share: float, rng: np.random.Generator) -> dict[str, Any]:
    """A tenth of the train queries, in their order; `share` of it all queries of some documents."""
    wanted = round(SHARE * len(train))
    of_document: dict[int, list[str]] = {}
    for query, judged in train.items():
        for row in judged:
            of_document.setdefault(row, []).append(query)
    held: set[str] = set()
    documents = list(of_document)
    for place in rng.permutation(len(documents)):
        if len(held) >= wanted * share:
            break
        held.update(of_document[documents[place]])
    queries = list(train)
    for place in rng.permutation(len(queries)):
        if len(held) >= wanted:
            break
        held.add(queries[place])
    return {query: train[query] for query in train if query in held}


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
