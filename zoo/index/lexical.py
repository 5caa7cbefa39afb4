"""BM25 over terms: an index is a dictionary of arrays and text, search is exact.

    score(q, d) = sum over terms t of q:  idf(t) tf / (tf + k1 (1 - b + b |d| / mean |d|))
    idf(t)      = log(1 + (N - df(t) + 1/2) / (df(t) + 1/2))

Lucene's variant (Kamphuis et al. 2020, "Which BM25 do you mean?"), without the constant factor
k1 + 1: scores differ from other tools by that factor, rankings do not. Terms are those of
`zoo.text.terms`. An index stores term frequencies and weights the query's terms on the way, so that
documents can be added and removed: the result equals an index of all remaining documents, exactly.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo import records
from zoo.text import languages, terms, words

# Anserini's defaults; 1.5 and .75 (bm25s's) win on some collections and lose on others
K1, B = 0.9, 0.4
RULES = "UAX #29, character pairs, NFKC casefold"  # a change makes older indexes unreadable

Index = dict[str, Any]  # arrays and JSON texts, see `build`


def build(
    texts: Sequence[str],
    *,
    k1: float = K1,
    b: float = B,
    language: str = languages.AUTO,
    strip_accents: bool = False,
) -> Index:
    """The index of N texts.

    Args:
        k1: at least 0.
        b: between 0 and 1.
        language: "auto" detects it, "none" neither stems nor drops stop words; else a name of
            `languages.names`.
        strip_accents: drop the accents of Latin, Greek and Cyrillic letters.

    Returns frequencies i32[M] and documents i32[M], ascending within each term; starts i64[V + 1]
    of the terms in them; lengths i32[N], terms per document; and JSON texts: words (V, sorted) and
    settings.
    Raises DataError if an option is out of range, there is no text, or no text has a word.
    """
    if not (k1 >= 0 and math.isfinite(k1) and 0 <= b <= 1):
        raise records.DataError(f"BM25: expected k1 >= 0 and 0 <= b <= 1, got k1={k1}, b={b}")
    analysis, found = terms.choose(texts, language=language, strip_accents=strip_accents)
    settings = {"k1": k1, "b": b, "rules": RULES, "analysis": analysis._asdict()}
    found = terms.of_documents(found, analysis)
    return _index(found.vocabulary, found.numbers, *_documents(found), None, settings)


def extend(index: Index, texts: Sequence[str]) -> Index:
    """The index with more documents behind its own, analysed in the language it was built for.

    Equals `build` on all texts if that detects the same languages. Cost O(M + words of the texts).
    Raises DataError if the index was built by other rules.
    """
    settings, analysis = _settings(index)
    found = terms.of_documents(words.segment(texts, dotless=analysis.dotless), analysis)
    old = json.loads(index["words"])
    numbers = {word: number for number, word in enumerate(old)}
    both = old + [word for word in found.vocabulary if word not in numbers]
    numbers = {word: number for number, word in enumerate(both)}
    new = np.array([numbers[word] for word in found.vocabulary], np.int32)[found.numbers]
    documents, lengths = _documents(found)
    return _index(
        both,
        np.concatenate([_rows(index), new]),
        np.concatenate([index["documents"], documents + np.int32(len(index["lengths"]))]),
        np.concatenate([index["lengths"], lengths]),
        np.concatenate([index["frequencies"], np.ones(len(new), np.int32)]),
        settings,
    )


def remove(index: Index, rows: npt.ArrayLike) -> Index:
    """The index without the documents of these rows; those behind them move up. Cost O(M).

    Equals `build` on the other texts if that detects the same languages.
    Raises DataError if a row is not in the index, the index was built by other rules, or no
    document with a word remains.
    """
    settings, _ = _settings(index)
    keep = np.ones(len(index["lengths"]), bool)
    gone = np.asarray(rows, np.int64).reshape(-1)
    if ((gone < 0) | (gone >= len(keep))).any():
        raise records.DataError(
            f"BM25: expected rows of 0 to {len(keep) - 1}, got {gone.min()} to {gone.max()}"
        )
    keep[gone] = False
    kept = keep[index["documents"]]
    return _index(
        json.loads(index["words"]),
        _rows(index)[kept],
        (np.cumsum(keep, dtype=np.int32) - 1)[index["documents"][kept]],
        index["lengths"][keep],
        index["frequencies"][kept],
        settings,
    )


def search(index: Index, texts: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Documents i32[B, k] and scores f32[B, k] for B queries, best first, ties by lower row.

    A document that shares no term with the query is no answer: where fewer than k share one, or k
    exceeds N, the rest is -1 with score -inf. A term that occurs twice in the query counts twice.
    Raises DataError if k < 1 or the index was built by other rules. Cost O(N) per query.
    """
    if k < 1:
        raise records.DataError(f"BM25: expected k >= 1, got {k}")
    settings, analysis = _settings(index)
    found = terms.of_queries(texts, analysis)
    numbers = _numbers(index["words"])
    groups = {
        term: _weights(index, numbers[word], settings)
        for term, word in enumerate(found.vocabulary)
        if word in numbers
    }
    documents = np.full((len(texts), k), -1, np.int32)
    scores = np.full((len(texts), k), -np.inf, np.float32)
    for query in range(len(texts)):
        total = np.zeros(len(index["lengths"]), np.float32)
        for term in found.numbers[found.starts[query] : found.starts[query + 1]].tolist():
            if term in groups:
                rows, weights = groups[term]
                total[rows] += weights  # a document occurs once in a group
        best = _best(total, k)
        documents[query, : len(best)] = best
        scores[query, : len(best)] = total[best]
    return documents, scores


