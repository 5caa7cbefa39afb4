"""From beams to documents: shared identifiers, several per document."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo import records
from zoo.docids import table
from zoo.index import filters, trie
from zoo.ranking import collect
from zoo.search import beam

NAMES = np.array([[1, 1], [1, 2], [2, 0], [3, 1]])


def beams_of(rows, scores):
    """Beams of the identifiers NAMES[rows], numbered by their trie; row -1 = dead."""
    rows = np.asarray(rows)
    token = np.where(rows[..., None] >= 0, NAMES[rows], 0)
    return beam.Beams(
        jnp.asarray(token), jnp.asarray(scores, jnp.float32), jnp.asarray(rows, jnp.int32)
    )


def index_of(identifier, document):
    """Trie of documents with identifiers NAMES[identifier]; every name has a document."""
    return trie.build(table.build(NAMES[identifier], 4, np.asarray(document)))


def found(collector, *arguments):
    documents, scores = map(np.asarray, jax.jit(collector)(*arguments))
    return [
        [(int(d), round(float(s), 4)) for d, s in zip(*query) if d >= 0]
        for query in zip(documents, scores)
    ]


def test_all_documents_of_an_identifier_are_answered_with_its_score_lower_rows_first():
    index = index_of([0, 1, 1, 1, 2, 3], [5, 4, 0, 2, 1, 3])
    beams = beams_of([[1, 0, 2], [3, -1, -1]], [[-1, -2, -3], [-4, -np.inf, -np.inf]])
    assert found(collect.by_leaf(), beams, index) == [
        [(0, -1), (2, -1), (4, -1), (5, -2), (1, -3)],
        [(3, -4)],
    ]


def test_ties_are_refused_on_request():
    shared, own = index_of([0, 1, 1, 2, 3], range(5)), index_of([0, 1, 2, 3], range(4))
    beams = beams_of([[0]], [[-1.0]])
    refuse = collect.by_leaf(ties="refuse")
    assert found(refuse, beams, own) == [[(0, -1)]]
    with pytest.raises(records.DataError, match="up to 2 documents share an identifier"):
        found(refuse, beams, shared)


@pytest.mark.parametrize(
    ("combine", "score"), [("max", -1), ("sum", -3), ("logsumexp", np.logaddexp(-1, -2))]
)
def test_a_document_with_several_identifiers_is_answered_once(combine, score):
    index = index_of([0, 1, 2, 3], [0, 1, 0, 2])
    beams = beams_of([[0, 2, 1]], [[-1, -2, -2.5]])
    expected = sorted([(0, round(float(score), 4)), (1, -2.5)], key=lambda pair: -pair[1])
    assert found(collect.by_leaf(combine=combine), beams, index) == [expected]


def test_a_length_penalty_divides_by_a_power_of_the_length_and_reorders():
    index = index_of([0, 1, 2, 3], range(4))
    beams = beams_of([[2, 0]], [[-1.6, -2.1]])  # of 1 and 2 tokens
    assert found(collect.by_leaf(length_penalty=1.0), beams, index) == [[(0, -0.7), (2, -0.8)]]
    assert found(collect.by_leaf(), beams, index) == [[(2, -1.6), (0, -2.1)]]


def test_a_filter_excludes_one_of_two_documents_of_an_identifier():
    index = filters.keep(index_of([0, 1, 1, 2, 3], range(5)), np.arange(5) != 1)
    assert found(collect.by_leaf(), beams_of([[1, 0]], [[-1, -2]]), index) == [[(2, -1), (0, -2)]]


def test_answers_of_a_free_search_are_looked_up():
    index = index_of([0, 1, 1, 3], [3, 1, 0, 2])
    beams = beams_of([[1, 2, 3], [0, -1, -1]], [[-1, -2, -3], [-1, -np.inf, -np.inf]])
    beams = beams._replace(leaf=jnp.full_like(beams.leaf, beam.NO_LEAF))
    located = jax.jit(collect.locate)(beams, index)
    assert located.leaf.tolist() == [[1, -1, 2], [0, -1, -1]]  # [2, 0] names nothing here
    assert found(collect.by_leaf(), located, index) == [[(0, -1), (1, -1), (2, -3)], [(3, -1)]]


@given(seed=st.integers(0, 2**32 - 1), combine=st.sampled_from(["max", "sum", "logsumexp"]))
@settings(max_examples=40)
def test_combined_scores_equal_those_of_a_loop(seed, combine):
    rng = np.random.default_rng(seed)
    rows = rng.integers(-1, 6, (3, 12)).astype(np.int32)
    scores = np.where(rows < 0, -np.inf, np.round(rng.normal(size=rows.shape), 1))
    scores = scores.astype(np.float32)
    documents, totals = map(np.asarray, _combined(rows, scores, combine))
    reduce = {"max": max, "sum": sum, "logsumexp": np.logaddexp.reduce}[combine]
    for query in range(3):
        mine = {d: [s for e, s in zip(rows[query], scores[query]) if e == d] for d in rows[query]}
        expected = {int(d): reduce(values) for d, values in mine.items() if d >= 0}
        alive = documents[query] >= 0
        assert set(documents[query][alive].tolist()) == set(expected) and alive.sum() == len(
            expected
        )
        np.testing.assert_allclose(
            totals[query][alive],
            [expected[d] for d in documents[query][alive]],
            rtol=1e-5,
            atol=1e-6,
        )
        assert (np.diff(totals[query][alive]) <= 0).all() and np.isneginf(
            totals[query][~alive]
        ).all()


_combined = jax.jit(collect._combined, static_argnames="combine")


def test_collectors_are_equal_if_their_options_are_so_that_programs_are_shared():
    assert collect.by_leaf() == collect.by_leaf() and hash(collect.by_leaf()) == hash(
        collect.by_leaf()
    )
    assert collect.by_leaf(length_penalty=0.5) != collect.by_leaf()
