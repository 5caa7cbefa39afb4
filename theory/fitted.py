"""The law of a fitted system: r(d | q) of all its documents, by the system's own exact scorer.

`zoo.search.requests.all_scores` walks a beam as wide as the trie, so that every identifier gets the
log-probability that the network gives it; that is also what decoding=lookahead and max-marginal
start from. Mass on identifiers that name no document is left out: r is conditioned on the corpus.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from theory import worlds
from zoo import records
from zoo.api import answer, fitted as stored, inputs
from zoo.docids import table
from zoo.index import trie
from zoo.models import generate
from zoo.search import guided, requests

PREFIXES = 2**14  # of a batch: queries x documents


@dataclasses.dataclass(frozen=True, eq=False)
class System:
    """A fitted system that generates identifiers, ready to be asked for its law."""

    config: Any
    model: generate.Model
    opened: generate.Opened
    about: stored.Fitted

    @property
    def ids(self) -> table.Docids:
        return self.model.ids


def open(folder: str | os.PathLike | stored.Fitted) -> System:
    """The system in a folder that `zoo fit --out` wrote.

    Raises ValueError if it generates no identifiers, or several documents share one.
    """
    fitted = folder if isinstance(folder, stored.Fitted) else stored.load(folder)
    opened = answer.open(fitted).ask
    if not isinstance(opened, generate.Opened):
        raise ValueError(
            f"{fitted.name} generates no identifiers; expected a system such as dsi, got {folder}"
        )
    return System(fitted.config, opened.model, opened, fitted)


def sources(system: System, queries: Any) -> np.ndarray:
    """i32[B, S] what the encoder reads of texts, or of histories of item ids."""
    return system.opened.read(inputs.as_queries(system.about, queries))


def example_queries(system: System, data: str | None, number: int, seed: int = 0) -> Any:
    """Queries of the dev split, else test, of a collection; without one, titles of documents.

    A recommender without a collection reads histories of one item.
    """
    rng = np.random.default_rng(seed)
    if data is not None:
        collection = inputs.load_data(data)
        split = "dev" if "dev" in collection.qrels else "test"
        queries, _ = inputs.in_fitted_order(system.about, collection).split(split)
        rows = sorted(rng.permutation(len(queries))[:number].tolist())
        return queries.take(rows)
    documents = system.about.documents
    chosen = np.sort(rng.permutation(len(documents))[:number])
    if isinstance(system.opened.ask, type(None)):
        texts = [documents.titles[row] or documents.texts[row] for row in chosen]
        return [text for text in texts if text.strip()]
    return records.Histories.of(documents, [[documents.ids[row]] for row in chosen])


def log_relevance(system: System, source: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log r(d | q) and the mass on identifiers that exist, before it is conditioned on them.

    source: i32[B, S]. Returns f64[B, N] in the rows of `system.ids`, and f64[B] in (0, 1].
    """
    model, where = system.model, guided.nodes(system.ids)
    together = max(1, min(len(source), PREFIXES // len(system.ids)))
    parts = []
    for first in range(0, len(source), together):
        rows = np.resize(np.arange(first, min(first + together, len(source))), together)
        scores = _scores(model.params, source[rows], model.index, where, net=model.net)
        parts.append(np.asarray(scores, np.float64)[: len(source) - first])
    log = np.concatenate(parts)
    best = log.max(1, keepdims=True)
    total = best + np.log(np.exp(log - best).sum(1, keepdims=True))
    return log - total, np.exp(total[:, 0])


@functools.partial(jax.jit, static_argnames="net")
def _scores(
    params: Any, source: jax.Array, index: trie.Trie, where: guided.Nodes, *, net: Any
) -> jax.Array:
    step, cache = generate.steps(params, source, net)
    scores = requests.all_scores(
        step, cache, index, num_leaves=len(where.parent[-1]), length=net.spec.target_length
    )
    return scores[:, where.leaf]


def trees(system: System, log: np.ndarray) -> list[worlds.Tree]:
    """The tree of the identifiers with the relevance of each query, f64[B, N] logs.

    A probability below 1e-300 of the largest counts as that.
    """
    first = worlds.from_docids(system.ids)
    order = system.ids.order
    relevance = np.exp(np.maximum(log, -690.0))[:, order]
    return [worlds.Tree(first.parents, row / row.sum()) for row in relevance]


def relevance_trees(system: System, source: np.ndarray) -> list[worlds.Tree]:
    """`trees` of the law of each query."""
    return trees(system, log_relevance(system, source)[0])


def found(
    system: System,
    source: np.ndarray,
    k: int,
    *,
    decoding: str,
    beam: int,
    kept: np.ndarray | None = None,
) -> np.ndarray:
    """i32[B, k] rows of the answers by the system's own search, -1 = none.

    kept: bool[N] documents that are still in the corpus; the trie is built anew, and nothing else
    changes.
    """
    model = system.model
    if kept is not None:
        ids = table.subset(model.ids, kept)
        model = model._replace(ids=ids, index=trie.build(ids))
    changes = dict(decoding=decoding, beam=beam)
    if hasattr(system.config, "first_beam"):
        changes["first_beam"] = 0
    config = dataclasses.replace(system.config, **changes)
    opened = generate.open(config, model, system.opened.read)
    names = tuple(map(str, range(len(source))))
    # at least k answers are searched for, so a narrow beam is asked for as many as it holds
    ranking = opened.search(source, names, min(k, beam))
    answers = np.full((len(source), k), -1, np.int32)
    answers[:, : ranking.documents.shape[1]] = ranking.documents
    return answers


def kept_law(system: System, source: np.ndarray, kept: np.ndarray, decoding: str) -> np.ndarray:
    """f64[B, N] log-probability of each document when the system masks and renormalises.

    decoding: "renormalised" or "counted", searched with a beam as wide as the corpus; -inf for a
    document that is not in it.
    """
    ids = table.subset(system.ids, kept)
    index = trie.build(ids)
    legal: Any = index
    if decoding == "counted":
        legal = guided.counted(index, guided.capacities(ids, system.ids))
    together = max(1, min(len(source), PREFIXES // len(ids)))
    parts = []
    for first in range(0, len(source), together):
        rows = np.resize(np.arange(first, min(first + together, len(source))), together)
        beams = _whole(system.model, source[rows], legal, len(ids))
        leaf, score = np.asarray(beams.leaf), np.asarray(beams.score, np.float64)
        log = np.full((together, len(kept)), -np.inf)
        document = np.asarray(index.documents_of(jnp.asarray(leaf)))[..., 0]
        np.put_along_axis(log, document, score, axis=1)
        parts.append(log[: len(source) - first])
    return np.concatenate(parts)


def _whole(model: generate.Model, source: np.ndarray, legal: Any, num_leaves: int) -> Any:
    return _all(model.params, jnp.asarray(source), legal, net=model.net, num_leaves=num_leaves)


@functools.partial(jax.jit, static_argnames=("net", "num_leaves"))
def _all(params: Any, source: jax.Array, legal: Any, *, net: Any, num_leaves: int) -> Any:
    from zoo.search import beam

    step, cache = generate.steps(params, source, net)
    length = net.spec.target_length
    return beam.beam_search(
        step, cache, legal, width=num_leaves, length=length, score="renormalised"
    )
