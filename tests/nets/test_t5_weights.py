"""Published T5 weights of both families against NumPy and against `transformers`."""

import json
import math

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors import numpy as safetensors

from zoo.nets import layers, t5_weights, transformer
from zoo.records import DataError
from zoo.search import automaton, beam

FIRST = {
    "model_type": "t5",
    "vocab_size": 23,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 14,
    "num_layers": 1,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 20,
    "dropout_rate": 0.1,
    "layer_norm_epsilon": 1e-6,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
    "feed_forward_proj": "relu",
    "tie_word_embeddings": True,
}
LATER = FIRST | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
FAMILIES = pytest.mark.parametrize("config", [FIRST, LATER], ids=["first", "v1.1"])
SOURCE, TARGET = [5, 9, 2, 22, 7, 1], [3, 3, 17, 1]
S, L = len(SOURCE) + 2, len(TARGET)


def drawn(config):
    """Random weights under the names and in the shapes of a published file."""
    random = np.random.default_rng(0)
    d, inner, hidden = config["d_model"], config["num_heads"] * config["d_kv"], config["d_ff"]
    gated = config["feed_forward_proj"] == "gated-gelu"
    shapes = {"shared": (config["vocab_size"], d)}
    if not config["tie_word_embeddings"]:
        shapes["lm_head"] = (config["vocab_size"], d)
    for stack, count, attentions in (
        ("encoder", "num_layers", ["SelfAttention"]),
        ("decoder", "num_decoder_layers", ["SelfAttention", "EncDecAttention"]),
    ):
        shapes[f"{stack}.final_layer_norm"] = (d,)
        shapes[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias"] = (
            config["relative_attention_num_buckets"],
            config["num_heads"],
        )
        for layer in range(config[count]):
            for number, part in enumerate([*attentions, "DenseReluDense"]):
                place = f"{stack}.block.{layer}.layer.{number}"
                shapes[f"{place}.layer_norm"] = (d,)
                if part == "DenseReluDense":
                    shapes |= {
                        f"{place}.{part}.{name}": (hidden, d)
                        for name in (("wi_0", "wi_1") if gated else ("wi",))
                    }
                    shapes[f"{place}.{part}.wo"] = (d, hidden)
                else:
                    shapes |= {f"{place}.{part}.{name}": (inner, d) for name in "qkv"} | {
                        f"{place}.{part}.o": (d, inner)
                    }
    return {
        f"{name}.weight": random.normal(0, 0.7, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def write(folder, tensors, config):
    folder.mkdir(exist_ok=True)
    safetensors.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def as_t5x(tensors, config):
    """The same numbers as t5x's tree: matrices [inputs, outputs], biases [heads, buckets]."""
    parts = {"q": "query", "k": "key", "v": "value", "o": "out"}
    attentions = {"SelfAttention": "self_attention", "EncDecAttention": "encoder_decoder_attention"}
    norms = {
        "encoder": ("attention", "mlp"),
        "decoder": ("self_attention", "cross_attention", "mlp"),
    }
    tree = {}

    def put(value, *path):
        *place, last = path
        node = tree
        for name in place:
            node = node.setdefault(name, {})
        node[last] = value

    for name, value in tensors.items():
        words = name.split(".")
        stack = words[0]
        if name == "lm_head.weight":
            put(value.T, "decoder", "logits_dense", "kernel")
        elif words[1] == "final_layer_norm":
            put(value, stack, f"{stack}_norm", "scale")
        elif words[-2] == "relative_attention_bias":
            put(value.T, stack, "relpos_bias", "rel_embedding")
        elif words[-2] == "layer_norm":
            put(
                value,
                stack,
                f"layers_{words[2]}",
                f"pre_{norms[stack][int(words[4])]}_layer_norm",
                "scale",
            )
        elif name == "shared.weight":
            put(value, "token_embedder", "embedding")
        elif words[-3] == "DenseReluDense":
            put(value.T, stack, f"layers_{words[2]}", "mlp", words[-2], "kernel")
        else:
            attention = "attention" if stack == "encoder" else attentions[words[5]]
            put(value.T, stack, f"layers_{words[2]}", attention, parts[words[-2]], "kernel")
    return tree


def logits_in_numpy(tensors, config, source, target):
    """f64[L, V] of a target given a source, by the paper and the names of the files."""
    weights = {name: value.astype(float) for name, value in tensors.items()}
    heads, size, d = config["num_heads"], config["d_kv"], config["d_model"]

    def norm(name, x):
        return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * weights[f"{name}.weight"]

    def biases(stack, length):
        table = weights[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        positions = np.arange(length)
        # against the definition, one at a time, in test_transformer
        buckets = layers.relative_buckets(
            positions, positions, bidirectional=stack == "encoder", buckets=8, max_distance=20
        )
        return table[np.asarray(buckets)]  # -> [Q, K, H]

    def attend(name, x, y, bias=None, causal=False):
        query, key, value = (
            z @ weights[f"{name}.{part}.weight"].T for part, z in (("q", x), ("k", y), ("v", y))
        )
        mixed = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = np.exp(
                query[:, own] @ key[:, own].T + (0 if bias is None else bias[..., head])
            )
            scores = np.tril(scores) if causal else scores
            mixed.append(scores / scores.sum(-1, keepdims=True) @ value[:, own])
        return np.concatenate(mixed, axis=1) @ weights[f"{name}.o.weight"].T

    def mlp(name, x):
        if config["feed_forward_proj"] == "relu":
            return (
                np.maximum(x @ weights[f"{name}.wi.weight"].T, 0) @ weights[f"{name}.wo.weight"].T
            )
        gate = x @ weights[f"{name}.wi_0.weight"].T
        gate = gate / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (gate + 0.044715 * gate**3)))
        return gate * (x @ weights[f"{name}.wi_1.weight"].T) @ weights[f"{name}.wo.weight"].T

    x = weights["shared.weight"][source]
    for layer in range(config["num_layers"]):
        place = f"encoder.block.{layer}.layer"
        y = norm(f"{place}.0.layer_norm", x)
        x = x + attend(f"{place}.0.SelfAttention", y, y, biases("encoder", len(source)))
        x = x + mlp(f"{place}.1.DenseReluDense", norm(f"{place}.1.layer_norm", x))
    encoded = norm("encoder.final_layer_norm", x)
    x = weights["shared.weight"][[0, *target[:-1]]]
    for layer in range(config["num_decoder_layers"]):
        place = f"decoder.block.{layer}.layer"
        y = norm(f"{place}.0.layer_norm", x)
        x = x + attend(
            f"{place}.0.SelfAttention", y, y, biases("decoder", len(target)), causal=True
        )
        x = x + attend(f"{place}.1.EncDecAttention", norm(f"{place}.1.layer_norm", x), encoded)
        x = x + mlp(f"{place}.2.DenseReluDense", norm(f"{place}.2.layer_norm", x))
    x = norm("decoder.final_layer_norm", x)
    if config["tie_word_embeddings"]:
        return x / math.sqrt(d) @ weights["shared.weight"].T
    return x @ weights["lm_head.weight"].T


def logits(loaded, source=SOURCE, target=TARGET):
    """f32[L, V] of our network; the source with pads behind."""
    padded = jnp.asarray([[*source, *[0] * (S - len(source))]], jnp.int32)
    return jax.jit(transformer.EncoderDecoder(loaded.shape).apply)(
        loaded.params, padded, jnp.asarray([target], jnp.int32)
    )[0]


@FAMILIES
def test_logits_equal_numpy_and_every_file_of_the_same_numbers_gives_the_same(tmp_path, config):
    tensors = drawn(config)
    loaded = t5_weights.load(write(tmp_path / "whole", tensors, config), target_length=L)
    expected = logits_in_numpy(tensors, config, SOURCE, TARGET)
    # float32 through three layers
    np.testing.assert_allclose(logits(loaded), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected).max() > 1  # so that the tolerance is meaningful

    parts = tmp_path / "parts"
    parts.mkdir()
    names = sorted(tensors)
    files = {
        f"model-0000{number + 1}-of-00002.safetensors": names[number::2] for number in range(2)
    }
    for file, held in files.items():
        safetensors.save_file({name: tensors[name] for name in held}, parts / file)
    (parts / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {name: file for file, held in files.items() for name in held}})
    )
    # the layout of later versions, with an unused copy
    later = {name: value for name, value in config.items() if name != "tie_word_embeddings"}
    (parts / "config.json").write_text(
        json.dumps(
            later
            | {"scale_decoder_outputs": config["tie_word_embeddings"], "tie_word_embeddings": True}
        )
    )
    assert t5_weights.load(parts, target_length=L).digest == loaded.digest

    other = dict(tensors) | {"shared.weight": tensors["shared.weight"] + 1e-3}
    assert (
        t5_weights.load(write(tmp_path / "other", other, config), target_length=L).digest
        != loaded.digest
    )


