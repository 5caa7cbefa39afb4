"""Sentence vectors of texts from a pretrained encoder."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import bert, pretrained

LENGTHS = (16, 32, 64, 128, 256, 512)  # that texts are padded to; each compiles once
TOKENS_PER_BATCH = 2048
MAX_TOKENS = 256  # of a text, as all-MiniLM-L6-v2 was tuned for


def encode(
    texts: Sequence[str],
    *,
    log: Any,
    max_tokens: int = MAX_TOKENS,
    encoder: pretrained.Encoder | None = None,
) -> np.ndarray:
    """f32[N, D] vectors of unit length, the mean over the tokens of each text (all-MiniLM-L6-v2: D
    = 384).

    Args:
      texts: N; cut at `max_tokens` with the two tokens that frame a text.
      log: its progress bar is used (zoo.train.log).
      max_tokens: 3 to 512.
      encoder: all-MiniLM-L6-v2 if None.

    Raises:
      DataError: the encoder's weights are not installed.
    """
    if encoder is None:
        encoder = pretrained.minilm()
    if not 3 <= max_tokens <= min(encoder.shape.positions, LENGTHS[-1]):
        raise ValueError(
            f"encode: expected max_tokens from 3 to {encoder.shape.positions}, got {max_tokens}"
        )
    rows = _tokens(encoder.tokenizer, texts, max_tokens)
    lengths = np.array([len(row) for row in rows], np.int64)
    sizes = np.minimum(
        np.array(LENGTHS)[np.searchsorted(LENGTHS, lengths)], encoder.shape.positions
    )
    vectors = np.zeros((len(texts), encoder.shape.width), np.float32)
    with log.progress(len(texts), "sentence vectors", "texts") as bar:
        for size in np.unique(sizes):
            members = np.flatnonzero(sizes == size)
            batch = max(TOKENS_PER_BATCH // int(size), 1)
            for first in range(0, len(members), batch):
                picked = members[first : first + batch]
                # the last batch keeps its shape, with empty rows
                padded = np.zeros((batch, size), np.int32)
                for place, row in enumerate(picked):
                    padded[place, : lengths[row]] = rows[row]
                vectors[picked] = np.asarray(
                    _vectors(encoder.params, jnp.asarray(padded), shape=encoder.shape)
                )[: len(picked)]
                bar.update(len(picked))
    return vectors


@functools.partial(jax.jit, static_argnames="shape")
def _vectors(params: Any, tokens: jax.Array, *, shape: bert.Shape) -> jax.Array:
    encoded: Any = bert.Bert(shape).apply(params, tokens)
    return bert.mean_pooled(encoded, tokens)


def _tokens(tokenizer: str, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    from tokenizers import Tokenizer

    loaded = Tokenizer.from_str(tokenizer)
    loaded.no_padding()
    loaded.enable_truncation(max_tokens)
    return [encoding.ids for encoding in loaded.encode_batch_fast(list(texts))]
