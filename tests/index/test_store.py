"""Tries loaded from disk, and tries sharded over several devices."""

import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.docids import table
from zoo.index import filters, store, trie
from zoo.search import beam

LENGTH, ALPHABET = 3, 300


def draw(seed=0, num=20_000):
    rng = np.random.default_rng(seed)
    weight = 1 / np.arange(1, ALPHABET)
    tokens = 1 + rng.choice(ALPHABET - 1, size=(num, LENGTH), p=weight / weight.sum())
    tokens = rng.permutation(np.unique(tokens, axis=0))
    return table.Docids(
        np.ascontiguousarray(np.concatenate([tokens, tokens[:50]]), np.int32), ALPHABET
    )


@jax.jit
def find(index, logits):
    step = lambda t, token, cache: (logits[t][:, : token.shape[1]], cache)
    beams = beam.beam_search(step, jnp.zeros((2, 1)), index, width=8, length=LENGTH, score="model")
    return beams, index.documents_of(beams.leaf)


LOGITS = jnp.asarray(np.random.default_rng(0).normal(size=(LENGTH, 2, 8, ALPHABET)), jnp.float32)


def test_a_trie_survives_saving_and_loading(tmp_path):
    index = trie.build(draw(), documents_per_leaf=2)
    store.save(index, tmp_path / "a" / "trie")
    for mapped in (False, True):
        loaded = store.load(tmp_path / "a" / "trie", mapped=mapped)
        assert jax.tree.structure(loaded) == jax.tree.structure(index)
        jax.tree.map(np.testing.assert_array_equal, loaded, index)
        jax.tree.map(np.testing.assert_array_equal, find(loaded, LOGITS), find(index, LOGITS))
    assert isinstance(loaded.documents, np.memmap)
    with pytest.raises(FileExistsError, match="choose another folder"):
        store.save(index, tmp_path / "a" / "trie")
    assert [file.name for file in (tmp_path / "a").iterdir()] == ["trie"]


def test_a_folder_without_a_trie_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no trie"):
        store.load(tmp_path)
    store.save(trie.build(draw()), tmp_path / "trie")
    (tmp_path / "trie" / "1.token.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ValueError, match="1.token.npy cannot be read"):
        store.load(tmp_path / "trie")
    about = json.loads((tmp_path / "trie" / "trie.json").read_text())
    (tmp_path / "trie" / "trie.json").write_text(json.dumps(about | {"format": 0}))
    with pytest.raises(ValueError, match="has format 0, expected 1"):
        store.load(tmp_path / "trie")


def test_a_save_that_was_killed_is_removed_by_the_next(tmp_path):
    for name in (".trie.x.part", ".other.x.part"):
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    store.save(trie.build(draw(num=50)), tmp_path / "trie")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.x.part", "trie"]
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "trie").stat().st_mode & 0o777 == 0o777 & ~mask


def test_a_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    index = trie.build(draw())
    monkeypatch.setattr(store.json, "dumps", lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.save(index, tmp_path / "trie")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # compiles a partitioned search, twice
def test_a_trie_over_eight_devices_gives_the_answers_of_one():
    index = trie.build(draw(), documents_per_leaf=2)
    mesh = jax.make_mesh((8,), ("trie",))
    spread = store.shard(index, mesh, "trie")
    jax.tree.map(np.testing.assert_array_equal, find(spread, LOGITS), find(index, LOGITS))
    whole, each = _bytes(index), _bytes(spread, jax.devices()[0])
    assert each <= whole / 8 * 1.1  # padding and arrays too short to shard
    seen = jax.tree.map(lambda x: jnp.asarray(np.tile(x, (2, 1))), np.array([3, 4, -1]))
    rows = jnp.asarray(seen)
    tokens = jnp.asarray(draw().tokens)[jnp.maximum(rows, 0)]
    one, other = (
        find(jax.jit(filters.without)(each, tokens, rows), LOGITS) for each in (spread, index)
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)


def test_no_device_gathers_the_whole_trie():
    spread = store.shard(trie.build(draw()), jax.make_mesh((8,), ("trie",)), "trie")
    program = find.lower(spread, LOGITS).compile().as_text()
    assert "all-reduce" in program
    assert "all-gather" not in program  # the trie need not fit on one device


def test_an_axis_that_the_mesh_lacks_is_refused():
    with pytest.raises(ValueError, match="axes trie, got 'model'"):
        store.shard(trie.build(draw()), jax.make_mesh((8,), ("trie",)), "model")


def _bytes(index, device=None):
    if device is None:
        return sum(leaf.nbytes for leaf in jax.tree.leaves(index))
    return sum(
        s.data.nbytes
        for leaf in jax.tree.leaves(index)
        for s in leaf.addressable_shards
        if s.device == device
    )
