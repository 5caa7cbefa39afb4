"""Answers of systems that generate n-grams of documents, and why; SEAL's, arXiv 2204.10628.

For a query, a beam search per view (`zoo.search.views`) over an FM-index gives keys, all its
partial hypotheses; the n-grams of the query are keys too. Two stages of `zoo.ranking.keys` score
documents:

1. Of all documents, by keys and single tokens that occur at most `frequent` times, the best
   `candidates`.
2. Of these, in full: all keys, then single tokens.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options, records
from zoo.index import fm, ngrams
from zoo.models import generate, ngram_corpus
from zoo.nets import network
from zoo.options import option
from zoo.ranking import keys
from zoo.search import views
from zoo.text import tokens

QUERY_BATCHES = 1, 8, 64  # sizes that batches of queries are padded to


@dataclasses.dataclass(frozen=True)
class Searching(options.Checked):
    """Options of a system that scores documents by n-grams."""

    beam: int = option(15, "beam width of each view", limits=options.SIZE)
    span_length: int = option(10, "tokens of a generated n-gram of a body", limits=options.SIZE)
    title_length: int = option(15, "maximal tokens of a title, with its end", limits=options.SIZE)
    query_ngrams: int = option(
        3, "longest n-grams of the query that are keys too; 0 = none", limits=options.COUNT
    )
    frequent: int = option(
        1500, "occurrences of a key beyond which it finds no candidates", limits=options.SIZE
    )
    candidates: int = option(1500, "documents that are scored in full", limits=options.SIZE)
    unigrams: int = option(5000, "single tokens that are scored in full", limits=options.COUNT)


ANSWERING = ("beam", "query_ngrams", "frequent", "candidates", "unigrams")


class Kind(NamedTuple):
    """A view: what the encoder reads before the query, and what is searched."""

    name: str
    prompt: str
    opening: int  # token before its n-grams, 0 = none
    closing: int  # token that ends them; only n-grams with it are keys; 0 = none
    # tokens that no n-gram holds, but for the closing one: the markers and the unknown token
    markers: tuple[int, ...]
    length: int
    boost: float = 0.0  # added to log-probabilities, which then are at most `most`
    most: float = 0.0


class Found(NamedTuple):
    """Keys of B queries before scoring, on the device or the host; log-probability -inf = none."""

    tokens: Any  # i32[B, Q, L]
    log_prob: Any  # f32[B, Q]
    node: Any  # i32[B, Q, 2] of the FM-index
    first: Any  # f32[B, V] log-probabilities of single tokens


class Keys(NamedTuple):
    """The n-gram keys of one query, the best first, and its single tokens."""

    ngrams: np.ndarray  # i32[Q, L]
    score: np.ndarray  # f64[Q]
    node: np.ndarray  # i64[Q, 2]
    single: np.ndarray  # i64[U] tokens, the best first
    single_score: np.ndarray  # f64[U]
    worthless: np.ndarray  # i32[R, L] n-grams of the query in the corpus whose score is 0


class Evidence(NamedTuple):
    """A key in a document, and what it adds to the score."""

    text: str
    part: str  # of the document: title, text or query
    place: int  # of its first token among the tokens of the document
    weight: float  # repetition weight
    value: float


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """An opened system: (queries, k) -> Ranking, and `explain`."""

    config: Any
    params: Any
    net: network.Network
    kinds: tuple[Kind, ...]  # that of bodies first
    read: tuple[Callable[[records.Queries], np.ndarray], ...]  # of each kind
    corpus: ngram_corpus.Indexed
    corpus_ids: tuple[str, ...]
    tokenizer: str

    def __call__(self, queries: records.Queries, k: int) -> records.Ranking:
        documents = np.full((len(queries), k), -1, np.int32)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        for row, total in enumerate(self.totals(queries)):
            best = self._best(total, k)
            documents[row, : len(best)] = total.documents[best]
            scores[row, : len(best)] = total.score[best]
        return records.Ranking(queries.ids, self.corpus_ids, documents, scores)

    def explain(self, queries: records.Queries, k: int) -> list[list[tuple[str, list[Evidence]]]]:
        """For each query its k best documents and their evidence, the largest first."""
        answers = []
        for total in self.totals(queries):
            best = self._best(total, k)
            answers.append(
                [(self.corpus_ids[total.documents[d]], self._evidence(total, d)) for d in best]
            )
        return answers

    def _best(self, total: Total, k: int) -> np.ndarray:
        """i64[<= k] the best candidates that hold a key; ties go to the lower row."""
        best = np.lexsort((total.documents, -total.score.astype(np.float32)))
        return best[np.isin(best, total.why.document)][:k]

    def _evidence(self, total: Total, document: int) -> list[Evidence]:
        why = total.why
        rows = np.flatnonzero(why.document == document)
        rows = rows[np.argsort(-why.value[rows], kind="stable")]
        texts = tokens.decode(self.tokenizer, total.ngrams[why.key[rows]])
        place = why.place[rows] - total.starts[document]
        row = total.documents[document]
        document_tokens = self.corpus.tokens[self.corpus.starts[row] : self.corpus.starts[row + 1]]
        parts = ngram_corpus.parts(document_tokens, place, ngram_corpus.marks(self.tokenizer))
        columns = (place.tolist(), why.weight[rows].tolist(), why.value[rows].tolist())
        return [Evidence(*each) for each in zip(texts, parts, *columns, strict=True)]

    def totals(self, queries: records.Queries) -> Iterator[Total]:
        """The candidates of each query with their scores."""
        sources = [read(queries) for read in self.read]
        grams = query_ngrams(sources[0][:, 1:], self.config.query_ngrams, self.kinds[0].markers)
        size = next((s for s in QUERY_BATCHES if len(queries) <= s), QUERY_BATCHES[-1])
        for first in range(0, len(queries), size):
            rows = np.arange(first, min(first + size, len(queries)))
            padded = np.resize(rows, size)
            found = find_keys(
                self.params,
                np.stack([source[padded] for source in sources]),
                grams[padded],
                self.corpus.index,
                net=self.net,
                kinds=self.kinds,
                width=self.config.beam,
            )
            found = Found(*map(np.asarray, found))
            for row in range(len(rows)):
                one = Found(*(part[row] for part in found))
                one = score_keys(one, self.kinds, self.corpus, num_given=grams.shape[1])
                yield score_documents(one, self.corpus, self.config)


class Total(NamedTuple):
    """Scores of the candidates of one query."""

    documents: np.ndarray  # i64[C] rows
    score: np.ndarray  # f64[C]
    why: keys.Contributions  # documents by their place among the candidates
    ngrams: np.ndarray  # i32[Q, L] of the keys
    counts: np.ndarray  # i64[Q] in the corpus
    single: np.ndarray  # bool[Q] whether it is a single token, whose score is not squared
    starts: np.ndarray  # i64[C + 1] of the candidates' texts


@functools.partial(jax.jit, static_argnames=("net", "kinds", "width"))
def find_keys(
    params: Any,
    sources: jax.Array,
    grams: jax.Array,
    index: fm.FMIndex,
    *,
    net: network.Network,
    kinds: tuple[Kind, ...],
    width: int,
) -> Found:
    """Keys of sources i32[W, B, S] of W views, and of n-grams i32[B, G, n] of the queries.

    All views are searched together.
    """
    batch = sources.shape[1]
    length = max(kind.length for kind in kinds)
    columns = max(grams.shape[2], length + 1)
    widen = lambda ngrams: jnp.pad(ngrams, [(0, 0)] * 2 + [(0, columns - ngrams.shape[2])])

    step, cache = generate.steps(params, sources[0], net, places=net.spec.target_length)
    first = views.first_log_probs(step, cache)[:, : index.alphabet]
    given = views.log_probs(step, cache, grams)

    flat = sources.reshape(-1, sources.shape[2])
    each = lambda name: jnp.array([getattr(kind, name) for kind in kinds], jnp.int32)
    of_row = lambda name: jnp.repeat(each(name), batch)
    step, cache = generate.steps(params, flat, net, places=net.spec.target_length)
    view = views.View(index, of_row("opening"), of_row("closing"), jnp.array(kinds[0].markers))
    ngram, score = views.partial_hypotheses(
        step, cache, view, width=min(width, index.alphabet), length=length
    )
    opening, closing = (of_row(name)[:, None] for name in ("opening", "closing"))
    ended = (ngram == closing[..., None]).any(axis=2) | (closing == 0)
    short = (ngram != tokens.PAD).sum(axis=2) <= of_row("length")[:, None]
    score = jnp.where(ended & short, score, -jnp.inf)
    opened = jnp.concatenate([jnp.broadcast_to(opening, ngram.shape[:2])[..., None], ngram], axis=2)
    ngram = jnp.where(opening[..., None] > 0, opened, jnp.pad(ngram, [(0, 0), (0, 0), (0, 1)]))

    apart = lambda x: jnp.moveaxis(x.reshape(len(kinds), batch, *x.shape[1:]), 0, 1)
    together = lambda x: apart(x).reshape(batch, -1, *x.shape[2:])
    ngram = jnp.concatenate([widen(grams), widen(together(ngram))], axis=1)
    return Found(ngram, jnp.concatenate([given, together(score)], axis=1), index.find(ngram), first)


def query_ngrams(sources: np.ndarray, longest: int, without: Sequence[int] = ()) -> np.ndarray:
    """i32[B, G, longest] n-grams of two tokens or more of queries i32[B, S], padded.

    Those past the end of a query or with one of the tokens `without` are all pads.
    """
    found = [np.zeros((len(sources), 1, max(longest, 1)), np.int32)]
    for length in range(2, min(longest, sources.shape[1]) + 1):
        every = np.lib.stride_tricks.sliding_window_view(sources, length, axis=1)
        banned: Any = np.isin(every, (tokens.PAD, *without)).any(axis=2)
        windows = np.where(banned[..., None], tokens.PAD, every).astype(np.int32)
        found.append(np.pad(windows, [(0, 0), (0, 0), (0, longest - length)]))
    return np.concatenate(found, axis=1)


def score_keys(
    found: Found, kinds: Sequence[Kind], corpus: ngram_corpus.Indexed, *, num_given: int = 0
) -> Keys:
    """Keys of one query with a score above 0, the best first, each once.

    num_given: keys at the front that are n-grams of the query.
    """
    size = len(corpus.rows.text)
    log_prob = np.asarray(found.log_prob, np.float64)
    for kind in kinds:
        if kind.boost:
            own = found.tokens[:, 0] == kind.opening
            log_prob = np.where(own, np.minimum(log_prob + kind.boost, kind.most), log_prob)
    node = found.node.astype(np.int64)
    length = (found.tokens != tokens.PAD).sum(axis=1)
    score = keys.key_score(log_prob, node[:, 1] - node[:, 0], size)
    score = np.where((length > 0) & np.isfinite(log_prob), score, 0.0)
    # an n-gram is the first row of its range among those of its length
    order = np.lexsort((node[:, 0], length, -score))
    code = (node[:, 0] * (found.tokens.shape[1] + 1) + length)[order]
    order = order[np.sort(np.unique(code, return_index=True)[1])]
    given = order[(score[order] == 0) & (order < num_given) & (length[order] > 0)]
    worthless = found.tokens[given[node[given, 1] > node[given, 0]]]
    order = order[score[order] > 0]
    single_score = keys.log_odds(found.first, corpus.counts, size)
    single_score[list(kinds[0].markers)] = 0
    single = np.argsort(-single_score, kind="stable")
    single = single[: np.count_nonzero(single_score > 0)]
    return Keys(
        found.tokens[order], score[order], node[order], single, single_score[single], worthless
    )


def score_documents(found: Keys, corpus: ngram_corpus.Indexed, config: Searching) -> Total:
    """The candidates of one query, scored in full.

    One that holds an n-gram of the query has a contribution, of 0 if no key is worth more.
    """
    documents = candidates(found, corpus, config)
    text, starts = ngrams.take(corpus.tokens, corpus.starts, documents)
    lone = found.ngrams[(found.ngrams != tokens.PAD).sum(axis=1) == 1, 0]
    kept = np.flatnonzero(~np.isin(found.single[: config.unigrams], lone))
    single = found.single[kept]
    columns = found.ngrams.shape[1]
    every = np.concatenate([found.ngrams, np.pad(single[:, None], [(0, 0), (0, columns - 1)])])
    every = np.concatenate([every, found.worthless]).astype(np.int32)
    scores = np.concatenate([found.score, found.single_score[kept], np.zeros(len(found.worthless))])
    key, place = ngrams.match(text, every, starts)
    document = np.searchsorted(starts, place, side="right") - 1
    matches = keys.Matches(key, document, place)
    score, why = keys.document_scores(matches, every, scores, num_documents=len(documents))
    counts = np.concatenate([found.node[:, 1] - found.node[:, 0], corpus.counts[single]])
    counts = np.append(counts, np.ones(len(found.worthless), np.int64))
    alone = np.arange(len(every)) >= len(found.score)
    return Total(documents, score, why, every, counts, alone, starts)


def candidates(found: Keys, corpus: ngram_corpus.Indexed, config: Searching) -> np.ndarray:
    """i64[C] rows of the documents that the rare keys find, in increasing order."""
    if len(corpus.starts) - 1 <= config.candidates:
        return np.arange(len(corpus.starts) - 1)
    num = len(found.score)
    single = found.single[:num]
    node = np.stack([corpus.heads[single], corpus.heads[single + 1]], axis=1)
    node = np.concatenate([found.node, node])
    ngram = np.concatenate(
        [found.ngrams, np.pad(single[:, None], [(0, 0), (0, found.ngrams.shape[1] - 1)])]
    )
    score = np.concatenate([found.score, found.single_score[:num]])
    rare = np.flatnonzero(node[:, 1] - node[:, 0] <= config.frequent)
    rare = rare[np.argsort(-score[rare], kind="stable")]
    length = (ngram != tokens.PAD).sum(axis=1)[rare]
    key, document, place = corpus.occurrences(node[rare], length)
    rows, document = np.unique(document, return_inverse=True)
    matches = keys.Matches(key, document, place)
    total, _ = keys.document_scores(matches, ngram[rare], score[rare], num_documents=len(rows))
    best = np.argsort(-total, kind="stable")[: config.candidates]
    return np.sort(rows[best])
