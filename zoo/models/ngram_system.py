"""A fitted system that generates n-grams: its state and its views."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from zoo import records
from zoo.models import corpus_text, key_search, ngram_corpus, ngram_writer
from zoo.nets import network
from zoo.text import tokens

QUERY_BOOST, QUERY_MOST = 14.0, -1.0  # of log-probabilities of pseudo-queries (MINDER)


def pack_state(
    params: Any, net: network.Network, found: ngram_writer.Read, corpus: records.Corpus
) -> dict:
    """The state that `open` reads."""
    return {
        "params": params,
        network.STATE: network.dump(net.spec),
        "tokenizer": found.texts.tokenizer,
        "corpus_ids": json.dumps(corpus.ids),
        ngram_corpus.ROWS: ngram_corpus.pack(found.parts, found.marks),
    } | corpus_text.pack_languages(found.texts)


def open(
    config: ngram_writer.Writing, state: Mapping[str, Any], names: Sequence[str]
) -> key_search.Opened:
    """The system ready to answer by these views, "text" first."""
    net = network.of(state)
    tokenizer = state["tokenizer"]
    found = kinds(config, ngram_corpus.marks(tokenizer), tokens.unknown(tokenizer), names)
    return key_search.Opened(
        config,
        jax.device_put(state["params"]),
        net,
        found,
        tuple(corpus_text.reader(config, dict(state), prompt=kind.prompt) for kind in found),
        ngram_corpus.index(state, alphabet=net.spec.target_vocab),
        tuple(json.loads(state["corpus_ids"])),
        tokenizer,
    )


def kinds(
    config: ngram_writer.Writing, marks: ngram_corpus.Marks, unknown: int, names: Sequence[str]
) -> tuple[key_search.Kind, ...]:
    """The views of these names: text, title, query."""
    reads = ngram_writer.PROMPTS
    boost = {"boost": QUERY_BOOST, "most": QUERY_MOST}
    every = {
        "text": (0, 0, config.span_length, {}),
        "title": (marks.title, marks.text, config.title_length, {}),
        "query": (marks.query, marks.end, config.longest(), boost),
    }
    return tuple(
        key_search.Kind(name, reads[name], opening, closing, (*marks, unknown), length, **options)
        for name, (opening, closing, length, options) in every.items()
        if name in names
    )
