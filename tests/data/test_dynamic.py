"""Collections divided into D0 to Dn: every document once, every query where its documents are."""

import dataclasses

import numpy as np
import pytest

from zoo import records
from zoo.data import dynamic, toy


@pytest.mark.parametrize(
    ("by", "values"),
    (
        ("random", None),
        ("time", np.arange(40)[::-1]),
        ("field", list("aaaaaaaaaaaaaaaaaaaaaabbbbbbbccccccdddee")),
        ("cluster", np.arange(40) % 7),
    ),
)
def test_every_document_is_in_one_part_and_queries_follow_it(by, values):
    growing = dynamic.split(toy.build(40), by, steps=3, values=values, seed=1)
    assert np.sort(np.concatenate(growing.parts)).tolist() == list(range(40))
    assert all(len(part) for part in growing.parts) and growing.steps == 3
    initial = growing.initial()
    assert initial.corpus.ids == growing.corpus(0).ids and set(initial.qrels) == {
        *("train", "dev", "test")
    }
    known = set(initial.corpus.ids)
    assert all(name in known for judged in initial.qrels.values() for _, name in judged.pairs())
    assert len(initial.queries) == 5 * len(known)  # five of each document, none of others
    asked = [growing.queries(part, "test")[0].ids for part in range(4)]
    assert sorted(sum(asked, ())) == sorted(f"q{row}.4" for row in range(40))


def test_time_puts_the_earliest_first_and_a_field_keeps_its_values_together():
    by_time = dynamic.split(toy.build(10), "time", steps=2, values=list(range(10))[::-1])
    assert [part.tolist() for part in by_time.parts] == [[5, 6, 7, 8, 9], [2, 3, 4], [0, 1]]
    field = dynamic.split(toy.build(10), "field", steps=2, values=list("xxxyyzzzzy"))
    # D0 takes z (4 of 10) and, while two values are left for two parts, no other
    assert [part.tolist() for part in field.parts] == [[5, 6, 7, 8], [0, 1, 2], [3, 4, 9]]


def test_the_seed_decides_a_random_division():
    parts = [dynamic.split(toy.build(40), seed=seed).fingerprint() for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]


def test_a_query_with_documents_in_two_parts_is_left_out():
    whole = toy.build(10)
    grades = {**whole.qrels["test"].grades, "q0.4": {"d0": 1, "d9": 1}, "q1.4": {"d1": 1, "d9": 0}}
    whole = dataclasses.replace(whole, qrels={**whole.qrels, "test": records.Qrels(grades)})
    growing = dynamic.split(whole, "time", steps=1, values=list(range(10)))
    assert growing.left_out("test") == 1
    assert growing.queries(0, "test")[0].ids == ("q1.4", "q2.4", "q3.4", "q4.4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        ({"by": "size"}, "expected one of random, cluster, time, field"),
        ({"steps": 6}, "no D0 of a share of 0.5"),
        ({"by": "time"}, "expected 10 values"),
        ({"by": "field", "values": ["a"] * 10}, "1 values cannot be divided"),
    ),
)
def test_divisions_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(records.DataError, match=message):
        dynamic.split(toy.build(10), **arguments)
