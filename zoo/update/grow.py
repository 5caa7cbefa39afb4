"""New documents in a system that generates identifiers, named by the fitted scheme.

Identifiers in use never change, and those of removed documents are not assigned again, because the
network has learned what they meant. Only the last position of an identifier gets new tokens. Their
rows start as the mean of the tokens at the same place, or, for atomic identifiers, from the
decoder's state for the document's text (`rows_from_states`).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo import records
from zoo.docids import table
from zoo.nets import network, transformer, widen
from zoo.records import DataError
from zoo.schemes import scheme as schemes
from zoo.update import catalogue

MARGIN = 1.0  # by which the text of a new document scores it above every other, in logits
BATCH = 64  # texts that are read at once


def assign(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    naming: schemes.Scheme,
    vectors: np.ndarray | None,
) -> table.Docids:
    """Identifiers of new documents; state: of the system, with that of the scheme under "scheme".

    Raises DataError if the system was fitted by a version that did not keep it.
    """
    if "scheme" not in state:
        raise DataError(
            "fitted by an earlier version, which kept nothing to name new documents by; fit again"
        )
    return naming.assign(state["scheme"], corpus, vectors, _taken(state))


def add(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    fresh: table.Docids,
    *,
    output: np.ndarray | None = None,
    reads: bool = False,
) -> dict:
    """The state with documents of identifiers `fresh`, and parameters for their new tokens.

    output: as `widen.target`; reads: the source is made of identifiers too.
    """
    ids = table.join(table.unpack(state["docids"]), fresh)
    shape = network.of(state).spec
    grown = catalogue.append(state, corpus) | {"docids": table.pack(ids)}
    if ids.alphabet == shape.target_vocab:
        return grown
    last = (*shape.last_tokens[:-1], ids.alphabet - 1) if shape.last_tokens else ()
    num_new = ids.alphabet - shape.target_vocab
    wider = dataclasses.replace(
        shape,
        target_vocab=ids.alphabet,
        last_tokens=last,
        source_vocab=shape.source_vocab + (num_new if reads or shape.shared else 0),
    )
    siblings = _siblings(table.unpack(state["docids"]), fresh)
    params = widen.target(state["params"], shape, wider, siblings, output)
    if reads:
        params = widen.source(params, shape.target_vocab, num_new, siblings)
    return grown | {"params": params, network.STATE: network.dump(wider)}


def remove(config: Any, state: Mapping[str, Any], rows: np.ndarray) -> dict:
    """The state without documents i[n]; their identifiers are kept as "retired"."""
    ids = table.unpack(state["docids"])
    gone = np.isin(np.arange(len(ids)), rows)
    retired = np.concatenate([_retired(state, ids), ids.tokens[gone]])
    left = table.Docids(ids.tokens[~gone], ids.alphabet)
    return catalogue.delete(state, rows) | {"docids": table.pack(left), "retired": retired}


def rows_from_states(state: Mapping[str, Any], sources: np.ndarray) -> np.ndarray:
    """f32[n, D] output rows of new documents with texts i32[n, S], for identifiers of one token.

    With h the decoder's state for the text and w_d the rows of known documents, the new row is

        w = m + a h,   m = sum_d p(d | h) w_d,   a = (max_d w_d h - m h + MARGIN) / (h h)

    the mean of w_d by probability, plus the smallest change that ranks the document first for its
    own text. After IncDSI (arXiv 2307.10323), which optimises the row on queries of the document
    while old documents keep theirs.
    """
    shape = network.of(state).spec
    known = np.asarray(state["docids"]["tokens"])[:, 0]
    params, found = jax.device_put(state["params"]), []
    for first in range(0, len(sources), BATCH):
        rows = np.arange(first, min(first + BATCH, len(sources)))
        block = jnp.asarray(sources[np.resize(rows, BATCH)])
        found.append(np.asarray(_rows(params, block, jnp.asarray(known), shape=shape))[: len(rows)])
    return np.concatenate(found)


@functools.partial(jax.jit, static_argnames="shape")
def _rows(
    params: dict, source: jax.Array, known: jax.Array, *, shape: transformer.Shape
) -> jax.Array:
    net = shape.net()
    memory = net.apply(params, net.apply(params, source, method="encode"), method="memory")
    blank = jnp.zeros((len(source), 1), jnp.int32)
    states: Any = net.apply(params, blank, memory, source, method="states")
    hidden = jnp.asarray(states)[:, 0].astype(jnp.float32)
    rows = transformer.output_kernel(params, shape).T[known].astype(jnp.float32)  # -> [N, D]
    logits = hidden @ rows.T
    mean = jax.nn.softmax(logits) @ rows
    short = logits.max(axis=1) - (mean * hidden).sum(axis=1) + MARGIN
    return mean + (short / jnp.square(hidden).sum(axis=1))[:, None] * hidden


def _taken(state: Mapping[str, Any]) -> table.Docids:
    """Identifiers in use and those of removed documents."""
    ids = table.unpack(state["docids"])
    return table.Docids(np.concatenate([ids.tokens, _retired(state, ids)]), ids.alphabet)


def _retired(state: Mapping[str, Any], ids: table.Docids) -> np.ndarray:
    return np.asarray(state.get("retired", np.zeros((0, ids.tokens.shape[1]), np.int32)))


def _siblings(ids: table.Docids, fresh: table.Docids) -> np.ndarray:
    """Tokens that stand in identifiers where the new ones stand."""
    place = np.flatnonzero((fresh.tokens >= ids.alphabet).any(axis=0))
    return np.setdiff1d(ids.tokens[:, place], [table.PAD])
