"""Enumeration of corpora: identities per corpus, decoders, both directions, sizes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import theory
from theory import enumeration, worlds

QUICK = settings(max_examples=40)
RELEVANCE = st.lists(st.floats(-4, 4), min_size=8, max_size=8).map(np.exp)
DECODER = st.sampled_from(enumeration.DECODERS)
SHARES = st.floats(1e-3, 1.0)
CORPORA = (np.arange(1, 256)[:, None] >> np.arange(8)) % 2 == 1  # all of 8 leaves but the empty one
CLOSE = {"rtol": 1e-9, "atol": 1e-13}  # sums of some ten terms of order 1


def document_laws(tree, decoder):
    """P(d), Q(d) of every document and corpus, [255, 8], as products along its path."""
    p, q = np.ones((2, 255, 1))
    for parent, (step_p, step_q) in zip(
        tree.parents, enumeration.laws_of_corpora(tree, CORPORA, decoder=decoder)
    ):
        p, q = p[:, parent] * step_p, q[:, parent] * step_q
    return p, q


def test_values_known_to_nine_digits_come_out():
    relevance = 1 / np.arange(1, 9)
    found = theory.enumerate_kl(relevance, 2, 3, keep=0.1)
    np.testing.assert_allclose(found, [0.00858753103, 0.00146452489, 0], rtol=4e-9)
    found = theory.enumerate_kl(relevance, 2, 3, keep=0.1, decoder="counted")
    np.testing.assert_allclose(found, [0.00557659769, 0.00091539886, 0], rtol=6e-9)
    found = theory.enumerate_kl(1 / np.arange(1, 17), 4, 2, keep=0.5, decoder="counted")
    np.testing.assert_allclose(found, [0.0159704718, 0], rtol=4e-9)


def test_one_corpus_worked_by_hand():
    tree = worlds.full(2, 2, [1, 2, 3, 4])
    corpus = np.array([[True, False, True, True]])
    # P = (3/10, 7/10), Q = (1/8, 7/8); below, both laws are the same
    forward = 0.3 * np.log(0.3 / 0.125) + 0.7 * np.log(0.7 / 0.875)
    backward = 0.125 * np.log(0.125 / 0.3) + 0.875 * np.log(0.875 / 0.7)
    np.testing.assert_allclose(enumeration.kl_of_corpora(tree, corpus), [[forward, 0]], rtol=1e-13)
    np.testing.assert_allclose(
        enumeration.kl_of_corpora(tree, corpus, reverse=True), [[backward, 0]], rtol=1e-13
    )
    # counted: P ~ (3 * 1/2, 7)
    counted = 1.5 / 8.5 * np.log(1.5 / 8.5 * 8) + 7 / 8.5 * np.log(7 / 8.5 * 8 / 7)
    np.testing.assert_allclose(
        enumeration.kl_of_corpora(tree, corpus, decoder="counted"), [[counted, 0]], rtol=1e-13
    )


@QUICK
@given(RELEVANCE, DECODER)
def test_both_laws_sum_to_one_and_live_on_the_corpus(relevance, decoder):
    tree = worlds.full(2, 3, relevance)
    p, q = document_laws(tree, decoder)
    for law in (p, q):
        np.testing.assert_allclose(law.sum(axis=1), 1, rtol=1e-12)
        np.testing.assert_array_equal(law > 0, CORPORA)
    np.testing.assert_allclose(
        q, CORPORA * tree.relevance / (CORPORA @ tree.relevance)[:, None], rtol=1e-12
    )


@QUICK
@given(RELEVANCE, DECODER)
def test_steps_sum_to_the_divergence_of_whole_sequences(relevance, decoder):
    tree = worlds.full(2, 3, relevance)
    p, q = document_laws(tree, decoder)
    for reverse in (False, True):
        first, second = (q, p) if reverse else (p, q)
        whole = np.sum(
            np.where(
                CORPORA,
                first * np.log(np.where(CORPORA, first / np.where(second > 0, second, 1), 1)),
                0,
            ),
            axis=1,
        )
        steps = enumeration.kl_of_corpora(tree, CORPORA, decoder=decoder, reverse=reverse)
        np.testing.assert_allclose(steps.sum(axis=1), whole, **CLOSE)
        assert (steps >= 0).all() and not steps[:, -1].any()


@QUICK
@given(RELEVANCE)
def test_masked_divergence_is_the_jensen_gap_of_surviving_shares(relevance):
    tree = worlds.full(2, 3, relevance)
    survives = (CORPORA * tree.relevance).reshape(255, 2, 4).sum(axis=2) / tree.masses[1]
    (p, _), *_ = enumeration.laws_of_corpora(tree, CORPORA)
    logs = np.where(p > 0, np.log(np.where(p > 0, survives, 1)), 0)
    mean = (p * survives).sum(axis=1)
    found = enumeration.kl_of_corpora(tree, CORPORA)[:, 0]
    np.testing.assert_allclose(found, np.log(mean) - (p * logs).sum(axis=1), **CLOSE)
    back = (p * survives * logs).sum(axis=1) / mean - np.log(mean)
    np.testing.assert_allclose(
        enumeration.kl_of_corpora(tree, CORPORA, reverse=True)[:, 0], back, **CLOSE
    )
    for centre in (0.5, 1.0):  # and no other constant in place of the mean does better
        assert (
            found
            <= (p * (survives / centre - 1)).sum(axis=1)
            + np.log(centre)
            - (p * logs).sum(axis=1)
            + 1e-12
        ).all()


@QUICK
@given(RELEVANCE, SHARES)
def test_the_exact_decoder_costs_nothing_and_counting_suffices_within_uniform_nodes(
    relevance, keep
):
    np.testing.assert_allclose(
        theory.enumerate_kl(relevance, 2, 3, keep=keep, decoder="exact"), 0, atol=1e-15
    )
    np.testing.assert_allclose(
        theory.enumerate_kl(np.ones(8), 2, 3, keep=keep, decoder="counted"), 0, atol=1e-15
    )
    if 0.01 < keep < 0.99:  # negative control: neither holds for the mask
        assert theory.enumerate_kl(np.ones(8), 2, 3, keep=keep)[:2].min() > 1e-6


def test_counts_are_taken_as_shares_of_branches_of_unequal_size():
    tree = worlds.Tree((np.zeros(2, int), np.array([0, 0, 0, 0, 0, 1, 1])), np.full(7, 1 / 7))
    np.testing.assert_allclose(
        enumeration.enumerate_kl_of(tree, keep=0.4, decoder="counted"), 0, atol=1e-15
    )
    assert enumeration.enumerate_kl_of(tree, keep=0.4)[0] > 0.01


@QUICK
@given(RELEVANCE, st.floats(1e-3, 0.999), DECODER, st.booleans())
def test_random_size_is_the_binomial_mixture_of_fixed_sizes(relevance, keep, decoder, reverse):
    options = {"decoder": decoder, "reverse": reverse}
    weights = [math.comb(8, size) * keep**size * (1 - keep) ** (8 - size) for size in range(1, 9)]
    fixed = [theory.enumerate_kl(relevance, 2, 3, size=size, **options) for size in range(1, 9)]
    mixed = np.array(weights) @ fixed / sum(weights)
    np.testing.assert_allclose(
        theory.enumerate_kl(relevance, 2, 3, keep=keep, **options), mixed, **CLOSE
    )


def test_a_branch_alive_without_relevance_gives_inf_and_a_dead_one_does_not():
    tree = worlds.full(2, 2, [1, 0, 1, 1])
    corpora = np.array(
        [
            [False, True, True, False],
            [False, False, True, True],
            [True, True, True, True],
            [False, True, False, False],
        ]
    )
    found = enumeration.kl_of_corpora(tree, corpora)[:, 0]
    assert found[0] == np.inf and found[1] == 0 and 0 <= found[2] < 1e-12
    assert found[3] == 0  # no relevance at all: no law to compare with
    assert np.isfinite(enumeration.kl_of_corpora(tree, corpora, reverse=True)).all()
    assert not enumeration.kl_of_corpora(tree, np.zeros((1, 4), bool)).any()


@QUICK
@given(RELEVANCE, SHARES)
def test_counting_never_hurts_the_uniform_within_branches_first_step(relevance, keep):
    # not for every relevance: pointwise it may lose; within branches it cannot, for there it is
    # exact
    levelled = np.repeat(relevance[:2], 4)
    counted = theory.enumerate_kl(levelled, 2, 3, keep=keep, decoder="counted")
    assert (counted <= theory.enumerate_kl(levelled, 2, 3, keep=keep) + 1e-15).all()


@pytest.mark.parametrize(
    ("options", "says"),
    (
        ({}, "keep or size, one of them"),
        ({"keep": 0.5, "size": 2}, "keep or size, one of them"),
        ({"keep": 0}, r"\(0, 1\], got 0"),
        ({"keep": np.full(8, 2.0)}, "got 2.0 at leaf 0"),
        ({"keep": np.full(7, 0.5)}, "one for each of 8 leaves"),
        ({"size": 0}, r"size in 1 .. 8, got 0"),
        ({"size": 9}, r"size in 1 .. 8, got 9"),
        ({"keep": 0.5, "decoder": "magic"}, "'magic'"),
    ),
)
def test_parameters_out_of_range_are_refused_in_one_line(options, says):
    with pytest.raises(ValueError, match=says) as caught:
        theory.enumerate_kl(np.ones(8), 2, 3, **options)
    assert "\n" not in str(caught.value)


def test_what_is_too_large_to_enumerate_is_refused_with_a_way_out():
    with pytest.raises(ValueError, match="use theory.expected_kl"):
        theory.enumerate_kl(np.ones(32), 2, 5, keep=0.5)
    with pytest.raises(ValueError, match="32 choose 16"):
        theory.enumerate_kl(np.ones(32), 2, 5, size=16)
    assert theory.enumerate_kl(np.ones(32), 2, 5, size=2).shape == (5,)
