"""BM25 finds country names in fifteen languages without a language option."""

import collections

import babel
import numpy as np
import pytest

from zoo.index import lexical

LANGUAGES = "ar bn de el en es fr hi ja km ko my ru th zh".split()


def names(language):
    """Names of countries in a language, from the Unicode CLDR."""
    territories = babel.Locale(language).territories
    return sorted({name for code, name in territories.items() if len(code) == 2 and code.isalpha()})


def found(texts, rows, queries):
    """Share of the queries with their own text in the top ten."""
    documents, _ = lexical.search(lexical.build(texts), queries, 10)
    return np.mean([row in ranked for row, ranked in zip(rows, documents.tolist())])


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_country_is_found_by_its_name(language):
    texts = names(language)
    assert len(texts) > 200
    assert found(texts, range(len(texts)), texts) >= 0.98


def test_every_country_is_found_among_the_names_of_all_languages():
    texts = sorted({name for language in LANGUAGES for name in names(language)})
    assert found(texts, range(len(texts)), texts) >= 0.98


@pytest.mark.parametrize("language", ["ja", "zh", "ko"])
def test_a_country_is_found_by_its_first_two_characters_if_they_are_unique(language):
    texts = names(language)
    count = collections.Counter(text[:2] for text in texts)
    rows = [row for row, text in enumerate(texts) if count[text[:2]] == 1 and len(text) > 2]
    assert len(rows) > 100
    assert found(texts, rows, [texts[row][:2] for row in rows]) >= 0.98
