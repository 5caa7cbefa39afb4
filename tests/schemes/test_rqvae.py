"""The RQ-VAE tokenizer restarts dead codes, resumes exactly, and encodes new vectors."""

import contextlib
import dataclasses
import signal

import jax
import numpy as np
import pytest

from zoo.docids import quantize
from zoo.schemes import rqvae
from zoo.train import log as logs, loop

QUICK = rqvae.Config(
    hidden=(16,),
    code_width=8,
    levels=2,
    codes=16,
    batch=64,
    steps=40,
    restart_every=10,
    evaluate_every=20,
    warmup=5,
)


def quiet(folder=None):
    return logs.Log(folder, quiet=True)


def mixture(seed, rows, width, fans=(16, 16, 16), scales=(1.0, 0.5, 0.25)):
    """Clusters of clusters of clusters, ever closer."""
    random = np.random.default_rng(seed)
    total, path = 0.1 * random.normal(size=(rows, width)), np.zeros(rows, np.int64)
    for fan, scale in zip(fans, scales):
        path = fan * path + random.integers(0, fan, rows)
        total += scale * random.normal(size=(path.max() + 1, width))[path]
    return total.astype(np.float32)


VECTORS = mixture(0, 300, 12, fans=(4, 4, 4))


def equal(first, second):
    return all(
        jax.tree.leaves(
            jax.tree.map(lambda a, b: bool((np.asarray(a) == np.asarray(b)).all()), first, second)
        )
    )


@pytest.fixture(scope="module")
def fitted():
    log = quiet()
    return rqvae.fit(VECTORS, QUICK, jax.random.key(0), log), log


def test_the_same_key_gives_the_same_tokenizer(fitted):
    state, _ = fitted
    assert equal(state["params"], rqvae.fit(VECTORS, QUICK, jax.random.key(0), quiet())["params"])
    assert not equal(
        state["params"], rqvae.fit(VECTORS, QUICK, jax.random.key(1), quiet())["params"]
    )


def test_new_vectors_get_codes_from_frozen_codebooks(fitted):
    state, _ = fitted
    codes = rqvae.encode(state, VECTORS)
    assert codes.shape == (300, 2) and codes.dtype == np.int32
    np.testing.assert_array_equal(rqvae.encode(state, VECTORS[40:43]), codes[40:43])
    codebooks = state["params"]["params"]["codebooks"]
    np.testing.assert_array_equal(quantize.encode(rqvae.latents(state, VECTORS), codebooks), codes)
    assert quantize.relative_error(VECTORS, rqvae.decode(state, codes)) < 0.3


def test_encoding_in_blocks_is_encoding_at_once(fitted, monkeypatch):
    state, _ = fitted
    expected = rqvae.encode(state, VECTORS)
    monkeypatch.setattr(rqvae, "BLOCK", 128)
    np.testing.assert_array_equal(rqvae.encode(state, VECTORS), expected)


def test_every_evaluation_logs_usage_and_perplexity_of_each_level(fitted):
    state, log = fitted
    rows = [row for row in log.history if "usage_1" in row]
    assert [row["step"] for row in rows] == [20, 40]
    found = quantize.stats(rqvae.encode(state, VECTORS), num_codes=16)
    last = rows[-1]
    assert [last["usage_1"], last["usage_2"]] == found.usage.tolist() and last[
        "colliding"
    ] == found.colliding
    np.testing.assert_allclose([last["perplexity_1"], last["perplexity_2"]], found.perplexity)
    assert log.warnings == [] and last["collapsed_levels"] == 0


def test_collapse_is_warned_of():
    log = quiet()
    # a rate that throws the encoder far off
    collapsing = dataclasses.replace(QUICK, restart_every=0, rate=1.0, warmup=0)
    rqvae.fit(VECTORS, collapsing, jax.random.key(0), log)
    assert "the codes are collapsing: level 1 uses" in log.warnings[-1]
    assert [row["collapsed_levels"] for row in log.history if "usage_1" in row][-1] > 0


