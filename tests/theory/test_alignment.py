"""Logits of a decoder taken apart: the parts add up, and the bound on the rank holds."""

import jax
import numpy as np
import pytest

from theory import alignment
from zoo.nets import transformer


@pytest.fixture(scope="module")
def decoder():
    shape = transformer.Shape(
        source_vocab=20,
        target_vocab=9,
        target_length=3,
        width=16,
        heads=2,
        head_width=8,
        encoder_hidden=16,
        decoder_hidden=16,
        encoder_layers=1,
        decoder_layers=2,
        dropout=0.0,
    )
    source = np.array([[3, 4, 5, 0], [6, 7, 0, 0]], np.int32)
    target = np.array([[1, 4, 7], [2, 5, 8]], np.int32)
    params = shape.net().init(jax.random.key(0), source, target)
    return shape, params, source, target


def test_parts_add_up_to_the_logits(decoder):
    shape, params, source, target = decoder
    parts = alignment.decompose(params, source, target, shape=shape)
    logits = shape.net().apply(params, source, target)
    np.testing.assert_allclose(parts.direct.sum(1) + parts.through + parts.own, logits, atol=2e-5)
    # the interactions of the target's tokens, weighted by attention, are their direct logits
    of_target = np.einsum("bhls,bhls->bl", parts.weights, parts.interaction)
    chosen = np.take_along_axis(np.asarray(parts.direct.sum(1)), target[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(of_target, chosen, atol=2e-5)


def test_shares_add_up_and_ranks_keep_the_bound(decoder):
    shape, params, source, target = decoder
    parts = alignment.decompose(params, source, target, shape=shape)
    share = alignment.shares(parts, np.ones((3, 9), bool))
    assert share.heads.sum() + share.through + share.own == pytest.approx(1, abs=1e-9)
    only = parts._replace(through=0 * parts.through, own=0 * parts.own)
    assert alignment.shares(only, np.ones((3, 9), bool)).direct_argmax == 1
    rank = alignment.ranks(parts, source)
    assert rank.broken == 0 and 1 <= rank.effective <= 3 and rank.error <= rank.bound


def test_one_hot_alignments_choose_the_best_interaction(decoder):
    shape, params, source, target = decoder
    parts = alignment.decompose(params, source, target, shape=shape)
    words = source[0] != 0
    found = alignment.matrices(parts, 0, words)
    assert all(matrix.shape == (3, 3) for matrix in found.values())
    assert (found["MVDR: identifier to query"].sum(1) == 1).all()
    assert (found["MVDR: query to identifier"].sum(0) == 1).all()
