"""Queries that are documents of the collection, as in ArguAna and Quora.

The document that is the query itself is always the best answer, and never the one that is looked
for. BEIR's evaluation leaves out every answer whose id is the query's (`ignore_identical_ids`,
Thakur et al. 2021, arXiv:2104.08663); published numbers of these collections are all without it.
In other collections equal ids mean nothing: query 1 of Cranfield has nothing to do with document 1.
So ids count where the queries say what the documents of their ids say.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from zoo import records

SAID = 0.9  # share of a query's words that the document of its id has
QUERIES = 0.5  # share of the queries whose id is a document's that must be so


def are_documents(queries: records.Queries, corpus: records.Corpus) -> bool:
    """Whether most queries with the id of a document also have its text."""
    contents = dict(zip(corpus.ids, corpus.contents()))
    shared = [
        (text, contents[name]) for name, text in zip(queries.ids, queries.texts) if name in contents
    ]
    said = [_says(content, text) for text, content in shared]
    return bool(said) and sum(said) >= QUERIES * len(said)


def leave_out(ranking: records.Ranking, k: int) -> records.Ranking:
    """The first k answers of each query, without the document that has the query's own id."""
    rows = {name: row for row, name in enumerate(ranking.corpus_ids)}
    own = np.array([rows.get(name, -2) for name in ranking.query_ids], np.int64)
    gone = ranking.documents == own[:, None]
    order = np.argsort(gone, axis=1, kind="stable")  # the rest keeps its order
    documents = np.where(gone, -1, ranking.documents)
    scores = np.where(gone, -np.inf, ranking.scores)
    return dataclasses.replace(
        ranking,
        documents=np.take_along_axis(documents, order, axis=1)[:, :k].astype(np.int32),
        scores=np.take_along_axis(scores, order, axis=1)[:, :k].astype(np.float32),
    )


def _says(content: str, query: str) -> bool:
    words = set(query.lower().split())
    return len(words & set(content.lower().split())) >= SAID * max(1, len(words))
