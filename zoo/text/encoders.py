"""Vectors of texts from a pretrained encoder.

Texts are sorted by length and cut into batches of TOKENS_PER_BATCH tokens, padded to one of
LENGTHS, so that little is padding and few shapes are compiled. Each layer is a call of one
compiled program: a shape costs the compilation of one layer.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo import records
from zoo.nets import bert, pretrained

LENGTHS = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512)
TOKENS_PER_BATCH = 1024  # of 4096, a token of 256 takes a fifth longer
ROWS = 4  # the last batch has a power of this many rows


def encode(
    texts: Sequence[str],
    *,
    log: Any,
    encoder: pretrained.Encoder | None = None,
    side: str = pretrained.DOCUMENT,
    max_tokens: int | None = None,
) -> np.ndarray:
    """f32[N, D] vectors of texts, pooled and normalised as the encoder was published.

    Args:
      texts: N; cut at `max_tokens` with the two tokens that frame a text.
      log: its progress bar is used (zoo.train.log).
      encoder: all-MiniLM-L6-v2 if None (D = 384, unit length).
      side: whose prompt, if the encoder has any, stands before each text: "query" or "document".
      max_tokens: at least 3; by default, and at most, what the encoder reads.

    Raises:
      DataError: the encoder's weights are not installed.
    """
    if encoder is None:
        encoder = pretrained.load(pretrained.MINILM)
    shape, longest = encoder.shape, min(encoder.max_tokens, LENGTHS[-1])
    max_tokens = longest if max_tokens is None else max_tokens
    if not 3 <= max_tokens <= longest:
        raise ValueError(f"encode: expected max_tokens from 3 to {longest}, got {max_tokens}")
    rows = _tokens(encoder, texts, side, max_tokens)
    lengths = np.array([len(row) for row in rows], np.int64)
    vectors = np.zeros((len(texts), shape.width), np.float32)
    with log.progress(len(texts), "vectors of texts", "texts") as bar:
        for members, count, size in _batches(lengths, longest):
            padded = np.full((count, size), shape.pad, np.int32)
            for place, row in enumerate(members):
                padded[place, : lengths[row]] = rows[row]
            found = vectors_of(encoder, jnp.asarray(padded))
            vectors[members] = np.asarray(found)[: len(members)]
            bar.update(len(members))
    return vectors


def vectors_of(encoder: pretrained.Encoder, tokens: jax.Array) -> jax.Array:
    """f32[B, D] of texts i32[B, S], filled up with the encoder's pad."""
    shape, params = encoder.shape, encoder.params["params"]
    tables = {name: value for name, value in params.items() if not name.startswith("layer_")}
    x, bias = _begin(tables, tokens, shape=shape)
    for number in range(shape.layers):
        x = _layer(params[f"layer_{number}"], x, bias, shape=shape)
    return _pool(x, tokens, pad=shape.pad, first=encoder.first, normalised=encoder.normalised)


@functools.partial(jax.jit, static_argnames="shape")
def _begin(tables: Any, tokens: jax.Array, *, shape: bert.Shape) -> Any:
    return bert.Bert(shape).apply({"params": tables}, tokens, method="begin")


@functools.partial(jax.jit, static_argnames="shape")
def _layer(params: Any, x: jax.Array, bias: jax.Array, *, shape: bert.Shape) -> Any:
    return bert.Layer(shape).apply({"params": params}, x, bias)


_pool = jax.jit(bert.pool, static_argnames=("pad", "first", "normalised"))


def _batches(lengths: np.ndarray, longest: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """(texts, rows of the batch, tokens of a row), from the longest texts to the shortest."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = min(LENGTHS[np.searchsorted(LENGTHS, lengths[order[start]])], longest)
        most, left = max(TOKENS_PER_BATCH // size, 1), len(order) - start
        count = most
        if left < most:
            count = min(most, ROWS ** int(np.ceil(np.log2(left) / np.log2(ROWS) - 1e-9)))
        yield order[start : start + count], count, size
        start += count


def _tokens(
    encoder: pretrained.Encoder, texts: Sequence[str], side: str, max_tokens: int
) -> list[list[int]]:
    """Tokens of each text. Raises DataError for a damaged tokenizer, or one of another encoder."""
    from tokenizers import Tokenizer

    prompt = encoder.prompts.get(side, "")
    read = [prompt + text for text in texts]
    if encoder.lower:
        read = [text.lower() for text in read]
    try:
        loaded = Tokenizer.from_str(encoder.tokenizer)
        loaded.no_padding()
        loaded.enable_truncation(max_tokens)
        rows = [encoding.ids for encoding in loaded.encode_batch_fast(read)]
    except BaseException as error:  # the library's Exception, and panics of its Rust code
        if isinstance(error, (KeyboardInterrupt, SystemExit, MemoryError)):
            raise
        said = " ".join(f"{type(error).__name__}: {error}".split())[:120]
        raise records.DataError(
            f"{pretrained.TOKENIZER} of the encoder: not a whole tokenizer ({said}); copy it again"
        ) from None
    most = max(loaded.get_vocab().values(), default=0)
    if most >= encoder.shape.vocabulary:
        raise records.DataError(
            f"{pretrained.TOKENIZER} of the encoder: has token {most}, and the encoder "
            f"{encoder.shape.vocabulary} tokens; use the tokenizer that belongs to it"
        )
    return rows
