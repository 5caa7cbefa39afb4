"""Published causal language models: folders in Hugging Face's layout (Llama, SmolLM2, Qwen2 and 3).

Every tensor of a file is used or known to be a copy; errors name tensors that do not fit, with
shapes. Files keep matrices as [outputs, inputs] and features of a rotary turn half a head apart, as
`zoo.nets.llama` turns them.
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import llama, llama_config, safetensors_files
from zoo.records import DataError

CONFIG, TOKENIZER, CHAT = "config.json", "tokenizer.json", "tokenizer_config.json"
EMBEDDING, HEAD, NORM = "model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"
NAMES = {  # of ours within a layer -> of theirs
    "query": "self_attn.q_proj",
    "key": "self_attn.k_proj",
    "value": "self_attn.v_proj",
    "out": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
    "attention_norm": "input_layernorm",
    "mlp_norm": "post_attention_layernorm",
    "query_norm": "self_attn.q_norm",
    "key_norm": "self_attn.k_norm",
}
CONSTANT = "rotary_emb.inv_freq"  # ends names of what holds nothing of its own


class Pretrained(NamedTuple):
    """A causal language model."""

    shape: llama.Shape
    params: Any
    tokenizer: str  # JSON of `tokenizers`
    template: str  # Jinja of a conversation; "" = none


def load(folder: str | os.PathLike, *, target_length: int = 32) -> Pretrained:
    """The model of a folder.

    target_length: tokens that are generated at most.
    Raises DataError if a file is missing, the architecture is another, or a tensor does not fit.
    """
    folder = pathlib.Path(folder)
    for name in (CONFIG, TOKENIZER):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder / name}: missing; a language model has {CONFIG}, "
                f"{safetensors_files.WEIGHTS} and {TOKENIZER}, or is one .gguf file"
            )
    shape = llama_config.read(folder / CONFIG, target_length=target_length)
    params = fill(shape, safetensors_files.read_folder(folder), str(folder))
    return Pretrained(shape, params, _tokenizer(folder / TOKENIZER, shape), _template(folder))


def _tokenizer(path: pathlib.Path, shape: llama.Shape) -> str:
    """JSON of a tokenizer, whose tokens all have a row."""
    from tokenizers import Tokenizer

    try:
        text = path.read_text(encoding="utf-8")
        known = Tokenizer.from_str(text).get_vocab_size()
    except Exception as error:  # tokenizers raises Exception itself
        said = " ".join(str(error).split())[:120]
        raise DataError(f"{path}: not a tokenizer ({said}); copy it again") from None
    if known > shape.vocabulary:
        raise DataError(
            f"{path}: has {known:,} tokens, the model {shape.vocabulary:,}; "
            "it belongs to another model"
        )
    return text


def _template(folder: pathlib.Path) -> str:
    beside = folder / "chat_template.jinja"
    if beside.is_file():
        return beside.read_text(encoding="utf-8")
    try:
        found = json.loads((folder / CHAT).read_text(encoding="utf-8")).get("chat_template", "")
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""


def fill(shape: llama.Shape, tensors: Mapping[str, np.ndarray], where: str) -> Any:
    """Parameters of `llama.Llama` of a shape without extra tokens from tensors by their names.

    Adapters, which no file has, start without effect.
    """
    wanted = jax.eval_shape(lambda: llama.init(shape, jax.random.key(0)))["params"]
    left = {name for name in tensors if not name.endswith(CONSTANT)}

    def take(name: str, expected: tuple[int, ...], turned: bool) -> np.ndarray:
        if name not in tensors:
            raise DataError(f"{where}: no tensor {name!r}; this is another architecture")
        left.discard(name)
        stored = expected[::-1] if turned else expected
        if tensors[name].shape != stored:
            raise DataError(
                f"{where}: tensor {name!r} expected shape {list(stored)}, "
                f"got {list(tensors[name].shape)}"
            )
        return tensors[name].T if turned else tensors[name]

    def rows(name: str) -> jax.Array:
        found = take(name, (shape.vocabulary, shape.width), False)
        return jnp.asarray(_move_end(found, shape.end), jnp.float32)

    filled: dict[str, Any] = {
        "embedding": rows(EMBEDDING),
        "norm": {"scale": jnp.asarray(take(NORM, (shape.width,), False), jnp.float32)},
        "layers": {
            place: {leaf: _layers(take, place, leaf, size.shape) for leaf, size in leaves.items()}
            for place, leaves in wanted["layers"].items()
        },
    }
    if shape.tied:
        left.discard(HEAD)
    else:
        filled["head"] = rows(HEAD)
    if left:
        raise DataError(
            f"{where}: tensor {min(left)!r} has no place in this architecture "
            f"({len(left)} such in all)"
        )
    return {"params": filled}


def _layers(take: Any, place: str, leaf: str, shape: tuple[int, ...]) -> jax.Array:
    """f32[layers, ...] parameter of all layers."""
    if leaf == "lora_in":
        return jax.random.normal(jax.random.key(0), shape) * shape[1] ** -0.5
    if leaf == "lora_out":
        return jnp.zeros(shape)
    suffix = "bias" if leaf == "bias" else "weight"
    made = np.empty(shape, np.float32)
    for number in range(shape[0]):
        name = f"model.layers.{number}.{NAMES[place]}.{suffix}"
        made[number] = take(name, shape[1:], leaf == "kernel")
    return jnp.asarray(made)


def _move_end(rows: np.ndarray, end: int) -> np.ndarray:
    """[V + 1, D] rows by our numbers: those of the tokenizer plus one, the end's at 0."""
    moved = np.concatenate([rows[end : end + 1], rows])
    moved[end + 1] = 0.0
    return moved


def tensors(params: Any, shape: llama.Shape) -> dict[str, np.ndarray]:
    """Tensors of a file by name: the inverse of `fill`.

    Adapters are added into their matrices; extra tokens, which a file has no place for, left out.
    """
    tree = llama.merge(params, shape)["params"] if shape.rank else params["params"]

    def rows(table: jax.Array) -> np.ndarray:
        whole = np.array(table, np.float32)
        whole[shape.end + 1] = whole[0]
        return np.ascontiguousarray(whole[1 : shape.vocabulary + 1])

    found = {EMBEDDING: rows(tree["embedding"]), NORM: np.asarray(tree["norm"]["scale"])}
    if not shape.tied:
        found[HEAD] = rows(tree["head"])
    for place, leaves in tree["layers"].items():
        for leaf, stacked in leaves.items():
            suffix = "bias" if leaf == "bias" else "weight"
            for number, one in enumerate(np.asarray(stacked, np.float32)):
                name = f"model.layers.{number}.{NAMES[place]}.{suffix}"
                found[name] = np.ascontiguousarray(one.T if leaf == "kernel" else one)
    return found


def save(folder: str | os.PathLike, model: Pretrained) -> None:
    """Writes config.json, model.safetensors and tokenizer.json, which transformers loads too."""
    from safetensors import numpy as safetensors

    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = llama_config.write(model.shape)
    (folder / CONFIG).write_text(json.dumps(config, indent=1), encoding="utf-8")
    (folder / TOKENIZER).write_text(model.tokenizer, encoding="utf-8")
    if model.template:
        (folder / "chat_template.jinja").write_text(model.template, encoding="utf-8")
    metadata = {"format": "pt"}
    arrays = tensors(model.params, model.shape)
    safetensors.save_file(arrays, folder / safetensors_files.WEIGHTS, metadata)
