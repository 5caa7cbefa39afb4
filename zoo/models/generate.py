"""Answers of systems that generate identifiers with an encoder-decoder."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo import records
from zoo.data import batches
from zoo.docids import table
from zoo.index import filters, projection, trie
from zoo.nets import network
from zoo.ranking import collect as collecting
from zoo.search import decoders, guided, requests
from zoo.text import tokens

FEW, NARROW, WIDE = 10, 20, 100  # a beam of 20 finds as good a top 10 as one of 100
QUERY_BATCHES = 1, 8, 64  # sizes that batches of queries are padded to
ANSWERS = 100  # hypotheses of the last level, if no more are wanted, where inner levels are fixed
MANY = 8  # batches of queries that are worth a compilation for each class of lengths


class Model(NamedTuple):
    """A fitted encoder-decoder on the device, and the documents that its identifiers name."""

    params: Any
    net: network.Network
    ids: table.Docids
    index: trie.Trie  # of ids
    corpus_ids: tuple[str, ...]  # N


def load(state: dict) -> Model:
    """The model in a state of `pack_state`."""
    ids = answerable(state)
    return Model(
        jax.device_put(state["params"]),
        network.of(state),
        ids,
        trie.build(ids),
        tuple(json.loads(state["corpus_ids"])),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """An opened system that generates identifiers: (queries, k) -> Ranking."""

    model: Model
    read: Callable[[Any], np.ndarray]  # queries -> i32[B, S], the input of the encoder
    decode: decoders.Decode
    collect: collecting.Collect
    legal: Any  # what `decode` searches
    beam: int  # 0 = by the number of answers
    first: int  # hypotheses kept at the first level, if more than the beam
    queries_at_once: Callable[[int], int]  # of the width of the beam
    allowed: np.ndarray | None = None  # bool[N] documents that `legal` is restricted to
    # (self, queries, k, allowed=, excluded=) -> Ranking; by default `search` of `read`
    ask: Callable[..., records.Ranking] | None = None
    # queries -> f32[B, N] scores added to those of identifiers; the best below a prefix is its
    # potential (PAG, arXiv 2404.14600)
    plan: Callable[[Any], np.ndarray] | None = None
    fixed: bool = False  # whether inner levels keep their width where more answers are wanted

    def __call__(
        self,
        queries: records.Queries | records.Histories,
        k: int,
        *,
        allowed: np.ndarray | None = None,
        excluded: np.ndarray | None = None,
    ) -> records.Ranking:
        """The k best documents of each query; allowed, excluded: see `search`."""
        if self.ask is not None:
            return self.ask(self, queries, k, allowed=allowed, excluded=excluded)
        planned = None if self.plan is None else self.plan(queries)
        sources = self.read(queries)
        return self.search(
            sources, queries.ids, k, allowed=allowed, excluded=excluded, planned=planned
        )

    @functools.cached_property
    def nodes(self) -> guided.Nodes:
        """Where the documents are in the trie."""
        return guided.nodes(self.model.ids)

    def width(self, k: int) -> int:
        """Beam width for k answers: at least k; without a beam of its own, one of a few widths."""
        wanted = min(k, self.model.ids.num_documents)
        return max(self.beam or (NARROW if k <= FEW else WIDE), wanted)

    def widths(self, k: int) -> tuple[int, ...]:
        """Hypotheses kept at each level for k answers."""
        length, width = self.model.net.spec.target_length, self.width(k)
        if self.fixed:
            wanted = min(k, self.model.ids.num_documents)
            return (self.beam,) * (length - 1) + (max(min(self.beam, ANSWERS), wanted),)
        return (max(self.first, width), width)[-length:]

    def search(
        self,
        sources: np.ndarray,
        names: Sequence[str],
        k: int,
        *,
        allowed: np.ndarray | None = None,
        excluded: np.ndarray | None = None,
        planned: np.ndarray | None = None,
    ) -> records.Ranking:
        """The k best documents for sources i32[B, S], or vectors f32[B, D], of queries with these
        ids.

        allowed: bool[B, N] documents that may answer each query. excluded: i32[B, E] rows that may
        not, -1 = none. planned: f32[B, N], what `plan` returns. Decoders that draw repeat their
        draws for the same queries.
        Raises DataError for a restriction if the decoder does not filter.
        """
        self._refuse_filters(allowed, excluded)
        model, wanted = self.model, min(k, self.model.ids.num_documents)
        width = self.width(k)
        documents = np.full((len(names), k), -1, np.int32)
        scores = np.full((len(names), k), -np.inf, np.float32)
        generated = invalid = proven = 0
        # programs are compiled for each k only where k decides what is computed
        at = wanted if self.decode.finds_k else width
        how = How(model.net, self.decode, at, self.widths(wanted), self.collect)
        for rows, length, size in _query_batches(sources, self.queries_at_once(width)):
            # the last batch repeats rows: one shape serves all
            padded = np.resize(rows, size)
            legal = self._restricted(
                None if allowed is None else allowed[padded],
                None if excluded is None else excluded[padded],
            )
            found = answer(
                model.params,
                sources[padded, :length],
                legal,
                legal if self.decode.filters else model.index,
                jax.random.fold_in(jax.random.key(0), int(rows[0])) if self.decode.draws else None,
                None if planned is None else (planned[padded], self.nodes),
                how=how,
            )
            found = Found(*(part[: len(rows)] for part in jax.device_get(found)))
            columns = min(k, found.documents.shape[1])
            documents[rows, :columns] = found.documents[:, :columns]
            scores[rows, :columns] = found.scores[:, :columns]
            generated, invalid, proven = (
                total + int(part.sum())
                for total, part in zip((generated, invalid, proven), found[2:])
            )
        return records.Ranking(
            tuple(names),
            model.corpus_ids,
            documents,
            scores,
            invalid / max(generated, 1),
            proven / max(len(names), 1),
        )

    def _restricted(self, allowed: np.ndarray | None, excluded: np.ndarray | None) -> Any:
        """What is searched for a batch: allowed bool[B, N], excluded i32[B, E], see `search`."""
        legal = self.legal
        if allowed is not None:
            both = allowed if self.allowed is None else allowed & self.allowed
            legal = filters.keep(self.model.index, both)
        if excluded is not None:
            legal = _exclude(legal, *table.gather(self.model.ids, excluded)[::-1])
        return legal

    def _refuse_filters(self, *restrictions: np.ndarray | None) -> None:
        if not self.decode.filters and any(each is not None for each in restrictions):
            able = ", ".join(name for name, kind in decoders.KINDS.items() if kind.filters)
            raise records.DataError(
                f"decoding {self.decode.name!r} cannot restrict the answers of a query; "
                f"set decoding to one of {able}"
            )


def open(
    config: Any,
    model: Model,
    read: Callable[[Any], np.ndarray],
    *,
    collect: collecting.Collect | None = None,
    allowed: np.ndarray | None = None,
) -> Opened:
    """Opens a model by the options beam, decoding and, if there is one, first_beam.

    Args:
      config: a config with the options of `options.Answering`.
      read: queries -> i32[B, S], the input of the encoder.
      collect: from beams to documents; by default `collect.by_leaf()`.
      allowed: bool[N] documents that may be answers; only if the decoder filters.
    """
    decode = decoders.parse(config.decoding)
    index = model.index if allowed is None else filters.keep(model.index, allowed)
    cache = jax.eval_shape(lambda: model.net.empty_cache(1, model.net.spec.target_length))
    at_once = lambda width: decode.queries_at_once(
        model.index, cache, width=width, most=QUERY_BATCHES[-1]
    )
    return Opened(
        model,
        read,
        decode,
        collecting.by_leaf() if collect is None else collect,
        decode.constraint(index, model.ids),
        beam=int(config.beam),
        first=int(getattr(config, "first_beam", 0)),
        queries_at_once=at_once,
        allowed=allowed,
    )


class Found(NamedTuple):
    """Answers to a batch of queries."""

    documents: jax.Array  # i32[B, M] rows, best first, -1 = none
    scores: jax.Array  # f32[B, M]
    generated: jax.Array  # i32[B] identifiers in the beam
    invalid: jax.Array  # i32[B] of which name no document
    proven: jax.Array  # bool[B]


class How(NamedTuple):
    """How sources are answered; hashable, a static argument of `answer`."""

    net: network.Network
    decode: decoders.Decode
    k: int
    width: int | tuple[int, ...]
    collect: collecting.Collect = collecting.by_leaf()


@functools.partial(jax.jit, static_argnames="how")
def answer(
    params: Any,
    source: jax.Array,
    legal: Any,
    index: trie.Trie,
    key: jax.Array | None,
    planned: tuple[jax.Array, guided.Nodes] | None = None,
    *,
    how: How,
) -> Found:
    """Documents for source i32[B, S]: `generate`, then `collect` by the trie of the identifiers.

    planned: scores f32[B, N] that guide the beam and are added to those of the documents found.
    """
    bounds = None if planned is None else guided.upper_bounds(planned[1], planned[0])
    beams, proven = generate(params, source, legal, key, how=how, potential=bounds)
    if how.decode.name == "free":
        beams = collecting.locate(beams, index)
    documents, scores = how.collect(beams, index)
    if planned is not None:
        documents, scores = collecting.add(documents, scores, planned[0])
    alive = beams.score > -jnp.inf
    return Found(
        documents, scores, alive.sum(axis=1), (alive & (beams.leaf < 0)).sum(axis=1), proven
    )


@functools.partial(jax.jit, static_argnames="how")
def generate(
    params: Any,
    source: jax.Array,
    legal: Any,
    key: jax.Array | None = None,
    *,
    how: How,
    potential: tuple[jax.Array, ...] | None = None,
) -> requests.Answers:
    """Identifiers for source i32[B, S] among `legal`, what `decode.constraint` returns."""
    step, cache = steps(params, source, how.net)
    return how.decode(
        step,
        cache,
        legal,
        k=how.k,
        width=how.width,
        length=how.net.spec.target_length,
        key=key,
        potential=potential,
    )


def steps(params: dict, source: jax.Array, net: network.Network, *, places: int = 0) -> tuple:
    """(step, cache) of a search for source i32[B, S]; the encoding is not tiled over hypotheses.

    places: of the cache, see `network.Network`; a loop whose steps are one program
      needs all L.
    """
    memory = net.encode(params, source)

    def step(t, token, cache):
        logits, cache = net.step(params, memory, t, token, cache)
        if isinstance(logits, network.Factors):
            logits = projection.Projection(*logits)
        return logits, cache

    return step, net.empty_cache(source.shape[0], places)


def answerable(state: Mapping[str, Any]) -> table.Docids:
    """The identifiers of the documents that may be answered: a recommender keeps removed items."""
    ids = table.unpack(state["docids"])
    return table.subset(ids, ~np.asarray(state["removed"])) if "removed" in state else ids


_exclude = jax.jit(filters.without)


def _query_batches(sources: np.ndarray, most: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """(rows, length to cut to, size to pad to) of batches of sources i32[B, S], in few shapes.

    Few queries go in one batch of the least of QUERY_BATCHES. Many are grouped by the class of
    their length, padding being most of what a model would read.
    """
    vectors = np.issubdtype(sources.dtype, np.floating)  # all of one length
    lengths = (
        np.full(len(sources), sources.shape[1]) if vectors else (sources != tokens.PAD).sum(axis=1)
    )
    classes = np.array(
        batches.length_classes(lengths) if len(sources) >= MANY * most else (sources.shape[1],)
    )
    kind = np.searchsorted(classes, lengths)
    size = next((size for size in QUERY_BATCHES if len(sources) <= size <= most), most)
    for which in np.unique(kind):
        rows = np.flatnonzero(kind == which)
        for first in range(0, len(rows), size):
            yield rows[first : first + size], int(classes[which]), size


def pack_state(
    params: dict, net: network.Network, ids: table.Docids, tokenizer: str, corpus: records.Corpus
) -> dict:
    """The state that `search` reads, and the tokenizer of queries."""
    return {
        "params": params,
        network.STATE: network.dump(net.spec),
        "docids": table.pack(ids),
        "tokenizer": tokenizer,
        "corpus_ids": json.dumps(corpus.ids),
    }
