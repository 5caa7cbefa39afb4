"""The trie-constrained `decode_fn` for t5x has the answers of the zoo's beam search.

The model is a table of logits with one row per prefix; it reads the prefix from its cache only.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.docids import table as docids
from zoo.index import trie
from zoo.launch import decode
from zoo.search import beam

LENGTH, ALPHABET, BATCH = 3, 5, 2
ROWS = sum(ALPHABET**t for t in range(LENGTH))
# 1 is t5x's end token
IDS = docids.build(
    np.array([[1, 1, 2], [1, 2, 0], [2, 1, 1], [2, 3, 4], [3, 4, 1], [4, 0, 0]]), ALPHABET
)


def row(code, t):
    return code + sum(ALPHABET**i for i in range(t))


def tokens_to_logits(tables, layered, state):
    """t5x's interface: logits f32[B K, V] and the cache; entry b K + k is hypothesis (b, k)."""
    width = len(state.cur_token) // BATCH
    cache, t = state.cache, state.cache["cache_index"]
    code = cache["layer"]["code"][0] if layered else cache["layer"]["code"]
    code = jnp.where(t > 0, code * ALPHABET + state.cur_token[:, 0], 0)
    offsets = jnp.array([row(0, i) for i in range(LENGTH)])
    logits = tables[jnp.repeat(jnp.arange(BATCH), width), code + offsets[t]]
    return logits, {"layer": {"code": code[None] if layered else code}, "cache_index": t + 1}


@functools.partial(jax.jit, static_argnames=("width", "score", "longest", "layered", "later"))
def decoded(tables, index, *, width, score="model", longest=LENGTH, layered=False, later=0):
    code = jnp.zeros((1, BATCH) if layered else BATCH, jnp.int32)
    cache = {"layer": {"code": code}, "cache_index": jnp.zeros((), jnp.int32)}
    step = functools.partial(tokens_to_logits, tables, layered)
    inputs = jnp.zeros((BATCH, longest), jnp.int32)
    return decode.decode(
        inputs,
        cache,
        step,
        index,
        num_decodes=width,
        cache_offset=int(layered),
        score=score,
        later_beam=later,
    )


def by_brute_force(tables, scoring):
    """[(score, identifier)] of each query, best first; the final padding has probability 1."""
    prefixes = {tuple(tokens[:t]) for tokens in IDS.tokens.tolist() for t in range(LENGTH + 1)}
    answers = []
    for table in np.asarray(tables, np.float64):
        scored = []
        for tokens in IDS.tokens.tolist():
            score, code = 0.0, 0
            for t, token in enumerate(tokens):
                logits = table[row(code, t)]
                children = [c for c in range(ALPHABET) if (*tokens[:t], c) in prefixes]
                kept = logits[children] if scoring == "renormalised" else logits
                score += logits[token] - np.log(np.exp(kept).sum()) if token else 0.0
                code = code * ALPHABET + token
            scored.append((score, tokens))
        answers.append(sorted(scored, reverse=True))
    return answers


@pytest.fixture(scope="module")
def tables():
    return jnp.asarray(
        np.random.default_rng(0).normal(size=(BATCH, ROWS, ALPHABET)) * 2, jnp.float32
    )


@pytest.fixture(scope="module")
def index():
    return trie.build(IDS)


@pytest.mark.parametrize("scoring", ("model", "renormalised"))
def test_all_identifiers_have_the_model_s_scores_in_ascending_order(tables, index, scoring):
    tokens, scores = decoded(tables, index, width=len(IDS), score=scoring)
    for query, expected in enumerate(by_brute_force(tables, scoring)):
        assert tokens[query, ::-1].tolist() == [answer for _, answer in expected]
        np.testing.assert_allclose(scores[query, ::-1], [score for score, _ in expected], atol=1e-5)
        assert scores[query, -1] == scores[query].max()


def test_renormalising_is_another_ranking(tables):
    orders = [
        [[answer for _, answer in query] for query in by_brute_force(tables, scoring)]
        for scoring in ("model", "renormalised")
    ]
    assert orders[0] != orders[1]  # otherwise the previous test is vacuous


@pytest.mark.parametrize(("width", "later"), ((2, 0), (4, 2)))
def test_a_narrow_beam_equals_that_of_the_zoo(tables, index, width, later):
    def step(t, token, code):
        code = jnp.where(t > 0, code * ALPHABET + token, 0)
        return jnp.take_along_axis(tables, row(code, t)[..., None], axis=1), code

    ours = jax.jit(
        lambda: beam.beam_search(
            step,
            jnp.zeros((BATCH, 1), jnp.int32),
            index,
            width=(width, later or width),
            length=LENGTH,
            score="model",
        )
    )()
    tokens, scores = decoded(tables, index, width=width, later=later)
    np.testing.assert_array_equal(tokens[:, :-3:-1], ours.token)
    np.testing.assert_allclose(scores[:, :-3:-1], ours.score, atol=1e-6)
    assert np.isneginf(scores[:, :-2]).all()


def test_later_beams_are_at_most_the_first(tables, index):
    with pytest.raises(ValueError, match=r"later_beam in 0 .. num_decodes = 2, got 3"):
        decoded(tables, index, width=2, later=3)


def test_missing_identifiers_are_padding_at_the_worst_places(tables, index):
    tokens, scores = decoded(tables, index, width=len(IDS) + 2)
    assert np.isneginf(scores[:, :2]).all() and not np.asarray(tokens[:, :2]).any()
    assert np.isfinite(scores[:, 2:]).all()


def test_longer_targets_are_padded_and_shorter_ones_refused(tables, index):
    tokens, _ = decoded(tables, index, width=3, longest=LENGTH + 2)
    np.testing.assert_array_equal(tokens[..., :LENGTH], decoded(tables, index, width=3)[0])
    assert tokens.shape[-1] == LENGTH + 2 and not np.asarray(tokens[..., LENGTH:]).any()
    with pytest.raises(
        ValueError, match="targets have 2 tokens, identifiers 3; set TASK_FEATURE_LENGTHS"
    ):
        decoded(tables, index, width=3, longest=2)


def test_a_cache_of_scanned_layers_has_the_batch_second(tables, index):
    for plain, layered in zip(
        decoded(tables, index, width=4), decoded(tables, index, width=4, layered=True)
    ):
        np.testing.assert_array_equal(plain, layered)


def test_an_exported_trie_is_read_outside_of_programs(export):
    host = decode._trie(str(export))
    assert {type(leaf) for leaf in jax.tree.leaves(host)} == {np.ndarray} and decode._trie(
        str(export)
    ) is host
