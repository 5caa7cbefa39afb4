"""Accuracy and entropy by position against numpy, and shares of old answers by hand."""

import jax
import numpy as np

from zoo import records
from zoo.models import behaviour
from zoo.nets import network, transformer

SHAPE = transformer.Shape(
    30, 8, 3, width=16, heads=2, head_width=8, encoder_hidden=16, decoder_hidden=16,
    encoder_layers=1, decoder_layers=1, dropout=0.0,
)  # fmt: skip


def test_accuracy_and_entropy_equal_numpy_and_leave_pads_out():
    net, rng = network.build(SHAPE), np.random.default_rng(0)
    params = net.init(jax.random.key(0))
    sources = rng.integers(1, 30, (70, 5)).astype(np.int32)  # more than a batch
    targets = rng.integers(1, 8, (70, 3)).astype(np.int32)
    targets[::2, 2] = 0
    found = behaviour.by_position(net, params, sources, targets)
    logits = np.asarray(net.logits(params, net.encode(params, sources), targets), np.float64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    rows = (slice(None), slice(None), slice(1, None, 2))
    for t, chosen in enumerate(rows):
        right = (logits.argmax(-1) == targets)[chosen, t]
        np.testing.assert_allclose(found.accuracy[t], right.mean())
        entropy = -(p * np.log(p)).sum(-1)[chosen, t]
        np.testing.assert_allclose(found.entropy[t], entropy.mean(), rtol=1e-5)


def test_old_share_counts_first_answers_among_old_documents():
    documents = np.array([[0, 3], [3, 0], [2, 1], [-1, -1]], np.int32)
    scores = np.zeros(documents.shape, np.float32)
    ranking = records.Ranking(("a", "b", "c", "d"), ("w", "x", "y", "z"), documents, scores)
    assert behaviour.old_share(ranking, 2) == 1 / 3  # of three answered queries the first
