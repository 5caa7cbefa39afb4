"""Constrained decoding against `transformers.generate` with a trie: queries per second.

    pip install torch transformers
    python benchmarks/decode_transformers.py --items 1e5 --batch 8 --beam 10 20 50

Both decode the same encoder-decoder of TIGER's size (width 128, 4 + 4 layers, 6 heads of 64,
MLP 1,024): transformers initialises random weights, and the script converts them to our parameters.
Sources have 80 tokens. transformers gets the usual trie of Python dictionaries through
`prefix_allowed_tokens_fn`. The script first checks that ranked lists and scores agree, then times
both in turns on the same cores. The last columns show our unconstrained search (`best_of_all`, no
trie) and the cost that the constraint adds to it.
"""

from __future__ import annotations

import argparse
import functools
import os
import time

import decode_trie
import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table
from zoo.index import children, trie
from zoo.models import generate
from zoo.nets import network, transformer
from zoo.search import decoders


def peer(alphabet: int, seed: int = 0):
    """A T5 v1.1 of transformers, of TIGER's size, with random weights."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=alphabet,
        d_model=128,
        d_kv=64,
        d_ff=1024,
        num_layers=4,
        num_decoder_layers=4,
        num_heads=6,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=None,
        dropout_rate=0.0,
    )
    net = transformers.T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        # far from uniform, so that rounding does not decide the ranking
        net.lm_head.weight.normal_(0, 0.3)
    return net


def converted(net, length: int) -> tuple[transformer.Shape, dict]:
    """Our shape and parameters of the same network."""
    state = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    c = net.config
    shape = transformer.Shape(
        source_vocab=c.vocab_size,
        target_vocab=c.vocab_size,
        target_length=length,
        width=c.d_model,
        heads=c.num_heads,
        head_width=c.d_kv,
        encoder_hidden=c.d_ff,
        decoder_hidden=c.d_ff,
        encoder_layers=c.num_layers,
        decoder_layers=c.num_decoder_layers,
        dropout=0.0,
    )

    def attention(prefix: str) -> dict:
        heads = lambda name: state[f"{prefix}.{name}.weight"].T.reshape(
            c.d_model, c.num_heads, c.d_kv
        )
        out = state[f"{prefix}.o.weight"].T.reshape(c.num_heads, c.d_kv, c.d_model)
        return {
            "query": {"kernel": heads("q")},
            "key": {"kernel": heads("k")},
            "value": {"kernel": heads("v")},
            "out": {"kernel": out},
        }

    def mlp(prefix: str) -> dict:
        return {
            ours: {"kernel": state[f"{prefix}.{theirs}.weight"].T}
            for ours, theirs in (("gate", "wi_0"), ("value", "wi_1"), ("out", "wo"))
        }

    norm = lambda name: {"scale": state[f"{name}.weight"]}
    params = {
        "source_embedding": {"embedding": state["shared.weight"]},
        "target_embedding": {"embedding": state["shared.weight"]},
        "encoder_norm": norm("encoder.final_layer_norm"),
        "decoder_norm": norm("decoder.final_layer_norm"),
        "head": {"kernel": state["lm_head.weight"].T},
    }
    for stack in ("encoder", "decoder"):
        bias = state[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        params[f"{stack}_bias"] = {"table": bias}
    for i in range(c.num_layers):
        block = f"encoder.block.{i}.layer"
        params[f"encoder_{i}"] = {
            "attention_norm": norm(f"{block}.0.layer_norm"),
            "attention": attention(f"{block}.0.SelfAttention"),
            "mlp_norm": norm(f"{block}.1.layer_norm"),
            "mlp": mlp(f"{block}.1.DenseReluDense"),
        }
    for i in range(c.num_decoder_layers):
        block = f"decoder.block.{i}.layer"
        params[f"decoder_{i}"] = {
            "self_norm": norm(f"{block}.0.layer_norm"),
            "self_attention": attention(f"{block}.0.SelfAttention"),
            "cross_norm": norm(f"{block}.1.layer_norm"),
            "cross_attention": attention(f"{block}.1.EncDecAttention"),
            "mlp_norm": norm(f"{block}.2.layer_norm"),
            "mlp": mlp(f"{block}.2.DenseReluDense"),
        }
    return shape, jax.tree.map(jnp.asarray, {"params": params})


def their_search(net, ids: table.Docids, width: int):
    """transformers' beam search, constrained by a trie of dictionaries.

    Returns a function: source i64[B, S] -> (tokens i[B, K, L], scores f[B, K]).
    """
    import torch

    root: dict = {}
    for row in ids.tokens.tolist():
        node = root
        for token in row:
            node = node.setdefault(token, {})

    def allowed(_, prefix):
        node = root
        for token in prefix.tolist()[1:]:
            node = node[token]
        return list(node)

    length = ids.tokens.shape[1]

    def search(source):
        with torch.inference_mode():
            found = net.generate(
                torch.from_numpy(source),
                num_beams=width,
                num_return_sequences=width,
                max_new_tokens=length,
                min_new_tokens=length,
                length_penalty=0.0,
                do_sample=False,
                early_stopping=True,
                prefix_allowed_tokens_fn=allowed,
                return_dict_in_generate=True,
                output_scores=True,
            )
        tokens = found.sequences[:, 1 : length + 1].numpy().reshape(len(source), width, length)
        return tokens, found.sequences_scores.numpy().reshape(len(source), width)

    return search


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=float, default=1e5)
    parser.add_argument("--codes", choices=["uniform", "zipf"], default="uniform")
    parser.add_argument("--batch", type=int, nargs="+", default=[8])
    parser.add_argument("--beam", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    ids = table.offset(decode_trie.draw(int(options.items), 256, 4, options.codes))
    net = peer(ids.alphabet)
    shape, params = converted(net, ids.tokens.shape[1])
    index = trie.build(ids)
    free = decode_trie.Unconstrained(functools.partial(children.best_of_all, score="model"))
    size = sum(value.size for value in jax.tree.leaves(params)) / 1e6
    print(
        f"{size:.2f} M parameters (one embedding table counted twice), {len(ids)} identifiers of "
        f"4 x 256, {cores} cores, "
        f"torch {torch.__version__}, transformers {transformers.__version__}, jax {jax.__version__}"
    )
    print(
        f"{'batch':>5} {'beam':>4} | {'theirs q/s':>10} {'ours q/s':>8} {'ours/theirs':>11} | "
        f"{'no constraint q/s':>17} {'constraint adds':>15}",
        flush=True,
    )
    for batch in options.batch:
        source = np.random.default_rng(0).integers(1, ids.alphabet, (batch, 80))
        for width in options.beam:
            ours = functools.partial(
                generate.generate,
                params,
                jnp.asarray(source),
                index,
                how=generate.How(network.build(shape), decoders.decoder("trie"), width, width),
            )
            loose = functools.partial(
                generate.generate,
                params,
                jnp.asarray(source),
                free,
                how=generate.How(network.build(shape), decoders.decoder("trie"), width, width),
            )
            theirs = their_search(net, ids, width)
            tokens, scores = theirs(source)
            found = ours().beams
            agree(found, tokens, scores)
            taken = {"theirs": [], "ours": [], "loose": []}
            calls = {
                "theirs": lambda: theirs(source),
                "ours": lambda: jax.block_until_ready(ours()),
                "loose": lambda: jax.block_until_ready(loose()),
            }
            for turn in range(options.rounds + 1):
                for name, call in calls.items():
                    begin = time.perf_counter()
                    call()
                    if turn:
                        taken[name].append(time.perf_counter() - begin)
            rate = {name: batch / float(np.median(seconds)) for name, seconds in taken.items()}
            print(
                f"{batch:5d} {width:4d} | {rate['theirs']:10.1f} {rate['ours']:8.1f} "
                f"{rate['ours'] / rate['theirs']:11.1f} |"
                f" {rate['loose']:17.1f} {rate['loose'] / rate['ours'] - 1:15.1%}",
                flush=True,
            )


def agree(found, tokens: np.ndarray, scores: np.ndarray) -> None:
    """Raises if the two results differ by more than rounding.

    Scores must agree to 1e-3 nats, and lists wherever neighbouring scores are further apart.
    """
    np.testing.assert_allclose(found.score, scores, atol=1e-3)
    for query in range(len(tokens)):
        gaps = np.diff(scores[query], prepend=np.inf, append=-np.inf)
        clear = (gaps[:-1] < -2e-3) & (gaps[1:] < -2e-3)  # close neighbours may swap
        np.testing.assert_array_equal(np.asarray(found.token[query])[clear], tokens[query][clear])


if __name__ == "__main__":
    main()