@FAMILIES
def test_checkpoints_of_t5x_give_the_same_parameters(tmp_path, config):
    import orbax.checkpoint as ocp
    import tensorstore

    # t5x checkpoints do not store it: uses T5's value
    config = config | {"relative_attention_max_distance": 128}
    tensors = drawn(config)
    expected = t5_weights.load(write(tmp_path / "files", tensors, config), target_length=L)
    tree = jax.tree.map(np.ascontiguousarray, as_t5x(tensors, config))
    state = {
        "target": tree,
        "state": {"step": np.int32(7), "param_states": jax.tree.map(np.zeros_like, tree)},
    }
    for step, written in ((3, jax.tree.map(np.zeros_like, state)), (20, state)):
        with ocp.PyTreeCheckpointer() as checkpointer:
            checkpointer.save(tmp_path / "model" / f"checkpoint_{step}" / "state", written)
    for folder in (
        tmp_path / "model",
        tmp_path / "model" / "checkpoint_20",
        tmp_path / "model" / "checkpoint_20" / "state",
    ):
        loaded = t5_weights.load(folder, target_length=L)
        assert (loaded.shape, loaded.digest) == (expected.shape, expected.digest)
    # control: the other step
    assert (
        t5_weights.load(tmp_path / "model" / "checkpoint_3", target_length=L).digest
        != expected.digest
    )

    # the layout before Orbax, used by the published T5
    legacy = tmp_path / "legacy" / "checkpoint_9"
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        place = legacy / ".".join(["target", *(key.key for key in path)])
        store = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(place)}}
        array = tensorstore.open(store, create=True, dtype=leaf.dtype, shape=leaf.shape).result()
        array.write(leaf).result()
    assert t5_weights.load(tmp_path / "legacy", target_length=L).digest == expected.digest


