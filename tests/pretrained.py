"""The files of a T5 of a few hundred random weights in the Hugging Face layout, in two shards."""

import json

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import numpy as safetensors

from zoo.nets import t5_weights, transformer

SHAPE = transformer.Shape(
    source_vocab=12,
    target_vocab=12,
    target_length=4,
    width=4,
    heads=2,
    head_width=2,
    encoder_hidden=8,
    decoder_hidden=8,
    encoder_layers=1,
    decoder_layers=1,
    buckets=8,
    mlp="relu",
    tied=True,
    shared=True,
)
CONFIG = {
    "model_type": "t5",
    "feed_forward_proj": "relu",
    "vocab_size": 12,
    "d_model": 4,
    "num_heads": 2,
    "d_kv": 2,
    "d_ff": 8,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 32,
    "dropout_rate": 0.1,
    "tie_word_embeddings": True,
    "layer_norm_epsilon": 1e-6,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}


def t5():
    """name -> bytes, under t5/."""
    tensors = _tensors()
    shards = {
        f"{shard}.safetensors": sorted(tensors)[number::2] for number, shard in enumerate("ab")
    }
    index = {"weight_map": {name: file for file, names in shards.items() for name in names}}
    files = {
        file: safetensors.save({name: tensors[name] for name in names})
        for file, names in shards.items()
    }
    files |= {
        name: json.dumps(value).encode()
        for name, value in (
            ("config.json", CONFIG),
            ("model.safetensors.index.json", index),
            ("tokenizer.json", json.loads(_tokenizer())),
        )
    }
    return {f"t5/{name}": content for name, content in files.items()}


def _tensors():
    layout, random = t5_weights.HUGGING_FACE, np.random.default_rng(0)
    blank = jnp.zeros((1, 1), jnp.int32)
    wanted = jax.eval_shape(transformer.EncoderDecoder(SHAPE).init, jax.random.key(0), blank, blank)
    tensors = {}
    for keys, leaf in jax.tree.leaves_with_path(wanted):
        path = tuple(key.key for key in keys[1:])
        name = layout.name(path, SHAPE)
        size = t5_weights._matrix(path, leaf.shape)[:: -1 if layout.turned(name) else 1]
        tensors[name] = random.normal(0, 1, size).astype(np.float32)
    return tensors


def _tokenizer():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    pieces = [(piece, -float(n)) for n, piece in enumerate(["<pad>", "</s>", "<unk>", *"▁aword,1"])]
    made = Tokenizer(models.Unigram(pieces, 2, False))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return made.to_str()


BERT = {
    "vocab_size": 6,
    "hidden_size": 4,
    "num_attention_heads": 2,
    "intermediate_size": 4,
    "num_hidden_layers": 1,
    "max_position_embeddings": 8,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}


def bert():
    """name -> bytes of a BERT of a few random weights with a tokenizer of words, under bert/."""
    random, width = np.random.default_rng(0), BERT["hidden_size"]
    tables = ("word", BERT["vocab_size"]), ("position", 8), ("token_type", 2)
    sizes = {f"embeddings.{name}_embeddings.weight": (rows, width) for name, rows in tables}
    inner = ("attention.self.query", "attention.self.key", "attention.self.value")
    for name in (*inner, "attention.output.dense", "intermediate.dense", "output.dense"):
        sizes[f"encoder.layer.0.{name}.weight"] = (width, width)
        sizes[f"encoder.layer.0.{name}.bias"] = (width,)
    for place in ("embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"):
        sizes |= {f"{place}.LayerNorm.{leaf}": (width,) for leaf in ("weight", "bias")}
    tensors = {name: random.normal(size=size).astype(np.float32) for name, size in sizes.items()}
    words = {word: number for number, word in enumerate("[PAD] [UNK] some words are here".split())}
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"},
    }
    modules = [
        {"type": f"sentence_transformers.models.{kind}", "path": place}
        for kind, place in (("Transformer", ""), ("Pooling", "1_Pooling"))
    ]
    files = {
        "config.json": BERT,
        "tokenizer.json": tokenizer,
        "modules.json": modules,
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True},
        "sentence_bert_config.json": {"max_seq_length": 8, "do_lower_case": False},
        "config_sentence_transformers.json": {"prompts": {"query": "some "}},
    }
    written = {name: json.dumps(value).encode() for name, value in files.items()}
    written["model.safetensors"] = safetensors.save(tensors)
    return {f"bert/{name}": content for name, content in written.items()}
