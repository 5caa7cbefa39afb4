"""Training of an encoder-decoder that generates n-grams of documents, over one text vocabulary.

Source, target and output share one table of tokens (`transformer.Shape` shared and tied), so that a
word of the query can be copied into a key.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from zoo import options, records
from zoo.data import batches
from zoo.models import corpus_text, encoder_decoder, key_search, ngram_corpus, spans, warm_start
from zoo.nets import network, transformer
from zoo.options import option
from zoo.text import languages, tokens, vectors
from zoo.train import stages

# what the encoder reads before a query, by the kind of n-gram that is wanted, and before a
# pseudo-query
PROMPTS = {kind: f"[{kind} of the answer]" for kind in ("text", "title", "query")}
MADE = {kind: f"[{kind} of the origin]" for kind in PROMPTS}
EVERY = (*ngram_corpus.MARKERS, *PROMPTS.values(), *MADE.values())


@dataclasses.dataclass(frozen=True)
class Writing(options.Writing, options.Reading, key_search.Searching):
    """Options of a system that learns to generate n-grams."""

    document_length: int = option(
        0, "tokens of a document's body that are indexed; 0 = all", limits=options.COUNT
    )
    spans: int = option(10, "spans of the document per train query", limits=options.COUNT)
    titles: int = option(3, "titles per train query", limits=options.COUNT)
    made_spans: int = option(3, "spans per generated query", limits=options.COUNT)
    made_titles: int = option(1, "titles per generated query", limits=options.COUNT)
    temperature: float = option(
        1.0, "temperature at which spans are drawn by similarity", limits=(1e-3, math.inf)
    )

    def longest(self) -> int:
        """Most tokens of a target."""
        return max(self.span_length, self.title_length)

    def targets(self, *, made: bool) -> dict[str, int]:
        """Number of targets of each kind for a query of the train split, or a generated one."""
        if made:
            return {"text": self.made_spans, "title": self.made_titles}
        return {"text": self.spans, "title": self.titles}


class Read(NamedTuple):
    """The texts of a collection, and its documents as token rows."""

    texts: corpus_text.Texts
    parts: ngram_corpus.Parts
    marks: ngram_corpus.Marks


def read(
    collection: records.Collection,
    config: Writing,
    log,
    start: warm_start.Start | None,
    *,
    state: dict | None = None,
) -> Read:
    """Texts and tokens of a collection, without pseudo-queries; state: of a system that goes on."""
    texts = corpus_text.read(collection, config, log, prompts=EVERY, start=start, state=state)
    corpus = stemmed(config, collection.corpus, texts.languages)
    parts = ngram_corpus.encode(texts.tokenizer, corpus, most=config.document_length)
    return Read(texts, parts, ngram_corpus.marks(texts.tokenizer))


def stemmed(
    config: options.Reading, corpus: records.Corpus, chosen: dict[str, str]
) -> records.Corpus:
    """The corpus as the system reads it."""
    if not config.stem:
        return corpus
    columns = (languages.stem_texts(column, chosen) for column in (corpus.titles, corpus.texts))
    return records.Corpus(corpus.ids, *map(tuple, columns))


def sources(found: Read, config: Writing, seed: int) -> dict[str, batches.Source]:
    """Examples by kind: what is wanted of train queries and, "made", of generated ones.

    Without train queries the generated ones stand in for them.
    """
    texts = found.texts
    share = config.generated_share if texts.made and texts.queries else 0.0
    asked = {"": (PROMPTS, texts.queries, texts.answers, 1 - share)}
    if not texts.queries:
        asked = {"": (PROMPTS, texts.made, texts.origins, 1.0)}
    elif share:
        asked["made "] = (MADE, texts.made, texts.origins, share)
    examples, likeness = {}, spans.similar(texts.tokenizer)
    for name, (prompts, queries, rows, weight) in asked.items():
        counts = config.targets(made=queries is texts.made)
        wanted = targets(found, queries, rows, counts, config, likeness, seed)
        for kind, target in wanted.items():
            kept = np.flatnonzero(target[:, :1, 0].all(axis=1))
            if not len(kept) or not counts[kind] or not weight:
                continue
            texts_of = [queries[row] for row in kept]
            source = texts.encode(texts_of, config.query_length, prompts[kind])
            rows_of = target[kept].reshape(-1, target.shape[2])
            pairs = {
                "source": np.repeat(source, target.shape[1], axis=0),
                "target": np.pad(rows_of, [(0, 0), (0, config.longest() - rows_of.shape[1])]),
            }
            part = weight * counts[kind] / sum(counts.values())
            examples[name + kind] = batches.Source(pairs, part)
    return examples


def targets(
    found: Read,
    queries: Sequence[str],
    rows: Sequence[int],
    counts: Mapping[str, int],
    config: Writing,
    likeness: Any,
    seed: int,
) -> dict[str, np.ndarray]:
    """i32[n, count, length] targets of each kind for queries and the rows of their documents."""
    bodies = [found.parts.bodies[row] for row in rows]
    drawn = {
        "text": spans.draw(
            tokens.whole(found.texts.tokenizer, queries),
            bodies,
            likeness,
            count=counts["text"],
            length=config.span_length,
            temperature=config.temperature,
            seed=seed,
        ),
        "title": _titles(found, rows, config.title_length),
    }
    if counts.get("query"):
        draw = np.random.default_rng([seed, 1])
        drawn["query"] = _pseudo(found, rows, counts["query"], config.longest(), draw)
    return drawn


def fit(
    found: Read,
    examples: Mapping[str, batches.Source],
    config: Writing,
    key: jax.Array,
    log,
    start: warm_start.Start | None,
) -> tuple[Any, network.Network]:
    """The trained parameters and their network."""
    if not examples:
        raise records.DataError(
            f"{config.SYSTEM}: nothing to learn from: no train queries and generated=0; raise "
            "generated"
        )
    tokenizer = found.texts.tokenizer
    size = max(tokens.count(tokenizer), 0 if start is None else start.shape.source_vocab)
    shape = transformer.Shape(
        source_vocab=size,
        target_vocab=size,
        target_length=config.longest(),
        shared=True,
        tied=True,
        **{field: getattr(config, field) for field in options.WRITER},
    )
    if start is not None:
        start = start._replace(keeps=frozenset({"source", "target"}))
    net = network.build(warm_start.match_shape(shape, start))
    init_key, train_key = jax.random.split(key)
    words = None
    if config.vector_start:
        rows = [np.concatenate(pair) for pair in zip(found.parts.titles, found.parts.bodies)]
        words = initial_words(rows, size, config.width)
    unknown = tokens.unknown(tokenizer)
    stage = encoder_decoder.stage(net, list(examples.values()), config, log, unknown=unknown)
    params = stages.run(
        [stage],
        encoder_decoder.init(net, init_key, embeddings=words, start=start),
        config,
        train_key,
        log,
        budget=stages.Budget.of(config, len(found.parts.bodies)),
    )
    return params, net


def _titles(found: Read, rows: Sequence[int], length: int) -> np.ndarray:
    """i32[n, 1, length] titles of documents and the marker that ends them; pads for no title."""
    target = np.zeros((len(rows), 1, length), np.int32)
    for number, row in enumerate(rows):
        title = found.parts.titles[row][: length - 1]
        if len(title):
            target[number, 0, : len(title) + 1] = [*title, found.marks.text]
    return target


def _pseudo(
    found: Read, rows: Sequence[int], count: int, length: int, draw: np.random.Generator
) -> np.ndarray:
    """i32[n, count, length] pseudo-queries of documents, drawn with replacement, and their end."""
    target = np.zeros((len(rows), count, length), np.int32)
    for number, row in enumerate(rows):
        own = found.parts.queries[row]
        for column, place in enumerate(draw.integers(0, len(own), count) if own else ()):
            query = own[place][: length - 1]
            target[number, column, : len(query) + 1] = [*query, found.marks.end]
    return target


def initial_words(rows: Sequence[np.ndarray], size: int, width: int) -> np.ndarray:
    """f32[size, D] SVD vectors of the words of documents, as long as random rows.

    For a table that is the output too. rows: tokens i[...] of each document.
    """
    words = vectors.tfidf_svd(rows, vocabulary=size, dim=width, seed=0).words
    lengths = np.linalg.norm(words, axis=1, keepdims=True)
    return np.where(
        lengths > 0,
        words / np.maximum(lengths, 1e-9) * math.sqrt(width),
        np.random.default_rng(0).normal(size=words.shape),
    )