def test_half_precision_weights_are_cast_to_float32(tmp_path):
    tensors = {name: value.astype(ml_dtypes.bfloat16) for name, value in drawn(FIRST).items()}
    loaded = t5_weights.load(write(tmp_path / "half", tensors, FIRST), target_length=L)
    exact = {name: value.astype(np.float32) for name, value in tensors.items()}
    assert (
        loaded.digest
        == t5_weights.load(write(tmp_path / "exact", exact, FIRST), target_length=L).digest
    )


def test_mismatched_tensors_are_refused_by_name_and_shape(tmp_path):
    tensors = drawn(LATER)
    refused = lambda match: pytest.raises(DataError, match=match)
    name = "decoder.block.1.layer.2.DenseReluDense.wo.weight"
    with refused(rf"'{name}' expected shape \[12, 14\], got \[14, 12\]"):
        t5_weights.load(
            write(tmp_path, tensors | {name: np.ascontiguousarray(tensors[name].T)}, LATER)
        )
    with refused(
        r"no tensor 'decoder.block.2.layer.1.EncDecAttention.k.weight', expected one of shape "
        r"\[15, 12\]"
    ):
        t5_weights.load(write(tmp_path, tensors, LATER | {"num_decoder_layers": 3}))
    with refused(r"'decoder.block.1.layer.0.SelfAttention.k.weight' has no place .*\(14 such"):
        t5_weights.load(write(tmp_path, tensors, LATER | {"num_decoder_layers": 1}))
    with refused(r"no tensor 'decoder.block.0.layer.2.DenseReluDense.wi.weight'"):
        t5_weights.load(write(tmp_path, tensors, LATER | {"feed_forward_proj": "relu"}))
    with refused("feed_forward_proj relu or gated-gelu, got 'gated-silu'"):
        t5_weights.load(write(tmp_path, tensors, LATER | {"feed_forward_proj": "gated-silu"}))
    with refused("model_type t5 or mt5, got 'umt5'"):
        t5_weights.load(write(tmp_path, tensors, LATER | {"model_type": "umt5"}))
    with refused("not the configuration of a T5: expected d_kv"):
        t5_weights.load(
            write(
                tmp_path, tensors, {name: value for name, value in LATER.items() if name != "d_kv"}
            )
        )
    weights = write(tmp_path, tensors, LATER) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with refused("model.safetensors: not a whole safetensors file"):
        t5_weights.load(tmp_path)
    weights.rename(tmp_path / "pytorch_model.bin")
    with refused("model.safetensors: missing; pytorch_model.bin is a pickle"):
        t5_weights.load(tmp_path)
    (tmp_path / "empty").mkdir()
    with refused(
        "empty: expected config.json beside safetensors, or a checkpoint of t5x; got neither"
    ):
        t5_weights.load(tmp_path / "empty")
    with refused("nowhere: no such folder"):
        t5_weights.load(tmp_path / "nowhere")


