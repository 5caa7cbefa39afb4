"""The configuration of a T5 in the Hugging Face layout, `config.json`."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from zoo.records import DataError

MLP_OF = {"relu": "relu", "gated-gelu": "gelu"}  # feed_forward_proj -> Shape.mlp
# what our network takes for granted
FIXED = {"layer_norm_epsilon": 1e-6, "pad_token_id": 0, "decoder_start_token_id": 0}
KINDS = "t5", "mt5"
MAX_DISTANCE = 128  # T5's, where a checkpoint does not say
MOST = 2**31 - 1  # of a size


class Config(NamedTuple):
    """A configuration."""

    sizes: dict[str, Any]  # fields of transformer.Shape
    scaled: bool  # whether the output is scaled by D^-0.5


def read(path: pathlib.Path) -> Config:
    """The configuration of a file.

    The output is scaled if tables are tied; later versions of the format say so in
    `scale_decoder_outputs`.
    Raises DataError for another architecture, and for values that no T5 has.
    """
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({_short(error)}); copy it again") from None
    if not isinstance(config, dict):
        raise DataError(f"{path}: expected the configuration of a T5, got {_short(config)}")
    if config.get("model_type") not in KINDS:
        raise DataError(
            f"{path}: expected model_type {' or '.join(KINDS)}, "
            f"got {_short(config.get('model_type'))}; this architecture is not supported"
        )
    for name, value in FIXED.items():
        found = config.get(name, value)
        if isinstance(found, bool) or found != value:
            raise DataError(
                f"{path}: expected {name} {value!r}, got {_short(found)}; "
                "this architecture is not supported"
            )
    kind = config.get("feed_forward_proj", "relu")
    if not isinstance(kind, str) or kind not in MLP_OF:
        raise DataError(
            f"{path}: expected feed_forward_proj {' or '.join(MLP_OF)}, got {_short(kind)}; "
            "this architecture is not supported"
        )
    return Config({"mlp": MLP_OF[kind], **_sizes(config, path)}, _is_scaled(config, path))


def _sizes(config: Mapping[str, Any], path: pathlib.Path) -> dict[str, Any]:
    def size(name: str, default: int | None = None, fewest: int = 1) -> int:
        value = config.get(name, default)
        if type(value) is not int or not fewest <= value <= MOST:
            raise DataError(
                f"{path}: not the configuration of a T5: expected {name}, a whole number from "
                f"{fewest} to {MOST}, got {_short(value)}"
            )
        return value

    dropout = config.get("dropout_rate", 0.1)
    if type(dropout) not in (int, float) or not (math.isfinite(dropout) and 0 <= dropout < 1):
        raise DataError(
            f"{path}: expected dropout_rate, a number from 0 to below 1, got {_short(dropout)}"
        )
    layers = size("num_layers")
    deeper = config.get("num_decoder_layers")
    buckets = size("relative_attention_num_buckets", 32, 2)
    return dict(
        source_vocab=size("vocab_size"),
        target_vocab=size("vocab_size"),
        width=size("d_model"),
        heads=size("num_heads"),
        head_width=size("d_kv"),
        encoder_hidden=size("d_ff"),
        decoder_hidden=size("d_ff"),
        encoder_layers=layers,
        decoder_layers=layers if deeper is None else size("num_decoder_layers"),
        dropout=float(dropout),
        buckets=buckets,
        # a bucket of its own for each of the nearest quarter (half, backwards), logarithmic beyond
        max_distance=size("relative_attention_max_distance", MAX_DISTANCE, buckets // 2 + 1),
    )


def _is_scaled(config: Mapping[str, Any], path: pathlib.Path) -> bool:
    tied = config.get("tie_word_embeddings", True)
    scaled = config.get("scale_decoder_outputs", tied)
    for name, value in (("tie_word_embeddings", tied), ("scale_decoder_outputs", scaled)):
        if not isinstance(value, bool):
            raise DataError(f"{path}: expected {name} true or false, got {_short(value)}")
    return scaled


def _short(value: Any) -> str:
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"[:80]
    text = "a list or object" if isinstance(value, (list, dict)) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
