"""Documents into systems that keep the vectors of a frozen encoder, and out of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo import records
from zoo.models import text_vectors
from zoo.update import catalogue


def add(state: Mapping[str, Any], corpus: records.Corpus) -> dict:
    """The state with more documents; equals a fit to all of them if nothing of the encoder is
    fitted, as of minilm.
    """
    fresh = text_vectors.of_documents(state["encoder"], corpus.contents())
    document = np.concatenate([np.asarray(state["params"]["document"]), fresh])
    params = dict(state["params"]) | {"document": document}
    return catalogue.append(state, corpus) | {"params": params}


def remove(state: Mapping[str, Any], rows: np.ndarray) -> dict:
    """The state without documents i[n] and their vectors."""
    document = np.delete(np.asarray(state["params"]["document"]), rows, axis=0)
    params = dict(state["params"]) | {"document": document}
    return catalogue.delete(state, rows) | {"params": params}
