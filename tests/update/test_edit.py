"""Edits in closed form against numpy, and of encoder-decoders: what changes, what stays."""

import jax
import numpy as np
import pytest

from zoo import records
from zoo.nets import heads, network, transformer
from zoo.train import log as logs
from zoo.update import edit

RNG = np.random.default_rng


def problem():
    """Known keys f64[300, 32], new keys f64[5, 32] and residuals f64[5, 16]."""
    rng = RNG(0)
    return rng.normal(size=(300, 32)), rng.normal(size=(5, 32)), rng.normal(size=(5, 16))


@pytest.mark.parametrize("lam", (1e-3, 1.0, 1e3))
def test_the_closed_form_minimises_the_constrained_squares(lam):
    known, keys, wanted = problem()
    covariance = known.T @ known / len(known)
    # least squares of stacked rows: new keys, and a root of lam C that wants no change
    root = np.sqrt(lam / len(known)) * known
    stacked = np.concatenate([keys, root]), np.concatenate([wanted, np.zeros((300, 16))])
    expected = np.linalg.lstsq(*stacked, rcond=None)[0]
    found = edit.solve(keys, wanted, covariance, lam)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_lam_trades_new_keys_for_old_ones():
    known, keys, wanted = problem()
    covariance = known.T @ known / len(known)
    missed, drift = [], []
    for lam in (1e-3, 1.0, 1e3):
        change = edit.solve(keys, wanted, covariance, lam)
        missed.append(np.linalg.norm(keys @ change - wanted) / np.linalg.norm(wanted))
        drift.append(np.linalg.norm(known @ change) / np.linalg.norm(known))
    assert missed[0] < 1e-3 and 0.005 < missed[1] < 0.1 and missed[2] > 0.9
    assert drift[0] > drift[1] > 10 * drift[2]
    # against lam C summed over 300 keys, lam is 300 times as strong: scale it with their number
    np.testing.assert_allclose(
        edit.solve(keys, wanted, 300 * covariance, 1.0),
        edit.solve(keys, wanted, covariance, 300.0),
        atol=1e-9,
    )


SHAPE = dict(
    source_vocab=40, target_vocab=13, target_length=3, width=32, heads=2, head_width=16,
    encoder_hidden=32, decoder_hidden=128, encoder_layers=1, decoder_layers=2, dropout=0.0,
)  # fmt: skip
SHAPES = {
    "t5": transformer.Shape(**SHAPE),
    "relu": transformer.Shape(**SHAPE, mlp="relu"),
    "nci": heads.PrefixShape(**SHAPE, last_tokens=(4, 8, 12)),
}


def pairs(seed, count):
    rng = RNG(seed)
    sources = rng.integers(1, 40, (count, 6)).astype(np.int32)
    targets = np.stack([rng.integers(1 + 4 * t, 5 + 4 * t, count) for t in range(3)], axis=1)
    return edit.Pairs(sources, targets.astype(np.int32))


def generated(net, params, found):
    memory = net.encode(params, found.sources)
    return np.asarray(net.logits(params, memory, found.targets)).argmax(-1)


@pytest.mark.parametrize(("kind", "by"), (("t5", "band"), ("relu", "band"), ("nci", "position")))
def test_an_edit_writes_new_identifiers_and_changes_edited_matrices_alone(kind, by):
    net = network.build(SHAPES[kind])
    params, new, known = net.init(jax.random.key(0)), pairs(1, 4), pairs(2, 150)
    before = generated(net, params, known)
    config = edit.Config(by=by, first_layer=0, lam=1e-6)
    after = edit.edit(net, params, new, known, config, logs.Log(quiet=True))
    assert (generated(net, params, new) == new.targets).mean() < 0.7
    np.testing.assert_array_equal(generated(net, after, new), new.targets)
    changed = {
        jax.tree_util.keystr(path)
        for (path, one), (_, other) in zip(
            jax.tree_util.tree_leaves_with_path(params), jax.tree_util.tree_leaves_with_path(after)
        )
        if not np.array_equal(one, other)
    }
    assert changed == {f"['params']['decoder_{n}']['mlp']['out']['kernel']" for n in (0, 1)}
    # 150 known keys of each position span all 128 directions, so strong protection leaves none free
    strong = edit.Config(by=by, first_layer=0, lam=1e6)
    kept = edit.edit(net, params, new, known, strong, logs.Log(quiet=True))
    share = lambda tree: (generated(net, tree, known) == before).mean()
    assert share(kept) > 0.98 > share(after)


def test_layers_that_do_not_exist_are_refused():
    net = network.build(SHAPES["t5"])
    with pytest.raises(records.DataError, match="the decoder has 2 layers"):
        edit.edit(
            net, net.init(jax.random.key(0)), pairs(1, 2), pairs(2, 2),
            edit.Config(first_layer=2), logs.Log(quiet=True),
        )  # fmt: skip
