"""The toy collection is memorisable by construction."""

import pytest

from zoo import records
from zoo.data import toy


def test_any_own_word_names_its_document_and_train_queries_cover_all_of_them():
    collection = toy.build(50, seed=3)
    contents = [set(text.split()) for text in collection.corpus.contents()]
    owners = {}
    for row, words in enumerate(contents):
        for word in words:
            owners.setdefault(word, set()).add(row)
    own = [{word for word in words if owners[word] == {row}} for row, words in enumerate(contents)]
    assert all(len(words) == toy.OWN_WORDS for words in own)
    rows = collection.corpus.rows()
    for split in ("train", "dev", "test"):
        queries, qrels = collection.split(split)
        covered = [set() for _ in contents]
        for query, text in zip(queries.ids, queries.texts):
            (document,) = qrels.grades[query]
            assert len(own[rows[document]] & set(text.split())) == 3
            covered[rows[document]] |= set(text.split())
        if split == "train":
            assert all(words <= seen for words, seen in zip(own, covered))


def test_no_test_query_has_the_own_words_of_a_train_query():
    collection = toy.build(30)
    common = set("the a of and how what find make with for".split())
    words = {
        split: {frozenset(set(text.split()) - common) for text in collection.split(split)[0].texts}
        for split in collection.qrels
    }
    assert (
        not words["train"] & words["test"]
        and not words["train"] & words["dev"]
        and not words["dev"] & words["test"]
    )


def test_the_seed_decides_everything():
    assert toy.build(20, seed=1) == toy.build(20, seed=1)
    assert toy.build(20, seed=1).corpus.fingerprint() != toy.build(20, seed=2).corpus.fingerprint()


@pytest.mark.parametrize("count", [0, 40_001])
def test_sizes_that_cannot_be_built_are_refused(count):
    with pytest.raises(records.DataError, match="expected 1 to 40,000"):
        toy.build(count)
