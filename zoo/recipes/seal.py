"""SEAL: an encoder-decoder that generates n-grams of the answer, found by an FM-index.

Bevilacqua et al. 2022, "Autoregressive Search Engines: Generating Substrings as Document
Identifiers" (arXiv 2204.10628). Sec. 3.1: every n-gram of a document is an identifier of it; an
FM-index constrains the beam to n-grams of the corpus and counts them. Sec. 3.2: keys are scored by
the model and their count, documents by keys that do not overlap. Sec. 3.3: training targets are
spans of the relevant document that resemble the query, and its title. The index alone knows the
documents, so new ones are found without training.
"""

from __future__ import annotations

import dataclasses

import jax

from zoo import options, recipes, records
from zoo.models import key_search, ngram_system, ngram_writer, warm_start
from zoo.update import ngrams

VIEWS = ("text", "title")


@dataclasses.dataclass(frozen=True)
class Config(ngram_writer.Writing):
    """Options of SEAL."""

    encoder_layers: int = 1
    decoder_hidden: int = 512
    dropout: float = 0.1
    word_dropout: float = 0.0
    visits: float = 60.0

    SYSTEM = "seal"


def fit(
    collection: records.Collection,
    config: Config,
    key: jax.Array,
    log,
    start: warm_start.Start | None = None,
) -> dict:
    """Tokenizer, parameters and the tokens of all documents."""
    found = ngram_writer.read(collection, config, log, start)
    draw_key, train_key = jax.random.split(key)
    seed = int(jax.random.randint(draw_key, (), 0, 2**31 - 1))
    examples = ngram_writer.sources(found, config, seed)
    params, net = ngram_writer.fit(found, examples, config, train_key, log, start)
    return ngram_system.pack_state(params, net, found, collection.corpus)


def open(config: Config, state: dict) -> key_search.Opened:
    """Documents by n-grams of their bodies and by their titles."""
    return ngram_system.open(config, state, VIEWS)


SMALL = Config()
BASE = Config(**options.T5_BASE, decoder_hidden=2048, decoder_layers=12, rate=3e-4, warmup=2000)

RECIPE = recipes.Recipe(
    name="seal",
    paper="Bevilacqua et al. 2022, Autoregressive Search Engines: Generating Substrings as "
    "Document Identifiers, arXiv 2204.10628",
    presets={
        "tiny": Config(
            **options.TINY,
            span_length=5,
            title_length=4,
            spans=3,
            titles=1,
            generated=4,
            fewest_steps=600,
            most_steps=600,
        ),
        "small": SMALL,
        "base": BASE,
        "paper": dataclasses.replace(
            BASE,
            stem=False,
            vector_start=False,
            generated=3,
            made_spans=1,
            made_titles=1,
            rate=3e-5,
            decay="linear",
            steps=800_000,
        ),
    },
    fit=fit,
    open=open,
    deviations=(
        "trained from scratch unless --init-from names T5 weights; the paper starts from "
        "BART-large",
        "one table of tokens for source, target and output, which starts from the corpus's SVD "
        "(vector_start)",
        "words are stemmed but in paper, and spans are counted in sub-words, not in words",
        "the similarity by which spans are drawn is the Dice coefficient of three-letter sets; "
        "the paper names a fuzzy match, to answers too, which are no part of a collection here",
        "the unsupervised examples start from queries made by rule or by a trained generator; "
        "the paper's from spans of the document",
        "the type of the target is a prompt before the query; the paper has markers after it",
        "keys of the search are not scored again by a forward pass: its scores are the model's "
        "unconstrained log-probabilities already; n-grams of the query are",
        "n-grams of the query have two tokens or three, the paper's three, and the tokenizer's one "
        "casing; a key that the search and the query both give counts once, with the higher score",
        "a title begins after a marker in the index, so that only beginnings of titles are "
        "generated; documents without a title have none",
        "in the first stage too, further occurrences of a key in a document claim their places",
    ),
    starts=True,
    answering=key_search.ANSWERING,
    add=ngrams.add,
    remove=ngrams.remove,
)
