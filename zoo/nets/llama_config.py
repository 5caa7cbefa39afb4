"""The configuration of a causal language model in the Hugging Face layout, `config.json`."""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any

from zoo.nets import llama
from zoo.records import DataError

KINDS = "llama", "qwen2", "qwen3"
MOST = 2**31 - 1  # of a size
# what our network takes for granted, where a configuration says it
FIXED = {"hidden_act": "silu", "mlp_bias": False, "use_sliding_window": False}
SCALING = "factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"
PLAIN = None, "default"  # kinds of rotary positions that are not stretched


def read(path: pathlib.Path, *, target_length: int) -> llama.Shape:
    """The shape of a file. Raises DataError for another architecture, and for impossible values."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        said = f"{type(error).__name__}: {error}"[:80]
        raise DataError(f"{path}: not JSON ({said}); copy it again") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in KINDS:
        raise DataError(
            f"{path}: expected model_type {', '.join(KINDS[:-1])} or {KINDS[-1]}, "
            f"got {_short(kind)}; this architecture is not supported"
        )
    for name, value in FIXED.items():
        if config.get(name, value) != value:
            raise DataError(
                f"{path}: expected {name} {value!r}, got {_short(config[name])}; "
                "this architecture is not supported"
            )
    read = _Reader(config, path)
    heads, width = read.size("num_attention_heads"), read.size("hidden_size")
    try:
        return llama.Shape(
            vocabulary=read.size("vocab_size"),
            end=_end(config, path),
            target_length=target_length,
            width=width,
            layers=read.size("num_hidden_layers"),
            heads=heads,
            key_heads=read.size("num_key_value_heads", heads),
            head_width=read.size("head_dim", width // heads),
            hidden=read.size("intermediate_size"),
            epsilon=read.number("rms_norm_eps", 1e-6),
            tied=read.flag("tie_word_embeddings", kind == "llama"),
            biases=kind == "qwen2" or read.flag("attention_bias", False),
            head_norms=kind == "qwen3",
            **_rotary(config, path),
        )
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def write(shape: llama.Shape) -> dict[str, Any]:
    """The configuration of a shape without adapters, which `read` reads and transformers loads."""
    kind = "qwen3" if shape.head_norms else "qwen2" if shape.biases else "llama"
    rotary: dict[str, Any] = {"rope_theta": shape.base, "rope_type": "default"}
    if shape.scaling:
        rotary |= {"rope_type": "llama3"} | dict(zip(SCALING, shape.scaling))
        rotary[SCALING[-1]] = int(rotary[SCALING[-1]])
    return {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "vocab_size": shape.vocabulary,
        "eos_token_id": shape.end,
        "bos_token_id": None,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_heads,
        "head_dim": shape.head_width,
        "intermediate_size": shape.hidden,
        "rms_norm_eps": shape.epsilon,
        "tie_word_embeddings": shape.tied,
        "attention_bias": False,
        "hidden_act": "silu",
        "torch_dtype": "float32",
        "rope_theta": shape.base,
        "rope_parameters": rotary,
        **({"rope_scaling": rotary} if shape.scaling else {}),
    }


class _Reader:
    """Checked values of a configuration."""

    def __init__(self, config: Mapping[str, Any], path: pathlib.Path) -> None:
        self.config, self.path = config, path

    def size(self, name: str, default: int | None = None) -> int:
        value = self.config.get(name)
        value = default if value is None else value
        if type(value) is not int or not 1 <= value <= MOST:
            raise DataError(
                f"{self.path}: expected {name}, a whole number from 1 to {MOST}, "
                f"got {_short(value)}"
            )
        return value

    def number(self, name: str, default: float) -> float:
        return _positive(self.config.get(name, default), name, self.path)

    def flag(self, name: str, default: bool) -> bool:
        value = self.config.get(name, default)
        if not isinstance(value, bool):
            raise DataError(f"{self.path}: expected {name} true or false, got {_short(value)}")
        return value


def _end(config: Mapping[str, Any], path: pathlib.Path) -> int:
    """The first token that ends a text; generation_config.json beside, if any, says it better."""
    beside, end = path.with_name("generation_config.json"), config.get("eos_token_id")
    try:
        found = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
        end = found.get("eos_token_id", end)
    except (OSError, ValueError, RecursionError, AttributeError):
        pass  # the configuration says it too
    end = end[0] if isinstance(end, list) and end else end
    if type(end) is not int or not 0 <= end < config.get("vocab_size", 0):
        raise DataError(f"{path}: expected eos_token_id, a token, got {_short(end)}")
    return end


def _rotary(config: Mapping[str, Any], path: pathlib.Path) -> dict[str, Any]:
    """base and scaling; versions of the format differ in where they say them."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, dict):
        raise DataError(f"{path}: expected rope_scaling as an object, got {_short(found)}")
    base = found.get("rope_theta", config.get("rope_theta", 10_000.0))
    kind = found.get("rope_type", found.get("type"))
    if kind not in (*PLAIN, "llama3"):
        raise DataError(
            f"{path}: expected rotary positions of type default or llama3, got {_short(kind)}; "
            "this architecture is not supported"
        )
    scaling = () if kind in PLAIN else tuple(_positive(found.get(n), n, path) for n in SCALING)
    return {"base": _positive(base, "rope_theta", path), "scaling": scaling}


def _positive(value: Any, name: str, path: pathlib.Path) -> float:
    if type(value) not in (int, float) or not (math.isfinite(value) and value > 0):
        raise DataError(f"{path}: expected {name}, a number above 0, got {_short(value)}")
    return float(value)


def _short(value: Any) -> str:
    text = "a list or object" if isinstance(value, (list, dict)) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