@FAMILIES
def test_logits_and_generation_equal_those_of_transformers(tmp_path, config):
    torch = pytest.importorskip(
        "torch", reason="compared where torch and transformers are installed"
    )
    theirs = pytest.importorskip(
        "transformers", reason="compared where torch and transformers are installed"
    )
    given = {name: value for name, value in config.items() if name != "model_type"}
    torch.manual_seed(0)
    model = theirs.T5ForConditionalGeneration(theirs.T5Config(**given)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            # larger than initial values, so that beams separate hypotheses
            weight.copy_(torch.randn_like(weight) * 0.7)
    model.save_pretrained(tmp_path)
    loaded = t5_weights.load(tmp_path, target_length=4)
    source = torch.tensor([SOURCE])
    with torch.no_grad():
        expected = (
            model(input_ids=source, decoder_input_ids=torch.tensor([[0, *TARGET[:-1]]]))
            .logits[0]
            .numpy()
        )
    np.testing.assert_allclose(logits(loaded), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(expected).max() > 1

    net = transformer.EncoderDecoder(loaded.shape)
    padded = jnp.asarray([[*SOURCE, 0, 0]], jnp.int32)
    memory = jax.jit(
        lambda tree: net.apply(tree, net.apply(tree, padded, method="encode"), method="memory")
    )(loaded.params)
    step = jax.jit(
        lambda t, token, cache: net.apply(
            loaded.params, t, token, cache, memory, padded, method="step"
        )
    )
    # without their cache, which assumes equal depth of decoder and encoder
    options = dict(
        use_cache=False,
        max_new_tokens=4,
        length_penalty=0.0,
        do_sample=False,
        suppress_tokens=[0],
        return_dict_in_generate=True,
        output_scores=True,
    )
    for width in (1, 50):  # greedy, and wide enough for both beams to keep the same hypotheses
        cache = transformer.empty_cache(loaded.shape, 1)
        found = beam.beam_search(
            step, cache, automaton.Sentences(1), width=width, length=4, score="model"
        )
        with torch.no_grad():
            answer = model.generate(
                source,
                num_beams=width,
                num_return_sequences=width,
                early_stopping="never" if width > 1 else False,
                **options,
            )
        wanted = answer.sequences[:10, 1:].numpy()
        ended = np.cumsum(wanted == 1, axis=1) - (wanted == 1) > 0
        wanted = np.where(ended, 0, wanted)  # transformers repeats the end token
        np.testing.assert_array_equal(np.asarray(found.token)[0, :10, : wanted.shape[1]], wanted)
        if width > 1:
            np.testing.assert_allclose(found.score[0, :10], answer.sequences_scores[:10], atol=1e-4)
