"""Generative retrieval as multi-vector retrieval: an identity of the decoder, and how much of it is left over.

Source: Wu et al., "Generative Retrieval as Multi-Vector Dense Retrieval" (SIGIR 2024, arXiv 2404.00684): rel(d, q) = sum_ij of
(E_d^T W_V Q * A)_ij with A the cross-attention. There the decoder has one cross-attention and nothing else; here it is the zoo's T5
decoder, heads are kept apart, and what is not cross-attention of the last layer stays as a remainder.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from theory import claims
from zoo.nets import transformer

SOURCE, TARGET, LENGTH, ALPHABET, BATCH = 50, 6, 4, 11, 8  # words, words of a query, L, V, B


@functools.lru_cache
def _model(layers, heads, seed):
    shape = transformer.Shape(
        source_vocab=SOURCE,
        target_vocab=ALPHABET,
        target_length=LENGTH,
        width=32,
        heads=heads,
        head_width=8,
        encoder_hidden=48,
        decoder_hidden=48,
        encoder_layers=1,
        decoder_layers=layers,
        dropout=0.0,
    )
    net = transformer.EncoderDecoder(shape)
    draw, words, codes = jax.random.split(jax.random.key(seed), 3)
    source = jax.random.randint(words, (BATCH, TARGET), 1, SOURCE)
    target = jax.random.randint(codes, (BATCH, LENGTH), 1, ALPHABET)
    return net, net.init(draw, source, target), source, target


def _last_layer(module, source, target):
    """Of the last decoder layer: what comes in with its self-attention, its MLP, its attention weights, and values, by head."""
    memory = module.memory(module.encode(source))
    shifted = jnp.pad(target[:, :-1], ((0, 0), (1, 0)))
    position = jnp.arange(target.shape[1])
    causal = jnp.where(position[None, :] > position[:, None], transformer.MASKED, 0.0)
    bias = (module.decoder_bias(position, position) + causal[None])[None]
    pads = jnp.where(source == 0, transformer.MASKED, 0.0)[:, None, None, :]
    x = module.target_embedding(shifted)
    for layer, kept in zip(module.decoder[:-1], memory):
        x = layer(x, kept, bias, pads, train=False)
    layer, kept = module.decoder[-1], memory[-1]
    x = x + layer.self_attention(layer.self_norm(x), bias, train=False)
    y = layer.cross_norm(x)
    scores = jnp.einsum("bqhd,bhds->bhqs", layer.cross_attention.query(y), kept["key"]) + pads
    after = x + layer.cross_attention.over(y, kept, pads, train=False)
    return (
        x,
        layer.mlp(layer.mlp_norm(after), train=False),
        jax.nn.softmax(scores),
        jnp.swapaxes(kept["value"], 1, 2),
    )


@functools.lru_cache
def _parts(layers, heads, seed):
    """f32[B, L, V] logits of cross-attention alone, summed by head and query token; the same with A averaged over heads; the remainder."""
    net, params, source, target = _model(layers, heads, seed)
    x, mlp, weights, value = net.apply(params, source, target, method=_last_layer)
    tree = params["params"]
    out = tree[f"decoder_{layers - 1}"]["cross_attention"]["out"]["kernel"]  # [H, Dh, D]
    vectors = jnp.einsum("bshd,hdm->bshm", value, out)  # W_O W_V q_j of each head
    attended = jnp.einsum("bhqs,bshm->bqm", weights, vectors)
    total = x + attended + mlp
    # g / rms, frozen
    scale = tree["decoder_norm"]["scale"][None, None] / jnp.sqrt(
        jnp.mean(total**2, -1, keepdims=True) + 1e-6
    )
    logits = lambda part: (part * scale) @ tree["head"]["kernel"]
    averaged = jnp.einsum("bqs,bshm->bqm", weights.mean(1), vectors)
    return logits(attended), logits(averaged), logits(x + mlp), weights


def predict(params):
    """Logits of the decoder itself, under teacher forcing."""
    net, weights, source, target = _model(params["layers"], params["heads"], params["seed"])
    return np.asarray(net.apply(weights, source, target), np.float64).reshape(-1)


def measure(key, params, n):
    cross, _, rest, _ = _parts(params["layers"], params["heads"], params["seed"])
    return claims.exactly(np.asarray(cross + rest).reshape(-1))


def control(params):
    """The decomposition with attention averaged over heads, as in the released analysis."""
    _, averaged, rest, _ = _parts(params["layers"], params["heads"], params["seed"])
    return np.asarray(averaged + rest, np.float64).reshape(-1)


def limits():
    told = []
    for case in CLAIM.cases:
        cross, averaged, rest, weights = _parts(case["layers"], case["heads"], case["seed"])
        centred = lambda x: np.asarray(x - x.mean(-1, keepdims=True))
        share = np.sum(centred(rest) ** 2) / (
            np.sum(centred(rest) ** 2) + np.sum(centred(cross) ** 2)
        )
        off = np.sqrt(np.mean(centred(averaged - cross) ** 2) / np.mean(centred(cross) ** 2))
        told.append(
            f"{case['layers']} layers, {case['heads']} heads: remainder {100 * share:.0f} % of the logits' variance, averaging heads is off by {100 * off:.0f} %"
        )
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((2000, 8)) * rng.gamma(1, 2, (2000, 1))
    centre = rng.standard_normal((2000, 8)) * 0.3
    gap = np.ptp(logits - centre, axis=1)
    soft = [np.exp(z - z.max(1, keepdims=True)) for z in (logits, centre)]
    soft = [z / z.sum(1, keepdims=True) for z in soft]
    error = np.abs(soft[0] - soft[1]).sum(1)
    broken = int((error > 2 * np.tanh(gap / 4) + 1e-12).sum())
    return [
        *told,
        f"a row of A is within 2 tanh(delta/4) of softmax(l), delta = osc(L_i - l): broken by {broken} of 2,000 random rows",
    ]


CLAIM = claims.Claim(
    name="multi_vector",
    title="A decoder's logits are sums of token interactions plus a remainder, exactly, if heads are kept apart",
    statement="logit = sum over heads and query tokens of alpha_ij e^T diag(g)/rms W_O W_V q_j + remainder (self-attention, MLP, earlier layers).",
    source="arXiv 2404.00684, stated there for one attention without MLP; the exact form per head with remainder is derived here",
    assumptions=(
        "the scale of the last RMSNorm is frozen at its value",
        "random weights: shares of a trained model differ",
    ),
    cases=(dict(layers=1, heads=4, seed=0), dict(layers=3, heads=2, seed=1)),
    predict=predict,
    measure=measure,
    control=control,
    control_note="another decomposition (attention averaged over heads): every logit differs",
    absolute=1e-5,
    limits=limits,
)
