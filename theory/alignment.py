"""A T5 decoder as multi-vector retrieval: what each head's token interactions carry of a logit.

Wu et al., "Generative Retrieval as Multi-Vector Dense Retrieval" (SIGIR 2024, arXiv 2404.00684):
rel(d, q) = sum_ij (E_d^T W_V Q * A)_ij with A the cross-attention of a decoder that has one
attention layer and nothing else. In a real one, with the scale g / rms of the last norm frozen,

    logit = sum_h sum_j alpha^h_ij e^T diag(g) / rms W_O^h W_V^h q_j     (direct, by head)
          + e^T diag(g) / rms (MLP(x + attention) - MLP(x))              (through the last MLP)
          + e^T diag(g) / rms (x + MLP(x))                               (own: no last attention)

exactly, x the state before the last layer's cross-attention. Derived here.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import layers, transformer


class Parts(NamedTuple):
    """Summands of teacher-forced logits, and the attention they come from."""

    direct: jax.Array  # f32[B, H, L, V] of the last layer's cross-attention, by head
    averaged: jax.Array  # f32[B, L, V] its sum with the attention weights averaged over heads
    through: jax.Array  # f32[B, L, V] what the last MLP makes of it
    own: jax.Array  # f32[B, L, V] without that attention
    weights: jax.Array  # f32[B, H, L, S] A
    scores: jax.Array  # f32[B, H, L, S] before the softmax
    interaction: jax.Array  # f32[B, H, L, S] e^T diag(g) / rms W_O W_V q_j of the target's tokens


class _Last(NamedTuple):
    """Of the last decoder layer."""

    before: jax.Array  # [B, L, D] x
    mlp: jax.Array  # [B, L, D] MLP(x + attention)
    without: jax.Array  # [B, L, D] MLP(x)
    scores: jax.Array  # [B, H, L, S]
    value: jax.Array  # [B, S, H, Dh]


def _last_layer(module: Any, source: jax.Array, target: jax.Array) -> _Last:
    memory = module.memory(module.encode(source))
    shifted = jnp.pad(target[:, :-1], ((0, 0), (1, 0)))
    position = jnp.arange(target.shape[1])
    causal = jnp.where(position[None, :] > position[:, None], layers.MASKED, 0.0)
    bias = (module.decoder_bias(position, position) + causal[None])[None]
    pads = jnp.where(source == 0, layers.MASKED, 0.0)[:, None, None, :]
    table = module.source_embedding if module.shape.shared else module.target_embedding
    x = table(shifted)
    for layer, kept in zip(module.decoder[:-1], memory):
        x = layer(x, kept, bias, pads, train=False)
    layer, kept = module.decoder[-1], memory[-1]
    x = x + layer.self_attention(layer.self_norm(x), bias, train=False)
    y = layer.cross_norm(x)
    scores = jnp.einsum("bqhd,bhds->bhqs", layer.cross_attention.query(y), kept["key"]) + pads
    after = x + layer.cross_attention.over(y, kept, pads, train=False)
    mlp = lambda state: layer.mlp(layer.mlp_norm(state), train=False)
    return _Last(x, mlp(after), mlp(x), scores, jnp.swapaxes(kept["value"], 1, 2))


@functools.partial(jax.jit, static_argnames="shape")
def decompose(
    params: Any, source: jax.Array, target: jax.Array, *, shape: transformer.Shape
) -> Parts:
    """Parts of the logits of target i32[B, L] given source i32[B, S], 0 = pad.

    direct summed over heads + through + own are the decoder's logits, without the mask of tokens
    that belong to other positions.
    """
    net = transformer.EncoderDecoder(shape)
    last = cast(_Last, net.apply(params, source, target, method=_last_layer))
    tree = params["params"]
    out = tree[f"decoder_{shape.decoder_layers - 1}"]["cross_attention"]["out"]["kernel"]
    vectors = jnp.einsum("bshd,hdm->bshm", last.value, out)  # W_O W_V q_j of each head
    weights = jax.nn.softmax(last.scores)
    attended = jnp.einsum("bhqs,bshm->bhqm", weights, vectors)
    total = last.before + attended.sum(1) + last.mlp
    rms = jnp.sqrt(jnp.mean(total**2, -1, keepdims=True) + 1e-6)
    scale = jnp.asarray(tree["decoder_norm"]["scale"])[None, None] / rms
    kernel = transformer.output_kernel(params, shape)
    logits = lambda part: (part * scale) @ kernel
    averaged = jnp.einsum("bqs,bshm->bqm", weights.mean(1), vectors)
    rows = scale * kernel.T[target]  # [B, L, D]
    return Parts(
        (attended * scale[:, None]) @ kernel,
        logits(averaged),
        logits(last.mlp - last.without),
        logits(last.before + last.without),
        weights,
        last.scores,
        jnp.einsum("bqm,bshm->bhqs", rows, vectors),
    )


class Shares(NamedTuple):
    """What the parts carry, means over queries and positions."""

    heads: np.ndarray  # f64[H] share of the variance of the logits, direct; adds up with the next
    through: float
    own: float
    direct_argmax: float  # share of positions whose best legal token is that of all heads' direct
    attended_argmax: float  # the same of direct + through
    own_argmax: float


def shares(parts: Parts, legal: np.ndarray) -> Shares:
    """Shares over the tokens of each position, Cov(part, logit) / Var(logit).

    legal: bool[L, V] tokens of each position.
    """
    direct = np.asarray(parts.direct, np.float64)
    through, own = (np.asarray(part, np.float64) for part in (parts.through, parts.own))
    total = direct.sum(1) + through + own
    count = legal.sum(-1)[None, :, None]
    centred = lambda x: np.where(legal, x - (x * legal).sum(-1, keepdims=True) / count, 0.0)
    reference = centred(total)
    variance = (reference**2).sum()
    share = lambda x: float((centred(x) * reference).sum() / variance)
    best = lambda x: np.where(legal, x, -np.inf).argmax(-1)
    agrees = lambda x: float(np.mean(best(x) == best(total)))
    return Shares(
        np.array([share(direct[:, head]) for head in range(direct.shape[1])]),
        share(through),
        share(own),
        agrees(direct.sum(1)),
        agrees(direct.sum(1) + through),
        agrees(own),
    )


class Ranks(NamedTuple):
    """How low the rank of the attention is, means over queries and heads."""

    effective: float  # exp of the entropy of the singular values of A, at most L
    error: float  # mean L1 distance of a row of A from r = softmax of the mean row of scores
    bound: float  # mean of 2 tanh(delta_i / 4), delta_i = osc_j(L_ij - l_j)
    best: float  # mean Frobenius norm of A less its best matrix of rank one
    broken: int  # rows further from r than the bound allows


def ranks(parts: Parts, source: np.ndarray) -> Ranks:
    """Ranks of A over the tokens of each query, source i32[B, S], 0 = pad."""
    found, broken = [], 0
    for row, words in enumerate(np.asarray(source) != 0):
        for head in range(parts.weights.shape[1]):
            attention = np.asarray(parts.weights[row, head], np.float64)[:, words]
            scores = np.asarray(parts.scores[row, head], np.float64)[:, words]
            one, l1, most = rank_one(attention, scores)
            broken += int((l1 > most + 1e-6).sum())
            values = np.linalg.svd(attention, compute_uv=False)
            share = values / values.sum()
            spread = float(np.exp(-(share * np.log(np.maximum(share, 1e-300))).sum()))
            found.append((spread, l1.mean(), most.mean(), np.sqrt((values[1:] ** 2).sum())))
    effective, error, bound, best = map(float, np.mean(found, axis=0))
    return Ranks(effective, error, bound, best, broken)


def rank_one(
    attention: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """r f64[S], the L1 distance of each row f64[L], and its bound f64[L].

    attention, scores: f64[L, S], attention = softmax of a row of scores. With l the mean row and
    r = softmax(l): |A_i - r|_1 <= 2 tanh(osc_j(L_ij - l_j) / 4).
    """
    middle = scores.mean(0)
    r = np.exp(middle - middle.max())
    r /= r.sum()
    gap = scores - middle
    delta = gap.max(1) - gap.min(1)
    return r, np.abs(attention - r).sum(1), 2 * np.tanh(delta / 4)


def matrices(parts: Parts, row: int, words: np.ndarray) -> dict[str, np.ndarray]:
    """f64[L, S'] alignments of one query with its identifier, over its words bool[S].

    GR's dense attention (mean of heads), and MVDR's one-hot ones on the same interactions: each
    identifier token's best word, and each word's best identifier token.
    """
    interaction = np.asarray(parts.interaction[row], np.float64).sum(0)[:, words]
    to_query = np.zeros_like(interaction)
    to_query[np.arange(len(interaction)), interaction.argmax(1)] = 1
    to_document = np.zeros_like(interaction)
    to_document[interaction.argmax(0), np.arange(interaction.shape[1])] = 1
    return {
        "GR: attention, identifier to query": np.asarray(parts.weights[row].mean(0))[:, words],
        "MVDR: identifier to query": to_query,
        "MVDR: query to identifier": to_document,
    }