def test_unused_codes_restart_at_residuals_and_the_others_stay(fitted):
    state, _ = fitted
    shape, seen = rqvae._shape(state), rqvae._scaled(state, VECTORS)
    dead = state["params"]["params"]["codebooks"].at[0, 3:7].set(1e3).at[1, 2].set(-1e3)
    broken = {"params": state["params"]["params"] | {"codebooks": dead}}
    before = rqvae._apply(broken, seen, shape=shape, method="quantize").codes
    unused = [np.setdiff1d(np.arange(16), before[:, level]) for level in range(2)]
    mended = rqvae._restart_codes(broken, seen, jax.random.key(0), shape=shape)["params"][
        "codebooks"
    ]
    z = np.asarray(rqvae._apply(broken, seen, shape=shape, method="encode"))
    leaves = z - np.asarray(dead)[0][np.asarray(before)[:, 0]]
    assert set(range(3, 7)) <= set(unused[0]) and 2 in unused[1]
    for level, residual in enumerate((z, leaves)):
        kept = np.setdiff1d(np.arange(16), unused[level])
        np.testing.assert_array_equal(mended[level, kept], dead[level, kept])
        gap = ((np.asarray(mended)[level, unused[level]][:, None] - residual[None]) ** 2).sum(
            axis=2
        )
        # each at another vector
        assert (gap.min(axis=1) < 1e-8).all() and len(set(gap.argmin(axis=1))) == len(unused[level])
    after = rqvae._apply(
        {"params": broken["params"] | {"codebooks": mended}}, seen, shape=shape, method="quantize"
    ).codes
    assert set(range(16)) == set(np.asarray(after)[:, 0].tolist())


def test_restarts_keep_a_level_in_use_that_loses_codes_without_them():
    # about 7 s: two trainings of 600 steps, of a plain MLP, whose encoder soon leaves the codes
    # where k-means put them
    vectors = mixture(0, 4096, 64)
    config = rqvae.Config(
        hidden=(128,),
        code_width=32,
        linear=False,
        codes=64,
        batch=512,
        steps=600,
        evaluate_every=600,
    )
    usage = {}
    for every in (50, 0):
        state = rqvae.fit(
            vectors, dataclasses.replace(config, restart_every=every), jax.random.key(0), quiet()
        )
        codes = rqvae.encode(state, vectors)
        usage[every] = quantize.stats(codes, num_codes=64).usage
        assert quantize.relative_error(vectors, rqvae.decode(state, codes)) <= 0.30
    assert usage[50].min() >= 0.95 and usage[0][0] <= 0.9  # seen: 1.00 and .80


def test_an_interrupted_fit_resumes_to_the_same_bits(tmp_path, fitted, monkeypatch):
    state, _ = fitted
    report = rqvae._report

    def interrupting(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return report(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(rqvae, "_report", interrupting)
        with (
            contextlib.closing(quiet(tmp_path)) as log,
            pytest.raises(loop.Interrupted, match="step 20 of 40"),
        ):
            rqvae.fit(VECTORS, QUICK, jax.random.key(0), log)
    with contextlib.closing(quiet(tmp_path)) as log:
        assert equal(state["params"], rqvae.fit(VECTORS, QUICK, jax.random.key(0), log)["params"])


@pytest.mark.parametrize(
    "options",
    [
        dict(linear=False),
        dict(code_width=20),
        dict(estimator="rotation", residual_grad="cumulative", reduction="mean"),
    ],
)
def test_other_options_train_too(options):
    state = rqvae.fit(VECTORS, dataclasses.replace(QUICK, **options), jax.random.key(0), quiet())
    found = quantize.stats(rqvae.encode(state, VECTORS), num_codes=16)
    assert found.collapsed == () and found.usage.min() > 0.8


def test_training_starts_from_residual_kmeans_in_the_principal_directions():
    state = rqvae.fit(
        VECTORS, dataclasses.replace(QUICK, code_width=12, rate=0.0), jax.random.key(0), quiet()
    )
    codes = rqvae.encode(state, VECTORS)
    _, expected = quantize.rq_kmeans(
        rqvae.latents(state, VECTORS), jax.random.split(jax.random.key(0), 6)[1], levels=2, codes=16
    )
    np.testing.assert_array_equal(codes, expected)
    assert quantize.relative_error(VECTORS, rqvae.decode(state, codes)) == pytest.approx(
        quantize.relative_error(
            rqvae.latents(state, VECTORS),
            quantize.decode(codes, state["params"]["params"]["codebooks"]),
        ),
        rel=1e-3,
    )


def test_principal_directions_are_orthonormal_and_ordered_by_variance():
    centred = VECTORS - VECTORS.mean(axis=0)
    directions = np.asarray(rqvae._principal(centred, 14))
    np.testing.assert_allclose(directions[:, :12].T @ directions[:, :12], np.eye(12), atol=1e-5)
    assert (directions[:, 12:] == 0).all()
    spread = ((centred @ directions[:, :12]) ** 2).sum(axis=0)
    assert (np.diff(spread) <= 1e-3 * spread[0]).all()


def test_constant_vectors_are_refused():
    with pytest.raises(ValueError, match="rqvae: all 30 vectors are equal"):
        rqvae.fit(np.ones((30, 4)), QUICK, jax.random.key(0), quiet())
