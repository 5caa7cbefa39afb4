"""The JSON files of a text encoder in Hugging Face's layout, checked."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from zoo.nets import bert
from zoo.records import DataError

KINDS = "bert", "mpnet"  # model_type
FIXED = {"hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
MOST = 2**31 - 1  # of a size
FEWEST_TOKENS = 3  # of a text: the two that frame it, and one


def read_json(path: pathlib.Path, kind: type) -> Any:
    """The list or object of a file; an empty one if there is no file.

    Raises DataError if it is not JSON of that kind.
    """
    if not path.is_file():
        return kind()
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        what = f"{type(error).__name__}: {error}"[:80]
        raise DataError(f"{path}: not JSON ({what}); copy it again") from None
    if not isinstance(value, kind):
        wanted = "an object" if kind is dict else "a list"
        raise DataError(f"{path}: expected {wanted}, got {short(value)}; copy it again")
    return value


def read_shape(path: pathlib.Path) -> bert.Shape:
    """The sizes of `config.json`. Raises DataError for another architecture, and for bad values."""
    config = read_json(path, dict)
    family = config.get("model_type", "bert")
    if family not in KINDS:
        raise DataError(
            f"{path}: expected model_type {' or '.join(KINDS)}, got {short(family)}; "
            "this architecture is not supported"
        )
    for name, value in FIXED.items():
        found = config.get(name, value)
        if type(found) is not type(value) or found != value:
            raise DataError(
                f"{path}: expected {name} {value!r}, got {short(found)}; "
                "this architecture is not supported"
            )
    return _shape(config, path, mpnet=family == "mpnet")


def _shape(config: Mapping[str, Any], path: pathlib.Path, *, mpnet: bool) -> bert.Shape:
    def size(name: str, default: int | None = None, fewest: int = 1) -> int:
        return whole(config.get(name, default), name, path, fewest)

    epsilon = config.get("layer_norm_eps")
    if type(epsilon) is not float or not (math.isfinite(epsilon) and 0 < epsilon < 1):
        raise DataError(
            f"{path}: expected layer_norm_eps, a number between 0 and 1, got {short(epsilon)}"
        )
    pad = size("pad_token_id", 1 if mpnet else 0, 0)
    shape = bert.Shape(
        vocabulary=size("vocab_size"),
        width=size("hidden_size"),
        heads=size("num_attention_heads"),
        hidden=size("intermediate_size"),
        layers=size("num_hidden_layers"),
        positions=size("max_position_embeddings"),
        types=0 if mpnet else size("type_vocab_size"),
        epsilon=epsilon,
        pad=pad,
        first_position=pad + 1 if mpnet else 0,
        buckets=size("relative_attention_num_buckets", 32, 4) if mpnet else 0,
    )
    if shape.width % shape.heads:
        raise DataError(
            f"{path}: expected hidden_size a multiple of num_attention_heads, got {shape.width} "
            f"and {shape.heads}"
        )
    if pad >= shape.vocabulary or shape.longest < FEWEST_TOKENS:
        raise DataError(
            f"{path}: expected pad_token_id below vocab_size and max_position_embeddings for "
            f"{FEWEST_TOKENS} tokens, got pad_token_id {pad}, vocab_size {shape.vocabulary} and "
            f"max_position_embeddings {shape.positions}"
        )
    return shape


def whole(value: Any, name: str, path: pathlib.Path, fewest: int = 1) -> int:
    """The value, if it is a whole number of at least `fewest`; raises DataError else."""
    if type(value) is not int or not fewest <= value <= MOST:
        raise DataError(
            f"{path}: expected {name}, a whole number from {fewest} to {MOST}, got {short(value)}"
        )
    return value


def short(value: Any) -> str:
    """A value as messages show it."""
    text = "a list or object" if isinstance(value, (list, dict)) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
