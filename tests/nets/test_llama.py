"""Causal language models against a NumPy reference, their caches, adapters and files."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import Tokenizer, models as tokenizer_models

from zoo.nets import gguf_files, llama, llama_config, llama_weights, network
from zoo.records import DataError

SHAPES = {
    "llama": llama.Shape(vocabulary=21, end=3, target_length=4, width=16, head_width=8, hidden=24),
    "llama3": llama.Shape(
        vocabulary=21, end=3, target_length=4, scaling=(8.0, 1.0, 4.0, 16.0), tied=False
    ),
    "qwen2": llama.Shape(vocabulary=21, end=3, target_length=4, biases=True),
    "qwen3": llama.Shape(vocabulary=21, end=3, target_length=4, head_norms=True, base=1e6),
}
SOURCE = np.array([[5, 6, 7, 0, 0, 0], [9, 8, 1, 4, 2, 11]])
TARGET = np.array([[3, 5, 9, 0], [1, 2, 7, 8]])


def parameters(shape):
    """Random ones, norms, biases and adapters among them."""
    drawn = llama.init(shape, jax.random.key(0))
    leaves, tree = jax.tree.flatten(drawn)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    noisy = [leaf + 0.2 * jax.random.normal(key, leaf.shape) for leaf, key in zip(leaves, keys)]
    return jax.tree.unflatten(tree, noisy)


def reference(tensors, shape, tokens):
    """f64[n, V] logits after each of the tokenizer's tokens, by tensors as a file names them."""
    get = lambda name: np.asarray(tensors[f"model.{name}.weight"], np.float64)
    norm = lambda x, scale: x / np.sqrt((x**2).mean(-1, keepdims=True) + shape.epsilon) * scale
    half = shape.head_width // 2
    speed = shape.base ** (-np.arange(half) / half)
    if shape.scaling:
        factor, low, high, trained = shape.scaling
        wavelength = 2 * np.pi / speed
        smooth = (trained / wavelength - low) / (high - low)
        mixed = (1 - smooth) * speed / factor + smooth * speed
        speed = np.where(
            wavelength > trained / low,
            speed / factor,
            np.where(wavelength < trained / high, speed, mixed),
        )
    turn = np.exp(1j * np.outer(np.arange(len(tokens)), speed))[:, None]

    def rotated(x):  # feature i is the real part, i + Dh / 2 the imaginary one
        z = (x[..., :half] + 1j * x[..., half:]) * turn
        return np.concatenate([z.real, z.imag], axis=-1)

    def heads(x, layer, name):
        y = x @ get(f"layers.{layer}.self_attn.{name}_proj").T
        y = y + tensors.get(f"model.layers.{layer}.self_attn.{name}_proj.bias", 0.0)
        y = y.reshape(len(tokens), -1, shape.head_width)
        if shape.head_norms and name in "qk":
            y = norm(y, get(f"layers.{layer}.self_attn.{name}_norm"))
        return rotated(y) if name in "qk" else y

    x = get("embed_tokens")[tokens]
    for layer in range(shape.layers):
        h = norm(x, get(f"layers.{layer}.input_layernorm"))
        q, k, v = (heads(h, layer, name) for name in "qkv")
        k, v = (np.repeat(part, shape.heads // shape.key_heads, axis=1) for part in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(shape.head_width)
        scores = np.where(np.tri(len(tokens), dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        read = np.einsum("hqk,khd->qhd", weights, v).reshape(len(tokens), -1)
        x = x + read @ get(f"layers.{layer}.self_attn.o_proj").T
        h = norm(x, get(f"layers.{layer}.post_attention_layernorm"))
        gate = h @ get(f"layers.{layer}.mlp.gate_proj").T
        inner = gate / (1 + np.exp(-gate)) * (h @ get(f"layers.{layer}.mlp.up_proj").T)
        x = x + inner @ get(f"layers.{layer}.mlp.down_proj").T
    head = get("embed_tokens") if shape.tied else np.asarray(tensors["lm_head.weight"], np.float64)
    return norm(x, get("norm")) @ head.T


def stepped(net, params, source, target, places):
    memory = net.encode(params, jnp.asarray(source))
    cache, token, rows = net.empty_cache(len(source), places), jnp.zeros((2, 1), jnp.int32), []
    for t in range(target.shape[1]):
        logits, cache = net.step(params, memory, t, token, cache)
        rows.append(logits[:, 0])
        token = jnp.asarray(target[:, t : t + 1])
    return jnp.stack(rows, axis=1)


@pytest.mark.parametrize("kind", SHAPES)
def test_logits_and_steps_equal_the_reference(kind):
    shape = SHAPES[kind]
    net, params = network.build(shape), parameters(shape)
    whole = np.asarray(net.logits(params, net.encode(params, SOURCE), TARGET))
    tensors = llama_weights.tensors(params, shape)
    for row, (prompt, target) in enumerate(zip(SOURCE, TARGET)):
        prompt = prompt[prompt > 0] - 1
        # a pad of a target is the end
        read = np.where(target > 0, target - 1, shape.end)[:-1]
        wanted = reference(tensors, shape, np.concatenate([prompt, read]))[len(prompt) - 1 :]
        np.testing.assert_allclose(whole[row, :, 0], wanted[:, shape.end], atol=2e-5)
        others = np.delete(np.arange(shape.vocabulary), shape.end)
        np.testing.assert_allclose(whole[row][:, others + 1], wanted[:, others], atol=2e-5)
        assert (whole[row, :, shape.end + 1] == -np.inf).all()
    for places in (0, 4):
        steps = np.asarray(stepped(net, params, SOURCE, TARGET, places))
        np.testing.assert_allclose(steps, whole, atol=1e-5)


def test_adapters_start_without_effect_and_merge_into_their_matrices():
    shape = dataclasses.replace(SHAPES["llama"], rank=2, adapted=llama.MATRICES)
    plain, tuned = network.build(SHAPES["llama"]), network.build(shape)
    fresh = tuned.init(jax.random.key(0))
    logits = lambda net, params: net.logits(params, net.encode(params, SOURCE), TARGET)
    merged = llama.merge(fresh, shape)
    np.testing.assert_array_equal(logits(tuned, fresh), logits(plain, merged))
    params = parameters(shape)
    np.testing.assert_allclose(
        logits(tuned, params), logits(plain, llama.merge(params, shape)), atol=5e-5
    )
    assert jax.tree.structure(llama.merge(params, shape)) == jax.tree.structure(
        plain.init(jax.random.key(0))
    )
    held = jax.tree.leaves_with_path(llama.only_adapters(params))
    free = {path[-1].key for path, hold in held if not hold}
    assert free == {"lora_in", "lora_out"}


def test_recomputed_layers_have_equal_gradients():
    shape = SHAPES["llama"]
    params = parameters(shape)

    def loss(net):
        logits = lambda p: net.logits(p, net.encode(p, SOURCE), TARGET)
        return jax.grad(lambda p: jax.nn.log_softmax(logits(p))[..., 0].sum())(params)

    plain = loss(network.build(shape))
    again = loss(network.with_remat(network.build(shape), True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), plain, again)


def words(size):
    return Tokenizer(tokenizer_models.WordLevel({f"w{n}": n for n in range(size)}, "w0")).to_str()


@pytest.mark.parametrize("kind", SHAPES)
def test_a_saved_folder_is_read_back(kind, tmp_path):
    shape = SHAPES[kind]
    model = llama_weights.Pretrained(shape, parameters(shape), words(21), "{{ messages }}")
    llama_weights.save(tmp_path, model)
    again = llama_weights.load(tmp_path, target_length=4)
    assert again.shape == shape and again[2:] == model[2:]
    end = shape.end + 1  # a row that no token reads
    model.params["params"]["embedding"] = model.params["params"]["embedding"].at[end].set(0)
    if not shape.tied:
        model.params["params"]["head"] = model.params["params"]["head"].at[end].set(0)
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)


@pytest.mark.parametrize(
    "change",
    [
        {"model_type": "mamba"},
        {"hidden_size": "16"},
        {"rope_parameters": {"rope_type": "yarn"}},
        {"num_key_value_heads": 3},
        {"eos_token_id": 500},
        {"hidden_act": "gelu"},
        {"rms_norm_eps": -1},
    ],
)
def test_a_configuration_that_is_not_ours_is_refused_by_name(change, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(llama_config.write(SHAPES["llama"]) | change))
    with pytest.raises(DataError, match="config.json"):
        llama_config.read(path, target_length=4)


def test_a_tensor_of_another_shape_is_named(tmp_path):
    shape = SHAPES["llama"]
    llama_weights.save(tmp_path, llama_weights.Pretrained(shape, parameters(shape), words(21), ""))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 25}))
    with pytest.raises(DataError, match=r"mlp.*expected shape \[16, 25\], got \[16, 24\]"):
        llama_weights.load(tmp_path)


