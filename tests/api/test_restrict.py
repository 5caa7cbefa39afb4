"""Restricted answers are the whole ranking without what is not allowed."""

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.api import restrict
from zoo.data import toy
from zoo.ranking import seen


def systems():
    """Systems whose whole ranking is exact, and a query of each."""
    documents, items = toy.build(30), toy.interactions(30, 60)
    wide = {"steps": 3, "beam": 30}
    history = list(items.corpus.ids[:2])
    return {
        "bm25": (documents, {}, documents.queries.texts[0]),
        "popularity": (items, {}, history),
        "dsi": (documents, wide, documents.queries.texts[0]),
        "tiger": (items, {"steps": 3, "beam": 30, "first_beam": 0, "filter": "yes"}, history),
    }


@pytest.mark.parametrize("name", ("bm25", "popularity", "dsi", "tiger"))
def test_answers_are_those_of_the_whole_ranking_that_are_allowed(name):
    data, options, query = systems()[name]
    ask = zoo.open(zoo.fit(name, data, size="tiny", options=options, quiet=True))
    whole = [answer.document for answer in ask([query], k=30)[0]]
    allowed, excluded = sorted(whole)[::2], whole[:2]
    found = lambda **more: [each.document for each in ask([query], k=4, **more)[0]]
    kept = [each for each in whole if each in allowed]
    assert found(allowed=allowed) == kept[:4]
    assert found(excluded=excluded) == whole[2:6]
    both = [each for each in kept if each not in excluded]
    assert found(allowed=allowed, excluded=[excluded]) == both[:4]


def test_rows_and_masks_are_per_query_or_for_all():
    rows = {"a": 0, "b": 1, "c": 2}
    assert restrict.mask_of(["a", "c"], rows, 2).tolist() == [[True, False, True]] * 2
    assert restrict.mask_of([["a"], []], rows, 2).tolist() == [[True, False, False], [False] * 3]
    assert [row[row >= 0].tolist() for row in restrict.rows_of([["c", "c"], ["b"]], rows, 2)] == [
        [2],
        [1],
    ]
    with pytest.raises(records.DataError, match="no document 'd'"):
        restrict.rows_of(["d"], rows, 1)
    with pytest.raises(records.DataError, match="one for each of 3 queries"):
        restrict.mask_of([["a"]], rows, 3)


def test_a_decoder_that_does_not_filter_refuses_a_restriction():
    options = {"steps": 3, "decoding": "counted"}
    ask = zoo.open(zoo.fit("dsi", toy.build(30), size="tiny", options=options, quiet=True))
    with pytest.raises(records.DataError, match="'counted' cannot restrict .* trie"):
        ask("bab", k=3, excluded=[])


def test_joined_rows_need_as_few_columns_as_hold_them():
    rows = np.full((2, 16), -1)
    rows[0, :10], more = np.arange(10), np.array([[20] * 6, [30] * 6])
    assert seen.join(rows, more).shape == (2, 16)
    assert sorted(seen.join(rows, np.concatenate([more, more], axis=1))[0, :22].tolist()) == sorted(
        [*range(10), *[20] * 12]
    )
    assert seen.join(rows, None) is rows
