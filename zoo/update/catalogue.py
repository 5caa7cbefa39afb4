"""Which documents a state holds: ids after the old ones, deleted rows, hidden items.

A system for texts deletes a removed document. A recommender hides it: its row stays, because
histories may still name it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo import records

REMOVED = "removed"  # bool[N] of the state of a recommender; absent if nothing is


def ids(state: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids of the documents that the state has rows for."""
    return tuple(json.loads(state["corpus_ids"]))


def removed(state: Mapping[str, Any]) -> np.ndarray:
    """bool[N] whether the document of a row was removed."""
    hidden = state.get(REMOVED)
    return np.zeros(len(ids(state)), bool) if hidden is None else np.asarray(hidden)


def append(state: Mapping[str, Any], corpus: records.Corpus) -> dict:
    """The state with the ids of more documents behind its own."""
    grown = dict(state) | {"corpus_ids": json.dumps([*ids(state), *corpus.ids])}
    if REMOVED in state:
        grown[REMOVED] = np.concatenate([removed(state), np.zeros(len(corpus), bool)])
    return grown


def delete(state: Mapping[str, Any], rows: np.ndarray) -> dict:
    """The state without the ids of rows i[n]."""
    left = np.delete(np.array(ids(state), object), rows).tolist()
    return dict(state) | {"corpus_ids": json.dumps(left)}


def hide(config: Any, state: Mapping[str, Any], rows: np.ndarray) -> dict:
    """The state in which items i[n] are never recommended, but read in histories."""
    hidden = removed(state).copy()
    hidden[rows] = True
    return dict(state) | {REMOVED: hidden}


def restore(state: Mapping[str, Any], rows: np.ndarray) -> dict:
    """The state in which hidden items i[n] are recommended again."""
    hidden = removed(state).copy()
    hidden[rows] = False
    left = {name: leaf for name, leaf in state.items() if name != REMOVED}
    return left | ({REMOVED: hidden} if hidden.any() else {})
