"""What a fitted law loses when the corpus is cut: flips of the best document, and decoys.

A search scores a prefix by the mass r(T_v) that the model gives it. Documents that left the corpus
still count in that mass. With r restricted to the corpus C known exactly, the answer is
d* = argmax_C r. A beam may miss d* for two reasons; different decoders repair them:

    decoy: look-ahead (masses over C) finds d*, masking does not: removed documents drew the beam
    sum:   look-ahead misses d* too: many moderate documents outweigh the best one (T6)

After arXiv 2504.09935; the split is derived here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from theory import enumeration, worlds


class Losses(NamedTuple):
    """Means over corpora."""

    kl: np.ndarray  # f64[m] nats of each step, of masking and renormalising
    counted_kl: np.ndarray  # f64[m] of the count correction
    flips: float  # share of corpora whose most probable document is not argmax_C r
    counted_flips: float


def draw(num_documents: int, keep: float, corpora: int, seed: int) -> np.ndarray:
    """bool[corpora, N] non-empty random corpora, each document kept with probability `keep`."""
    rng = np.random.default_rng(seed)
    kept = rng.random((corpora, num_documents)) < keep
    kept[np.arange(corpora), rng.integers(0, num_documents, corpora)] |= ~kept.any(1)
    return kept


def losses(tree: worlds.Tree, corpora: np.ndarray) -> Losses:
    """Losses of one query's tree over corpora bool[R, N] of its leaves."""
    steps, flips = {}, {}
    best = np.argmax(corpora * tree.relevance, axis=1)
    for decoder in ("masked", "counted"):
        steps[decoder] = enumeration.kl_of_corpora(tree, corpora, decoder=decoder).mean(0)
        found = answers(tree, corpora, decoder, width=corpora.shape[1])
        flips[decoder] = float(np.mean(found[:, 0] != best))
    return Losses(steps["masked"], steps["counted"], flips["masked"], flips["counted"])


def answers(tree: worlds.Tree, corpora: np.ndarray, decoder: str, *, width: int) -> np.ndarray:
    """i64[R, min(width, N)] leaves that a beam finds in each corpus bool[R, N], best first.

    decoder: "masked" or "counted", each renormalised over children; "exact", look-ahead.
    """
    laws = enumeration.laws_of_corpora(tree, corpora, decoder=decoder)
    score = np.zeros((len(corpora), 1))
    for parent, (law, _) in zip(tree.parents, laws, strict=True):
        with np.errstate(divide="ignore"):
            score = score[:, parent] + np.log(law)
        if width < score.shape[1]:
            least = np.partition(score, -width, axis=1)[:, -width, None]
            score = np.where(score >= least, score, -np.inf)
    order = np.argsort(-score, axis=1, kind="stable")[:, :width]
    alive = np.take_along_axis(score, order, axis=1) > -np.inf
    return np.where(alive, order, -1)


def top1(tree: worlds.Tree, corpora: np.ndarray, *, width: int) -> dict[str, float]:
    """Share of corpora whose d* = argmax_C r is the first answer of a beam, for each decoder."""
    best = np.argmax(corpora * tree.relevance, axis=1)
    return {
        name: float(np.mean(answers(tree, corpora, name, width=width)[:, 0] == best))
        for name in enumeration.DECODERS
    }
