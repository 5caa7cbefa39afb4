"""Measures of a corpus that grows from D0 by D1 to Dn, and the published values.

    P_i  hits on the queries of D0 after D_i was added (P_0: before any was)
    G_i  hits on the queries of D_i at the moment when it has been added

Zhang et al. 2025, "Replication and Exploration of Generative Retrieval over Dynamic Corpora"
(arXiv 2504.17519). Work on continual learning calls the two averages backward and forward transfer.
Hits are shares of queries, and count documents, never identifiers that several documents share.

Deviations: forward transfer has no untrained baseline subtracted (Lopez-Paz and Ranzato 2017,
arXiv 1706.08840), because a document that is not in the corpus is never answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Published(NamedTuple):
    """A row of the tables on Natural Questions, Hit@10, n = 5."""

    forgetting: float  # F_n
    generalisation: float  # GA_n, the hits on D0 not averaged in
    system: str = ""  # of ours; "" = none


# before rounding to three decimals
PUBLISHED = {
    "BM25": Published(0.0510, 0.5858, "bm25"),
    "DPR": Published(0.0418, 0.5624, "dpr"),
    "DPR-HN": Published(0.0430, 0.6320, "dpr-hn"),
    "DSI-SE": Published(0.0154, 0.2090),
    "Ultron-PQ": Published(0.0226, 0.5420),
    "NCI": Published(0.0406, 0.4030, "nci"),
    "GenRet": Published(0.0328, 0.3784, "genret"),
    "Ultron-URL": Published(0.0294, 0.5428),
    "SEAL": Published(0.0280, 0.7318, "seal"),
    "MINDER": Published(0.0328, 0.7556),
    "LTRGR": Published(0.0320, 0.7994),
}


def forgetting(hits: np.ndarray | Sequence[float]) -> float:
    """F_n = (1/n) sum_{i=1..n} (P_0 - P_i) of hits f64[n+1] = P_0 ... P_n; below 0 = improved.

    >>> forgetting([0.5, 0.25, 0.0])
    0.375
    """
    kept = _curve(hits, least=2)
    return float((kept[0] - kept[1:]).mean())


def forgetting_from_best(hits: np.ndarray | Sequence[float]) -> float:
    """(1/n) sum_{i=1..n} (max_{j<i} P_j - P_i) of hits f64[n+1]; F_n where hits never rise."""
    kept = _curve(hits, least=2)
    return float((np.maximum.accumulate(kept)[:-1] - kept[1:]).mean())


def generalisation(hits: np.ndarray | Sequence[float]) -> float:
    """GA_n = (1/n) sum_{i=1..n} G_i of hits f64[n] = G_1 ... G_n; without the hits on D0.

    >>> generalisation([0.5, 0.25])
    0.375
    """
    return float(_curve(hits, least=1).mean())


def backward_transfer(hits: np.ndarray | Sequence[float]) -> float:
    """-F_n of hits f64[n+1] = P_0 ... P_n: what later documents do to old queries."""
    return -forgetting(hits)


def forward_transfer(hits: np.ndarray | Sequence[float]) -> float:
    """GA_n of hits f64[n] = G_1 ... G_n: how well new documents are found without training."""
    return generalisation(hits)


def half_interval(samples: Sequence[np.ndarray]) -> float:
    """Half the width of the 95 % normal interval of the mean of the means of f64[B_i] samples.

    1.96 sqrt(sum_i s_i^2 / B_i) / n, s_i the standard deviation of sample i.
    """
    variances = [np.var(values, ddof=1) / len(values) for values in samples if len(values) > 1]
    return float(1.96 * np.sqrt(sum(variances)) / len(samples))


def _curve(hits: np.ndarray | Sequence[float], *, least: int) -> np.ndarray:
    values = np.asarray(hits, np.float64)
    if values.ndim != 1 or len(values) < least or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(
            f"dynamic: expected f64[n], n >= {least}, of hits from 0 to 1, got {values.tolist()}"
        )
    return values
