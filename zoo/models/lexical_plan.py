"""BM25 scores that are added to those of identifiers, and guide the beam to them.

PAG (Zeng et al. 2024, arXiv 2404.14600) plans ahead: the best lexical score of a document below a
prefix is the prefix's potential. The final score is sequence + weight * lexical.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.index import lexical
from zoo.models import development

RAW, BEST = "raw", "best"  # BM25, or its share of the best score of the query
# in units of the scores of identifiers; tried in this order, the first of equal ones is kept
WEIGHTS: Mapping[str, Sequence[float]] = {
    RAW: (0.0, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.16, 0.24, 0.4),
    BEST: (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6),
}
COARSE: Mapping[str, Sequence[float]] = {  # enough to compare what BM25 is added to
    RAW: (0.0, 0.01, 0.03, 0.06, 0.12, 0.24),
    BEST: (0.1, 0.3, 0.8, 1.6),
}
NOTHING: Mapping[str, Sequence[float]] = {RAW: (0.0,)}
UNTUNED = (BEST, 0.2)  # without dev queries; on those of pydocs and WikiQA it gains


class Scale(NamedTuple):
    """How BM25 is scaled before it is added."""

    kind: str  # RAW or BEST
    weight: float

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """f32[B, N] what BM25 scores f32[B, N] add."""
        if self.kind == BEST:
            scores = scores / np.maximum(scores.max(axis=1, keepdims=True), np.float32(1e-6))
        return np.float32(self.weight) * scores


def scores(index: lexical.Index, texts: Sequence[str]) -> np.ndarray:
    """f32[B, N] BM25 scores of all documents, 0 where no term is shared."""
    product: Any = lexical.bags(index, texts) @ lexical.matrix(index)
    return np.asarray(product.todense(), np.float32)


def expand(
    contents: Sequence[str], queries: Sequence[str], answers: Sequence[int] | np.ndarray
) -> list[str]:
    """Contents with the train queries of each document on lines of their own."""
    expanded = list(contents)
    for query, row in zip(queries, answers):
        expanded[row] += f"\n{query}"
    return expanded


def choose(
    sequence: np.ndarray,
    lexical_scores: Sequence[np.ndarray],
    given: development.Development,
    weights: Mapping[str, Sequence[float]] = WEIGHTS,
    floor: np.ndarray | None = None,
) -> tuple[int, Scale, float]:
    """(number of an index, scale, value) that rank the dev queries best, by `Development.value`.

    Without dev queries the last index and UNTUNED.

    sequence: f32[B, N] scores of the dev queries. lexical_scores: f32[B, N] of each index.
    floor: f64[B] nDCGs of the dev queries that unseen documents keep.
    """
    if not given.dev:
        return -1, Scale(*UNTUNED), float("nan")
    # only documents that lead by one of the scores can lead by a sum
    leading = development.leading([sequence, *lexical_scores])
    judged = development.gather(given.grades(sequence.shape[1]), leading)
    few = development.gather(sequence, leading)
    ideal = given.ideal()
    best = (-np.inf, 0, Scale(RAW, 0.0))
    for number, scores_ in enumerate(lexical_scores):
        for kind, values in weights.items():
            whole = Scale(kind, 1.0)(scores_)
            words = development.gather(whole, leading)
            for weight in values:
                gain = development.dcg(few + np.float32(weight) * words, judged) / ideal
                value = given.value(gain, floor)
                if value > best[0] + 1e-9:
                    best = value, number, Scale(kind, weight)
    return best[1], best[2], best[0]


def pack(index: lexical.Index, scale: Scale) -> dict:
    """The part of a system's state that `open` reads."""
    return {"index": index, "kind": scale.kind, "weight": np.asarray(scale.weight, np.float32)}


def open(state: Mapping[str, Any], *, weight: float, unit: float) -> Any:
    """Queries -> f32[B, N] of a state of `pack`; None if the weight is 0.

    weight: instead of the chosen one; -1 = the chosen one. unit: of the scores of identifiers.
    """
    weight = float(state["weight"]) if weight < 0 else weight
    if not weight:
        return None
    matrix, scale = lexical.matrix(state["index"]), Scale(str(state["kind"]), weight * unit)

    def plan(queries: Any) -> np.ndarray:
        product: Any = lexical.bags(state["index"], queries.texts) @ matrix
        return scale(np.asarray(product.todense(), np.float32))

    return plan
