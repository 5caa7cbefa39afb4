"""Losses and codes of a tokenizer: inputs of each term, and initial codebooks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from zoo.docids import balanced
from zoo.models import code_tokenizer
from zoo.nets import codebooks, transformer

ROWS, NUM_CODES = 12, 4
SHAPE = transformer.Shape(
    source_vocab=20,
    target_vocab=1 + 2 * NUM_CODES,
    target_length=2,
    width=8,
    heads=2,
    head_width=4,
    encoder_hidden=8,
    decoder_hidden=8,
    encoder_layers=0,
    decoder_layers=1,
    dropout=0.0,
    last_tokens=(4, 8),
)
random = np.random.default_rng(0)
BATCH = {
    "source": random.integers(1, 20, (ROWS, 3)).astype(np.int32),
    "document": random.integers(1, 20, (ROWS, 5)).astype(np.int32),
    "codes": (np.arange(ROWS) % 3)[:, None].astype(np.int32),
    "real": np.arange(ROWS) < 10,
}
EVEN = code_tokenizer.Weights(contrast=1.0, retrieval=10.0, commitment=100.0, reconstruction=1000.0)


@pytest.fixture(scope="module")
def params():
    return jax.jit(SHAPE.net().init)(
        jax.random.key(0), jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, 2), jnp.int32)
    )


@pytest.fixture(scope="module")
def main():
    """epsilon -> (loss, terms) of the main stage of the second position; compiled once for each."""
    losses = {}

    def value(epsilon, params, batch):
        if epsilon not in losses:
            losses[epsilon] = jax.jit(
                code_tokenizer.main(
                    SHAPE, EVEN, num_codes=NUM_CODES, word_dropout=0.0, epsilon=epsilon
                )
            )
        return losses[epsilon](params, batch, jax.random.key(1))

    return value


def test_the_loss_is_the_weighted_sum_of_its_terms(params, main):
    value, terms = main(0.1, params, BATCH)
    expected = sum(
        getattr(EVEN, name) * terms[name]
        for name in ("contrast", "retrieval", "commitment", "reconstruction")
    )
    assert float(value) == pytest.approx(float(expected), rel=1e-6)
    assert terms["filling"] == pytest.approx(2 / 12) and terms["alone"] == 0


def test_padding_rows_change_nothing(params, main):
    other = {name: values.copy() for name, values in BATCH.items()}
    other["document"][10:], other["source"][10:] = 1, 2
    for (one, _), (two, _) in [(main(0.1, params, BATCH), main(0.1, params, other))]:
        assert float(one) == pytest.approx(float(two), rel=1e-6)
    other["document"][9] = 3  # the control
    assert float(main(0.1, params, other)[0]) != pytest.approx(float(one), rel=1e-4)


def test_a_document_without_siblings_is_counted(params, main):
    lone = {name: values.copy() for name, values in BATCH.items()}
    lone["codes"][:3, 0] = 3, 3, 0
    assert main(0.1, params, lone)[1]["alone"] == 0
    lone["codes"][1, 0] = 0
    assert main(0.1, params, lone)[1]["alone"] == pytest.approx(1 / 10)


def test_targets_are_balanced_or_the_most_probable_codes(params, main):
    # share of targets that are the most probable code
    assert main(0.0, params, BATCH)[1]["balanced"] == 1
    # a code that is most probable for half
    hub = codebooks.place(params, 1, codebooks.codebook(params, 1, NUM_CODES).at[0].mul(20.0))
    assert main(0.1, hub, BATCH)[1]["balanced"] < 0.9


def test_commitment_is_to_the_codes_of_assign(params, main):
    codes = code_tokenizer.assign(
        params, BATCH["document"], BATCH["codes"], shape=SHAPE, num_codes=NUM_CODES
    )
    net = SHAPE.net()

    @jax.jit
    def loss(source):
        likely = jax.nn.log_softmax(
            _own(net.apply(params, source, codebooks.tokens(codes, NUM_CODES)))
        )
        return -jnp.take_along_axis(likely, jnp.asarray(codes)[..., None], axis=-1)[..., 0].sum(
            axis=-1
        )

    _, terms = main(0.0, params, BATCH)
    for name, term in (("document", "commitment"), ("source", "retrieval")):
        assert float(terms[term]) == pytest.approx(float(loss(BATCH[name])[:10].mean()), rel=1e-5)


def _own(logits):
    """f32[B, 2, K] logits of the codes of each position, without the pad."""
    return jnp.stack(
        [logits[:, t, 1 + t * NUM_CODES : 1 + (t + 1) * NUM_CODES] for t in range(2)], axis=1
    )


def test_block_size_changes_nothing(params, monkeypatch):
    whole = code_tokenizer.tokenize(
        params, BATCH["document"], shape=SHAPE, levels=2, num_codes=NUM_CODES
    )
    monkeypatch.setattr(code_tokenizer, "BLOCK", 5)
    np.testing.assert_array_equal(
        code_tokenizer.tokenize(
            params, BATCH["document"], shape=SHAPE, levels=2, num_codes=NUM_CODES
        ),
        whole,
    )
    assert whole.shape == (ROWS, 2) and whole.max() < NUM_CODES


def test_a_codebook_starts_at_centroids_of_residuals_from_prefix_means():
    """Two distant prefixes with the same four offsets: centroids are the offsets."""
    prefix = np.repeat([0, 1], 40)[:, None]
    places = 3 * np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [-1, -1, -1, 0]], np.float32)
    vectors = (
        100 * prefix
        + np.tile(places, (20, 1))
        + 0.01 * np.random.default_rng(1).normal(size=(80, 4))
    )
    begin = functools.partial(
        code_tokenizer.initial_codebook, key=jax.random.key(0), num_codes=4, diverse=True
    )
    found = begin(vectors.astype(np.float32), prefix) * 2  # sqrt D
    for place in places:
        assert np.linalg.norm(found - place, axis=1).min() < 0.1
    # control: without codes the prefixes differ most
    plain = begin(vectors.astype(np.float32), prefix[:, :0]) * 2
    assert np.linalg.norm(plain - places[0], axis=1).min() > 10


def test_diverse_clusters_are_bounded_and_skip_lone_documents():
    vectors = np.random.default_rng(2).normal(size=(60, 4)).astype(np.float32)
    vectors[:45] *= 1e-3  # three in four in one place
    codes = np.zeros((60, 0), np.int32)
    begin = functools.partial(
        code_tokenizer.initial_codebook, vectors, codes, jax.random.key(0), num_codes=8
    )
    there = {
        diverse: (
            np.linalg.norm(2 * begin(diverse=diverse) + vectors.mean(axis=0), axis=1) < 0.3
        ).sum()
        for diverse in (True, False)
    }
    # 45 documents, of which a cluster holds 16 at most
    assert there[False] == 1 and there[True] >= 2
    # no row has a sibling: all stay as they are
    alone = np.arange(60, dtype=np.int32)[:, None]
    apart = code_tokenizer.initial_codebook(
        vectors, alone, jax.random.key(0), num_codes=8, diverse=True
    )
    # a mean in f32 and one in f64
    np.testing.assert_allclose(apart, begin(diverse=True), atol=1e-6)


def test_statistics_of_codes_equal_those_worked_by_hand():
    codes = np.array([[0, 0], [0, 0], [1, 1], [1, 2]])
    assert code_tokenizer.spread(codes, 4) == {
        "conflicts": 0.5,
        "diversity_1": 0.5,
        "diversity_2": balanced.diversity(codes[:, 1], num_codes=4),
        "usage_1": 0.5,
        "usage_2": 0.75,
    }
