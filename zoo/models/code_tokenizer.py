"""One encoder-decoder that assigns codes to documents and retrieves by them: losses and codes.

GenRet (arXiv 2304.04171), sec. 3. d_t and q_t are decoder states at position t after the codes
z_1 .. z_(t-1) of a document; the tokenizer Q(z_t | z_<t, d) is the softmax of d_t . E_t, the
retriever P(z_t | z_<t, q) that of q_t . E_t. Positions count from 0 here. Codes are i32[..., T]
from 0 to K - 1; `zoo.nets.codebooks` maps them to tokens.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import balanced, quantize
from zoo.models import encoder_decoder
from zoo.nets import codebooks, transformer
from zoo.objectives import ranking, tokenizing
from zoo.text import tokens
from zoo.train import loop

BLOCK = 256  # documents per batch of inference


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of the terms of a loss."""

    contrast: float  # q_T against d_T of the batch
    retrieval: float  # cross-entropy of codes given the query
    commitment: float  # cross-entropy of codes given the document; not in a warm-up
    reconstruction: float  # likewise


def warm_up(
    shape: transformer.Shape,
    weights: Weights,
    *,
    num_codes: int,
    word_dropout: float,
    unknown: int = tokens.UNKNOWN,
) -> loop.Loss:
    """Loss before position T has codes: q_T finds d_T in the batch, earlier codes are predicted.

    Batches are those of `zoo.data.grouped`.
    """

    def loss(params, batch, key):
        read = _pair(params, batch, key, shape, num_codes, word_dropout, unknown)
        alike = tokenizing.same_prefix(batch["codes"], batch["real"])
        terms = {
            "contrast": tokenizing.contrast(
                read["source"][:, -1], read["document"][:, -1], alike[0]
            ),
            "retrieval": _cross_entropy(
                _logits(params, read["source"][:, :-1], num_codes), batch["codes"]
            ),
        }
        return _weigh(terms, weights, batch["real"], alike[-1])

    return loss


def main(
    shape: transformer.Shape,
    weights: Weights,
    *,
    num_codes: int,
    word_dropout: float,
    epsilon: float,
    unknown: int = tokens.UNKNOWN,
) -> loop.Loss:
    """Loss while position T gets its codes: the weighted L_Ret + L_Com + L_Rec of sec. 3.2.

    z_T is the most probable code of a document, balanced over the documents of its prefix in the
    batch (sec. 3.3), or not balanced if epsilon is 0.
    """

    def loss(params, batch, key):
        read = _pair(params, batch, key, shape, num_codes, word_dropout, unknown)
        alike = tokenizing.same_prefix(batch["codes"], batch["real"])
        asked, told = (_logits(params, read[name], num_codes) for name in ("source", "document"))
        free = jax.lax.stop_gradient(told[:, -1])
        chosen = (
            balanced.targets(balanced.scaled(free), alike[-1], epsilon=epsilon)
            if epsilon
            else free.argmax(axis=-1).astype(jnp.int32)
        )
        codes = jnp.concatenate([batch["codes"], chosen[:, None]], axis=1)
        books = _books(params, codes.shape[1], num_codes)
        vectors = jnp.stack([book[codes[:, t]] for t, book in enumerate(books)], axis=1)
        vectors = tokenizing.straight_through(read["document"], vectors)
        terms = {
            "contrast": tokenizing.contrast(
                read["source"][:, -1], read["document"][:, -1], alike[0]
            ),
            "retrieval": _cross_entropy(asked, codes),
            "commitment": _cross_entropy(told, codes),
            "reconstruction": tokenizing.reconstruction(vectors, read["document"], alike),
        }
        value, reported = _weigh(terms, weights, batch["real"], alike[-1])
        return value, reported | {
            "balanced": tokenizing.masked_mean(
                codes[:, -1] == told[:, -1].argmax(axis=-1), batch["real"]
            )
        }

    return loss


def states(
    params: dict,
    sources: np.ndarray,
    codes: np.ndarray,
    *,
    shape: transformer.Shape,
    num_codes: int,
) -> np.ndarray:
    """f32[N, D] d_T of sources i32[N, S] after codes i32[N, T]."""
    return np.concatenate(
        [np.asarray(x) for x, _ in _blocks(params, sources, codes, shape, num_codes)]
    )


def assign(
    params: dict,
    sources: np.ndarray,
    codes: np.ndarray,
    *,
    shape: transformer.Shape,
    num_codes: int,
) -> np.ndarray:
    """i32[N, T + 1] codes i32[N, T] of sources i32[N, S], and the most probable one after them."""
    following = [
        np.asarray(found) for _, found in _blocks(params, sources, codes, shape, num_codes)
    ]
    return np.concatenate([codes, np.concatenate(following)[:, None]], axis=1)


def tokenize(
    params: dict, sources: np.ndarray, *, shape: transformer.Shape, levels: int, num_codes: int
) -> np.ndarray:
    """i32[N, levels] greedy codes of sources i32[N, S]."""
    codes = np.zeros((len(sources), 0), np.int32)
    for _ in range(levels):
        codes = assign(params, sources, codes, shape=shape, num_codes=num_codes)
    return codes


