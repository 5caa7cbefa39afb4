"""Vectors that items get identifiers by: of their texts, and of what users take near them."""

from __future__ import annotations

import numpy as np

from zoo import records
from zoo.text import embed, vectors as texts
from zoo.train import log as logs

WINDOW, NEAR = 3, 128  # events that are near, and dimensions of their vectors


def fit(
    corpus: records.Corpus,
    histories: records.Histories,
    log: logs.Log,
    *,
    embedding: str,
    neighbours: float,
    system: str,
) -> tuple[dict, np.ndarray]:
    """The embedder of texts, for new items, and f32[N, D] vectors of all items.

    Args:
      histories: of the training, whose co-occurrences count.
      embedding: of the texts, see `zoo.text.embed`.
      neighbours: weight of the co-occurrence vectors, which are appended; 0 = none.
      system: name of the recipe, for errors.

    Raises DataError if all vectors are equal.
    """
    embedder, vectors = embed.fit(corpus, embedding, log)
    if neighbours:
        near = texts.cooccurrence_svd(
            histories.items,
            histories.starts,
            num_items=len(vectors),
            window=WINDOW,
            dim=NEAR,
            seed=0,
        )
        vectors = np.concatenate([vectors, np.float32(neighbours) * near], axis=1)
    if (vectors == vectors[0]).all():
        remedy = "set neighbours=1 to name them by what users take near them, or identifiers=random"
        raise records.DataError(
            f"{system}: the texts of the {len(vectors)} items tell nothing apart; {remedy}"
        )
    return embedder, vectors


def of_new(state: dict, corpus: records.Corpus, *, neighbours: float) -> np.ndarray:
    """f32[n, D] of new items, which have no neighbours; state: with the "embedder" of `fit`."""
    vectors = embed.embed_new(state, corpus, logs.Log(quiet=True))
    return np.pad(vectors, ((0, 0), (0, NEAR))) if neighbours else vectors
