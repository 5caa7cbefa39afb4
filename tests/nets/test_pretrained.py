"""BERT against NumPy, and all-MiniLM-L6-v2 against its reference implementation."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as safetensors

from zoo.nets import bert, pretrained
from zoo.records import DataError
from zoo.text import encoders
from zoo.train import log as logs

CONFIG = {
    "vocab_size": 20,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}
TEXTS = [
    "A cat sits on the mat.",
    "A feline rests on a rug.",
    "Café Zürich: naïve façades, 42% off!",
    "?",
    "os.path.join joins one or more path segments intelligently. " * 40,  # cut at 256 tokens
]
# transformers 5 with torch 2.13.0 on a CPU: BertModel of the same weights, one text at a time, mean
# pooled, unit length
PLACES = [0, 1, 100, 200, 300, 383]
REFERENCE = [
    [0.126535, -0.032851, -0.023339, 0.001214, 0.089583, 0.064036],
    [0.072083, 0.021756, -0.042576, 0.037288, 0.105209, 0.035299],
    [0.08504, 0.086473, -0.051776, 0.023414, 0.12461, 0.032783],
    [-0.09341, 0.03622, 0.041575, -0.003864, -0.014143, 0.018424],
    [0.024804, -0.064097, -0.066622, -0.034377, -0.004867, 0.040896],
]
# sum of place times value, so that every place counts
MOMENTS = [-38.95067, 31.10452, -77.57942, 90.75574, 24.86743]
COSINES = [0.573811, -0.023615, 0.003568, -0.031894]  # of the first text with the others


@pytest.fixture
def tensors():
    """Random weights under the names and in the shapes of a published file."""
    random = np.random.default_rng(0)
    d, hidden = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (CONFIG["vocab_size"], d),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": (2, d),
        "embeddings.LayerNorm.weight": (d,),
        "embeddings.LayerNorm.bias": (d,),
        "pooler.dense.weight": (d, d),
    }
    for layer in range(CONFIG["num_hidden_layers"]):
        for name, (outputs, inputs) in {
            "attention.self.query": (d, d),
            "attention.self.key": (d, d),
            "attention.self.value": (d, d),
            "attention.output.dense": (d, d),
            "intermediate.dense": (hidden, d),
            "output.dense": (d, hidden),
        }.items():
            place = f"encoder.layer.{layer}.{name}"
            shapes |= {f"{place}.weight": (outputs, inputs), f"{place}.bias": (outputs,)}
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {
                f"encoder.layer.{layer}.{name}.weight": (d,),
                f"encoder.layer.{layer}.{name}.bias": (d,),
            }
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def write(folder, tensors, **changed):
    safetensors.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG | changed))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def encoded_in_numpy(tensors, tokens):
    """f64[S, D] of one text without pads, by the paper, one head and one position at a time."""

    def dense(name, x):
        return x @ tensors[f"{name}.weight"].T.astype(float) + tensors[f"{name}.bias"]

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    table = "embeddings.{}_embeddings.weight".format
    x = (
        tensors[table("word")][tokens].astype(float)
        + tensors[table("position")][: len(tokens)]
        + tensors[table("token_type")][0]
    )
    x = norm("embeddings.LayerNorm", x)
    for number in range(CONFIG["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            dense(f"{layer}.attention.self.{name}", x) for name in ("query", "key", "value")
        )
        attended = np.zeros_like(x)
        for part in np.split(np.arange(x.shape[1]), CONFIG["num_attention_heads"]):
            for place in range(len(tokens)):
                weights = np.exp(key[:, part] @ query[place, part] / math.sqrt(len(part)))
                attended[place, part] = weights @ value[:, part] / weights.sum()
        x = norm(
            f"{layer}.attention.output.LayerNorm",
            x + dense(f"{layer}.attention.output.dense", attended),
        )
        inner = dense(f"{layer}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(f"{layer}.output.LayerNorm", x + dense(f"{layer}.output.dense", inner))
    return x


def test_the_encoder_equals_numpy_and_pads_change_nothing(tmp_path, tensors):
    encoder = pretrained.minilm(write(tmp_path, tensors))
    texts = [[3, 5, 7, 2, 9], [4, 4]]
    tokens = np.zeros((2, 7), np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = text
    got = bert.Bert(encoder.shape).apply(encoder.params, jnp.asarray(tokens))
    pooled = bert.mean_pooled(got, jnp.asarray(tokens))
    for row, text in enumerate(texts):
        expected = encoded_in_numpy(tensors, text)
        # float32 over weights of size 1
        np.testing.assert_allclose(got[row, : len(text)], expected, atol=2e-5)
        mean = expected.mean(0)
        np.testing.assert_allclose(pooled[row], mean / np.linalg.norm(mean), atol=2e-5)


def test_mismatched_weights_are_refused_by_name_and_shape(tmp_path, tensors):
    name = "encoder.layer.1.output.dense.weight"
    with pytest.raises(
        DataError,
        match=r"'encoder.layer.1.output.dense.weight' expected shape \[8, 12\], got \[12, 8\]",
    ):
        pretrained.minilm(write(tmp_path, tensors | {name: np.ascontiguousarray(tensors[name].T)}))
    with pytest.raises(
        DataError, match="no tensor 'encoder.layer.2.attention.output.LayerNorm.bias'"
    ):
        pretrained.minilm(write(tmp_path, tensors, num_hidden_layers=3))
    with pytest.raises(
        DataError,
        match=r"'encoder.layer.1.attention.output.LayerNorm.bias' has no place .*\(16 such",
    ):
        pretrained.minilm(write(tmp_path, tensors, num_hidden_layers=1))
    with pytest.raises(DataError, match="hidden_act 'gelu', got 'relu'"):
        pretrained.minilm(write(tmp_path, tensors, hidden_act="relu"))


def test_a_missing_or_truncated_file_is_refused(tmp_path, tensors):
    weights = write(tmp_path, tensors) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(DataError, match="model.safetensors: not a whole safetensors file"):
        pretrained.minilm(tmp_path)
    weights.unlink()
    with pytest.raises(DataError, match="model.safetensors: missing"):
        pretrained.minilm(tmp_path)


@pytest.fixture(scope="module")
def minilm():
    if not pretrained.minilm_available():
        pytest.skip(f"no weights of all-MiniLM-L6-v2 here; to run this test: {pretrained.INSTALL}")
    return pretrained.minilm()


def test_minilm_gives_the_vectors_of_its_reference(minilm):
    # five compiled sizes: seconds
    vectors = encoders.encode(TEXTS, log=logs.Log(quiet=True), encoder=minilm)
    np.testing.assert_allclose(vectors[:, PLACES], REFERENCE, atol=2e-6)
    np.testing.assert_allclose(vectors @ np.arange(384), MOMENTS, atol=1e-3)
    np.testing.assert_allclose(vectors[1:] @ vectors[0], COSINES, atol=2e-6)


def test_the_vector_of_a_text_does_not_depend_on_its_batch(minilm):
    texts = [f"{'word ' * (number % 40)}number {number}" for number in range(150)]
    log = logs.Log(quiet=True)
    together = encoders.encode(texts, log=log, encoder=minilm, max_tokens=32)
    alone = encoders.encode(texts[77:78], log=log, encoder=minilm, max_tokens=32)
    np.testing.assert_allclose(together[77:78], alone, atol=1e-6)


def test_texts_are_encoded_in_few_shapes(minilm):
    log = logs.Log(quiet=True)
    before = encoders._vectors._cache_size()
    for count in (3, 20, 33):
        encoders.encode(
            ["one two"] * count + ["one two three " * 7] * count,
            log=log,
            encoder=minilm,
            max_tokens=32,
        )
    assert encoders._vectors._cache_size() - before <= 2
