"""BM25 over words, through bm25s: an index is a dictionary of arrays and text, a search is exact.

    score(q, d) = sum over the words w of q of  idf(w) tf / (tf + k1 (1 - b + b |d| / mean |d|))
    idf(w)      = log(1 + (N - df(w) + 1/2) / (df(w) + 1/2))

This is Lucene's variant (method "lucene" of bm25s; Kamphuis et al. 2020, "Which BM25 do you mean?"), which leaves out the
constant factor k1 + 1: scores differ from other tools by that factor, rankings do not. Words are runs of two or more letters,
digits or underscores in lower case, without bm25s's English stop words, cut by the Snowball stemmer for English.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import numpy as np

from zoo import records

# Anserini's defaults; 1.5 and .75 (bm25s's) win on some collections and lose on others
K1, B = 0.9, 0.4
WORDS = {"pattern": r"(?u)\b\w\w+\b", "stopwords": "en", "stemmer": "english", "method": "lucene"}


def build(
    texts: Sequence[str], *, k1: float = K1, b: float = B, progress: bool = False
) -> dict[str, np.ndarray | str]:
    """The index of N texts.

    k1, b: at least 0; between 0 and 1. progress: show bm25s's progress bars.
    Returns weights f32[M] and documents i32[M], the scores of each word grouped by word, starts i64[V + 1] of the groups,
    num_documents i32[], and JSON texts: words (V) and settings.
    Raises DataError if k1 or b is out of range, there is no text, or no text has a word.
    """
    bm25s = _bm25s()
    if not (k1 >= 0 and 0 <= b <= 1):
        raise records.DataError(f"BM25: expected k1 >= 0 and 0 <= b <= 1, got k1={k1}, b={b}")
    tokens = words_of(texts, progress=progress)
    if not any(tokens):
        raise records.DataError(
            f"BM25: found no word in {len(texts)} texts; expected English text, words of two letters or more"
        )
    model = bm25s.BM25(k1=k1, b=b, method=WORDS["method"])
    model.index(tokens, create_empty_token=False, show_progress=progress)
    return {
        "weights": np.asarray(model.scores["data"], np.float32),
        "documents": np.asarray(model.scores["indices"], np.int32),
        "starts": np.asarray(model.scores["indptr"], np.int64),
        "num_documents": np.asarray(len(texts), np.int32),
        "words": json.dumps(sorted(model.vocab_dict, key=model.vocab_dict.get)),
        "settings": json.dumps({"k1": k1, "b": b, **WORDS}),
    }


def search(
    state: dict[str, np.ndarray | str], texts: Sequence[str], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Documents i32[B, k] and scores f32[B, k] for B queries, best first, equal scores by lower document.

    A document that shares no word with the query is no answer: where fewer than k share one, and where k exceeds N, the
    rest is -1 with score -inf. A word that stands twice in the query counts twice.
    Raises DataError if k < 1 or the index was built with other words settings than this code's. Cost O(N) a query.
    """
    if k < 1:
        raise records.DataError(f"BM25: expected k >= 1, got {k}")
    settings = json.loads(state["settings"])
    if {name: settings[name] for name in WORDS} != WORDS:
        raise records.DataError(
            f"BM25: the index was built with {settings}, this version searches with {WORDS}; fit it again"
        )
    numbers = {word: number for number, word in enumerate(json.loads(state["words"]))}
    weights, rows, starts = (np.asarray(state[name]) for name in ("weights", "documents", "starts"))
    num_documents = int(state["num_documents"])
    documents = np.full((len(texts), k), -1, np.int32)
    scores = np.full((len(texts), k), -np.inf, np.float32)
    for query, words in enumerate(words_of(texts)):
        total = np.zeros(num_documents, np.float32)
        for number in (numbers[word] for word in words if word in numbers):
            group = slice(starts[number], starts[number + 1])
            total[rows[group]] += weights[group]  # a document stands once in a group
        best = _best(total, k)
        documents[query, : len(best)] = best
        scores[query, : len(best)] = total[best]
    return documents, scores


def words_of(texts: Sequence[str], *, progress: bool = False) -> list[list[str]]:
    """The words of each text as the index sees them.

    >>> words_of(["Joining the paths"])
    [['join', 'path']]
    """
    import Stemmer

    bm25s = _bm25s()
    tokens = bm25s.tokenize(
        list(texts),
        token_pattern=WORDS["pattern"],
        stopwords=WORDS["stopwords"],
        stemmer=Stemmer.Stemmer(WORDS["stemmer"]),
        return_ids=False,
        show_progress=progress,
        allow_empty=False,
    )
    # bm25s writes "" for a text without words
    return [[word for word in words if word] for words in tokens]


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k highest scores above 0, highest first, equal ones by index."""
    found = np.flatnonzero(scores > 0)
    if len(found) > k:
        kth = np.partition(scores[found], len(found) - k)[len(found) - k]
        found = found[scores[found] >= kth]
    return found[np.argsort(-scores[found], kind="stable")[:k]]


def _bm25s():
    """bm25s without its running commentary, which would come out wherever another package has set up logging; imported late."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s
