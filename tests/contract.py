"""Shared by tests of systems: a fit of seconds, and the invariants of every ranking."""

import numpy as np

import zoo
from zoo import recipes

# Enough training to show a difference; a recipe takes the options that it has. One length class, so
# one step compiles. A system that scores documents by n-grams scores them all, whatever its beam.
QUICK = {
    "steps": 4,
    "batch": 8,
    "document_length": 8,
    "query_length": 8,
    "decoder_hidden": 32,
    "generated": 1,
    "beam": 20,
}


def quick(name, collection, seed=0, **options):
    """A fit of seconds, mostly compilation."""
    preset = recipes.get(name).presets["tiny"]
    few = QUICK | ({"beam": 5} if hasattr(preset, "query_ngrams") else {})
    options = {option: value for option, value in few.items() if hasattr(preset, option)} | options
    return zoo.fit(name, collection, size="tiny", options=options, seed=seed, quiet=True)


def check_ranking(ranking, queries, corpus, k):
    """Checks a ranking: distinct documents, best first, missing answers last with score -inf."""
    documents, scores = ranking.documents, ranking.scores
    assert ranking.query_ids == queries.ids and ranking.corpus_ids == corpus.ids
    assert documents.shape == scores.shape == (len(queries), min(k, len(corpus)))
    assert documents.dtype == np.int32 and scores.dtype == np.float32
    assert documents.min(initial=0) >= -1 and documents.max(initial=0) < len(corpus)
    assert (np.isneginf(scores) == (documents == -1)).all() and not np.isnan(scores).any()
    for row, score in zip(documents, scores):
        found = row[row >= 0]
        assert len(set(found)) == len(found), "a document twice"
        assert (row[: len(found)] >= 0).all(), "an answer after a gap"
        assert (np.diff(score[: len(found)]) <= 0).all(), "scores that rise"
