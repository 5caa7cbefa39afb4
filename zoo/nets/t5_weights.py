"""Published T5 weights in our encoder-decoder: Hugging Face safetensors and t5x checkpoints.

The first T5 (Raffel et al. 2020, arXiv 1910.10683) and v1.1, among them Flan-T5 and mT5. Every
tensor of a file is used or known to be a copy; errors name tensors that do not fit, with shapes.
t5x writes no configuration: sizes are read off the arrays, an MLP of two branches is taken for
gated GELU and one of a single branch for ReLU, as in the configurations that t5x ships.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import safetensors_files, t5_config, transformer, weight_files
from zoo.records import DataError

CONFIG = weight_files.CONFIG


class Pretrained(NamedTuple):
    """An encoder-decoder with its weights."""

    shape: transformer.Shape  # text to text: one vocabulary, one table
    params: Any
    digest: str  # of the weights, whatever the files they came in


class _Layout(NamedTuple):
    """How files name and lay out what we have."""

    name: Callable[[tuple[str, ...], transformer.Shape], str]  # of a parameter of ours
    turned: Callable[[str], bool]  # whether the matrix of that name stands transposed
    copies: re.Pattern  # names that hold nothing of their own


def load(folder: str | os.PathLike, *, target_length: int = 32) -> Pretrained:
    """The encoder-decoder of a Hugging Face folder or a t5x checkpoint (of a step, or the last).

    target_length: tokens that are generated at most.
    Raises DataError if a file is missing, the architecture is another, or a tensor does not fit.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; expected one with {CONFIG} and "
            f"{safetensors_files.WEIGHTS}, or a checkpoint of t5x"
        )
    if (folder / CONFIG).is_file():
        config = t5_config.read(folder / CONFIG)
        tensors = safetensors_files.read_folder(folder)
        shape, tensors = _shape_by_config(config, tensors, folder, target_length)
        return _filled(shape, tensors, HUGGING_FACE, folder)
    tensors, where = weight_files.read_t5x(folder)
    return _filled(_shape_by_arrays(tensors, where, target_length), tensors, T5X, where)


def digest(params: Any) -> str:
    """First 16 hex digits of the SHA-256 of all parameters with their names."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        leaf = np.ascontiguousarray(leaf)
        found.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        found.update(leaf.data)
    return found.hexdigest()[:16]


def _filled(
    shape: transformer.Shape,
    tensors: Mapping[str, np.ndarray],
    layout: _Layout,
    where: pathlib.Path,
) -> Pretrained:
    """Parameters of the shape's network; every tensor is used or a copy."""
    blank = jnp.zeros((1, 1), jnp.int32)
    wanted = jax.eval_shape(transformer.EncoderDecoder(shape).init, jax.random.key(0), blank, blank)
    flat, structure = jax.tree.flatten_with_path(wanted)
    leaves, used = [], set()
    for keys, leaf in flat:
        path = tuple(key.key for key in keys[1:])
        name = layout.name(path, shape)
        turned = layout.turned(name)
        expected = _matrix(path, leaf.shape)[:: -1 if turned else 1]
        if name not in tensors:
            raise DataError(
                f"{where}: no tensor {name!r}, expected one of shape {list(expected)}; "
                "this is another architecture"
            )
        tensor = tensors[name]
        if tensor.shape != expected:
            raise DataError(
                f"{where}: tensor {name!r} expected shape {list(expected)}, "
                f"got {list(tensor.shape)}"
            )
        leaves.append(
            np.ascontiguousarray(tensor.T if turned else tensor, np.float32).reshape(leaf.shape)
        )
        used.add(name)
    left = sorted(
        name for name in tensors if name not in used and not layout.copies.fullmatch(name)
    )
    if left:
        raise DataError(
            f"{where}: tensor {left[0]!r} has no place in this architecture "
            f"({len(left)} such in all)"
        )
    params = jax.tree.unflatten(structure, leaves)
    return Pretrained(shape, jax.tree.map(jnp.asarray, params), digest(params))


