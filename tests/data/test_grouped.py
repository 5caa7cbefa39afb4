"""Grouped batches: every document once per epoch, groups contiguous, filler marked, resumable."""

import numpy as np
import pytest

from zoo.data import grouped
from zoo.records import DataError

NUM, BATCH = 23, 5
CODES = np.array([[row % 4, row % 2] for row in range(NUM)], np.int32)  # four groups
DOCUMENTS = np.arange(1, NUM + 1, dtype=np.int32)[:, None]
OWNER = np.array([*range(NUM), *range(NUM), 7])  # two queries each, three of document 7
QUERIES = np.stack([100 + OWNER, np.arange(len(OWNER))], axis=1).astype(np.int32)


def stream(codes=CODES, chance=None, **options):
    chance = np.ones(len(OWNER)) if chance is None else chance
    return grouped.Grouped(
        DOCUMENTS, QUERIES, OWNER, chance, codes, **{"batch_size": BATCH, "seed": 3} | options
    )


def test_an_epoch_has_every_document_once_and_marks_padding_rows():
    found = stream()
    for epoch in range(3):
        batches = [found.batch(5 * epoch + place) for place in range(5)]
        documents = np.concatenate([batch["document"][batch["real"], 0] for batch in batches])
        assert sorted(documents) == list(range(1, NUM + 1))
        assert [int((~batch["real"]).sum()) for batch in batches] == [0, 0, 0, 0, 2]
        for batch in batches:
            # one of the document's own queries
            np.testing.assert_array_equal(batch["source"][:, 0], 99 + batch["document"][:, 0])
            np.testing.assert_array_equal(batch["codes"], CODES[batch["document"][:, 0] - 1])


def test_groups_are_contiguous_and_reshuffled_each_epoch():
    found, orders = stream(), []
    for epoch in range(4):
        batches = [found.batch(5 * epoch + place) for place in range(5)]
        groups = np.concatenate([batch["codes"][batch["real"], 0] for batch in batches])
        assert (np.diff(groups) != 0).sum() == 3  # four contiguous groups
        orders.append(
            tuple(np.concatenate([batch["document"][batch["real"], 0] for batch in batches]))
        )
    assert len(set(orders)) == 4
    loose = stream(codes=CODES[:, :0])  # control: without codes there is one group
    groups = np.concatenate(
        [CODES[loose.batch(place)["document"][:, 0] - 1, 0] for place in range(5)]
    )
    assert (np.diff(groups) != 0).sum() > 6


def test_queries_are_drawn_with_their_weights():
    chance = np.ones(len(OWNER))
    chance[7] = 6  # of document 7: 6, 1 and 1
    found = stream(chance=chance, batch_size=NUM)
    drawn = np.array(
        [
            batch["source"][batch["document"][:, 0] == 8, 1][0]
            for batch in map(found.batch, range(400))
        ]
    )
    share = [(drawn == query).mean() for query in (7, NUM + 7, 2 * NUM)]
    # 4 standard errors of 400 draws
    np.testing.assert_allclose(share, [0.75, 0.125, 0.125], atol=0.08)


def test_a_position_resumes_and_that_of_another_stream_is_refused():
    one = stream()
    for _ in range(7):
        next(one)
    position, other = one.position(), stream()
    other.seek(position)
    for number in range(7, 11):
        expected, found, again = one.batch(number), next(one), next(other)
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
            np.testing.assert_array_equal(again[name], expected[name])
    with pytest.raises(DataError, match="not those of the run"):
        stream(codes=CODES[:, :1]).seek(position)
    with pytest.raises(DataError, match="not those of the run"):
        stream(seed=4).seek(position)


def test_a_document_without_a_query_is_refused():
    with pytest.raises(ValueError, match="document 22 has no query"):
        grouped.Grouped(
            DOCUMENTS, QUERIES[:22], OWNER[:22], np.ones(22), CODES, batch_size=5, seed=0
        )
