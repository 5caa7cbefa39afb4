"""Shared code of recipes that generate identifiers."""

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table
from zoo.index import trie
from zoo.models import generate
from zoo.nets import network, transformer
from zoo.search import decoders


def test_a_wide_alphabet_changes_how_logits_are_computed_and_no_answer(monkeypatch):
    rng = np.random.default_rng(0)
    ids = table.build(np.unique(rng.integers(1, 3000, (500, 2)), axis=0), 3000)
    shape = transformer.Shape(
        source_vocab=20,
        target_vocab=3000,
        target_length=2,
        width=16,
        heads=2,
        head_width=8,
        encoder_layers=1,
        decoder_layers=1,
    )
    params = transformer.EncoderDecoder(shape).init(
        jax.random.key(0), jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, 2), jnp.int32)
    )
    source = jnp.asarray(rng.integers(1, 20, (4, 6)))
    find = lambda: (
        generate.generate.__wrapped__(
            params,
            source,
            trie.build(ids),
            how=generate.How(network.build(shape), decoders.decoder("trie"), k=5, width=10),
        ).beams
    )
    lazy = find()
    monkeypatch.setattr(network, "WIDE", 10_000)
    computed = find()
    np.testing.assert_array_equal(lazy.token, computed.token)
    np.testing.assert_allclose(lazy.score, computed.score, rtol=1e-5)  # sums in another order


def test_queries_go_in_batches_of_few_shapes():
    rng = np.random.default_rng(0)
    lengths = np.sort(rng.integers(1, 60, 700))
    sources = (np.arange(60)[None] < rng.permutation(lengths)[:, None]).astype(np.int32)
    for num, sizes in [(1, {1}), (5, {8}), (64, {64}), (100, {64}), (700, {64})]:
        seen, shapes = [], set()
        for rows, length, size in generate._query_batches(sources[:num], 64):
            assert len(rows) <= size and sources[rows].sum(axis=1).max() <= length
            seen += rows.tolist()
            shapes.add((length, size))
        assert sorted(seen) == list(range(num)) and {size for _, size in shapes} == sizes
        assert len(shapes) == (1 if num < 512 else 4)  # 8, 16, 32 and 60 tokens