@pytest.mark.parametrize(("text", "said"), [("{}", "not a tokenizer"), (words(30), "has 30 tok")])
def test_a_tokenizer_that_is_damaged_or_of_another_model_is_refused(text, said, tmp_path):
    shape = SHAPES["llama"]
    llama_weights.save(tmp_path, llama_weights.Pretrained(shape, parameters(shape), text, ""))
    with pytest.raises(DataError, match=said):
        llama_weights.load(tmp_path)


def test_rows_of_a_gguf_file_are_put_in_the_order_of_rotary_turns(tmp_path):
    gguf = pytest.importorskip("gguf")
    shape = SHAPES["llama"]
    params = parameters(shape)
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.key_heads)
    writer.add_key_length(shape.head_width)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_rope_freq_base(shape.base)
    letters = ["<s>", "<pad>", "<unk>", "</s>", *"abcdefghijklmnop", "ab"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(letters)
    writer.add_token_types([3] * 4 + [1] * 17)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(shape.end)
    theirs = {v: k for k, v in gguf_files.TOP.items()}
    for name, array in llama_weights.tensors(params, shape).items():
        if name not in theirs:
            _, _, layer, rest = name.split(".", 3)
            place, leaf = rest.rsplit(".", 1)
            own = {v: k for k, v in gguf_files.NAMES.items()}[place]
            theirs[name] = f"blk.{layer}.{own}.{leaf}"
            if own in gguf_files.PAIRED:  # feature i and i + Dh / 2 side by side
                split = array.reshape(-1, 2, shape.head_width // 2, shape.width)
                array = np.ascontiguousarray(split.swapaxes(1, 2).reshape(array.shape))
        writer.add_tensor(theirs[name], array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    model = gguf_files.load(tmp_path / "model.gguf", target_length=4)
    assert model.shape == dataclasses.replace(shape, epsilon=model.shape.epsilon)
    net = network.build(shape)
    np.testing.assert_allclose(
        net.logits(model.params, net.encode(model.params, SOURCE), TARGET),
        net.logits(params, net.encode(params, SOURCE), TARGET),
        atol=1e-5,
    )
    tokenizer = Tokenizer.from_str(model.tokenizer)
    assert tokenizer.encode("abc</s>").ids == [20, 6, 3]
    (tmp_path / "model.gguf").write_bytes((tmp_path / "model.gguf").read_bytes()[:900])
    with pytest.raises(DataError, match="GGUF"):
        gguf_files.load(tmp_path / "model.gguf")