def _matrix(path: tuple[str, ...], size: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a parameter with the axes of its heads joined: [inputs, outputs]."""
    if len(size) < 3:
        return size
    return (size[0] * size[1], size[2]) if path[-2] == "out" else (size[0], size[1] * size[2])


def _shape_by_config(
    config: t5_config.Config,
    tensors: dict[str, np.ndarray],
    folder: pathlib.Path,
    target_length: int,
) -> tuple[transformer.Shape, dict[str, np.ndarray]]:
    """The shape, and the tensors with a head where the files imply one."""
    sizes, scaled = config
    if max(sizes["encoder_layers"], sizes["decoder_layers"]) > len(tensors):
        raise DataError(
            f"{folder}: {CONFIG} names {sizes['encoder_layers']} and {sizes['decoder_layers']} "
            f"layers, but there are {len(tensors)} tensors; this is another architecture"
        )
    table = next((tensors[name] for name in SHARED if name in tensors), None)
    if table is None:
        raise DataError(f"{folder}: no tensor {SHARED[0]!r}; this is another architecture")
    tensors = {name: tensor for name, tensor in tensors.items() if name not in SHARED} | {
        SHARED[0]: table
    }
    head = tensors.pop(HEAD, table)
    tied = scaled and (head is table or head.shape == table.shape and bool((head == table).all()))
    if not tied:
        tensors[HEAD] = (
            np.float32(sizes["width"] ** -0.5) * np.asarray(head, np.float32) if scaled else head
        )
    return transformer.Shape(**sizes, target_length=target_length, tied=tied, shared=True), tensors


def _shape_by_arrays(
    tensors: Mapping[str, np.ndarray], where: pathlib.Path, target_length: int
) -> transformer.Shape:
    def size(name: str) -> tuple[int, ...]:
        if name not in tensors:
            remedy = (
                "t5x's examples/t5 is expected; layers that were scanned are to be unrolled first"
            )
            raise DataError(f"{where}: no array {name!r}; this is another architecture ({remedy})")
        return tensors[name].shape

    layers = lambda stack: len(
        {name.split("/")[1] for name in tensors if name.startswith(f"{stack}/layers_")}
    )
    vocabulary, width = size("token_embedder/embedding")
    heads, buckets = size("encoder/relpos_bias/rel_embedding")
    gated = "encoder/layers_0/mlp/wi_0/kernel" in tensors
    hidden = [size(f"{stack}/layers_0/mlp/wo/kernel")[0] for stack in ("encoder", "decoder")]
    return transformer.Shape(
        source_vocab=vocabulary,
        target_vocab=vocabulary,
        target_length=target_length,
        width=width,
        heads=heads,
        head_width=size("encoder/layers_0/attention/query/kernel")[1] // heads,
        encoder_hidden=hidden[0],
        decoder_hidden=hidden[1],
        encoder_layers=layers("encoder"),
        decoder_layers=layers("decoder"),
        buckets=buckets,
        max_distance=t5_config.MAX_DISTANCE,
        mlp="gelu" if gated else "relu",
        tied="decoder/logits_dense/kernel" not in tensors,
        shared=True,
    )


def _hugging_face_name(path: tuple[str, ...], shape: transformer.Shape) -> str:
    if path[0] in HUGGING_FACE_TOP:
        return HUGGING_FACE_TOP[path[0]]
    stack, number = path[0].split("_")
    part = HUGGING_FACE_PARTS[stack][path[1]]
    inner = (
        ""
        if len(path) == 3
        else "."
        + (
            _mlp_name(path[2], shape)
            if path[1] == "mlp"
            else {"query": "q", "key": "k", "value": "v", "out": "o"}[path[2]]
        )
    )
    return f"{stack}.block.{number}.{part}{inner}.weight"


def _t5x_name(path: tuple[str, ...], shape: transformer.Shape) -> str:
    if path[0] in T5X_TOP:
        return T5X_TOP[path[0]]
    stack, number = path[0].split("_")
    inner = [_mlp_name(path[2], shape) if path[1] == "mlp" else path[2]] if len(path) == 4 else []
    return "/".join([stack, f"layers_{number}", T5X_PARTS[stack][path[1]], *inner, path[-1]])


def _mlp_name(name: str, shape: transformer.Shape) -> str:
    return {"gate": "wi_0", "value": "wi_1" if shape.mlp == "gelu" else "wi", "out": "wo"}[name]


SHARED, HEAD = (
    ("shared.weight", "encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
    "lm_head.weight",
)
HUGGING_FACE_TOP = {
    "source_embedding": SHARED[0],
    "head": HEAD,
    "encoder_bias": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "decoder_bias": "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
    "encoder_norm": "encoder.final_layer_norm.weight",
    "decoder_norm": "decoder.final_layer_norm.weight",
}
HUGGING_FACE_PARTS = {
    "encoder": {
        **{"attention": "layer.0.SelfAttention", "attention_norm": "layer.0.layer_norm"},
        **{"mlp": "layer.1.DenseReluDense", "mlp_norm": "layer.1.layer_norm"},
    },
    "decoder": {
        **{"self_attention": "layer.0.SelfAttention", "self_norm": "layer.0.layer_norm"},
        **{"cross_attention": "layer.1.EncDecAttention", "cross_norm": "layer.1.layer_norm"},
        **{"mlp": "layer.2.DenseReluDense", "mlp_norm": "layer.2.layer_norm"},
    },
}
T5X_TOP = {
    "source_embedding": "token_embedder/embedding",
    "head": "decoder/logits_dense/kernel",
    "encoder_bias": "encoder/relpos_bias/rel_embedding",
    "decoder_bias": "decoder/relpos_bias/rel_embedding",
    "encoder_norm": "encoder/encoder_norm/scale",
    "decoder_norm": "decoder/decoder_norm/scale",
}
T5X_PARTS = {
    "encoder": {
        **{"attention": "attention", "attention_norm": "pre_attention_layer_norm"},
        **{"mlp": "mlp", "mlp_norm": "pre_mlp_layer_norm"},
    },
    "decoder": {
        **{"self_attention": "self_attention", "self_norm": "pre_self_attention_layer_norm"},
        **{
            "cross_attention": "encoder_decoder_attention",
            "cross_norm": "pre_cross_attention_layer_norm",
        },
        **{"mlp": "mlp", "mlp_norm": "pre_mlp_layer_norm"},
    },
}
HUGGING_FACE = _Layout(
    name=_hugging_face_name,
    turned=lambda name: (
        not name.endswith(("shared.weight", "relative_attention_bias.weight", "norm.weight"))
    ),
    # in old files, never read
    copies=re.compile(r".*EncDecAttention\.relative_attention_bias\.weight"),
)
T5X = _Layout(
    name=_t5x_name, turned=lambda name: name.endswith("rel_embedding"), copies=re.compile(r"(?!)")
)
