"""Every decoder's guarantees on one random model, against brute force over all identifiers."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo import records
from zoo.docids import table
from zoo.index import trie
from zoo.search import automaton, beam, decoders, guided, requests

pytestmark = pytest.mark.exact  # sines of hundreds: the last digits of their arguments count
BATCH, LENGTH, ALPHABET, K, WIDTH = 40, 3, 6, 4, 4


def step(t, token, cache):
    """Logits from a hash of the path; the cache f32[B, K] accumulates the tokens."""
    state = cache * 3.7 + token * 1.3 if t else cache
    wave = jnp.arange(1, ALPHABET + 1, dtype=jnp.float32) * 12.9898
    return 1.5 * jnp.sin(state[..., None] * wave[None, None] + t), state


CACHE = jnp.linspace(0.1, 9.0, BATCH)[:, None]
ALL = np.array(list(itertools.product(range(1, ALPHABET), repeat=LENGTH)))
# just under half of all 125
IDS = table.build(np.random.default_rng(0).permutation(ALL)[:60], ALPHABET)
INDEX = trie.build(IDS)


@functools.lru_cache(None)
def answers(text, k=K, width=WIDTH):
    decode = decoders.parse(text)
    legal = decode.constraint(INDEX, IDS)
    find = functools.partial(decode, step, k=k, width=width, length=LENGTH, key=jax.random.key(0))
    found = jax.jit(lambda cache, legal: find(cache, legal))(CACHE, legal)
    assert not np.isnan(found.beams.score).any()
    return found


@functools.lru_cache(None)
def brute_force(scoring):
    """f64[B, leaves] log-probability of every identifier."""
    rows = IDS.tokens[IDS.order]
    total = np.zeros((BATCH, len(rows)))
    state = jnp.repeat(CACHE, len(rows), axis=1)
    for t in range(LENGTH):
        token = jnp.broadcast_to(
            jnp.asarray(rows[:, t - 1] if t else rows[:, 0] * 0)[None], state.shape
        )
        logits, state = step(t, token, state)
        logits = np.asarray(logits, np.float64)
        if scoring == "renormalised":
            for i, row in enumerate(rows):
                legal = np.unique(rows[(rows[:, :t] == row[:t]).all(axis=1), t])
                logits[:, i, np.setdiff1d(np.arange(ALPHABET), legal)] = -np.inf
        logits -= np.log(np.exp(logits).sum(axis=2, keepdims=True))
        total += logits[:, np.arange(len(rows)), rows[:, t]]
    return total


def recall(found, scores):
    true = np.argsort(-scores, axis=1)[:, :K]
    return np.mean(
        [
            len(set(row) & set(top)) / K
            for row, top in zip(np.asarray(found.beams.leaf)[:, :K].tolist(), true.tolist())
        ]
    )


@pytest.mark.parametrize("name", [name for name in decoders.NAMES if name != "free"])
def test_every_answer_exists_once_and_best_first(name):
    token, score, leaf = map(np.asarray, answers(name).beams)
    rows, alive = IDS.tokens[IDS.order], score > -np.inf
    assert token.shape[0::2] == (BATCH, LENGTH) and (rows[leaf] == token)[alive].all()
    assert (np.diff(np.where(alive, score, -1e9), axis=1) <= 0).all() and alive[:, 0].all()
    assert all(len(set(row[ok])) == ok.sum() for row, ok in zip(leaf, alive))
    if name not in ("diverse", "nucleus"):  # groups of beams may meet, draws repeat
        assert token.shape[1] == K and alive.all()


@pytest.mark.parametrize("name", ["max-marginal", "best-first"])
def test_exact_decoders_find_the_top_k_with_the_model_s_own_scores(name):
    found, scores = answers(name), brute_force("model")
    assert found.proven.all() and recall(found, scores) == 1
    np.testing.assert_allclose(
        found.beams.score, np.take_along_axis(scores, np.asarray(found.beams.leaf), 1), atol=1e-5
    )


def test_a_beam_of_maxima_narrower_than_k_proves_nothing():
    assert not answers("max-marginal", width=K - 1).proven.any()


@pytest.mark.parametrize(
    ("name", "scoring"),
    [("trie", "model"), ("renormalised", "renormalised"), ("lookahead", "model")],
)
def test_a_beam_misses_some_of_the_top_k_and_proves_nothing(name, scoring):
    """Negative control of the test above: a beam ranks sums, even with exact marginals."""
    found = answers(name)
    assert recall(found, brute_force(scoring)) < 0.97 and not found.proven.any()


@pytest.mark.parametrize(("name", "scoring"), [("trie", "model"), ("renormalised", "renormalised")])
def test_masking_before_or_after_the_softmax_is_in_the_name(name, scoring):
    beams = answers(name, width=60).beams
    np.testing.assert_allclose(
        beams.score, np.take_along_axis(brute_force(scoring), np.asarray(beams.leaf), 1), atol=1e-5
    )


def test_lookahead_scores_are_the_posterior_given_the_corpus():
    beams, scores = answers("lookahead", width=60).beams, brute_force("model")
    posterior = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(
        beams.score, np.take_along_axis(posterior, np.asarray(beams.leaf), 1), atol=1e-4
    )


def test_counted_scores_are_of_all_identifiers_together_1_and_nearer_to_the_posterior():
    scores = brute_force("model")
    posterior = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))

    def divergence(name):
        beams = answers(name, width=60).beams
        score, true = (
            np.asarray(beams.score, float),
            np.take_along_axis(posterior, np.asarray(beams.leaf), 1),
        )
        assert np.exp(score).sum(axis=1) == pytest.approx(1, rel=1e-4)
        return (np.exp(score) * (score - true)).sum(axis=1).mean()

    assert divergence("lookahead") < 1e-6
    assert divergence("counted") < 0.9 * divergence("renormalised")


def test_all_scores_equal_brute_force():
    scores = requests.all_scores(step, CACHE, INDEX, num_leaves=60, length=LENGTH)
    np.testing.assert_allclose(scores, brute_force("model"), atol=1e-5)


def test_a_name_implies_its_constraint():
    kinds = {name: type(decoders.decoder(name).constraint(INDEX, IDS)) for name in decoders.NAMES}
    special = {
        "counted": guided.Counted,
        "lookahead": requests.Enumerated,
        "max-marginal": requests.Enumerated,
        "free": automaton.Free,
    }
    assert kinds == dict.fromkeys(decoders.NAMES, trie.Trie) | special


def test_options_follow_the_name_and_change_the_answers():
    one, other = answers("diverse,groups=2,penalty=0"), answers("diverse,groups=2,penalty=9")
    assert decoders.parse("diverse, penalty=9 ,groups=2") == decoders.decoder(
        "diverse", groups=2, penalty=9.0
    )
    first = lambda found: np.asarray(found.beams.token)[:, :, 0]
    distinct = lambda found: np.mean([len({*row} - {0}) for row in first(found).tolist()])
    assert distinct(other) > distinct(one)
    greedy = answers("renormalised", width=1, k=1).beams.leaf
    agree = lambda text: (answers(text, width=1, k=1).beams.leaf == greedy).mean()
    # logits closer than the temperature are drawn either way; 60 identifiers
    assert agree("sampled,temperature=0.001") > 0.9 > 0.2 > agree("sampled,temperature=50")


def test_a_nucleus_of_nearly_nothing_is_greedy_and_of_everything_is_not():
    greedy = answers("renormalised", width=1, k=1).beams.leaf
    np.testing.assert_array_equal(answers("nucleus,top_p=1e-6").beams.leaf[:, :1], greedy)
    assert (np.asarray(answers("nucleus,top_p=1e-6").beams.leaf)[:, 1:] == beam.NO_LEAF).all()
    assert (answers("nucleus,top_p=1").beams.leaf[:, :1] != greedy).any()


def test_reverse_annealed_draws_keep_their_order_and_the_first_is_greedy():
    found = answers("reverse-annealed,score=renormalised").beams
    np.testing.assert_allclose(found.score, np.tile(1 / np.arange(1, K + 1), (BATCH, 1)))
    np.testing.assert_array_equal(
        found.leaf[:, 0], answers("renormalised", width=1, k=1).beams.leaf[:, 0]
    )


def test_unknown_names_are_refused_with_the_known_ones():
    names = ", ".join(decoders.NAMES)
    for text, message in (
        ("greedy", f"decoding expects one of {names}, got 'greedy'"),
        ("trie,width=3", "decoding trie: no option 'width'; it has none"),
        ("diverse,group=3", "no option 'group'; expected one of: groups, penalty, score"),
        ("diverse,groups=0", "option groups expects int from 1 to inf, got '0'"),
        ("diverse,groups=1.5", "option groups expects int from 1 to inf, got '1.5'"),
        ("nucleus,top_p=1.1", "option top_p expects float from 1e-06 to 1, got '1.1'"),
        ("nucleus,top_p=nan", "option top_p expects float"),
        ("sampled,score=rank", "score expects one of model, renormalised, logit, got 'rank'"),
        ("best-first,score=logit", "score expects one of model, renormalised, got 'logit'"),
        ("diverse,groups", "expected NAME,OPTION=VALUE,..., got 'groups'"),
    ):
        with pytest.raises(records.DataError, match=message):
            decoders.parse(text)
    with pytest.raises(ValueError, match="answers are random; expected a key"):
        decoders.decoder("sampled")(step, CACHE, INDEX, k=1, width=1, length=LENGTH)


def test_a_batch_shrinks_until_its_prefixes_fit():
    cache = jax.ShapeDtypeStruct((1, 1, 2**16), jnp.float32)  # 256 KiB a prefix

    def at_once(name, *, width, index=INDEX, cache=cache):
        return decoders.decoder(name).queries_at_once(index, cache, width=width, most=64)

    assert at_once("trie", width=1000) == 64
    assert at_once("best-first", width=10) == 17  # 2 GiB / (3 levels x 16 sweeps x 10 x 256 KiB)
    assert at_once("max-marginal", width=10) == 64  # 5 x 5 prefixes x 512 KiB
    # 10,000 answers, but one prefix
    assert at_once("lookahead", width=10, index=trie.build(table.atomic(10_000))) == 64
    with pytest.raises(
        records.DataError,
        match="'best-first' would take 11.7 GiB a query for 48,000 prefixes, over 2; lower the "
        "beam",
    ):
        at_once("best-first", width=1000)
    with pytest.raises(records.DataError, match="'lookahead' would take .* choose best-first"):
        at_once("lookahead", width=1, cache=jax.ShapeDtypeStruct((1, 1, 2**24), jnp.float32))


def test_each_decoder_is_traced_once_for_all_queries():
    for name in decoders.NAMES:
        traced = []

        @jax.jit
        def find(cache, legal, name=name, traced=traced):
            traced.append(name)
            key = jax.random.key(0)
            decode = decoders.decoder(name)
            return decode(step, cache, legal, k=2, width=2, length=LENGTH, key=key)

        legal = decoders.decoder(name).constraint(INDEX, IDS)
        one, other = find(CACHE, legal), find(CACHE + 1, legal)
        assert traced == [name] and not np.array_equal(one.beams.token, other.beams.token)


def test_a_potential_guides_beams_and_is_refused_by_other_decoders():
    scores = jnp.asarray(np.random.default_rng(1).normal(size=(BATCH, len(IDS))), jnp.float32)
    bounds = guided.upper_bounds(guided.nodes(IDS), 3 * scores)
    sizes = {"k": K, "width": len(IDS), "length": LENGTH}
    for name in ("trie", "renormalised", "logit"):
        decode = decoders.decoder(name)
        plain = decode(step, CACHE, INDEX, **sizes).beams
        found = decode(step, CACHE, INDEX, **sizes, potential=bounds).beams
        alone = np.empty((BATCH, len(IDS)))  # scores of the identifiers by leaf
        np.put_along_axis(alone, np.asarray(plain.leaf), np.asarray(plain.score), axis=1)
        sums = alone + np.asarray(bounds[-1])
        np.testing.assert_array_equal(found.leaf, np.argsort(-sums, axis=1))
    with pytest.raises(records.DataError, match="best-first: takes no potential; .* trie, "):
        decoders.decoder("best-first")(step, CACHE, INDEX, **sizes, potential=bounds)
