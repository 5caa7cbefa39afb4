"""`choose` against the top k over all children of `expand`, on nodes of hundreds of children."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from zoo.docids import table
from zoo.index import children, level as levels, trie
from zoo.search import automaton, beam

BATCH, LENGTH = 3, 3


def draw(alphabet, skewed, ended, seed=0, num=3000):
    """Identifiers of codes 1 .. alphabet - 1, uniform or Zipf; some end early."""
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, alphabet) if skewed else np.ones(alphabet - 1)
    tokens = 1 + rng.choice(alphabet - 1, size=(num, LENGTH), p=weight / weight.sum())
    if ended:
        short = tokens[:, 0] % 7 == 3
        tokens[short & (tokens[:, 1] % 2 == 0), 2] = 0
    return table.build(np.unique(tokens, axis=0), alphabet)


def forms(name, alphabet, ended):
    low, widest = (0 if ended else 1), alphabet - 1
    words = -(-(alphabet - low) // 32)
    light = {"light": widest, "heavy": 1 if ended else 0, "split": 2, "two chunks": 40}[name]
    return (levels.Form(widest, light, name != "light", low, words, "uint16"),) * LENGTH


@functools.partial(jax.jit, static_argnames=("t", "width", "score"))
def both_ways(index, t, node, before, logits, *, width, score):
    chosen = index.choose(t, node, before, logits, width=width, score=score)
    return chosen, beam.best_children(index, t, node, before, logits, width=width, score=score)


def alive(found, query):
    """Columns of the live hypotheses."""
    width = found.score.shape[1]
    parent = (
        jnp.broadcast_to(jnp.arange(width), found.score.shape)
        if found.parent is None
        else found.parent
    )
    rows = np.stack([np.asarray(x[query]) for x in (found.node, found.token, parent)])
    score = np.asarray(found.score[query])
    return rows[:, score > -np.inf], score[score > -np.inf]


@pytest.mark.parametrize("scoring", ["model", "renormalised", "logit"])
@pytest.mark.parametrize("form", ["chosen", "light", "heavy", "split", "two chunks"])
@pytest.mark.parametrize(
    ("alphabet", "skewed", "ended"), [(100, False, True), (300, True, False), (257, True, True)]
)
def test_choose_equals_ranking_all_children(alphabet, skewed, ended, form, scoring):
    ids = draw(alphabet, skewed, ended)
    index = trie.build(ids, forms=None if form == "chosen" else forms(form, alphabet, ended))
    rng = np.random.default_rng(1)
    for grid in (0, 2):  # original logits; multiples of a half, for many ties
        node, score = index.start(BATCH), jnp.zeros((BATCH, 1))
        for t in range(LENGTH):
            logits = rng.normal(size=(*node.shape, alphabet + 3)).astype(np.float32)
            logits = np.where(
                rng.random(logits.shape) < 0.1,
                -np.inf,
                np.round(logits * grid) / grid if grid else logits,
            )
            chosen, ranked = both_ways(index, t, node, score, logits, width=17, score=scoring)
            for query in range(BATCH):
                (names, scores), (expected, expected_scores) = (
                    alive(chosen, query),
                    alive(ranked, query),
                )
                # f32 sums in another order
                np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)
                if not grid:
                    np.testing.assert_array_equal(names, expected)
                assert (np.diff(names[0]) > 0).all()  # distinct, in lexicographic order
            node, score = chosen.node, chosen.score


@pytest.mark.parametrize("form", ["light", "heavy", "split", "two chunks"])
def test_the_first_of_equally_good_children_win(form):
    index = trie.build(draw(300, True, False), forms=forms(form, 300, False))
    node, score = index.start(1), jnp.zeros((1, 1))
    for t in range(LENGTH):
        chosen, ranked = both_ways(
            index, t, node, score, jnp.zeros((1, node.shape[1], 300)), width=40, score="model"
        )
        jax.tree.map(np.testing.assert_array_equal, tuple(chosen)[:3], tuple(ranked)[:3])
        assert chosen.node.tolist() == [list(range(40))]
        node, score = chosen.node, chosen.score


@given(
    seed=st.integers(0, 2**32 - 1),
    alphabet=st.sampled_from([31, 64, 300]),
    width=st.sampled_from([1, 9]),
    dead=st.sampled_from([0.0, 0.9, 1.0]),
)
@settings(max_examples=40)
def test_the_best_of_everything_equal_a_stable_sort(seed, alphabet, width, dead):
    rng = np.random.default_rng(seed)
    logits = np.log2(rng.integers(1, 4, (2, 5, alphabet))).astype(np.float32)
    logits = np.where(rng.random(logits.shape) < dead, -np.inf, logits)
    score = -rng.integers(0, 3, (2, 5)).astype(np.float32)
    value, place = jax.jit(children.best_of_all, static_argnames=("width", "score"))(
        score, logits, width=width, score="model"
    )
    normaliser = np.asarray(jax.nn.logsumexp(logits, axis=-1))[..., None]
    with np.errstate(invalid="ignore"):
        total = np.where(
            normaliser > -np.inf, score[..., None] + (logits - normaliser), -np.inf
        ).reshape(2, -1)
    for query in range(2):
        expected = np.sort(np.argsort(-total[query], kind="stable")[:width])
        real = np.asarray(value[query]) > -np.inf
        assert np.asarray(place[query])[real].tolist() == [
            p for p in expected if total[query, p] > -np.inf
        ]


def test_the_form_of_a_level_follows_its_fan_outs():
    uniform, skewed = trie.build(draw(257, False, False)), trie.build(draw(257, True, False))
    assert [(level.form.heavy, level.form.light) for level in uniform.levels] == [
        (True, 0),
        (False, 32),
        (False, 2),
    ]
    assert skewed.levels[1].form.heavy and skewed.levels[1].form.light == 32
    assert trie.build(table.build(np.array([[1, 2], [3, 1]]))).levels[1].form.chain


def test_forms_without_room_are_refused():
    ids = table.build(np.array([[1, 1], [1, 2], [2, 0]]))
    fits = levels.Form(2, 2, False, 0, 1, "uint8")
    for change, match in [
        ({"widest": 1}, "2 children"),
        ({"low": 2}, "tokens 1 .. 2"),
        ({"words": 0}, "does not fit"),
    ]:
        with pytest.raises(ValueError, match=match):
            trie.build(ids, forms=(fits._replace(**change), fits))
    with pytest.raises(ValueError, match="heavy node that has a PAD child"):
        trie.build(ids, forms=(fits, fits._replace(light=0, heavy=True)))
    many = table.build(np.stack(np.divmod(np.arange(1200), 30), axis=1) + 1)
    wide = levels.Form(40, 40, False, 0, 2, "uint8")
    with pytest.raises(ValueError, match="930 children of 32 nodes .*'uint8'"):
        trie.build(many, forms=(wide, wide))


@pytest.mark.parametrize("skewed", [False, True])
def test_a_changed_catalogue_of_one_size_class_does_not_recompile(skewed):
    traced = []

    @jax.jit
    def find(index, logits):
        traced.append(None)
        return beam.beam_search(
            lambda t, token, cache: (logits[t][:, : token.shape[1]], cache),
            jnp.zeros((1, 1)),
            index,
            width=8,
            length=LENGTH,
            score="model",
        )

    logits = jnp.asarray(np.random.default_rng(0).normal(size=(LENGTH, 1, 8, 257)), jnp.float32)
    model = None
    for seed in range(3):
        tokens = np.random.default_rng(seed).permutation(draw(257, skewed, False, seed=seed).tokens)
        ids = table.Docids(tokens[: 2700 - 150 * seed], 257)
        model = trie.build(ids, like=model)
        find(model, logits)
    assert len(traced) == 1


def test_a_free_search_is_a_search_of_the_trie_of_everything():
    full = table.build(np.stack(np.meshgrid(*[np.arange(1, 40)] * 2), axis=-1).reshape(-1, 2))
    logits = np.random.default_rng(0).normal(size=(2, 1, 50, 40)).astype(np.float32)
    logits[..., 0] = -np.inf

    def find(legal):
        step = lambda t, token, cache: (jnp.take(jnp.asarray(logits[t]), token, axis=1)[0], cache)
        return jax.jit(
            lambda legal: beam.beam_search(
                step, jnp.zeros((1, 1)), legal, width=50, length=2, score="model"
            )
        )(legal)

    free, legal = find(automaton.Free()), find(trie.build(full))
    assert (free.token == legal.token).all()
    np.testing.assert_allclose(free.score, legal.score, rtol=1e-6)  # f32 sums in another order
