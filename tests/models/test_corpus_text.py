"""Texts in the collection's language, with the same rules for documents and queries."""

import dataclasses

import pytest

from zoo import options, records
from zoo.models import corpus_text, warm_start
from zoo.text import languages, tokens
from zoo.train import log as logs

GERMAN = (
    "Die Häuser der Stadt sind mit den Straßen auf der Karte",
    "Das Haus ist nicht von der Straße und die Blumen für den Garten",
)


@dataclasses.dataclass(frozen=True)
class Config(options.Reading):
    vocabulary: int = 200

    SYSTEM = "mine"


def collection(texts):
    ids = tuple(f"d{row}" for row in range(len(texts)))
    corpus = records.Corpus(ids, ("",) * len(texts), tuple(texts))
    return records.Collection("words", corpus, records.Queries((), ()), {})


def read(texts, config, **given):
    return corpus_text.read(collection(texts), config, logs.Log(), **given)


def state_of(texts):
    return {"tokenizer": texts.tokenizer, **corpus_text.pack_languages(texts)}


def test_documents_and_queries_are_stemmed_in_the_language_of_the_documents():
    texts = read(GERMAN, Config())
    assert texts.languages["LATIN"] == "german"
    assert texts.contents[0].startswith("die haus der stadt")
    assert corpus_text.as_read(Config(), state_of(texts), ["HÄUSER"]) == ["haus"]
    # control: as English, the plural stays
    english = read(GERMAN, Config(language="english"))
    assert english.contents[0].startswith("die häuser der")


def test_a_fitted_system_keeps_the_language_rules_of_its_fit():
    state = state_of(read(GERMAN, Config()))
    again = read(["The houses of the city are on the map"], Config(), state=state)
    assert again.languages["LATIN"] == "german" and again.tokenizer == state["tokenizer"]
    # an older state without languages: all stems are English
    del state["languages"]
    assert corpus_text.as_read(Config(), state, ["Häuser houses"]) == ["häuser hous"]
    assert read(GERMAN, Config(), state=state).languages == languages.ENGLISH


def test_texts_are_unchanged_without_stems():
    config = Config(stem=False)
    texts = read(GERMAN, config)
    assert texts.contents == list(GERMAN)
    assert corpus_text.as_read(config, state_of(texts), ["HÄUSER"]) == ["HÄUSER"]


def test_accents_are_stripped_by_an_option():
    for strip in (False, True):
        tokenizer = read(GERMAN, Config(strip_accents=strip, stem=False)).tokenizer
        rows = [tokens.whole(tokenizer, [text])[0].tolist() for text in ("häuser", "hauser")]
        assert (rows[0] == rows[1]) == strip


def test_a_start_brings_its_languages_and_its_tokenizer():
    state = state_of(read(GERMAN, Config()))
    start = warm_start.Start("a fit", "", None, None, state["tokenizer"])
    options_of_it = {"stem": True, "languages": {"LATIN": "german"}, "language": "auto"}
    started = read(["The houses"], Config(), start=start._replace(options=options_of_it))
    assert started.languages == {"LATIN": "german"} and started.tokenizer == state["tokenizer"]


def test_an_unknown_language_is_refused():
    with pytest.raises(records.DataError, match="mine: option language .*'klingon'"):
        Config(language="klingon")
