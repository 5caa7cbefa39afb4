"""Nucleus sampling: the remaining tokens, and the frequencies of the samples."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from zoo.search import nucleus

SHARES = np.array([0.05, 0.4, 0.1, 0.25, 0.2])


def kept(**options):
    logits = jnp.log(jnp.asarray(SHARES, jnp.float32))[None]
    return np.flatnonzero(
        np.isfinite(nucleus.truncated(logits, **{"top_k": 0, "top_p": 1.0} | options)[0])
    ).tolist()


def test_the_smallest_set_with_the_share_stays():
    assert kept() == [0, 1, 2, 3, 4]
    assert kept(top_k=2) == [1, 3] and kept(top_k=1) == [1] and kept(top_k=9) == [0, 1, 2, 3, 4]
    assert kept(top_p=0.39) == [1] and kept(top_p=0.64) == [1, 3] and kept(top_p=0.66) == [1, 3, 4]
    assert kept(top_k=2, top_p=0.6) == [1]  # of the two, the first has 8/13 of the mass
    assert kept(top_p=1e-6) == [1]


def drawn(num, *, seed=0, end=0, temperature=1.0, top_k=0, top_p=1.0):
    """i32[2, num, 3] samples of a chain: token t has probability SHARES[t]; only 4 follows 3."""
    return np.asarray(
        _drawn(jax.random.key(seed), temperature, top_p, num=num, end=end, top_k=top_k)
    )


@functools.partial(jax.jit, static_argnames=("num", "end", "top_k"))
def _drawn(key, temperature, top_p, *, num, end, top_k):
    table = jnp.log(jnp.asarray(SHARES, jnp.float32))
    only = jnp.where(jnp.arange(5) == 4, 0.0, -jnp.inf)
    step = lambda t, token, cache: (jnp.where((token == 3)[..., None], only, table), cache + 1)
    likely = lambda logits: nucleus.truncated(logits / temperature, top_k=top_k, top_p=top_p)
    return nucleus.draw(step, jnp.zeros((2, 1)), key, num=num, length=3, end=end, likely=likely)


def test_draws_have_the_frequencies_of_the_chain_and_end():
    found = drawn(4000)
    flat = found.reshape(-1, 3)
    share = np.bincount(flat[:, 0], minlength=5) / len(flat)
    np.testing.assert_allclose(share, SHARES, atol=5 * np.sqrt(0.25 / len(flat)))
    assert np.abs(share - 0.2).max() > 5 * np.sqrt(0.25 / len(flat))  # control: not uniform
    assert (flat[flat[:, 0] == 0, 1:] == 0).all()  # ended
    assert (flat[flat[:, 0] == 3, 1] == 4).all()  # each draw continues its own prefix
    assert (found[0] != found[1]).any()


def test_a_custom_end_token_is_followed_by_pads():
    flat = drawn(2000, end=2).reshape(-1, 3)
    assert (flat[:, 0] > 0).all()
    assert (flat[flat[:, 0] == 2, 1:] == 0).all() and (flat[flat[:, 0] == 1, 1] > 0).all()


def test_a_low_temperature_takes_the_best_and_the_seed_decides():
    assert (drawn(50, temperature=1e-3)[..., 0] == 1).all()
    np.testing.assert_array_equal(drawn(50), drawn(50))
    assert (drawn(50) != drawn(50, seed=1)).any()
    assert set(np.unique(drawn(50, top_k=2)[..., 0])) == {1, 3}