def matrix(index: Index):
    """Sparse f32[V, N]: what each term of the index adds to the score of each document."""
    from scipy import sparse

    settings, _ = _settings(index)
    k1, b = settings["k1"], settings["b"]
    lengths = np.asarray(index["lengths"])
    df = np.diff(index["starts"]).astype(np.float64)
    idf = np.log(1 + (len(lengths) - df + 0.5) / (df + 0.5))
    frequency = np.asarray(index["frequencies"], np.float64)
    relative = lengths[index["documents"]] / lengths.mean(dtype=np.float64)
    weights = idf[_rows(index)] * frequency / (frequency + k1 * (1 - b + b * relative))
    return sparse.csr_matrix(
        (weights.astype(np.float32), index["documents"], index["starts"]),
        shape=(len(df), len(lengths)),
    )


def bags(index: Index, texts: Sequence[str]):
    """Sparse f32[B, V]: how often each query has each term of the index.

    `bags(index, texts) @ matrix(index)` are the scores of all documents.
    """
    from scipy import sparse

    _, analysis = _settings(index)
    found = terms.of_queries(texts, analysis)
    numbers = _numbers(index["words"])
    known = np.array([numbers.get(word, -1) for word in found.vocabulary], np.int64)
    term = known[found.numbers] if len(known) else np.zeros(0, np.int64)
    query = np.repeat(np.arange(len(texts)), np.diff(found.starts))
    kept = term >= 0
    return sparse.csr_matrix(
        (np.ones(kept.sum(), np.float32), (query[kept], term[kept])),
        shape=(len(texts), len(numbers)),
    )


def rows_of_terms(index: Index, grown: Index) -> np.ndarray:
    """i64[V] the row in `matrix(grown)` of each term of an index that `extend` made grown of."""
    numbers = _numbers(grown["words"])
    return np.array([numbers[word] for word in json.loads(index["words"])], np.int64)


@functools.lru_cache(maxsize=4)
def _numbers(words: str) -> Mapping[str, int]:
    """Number of each word of a JSON list; parsed once per index, not per search."""
    return {word: number for number, word in enumerate(json.loads(words))}


def _settings(index: Index) -> tuple[dict, terms.Analysis]:
    """The settings of an index. Raises DataError if it was built by other rules."""
    settings = json.loads(index["settings"])
    if settings.get("rules") != RULES:
        raise records.DataError(
            "BM25: the index was built by another version of this code, which splits words"
            " otherwise; fit it again"
        )
    return settings, terms.Analysis(**settings["analysis"])


def _documents(found: words.Words) -> tuple[np.ndarray, np.ndarray]:
    """The document of each term i32[T], and terms per document i32[N]."""
    lengths = np.diff(found.starts).astype(np.int32)
    return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths), lengths


def _rows(index: Index) -> np.ndarray:
    """The number of the term of each frequency, i32[M]."""
    sizes = np.diff(index["starts"])
    return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)


def _index(
    vocabulary: list[str],
    numbers: np.ndarray,
    documents: np.ndarray,
    lengths: np.ndarray,
    frequencies: np.ndarray | None,
    settings: dict,
) -> Index:
    """Sorts and sums occurrences: of term numbers[i] in documents[i], frequencies[i] times (or 1).

    Terms without occurrences are dropped, so that equal documents give equal indexes.
    """
    from scipy import sparse

    if not len(numbers):
        raise records.DataError(
            f"BM25: found no word in {len(lengths)} texts; expected text with words of two letters"
            " or more that are not all stop words"
        )
    used = np.flatnonzero(np.bincount(numbers, minlength=len(vocabulary)))
    used = sorted(used.tolist(), key=vocabulary.__getitem__)
    rank = np.zeros(len(vocabulary), np.int32)
    rank[used] = np.arange(len(used), dtype=np.int32)
    if frequencies is None:
        frequencies = np.ones(len(numbers), np.int32)
    table = sparse.csr_matrix(  # equal places are summed
        (frequencies, (rank[numbers], documents)), shape=(len(used), len(lengths))
    )
    table.sort_indices()
    return {
        "frequencies": table.data.astype(np.int32, copy=False),
        "documents": table.indices.astype(np.int32, copy=False),
        "starts": table.indptr.astype(np.int64),
        "lengths": lengths,
        "words": json.dumps([vocabulary[number] for number in used]),
        "settings": json.dumps(settings),
    }


def _weights(index: Index, number: int, settings: dict) -> tuple[np.ndarray, np.ndarray]:
    """Documents i32[n] of a term and their scores for it f32[n]."""
    group = slice(index["starts"][number], index["starts"][number + 1])
    rows, lengths = np.asarray(index["documents"][group]), index["lengths"]
    frequency = np.asarray(index["frequencies"][group], np.float64)
    k1, b, df = settings["k1"], settings["b"], len(rows)
    idf = math.log(1 + (len(lengths) - df + 0.5) / (df + 0.5))
    relative = lengths[rows] / lengths.mean(dtype=np.float64)
    weights = idf * frequency / (frequency + k1 * (1 - b + b * relative))
    return rows, weights.astype(np.float32)


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    """Indices of the k highest scores above 0, highest first, ties by index."""
    found = np.flatnonzero(scores > 0)
    if len(found) > k:
        kth = np.partition(scores[found], len(found) - k)[len(found) - k]
        found = found[scores[found] >= kth]
    return found[np.argsort(-scores[found], kind="stable")[:k]]
