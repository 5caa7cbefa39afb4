"""LIMIT: each query has the two people who like a thing, and all but 35 pairs are asked for."""

import pytest

from zoo import records
from zoo.data import limit


@pytest.mark.parametrize("hard", (False, True))
def test_every_query_is_answered_by_the_two_documents_that_hold_its_words(hard):
    found = limit.build(200, hard=hard)
    _, qrels = found.split("test")
    pairs = {tuple(sorted(judged)) for judged in qrels.grades.values()}
    assert len(found.queries) == len(pairs) == 1000 and len(found.corpus) == 200
    texts = dict(zip(found.corpus.ids, found.corpus.texts))
    liked = {
        name: set(text.rstrip(".").split(" likes ")[1].split(", ")) for name, text in texts.items()
    }
    for name, query in zip(found.queries.ids, found.queries.texts):
        thing = query.removeprefix("Who likes ").rstrip("?")
        assert {one for one, things in liked.items() if thing in things} == set(qrels.grades[name])
    assert {len(things) for things in liked.values()} <= set(range(50, 60))


def test_small_and_full_have_the_same_queries_and_relevant_people():
    one, other = limit.build(46), limit.build(60)
    assert one.queries == other.queries and one.qrels == other.qrels
    with pytest.raises(records.DataError, match="expected 46 documents or more"):
        limit.build(45)