def initial_codebook(
    vectors: np.ndarray, codes: np.ndarray, key: jax.Array, *, num_codes: int, diverse: bool
) -> np.ndarray:
    """f32[K, D] E_T from d_T f32[N, D] of documents with codes i32[N, T].

    Centroids of d_T minus its mean over the documents of the prefix; clusters have bounded sizes if
    `diverse`. Centroids are scaled by D^-.5: T5's states have length sqrt D, so logits are cosines
    times the length of a centroid. Documents alone under their prefix are left out, unless too few
    remain.
    """
    prefix = (
        np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
        if codes.shape[1]
        else np.zeros(len(vectors), int)
    )
    size = np.bincount(prefix)
    means = np.zeros((len(size), vectors.shape[1]), np.float64)
    np.add.at(means, prefix, vectors)
    centred = (vectors - (means / size[:, None])[prefix]).astype(np.float32)[size[prefix] > 1]
    if len(centred) < num_codes or (centred == centred[:1]).all():
        centred = vectors - vectors.mean(axis=0)
    if diverse:
        least, most = balanced.bounds(len(centred), num_codes)
        found = balanced.kmeans(centred, key, num_codes=num_codes, least=least, most=most)[0]
    else:
        found = quantize.rq_kmeans(centred, key, levels=1, codes=num_codes)[0][0]
    return found * np.float32(vectors.shape[1] ** -0.5)


def spread(codes: np.ndarray, num_codes: int) -> dict[str, float]:
    """Scalars of codes i32[N, T]: conflicts, and diversity and usage by position.

    Conflicts are the fraction of documents that share all codes with another.
    """
    found = quantize.stats(codes, num_codes=num_codes)
    evenness = {
        f"diversity_{t}": balanced.diversity(column, num_codes=num_codes)
        for t, column in enumerate(codes.T, start=1)
    }
    return (
        {"conflicts": found.colliding}
        | evenness
        | {f"usage_{t}": share for t, share in enumerate(found.usage, start=1)}
    )


def _pair(
    params: dict,
    batch: dict,
    key: jax.Array,
    shape: transformer.Shape,
    num_codes: int,
    word_dropout: float,
    unknown: int,
) -> dict[str, jax.Array]:
    """q_t and d_t f32[B, T + 1, D] of a batch, after the codes of its documents."""
    read = {}
    for name, draw in zip(("source", "document"), jax.random.split(key)):
        hide, drop = jax.random.split(draw)
        source = encoder_decoder.drop_words(batch[name], hide, word_dropout, unknown)
        read[name] = _states(
            params,
            source,
            batch["codes"],
            shape,
            num_codes=num_codes,
            train=True,
            rngs={"dropout": drop},
        )
    return read


def _states(
    params: dict,
    source: jax.Array,
    codes: jax.Array,
    shape: transformer.Shape,
    *,
    num_codes: int,
    **options: Any,
) -> jax.Array:
    net, train = shape.net(), options.pop("train", False)
    memory = net.apply(
        params, net.apply(params, source, train=train, method="encode", **options), method="memory"
    )
    target = jnp.pad(codebooks.tokens(codes, num_codes), ((0, 0), (0, 1)))  # the last is not read
    found = net.apply(params, target, memory, source, train=train, method="states", **options)
    return cast(jax.Array, found).astype(jnp.float32)


def _books(params: dict, count: int, num_codes: int) -> list[jax.Array]:
    return [codebooks.codebook(params, t, num_codes) for t in range(count)]


def _logits(params: dict, read: jax.Array, num_codes: int) -> jax.Array:
    """f32[B, T, K] logits of the codes of each position, states f32[B, T, D]."""
    books = _books(params, read.shape[1], num_codes)
    return (
        jnp.stack([read[:, t] @ book.T for t, book in enumerate(books)], axis=1)
        if books
        else jnp.zeros((len(read), 0, num_codes))
    )


def _cross_entropy(logits: jax.Array, codes: jax.Array) -> jax.Array:
    """f32[B] -sum_t log p(z_t)."""
    return ranking.softmax(logits, codes).sum(axis=-1)


def _weigh(
    terms: dict, weights: Weights, real: jax.Array, siblings: jax.Array
) -> tuple[jax.Array, dict]:
    """The loss, its terms, and the fractions of padding rows and of documents without siblings."""
    terms = {name: tokenizing.masked_mean(values, real) for name, values in terms.items()}
    alone = tokenizing.masked_mean(siblings.sum(axis=1) == 1, real)
    total = sum((getattr(weights, name) * value for name, value in terms.items()), jnp.zeros(()))
    return total, terms | {"alone": alone, "filling": 1 - real.mean()}


def _blocks(
    params: dict, sources: np.ndarray, codes: np.ndarray, shape: transformer.Shape, num_codes: int
):
    """(states f32[b, D], codes i32[b]) of position T, block by block."""
    size = min(BLOCK, len(sources))
    for first in range(0, len(sources), size):
        rows = np.arange(first, min(first + size, len(sources)))
        padded = np.resize(rows, size)
        found = _following(params, sources[padded], codes[padded], shape=shape, num_codes=num_codes)
        yield tuple(part[: len(rows)] for part in found)


@functools.partial(jax.jit, static_argnames=("shape", "num_codes"))
def _following(
    params: dict, source: jax.Array, codes: jax.Array, *, shape: transformer.Shape, num_codes: int
) -> tuple:
    last = _states(params, source, codes, shape, num_codes=num_codes)[:, -1]
    book = codebooks.codebook(params, codes.shape[1], num_codes)
    return last, (last @ book.T).argmax(axis=-1).astype(jnp.int32)
