"""Causal language models of one GGUF file, dequantised: Llama's layout, as SmolLM2.

A GGUF file of Llama's layout keeps the features of a rotary turn side by side, (0, 1), (2, 3), ...,
where `zoo.nets.llama` turns feature i with i + Dh / 2; rows of queries and keys are put in our
order here. Read as they are, they give fluent nonsense.
"""

from __future__ import annotations

import json
import os
import pathlib
from typing import Any

import numpy as np

from zoo.nets import llama, llama_weights
from zoo.records import DataError

# of the tensors of a layer in a GGUF file -> in Hugging Face's layout
NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
}
TOP = {
    "token_embd.weight": llama_weights.EMBEDDING,
    "output.weight": llama_weights.HEAD,
    "output_norm.weight": llama_weights.NORM,
}
PAIRED = "attn_q", "attn_k"  # whose rows stand in pairs
ARCHITECTURES = "llama", "qwen2", "qwen3"  # of which only llama's rows stand in pairs
NOTHING = "rope_freqs.weight"  # derived from the settings
CONTROL, USER = 3, 4  # types of tokens that no text is split into


def load(path: str | os.PathLike, *, target_length: int = 32) -> llama_weights.Pretrained:
    """The model of a file.

    target_length: tokens that are generated at most.
    Raises DataError, with the remedy, if the file is damaged, its architecture or tokenizer is
    another, or the package `gguf` is missing.
    """
    try:
        import gguf
    except ImportError:
        raise DataError(
            f"{path}: reading GGUF needs the package gguf; run `pip install gguf`"
        ) from None
    if not pathlib.Path(path).is_file():
        raise DataError(f"{path}: no such file; expected a model in GGUF")
    try:
        reader = gguf.GGUFReader(os.fspath(path))
        fields = {name: field.contents() for name, field in reader.fields.items()}
        arrays = {
            tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            for tensor in reader.tensors
        }
    except Exception as error:  # of many kinds for a damaged file
        said = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise DataError(f"{path}: not a whole GGUF file ({said}); copy it again") from None
    try:
        kind = fields["general.architecture"]
        shape = _shape(fields, kind, "output.weight" not in arrays, target_length, path)
        tokenizer = _tokenizer(fields, path)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: setting missing or impossible ({error})") from None
    named = {}
    for name, array in arrays.items():
        if name != NOTHING:
            named[_name(name)] = _in_our_order(name, array, shape, kind)
    params = llama_weights.fill(shape, named, str(path))
    return llama_weights.Pretrained(
        shape, params, tokenizer, fields.get("tokenizer.chat_template", "")
    )


def _shape(fields: Any, kind: str, tied: bool, target_length: int, path: Any) -> llama.Shape:
    if kind not in ARCHITECTURES:
        raise DataError(
            f"{path}: expected architecture {' or '.join(ARCHITECTURES)}, got {kind!r}; "
            "this architecture is not supported"
        )
    scaling = fields.get(f"{kind}.rope.scaling.type", "none")
    if scaling not in ("none", ""):
        raise DataError(
            f"{path}: rotary positions stretched by {scaling!r} are not supported in GGUF; "
            "use the folder of safetensors"
        )
    setting = lambda name, default=None: fields.get(f"{kind}.{name}", default)
    heads, width = setting("attention.head_count"), setting("embedding_length")
    return llama.Shape(
        vocabulary=len(fields["tokenizer.ggml.tokens"]),
        end=int(fields["tokenizer.ggml.eos_token_id"]),
        target_length=target_length,
        width=int(width),
        layers=int(setting("block_count")),
        heads=int(heads),
        key_heads=int(setting("attention.head_count_kv", heads)),
        head_width=int(setting("attention.key_length", width // heads)),
        hidden=int(setting("feed_forward_length")),
        base=float(setting("rope.freq_base", 10_000.0)),
        epsilon=float(setting("attention.layer_norm_rms_epsilon")),
        tied=tied,
        biases=kind == "qwen2",
        head_norms=kind == "qwen3",
    )


def _name(name: str) -> str:
    if name in TOP:
        return TOP[name]
    parts = name.split(".")  # blk.3.attn_q.weight
    if len(parts) != 4 or parts[0] != "blk" or parts[2] not in NAMES:
        return name  # which has no place
    return f"model.layers.{parts[1]}.{NAMES[parts[2]]}.{parts[3]}"


def _in_our_order(name: str, array: np.ndarray, shape: llama.Shape, kind: str) -> np.ndarray:
    if kind != "llama" or not any(f".{paired}." in name for paired in PAIRED):
        return array
    # rows [heads, Dh / 2, 2] -> [heads, 2, Dh / 2]
    pairs = array.reshape(-1, shape.head_width // 2, 2, *array.shape[1:])
    return pairs.swapaxes(1, 2).reshape(array.shape)


def _tokenizer(fields: Any, path: Any) -> str:
    """JSON of `tokenizers`: byte-level BPE."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

    model, splitting = fields["tokenizer.ggml.model"], fields.get("tokenizer.ggml.pre", "default")
    splits = {
        "smollm": [pre_tokenizers.Digits(individual_digits=True)],
        "gpt-2": [],
        "default": [],
        "qwen2": [pre_tokenizers.Split(Regex(QWEN2), "isolated")],
        "llama-bpe": [pre_tokenizers.Split(Regex(LLAMA3), "isolated")],
    }
    if model != "gpt2" or splitting not in splits:
        raise DataError(
            f"{path}: expected byte-level BPE that splits as {', '.join(splits)}, got {model!r}, "
            f"{splitting!r}; use the folder of safetensors, with its tokenizer.json"
        )
    words = fields["tokenizer.ggml.tokens"]
    merges = [tuple(pair.split(" ", 1)) for pair in fields["tokenizer.ggml.merges"]]
    made = Tokenizer(models.BPE({word: n for n, word in enumerate(words)}, merges))
    own = splitting in ("qwen2", "llama-bpe")  # has its own expression
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not own)
    made.pre_tokenizer = pre_tokenizers.Sequence([*splits[splitting], bytewise])
    made.decoder = decoders.ByteLevel()
    kinds = fields["tokenizer.ggml.token_type"]
    special = [word for word, kind in zip(words, kinds) if kind == CONTROL]
    made.add_special_tokens([AddedToken(word, special=True) for word in special])
    made.add_tokens([word for word, kind in zip(words, kinds) if kind == USER])
    return json.dumps(json.loads(made.to_str()), ensure_ascii=False)


# expressions that texts are split by before they are merged, as the models' own tokenizer.json says
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
