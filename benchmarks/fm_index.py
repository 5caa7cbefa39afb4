"""Time and memory of the FM-index, without a network.

    python benchmarks/fm_index.py --tokens 1e6 1e7 --batch 8 --beam 15
    python benchmarks/fm_index.py --data pydocs

The script draws documents of 100 tokens with probability ~ 1 / rank from V - 1 tokens. It prints
the seconds of the build and the bytes per token beside the raw tokens as u16. Then it draws n-grams
of several lengths from the corpus and prints the microseconds per hypothesis of one search step:
medians of four implementations, timed in turns on the same logits:

- plain: no constraint, log-softmax and one `lax.top_k` over beam x V;
- two-stage: the same result from `winners.best_of_all`, exact; the fairest baseline;
- ours: `FMIndex.choose`, exact;
- all V: `FMIndex.expand` tests every token, then a top-k takes the best.

The logits imitate a model that knows the corpus, log(occurrences of the next token + 1e-3) + noise
of deviation 1, or are pure noise. Noise is the worst case: the likeliest tokens are not in the
corpus, and `choose` scans wide nodes in full. The script compares the results of ours and all V
before it times them.

`--data NAME|PATH` prints the size of a collection's index instead, in bytes per token and per word,
beside SEAL's. SEAL's 8.8 GB for DPR's 21,015,324 Wikipedia passages of 100 words is its published
size as usually quoted (arXiv 2204.10628; not checked against the paper). A tokenizer trained on the
documents gives the tokens. SEAL's index stores BART's 50,265 tokens in 16 bits; the script prints
the same column for ours on any text.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np

from zoo.index import children, fm, ngrams
from zoo.search import beam

DOCUMENT = 100  # tokens
SEAL_BYTES, SEAL_WORDS, SEAL_ALPHABET = 8.8e9, 21_015_324 * 100, 50_265


def draw(num_tokens: int, alphabet: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(tokens, starts of documents)."""
    rng = np.random.default_rng(seed)
    bound = np.cumsum(1 / np.arange(1, alphabet))
    tokens = 1 + np.searchsorted(
        bound[:-1], rng.random(num_tokens) * bound[-1], side="right"
    ).astype(np.int32)
    return tokens, np.append(np.arange(0, num_tokens, DOCUMENT), num_tokens)


@functools.partial(jax.jit, static_argnames="width")
def plain(node, score, logits, index, *, width):
    total = (score[..., None] + jax.nn.log_softmax(logits, axis=-1)).reshape(len(score), -1)
    return jax.lax.top_k(total, width)[0]


@functools.partial(jax.jit, static_argnames="width")
def two_stage(node, score, logits, index, *, width):
    return children.best_of_all(score, logits, width=width, score="model")[0]


@functools.partial(jax.jit, static_argnames="width")
def ours(node, score, logits, index, *, width):
    return index.choose(0, node, score, logits, width=width, score="model").score


@functools.partial(jax.jit, static_argnames="width")
def all_tokens(node, score, logits, index, *, width):
    return beam.best_children(index, 0, node, score, logits, width=width, score="model").score


STEPS = {"plain": plain, "two-stage": two_stage, "ours": ours, "all V": all_tokens}


def inputs(
    index: fm.FMIndex, tokens: np.ndarray, length: int, batch: int, beams: int, knows: bool
) -> tuple[jax.Array, ...]:
    """(nodes of n-grams of the corpus, scores, logits)."""
    rng = np.random.default_rng(length)
    beams = beams if length else 1
    first = rng.integers(len(tokens) // DOCUMENT, size=(batch, beams)) * DOCUMENT + rng.integers(
        DOCUMENT - length, size=(batch, beams)
    )
    node = (
        index.find(tokens[first[..., None] + np.arange(length)]) if length else index.start(batch)
    )
    logits = rng.normal(size=(batch, beams, index.alphabet)).astype(np.float32)
    if knows:
        child = np.asarray(jax.jit(fm.FMIndex.children)(index, node))
        logits += np.log(child[..., 1] - child[..., 0] + 1e-3).astype(np.float32)
    return (
        node,
        jnp.asarray(rng.normal(size=(batch, beams)).astype(np.float32)),
        jnp.asarray(logits),
        index,
    )


def seconds(arguments: tuple, width: int, rounds: int) -> dict[str, float]:
    """Median seconds of each step, called in turns."""
    taken = {name: [] for name in STEPS}
    for _, (name, step) in itertools.product(range(rounds), STEPS.items()):
        begin = time.perf_counter()
        jax.block_until_ready(step(*arguments, width=width))
        taken[name].append(time.perf_counter() - begin)
    return {name: float(np.median(each)) for name, each in taken.items()}


def print_size(data: str, alphabet: int) -> None:
    """Prints the size of the index of a collection's documents."""
    from zoo.data import load
    from zoo.text import tokens

    corpus = load.load(data).corpus
    texts = corpus.contents()
    tokenizer = tokens.train(texts, size=alphabet)
    documents = tokens.whole(tokenizer, texts)
    num_words, num_tokens, num_kinds = (
        sum(len(text.split()) for text in texts),
        sum(map(len, documents)),
        tokens.count(tokenizer),
    )
    print(f"{data}: {len(texts)} documents, {num_words} words, {num_tokens} tokens of {num_kinds}")
    for kinds in (num_kinds, SEAL_ALPHABET):
        index = fm.build(*ngrams.join(documents), alphabet=kinds)
        whole = sum(leaf.nbytes for leaf in jax.tree.leaves(index))
        print(
            f"alphabet {kinds:6d}: {whole / num_tokens:.2f} bytes a token, "
            f"{whole / num_words:.2f} a word; SEAL's: {SEAL_BYTES / SEAL_WORDS:.2f} a word"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tokens", type=float, nargs="+", default=[1e6, 1e7])
    parser.add_argument("--alphabet", type=int, default=2**15)
    parser.add_argument("--tested", type=int, nargs="+", default=[fm.TESTED])
    parser.add_argument("--length", type=int, nargs="+", default=[0, 1, 2, 3, 6])
    parser.add_argument("--beam", type=int, default=15)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--data", metavar="NAME|PATH", help="print only the index size of a collection"
    )
    options = parser.parse_args()
    if options.data:
        print_size(options.data, options.alphabet)
        return

    for num_tokens, tested in itertools.product(map(int, options.tokens), options.tested):
        tokens, starts = draw(num_tokens, options.alphabet)
        begin = time.perf_counter()
        index = jax.block_until_ready(
            fm.build(tokens, starts, alphabet=options.alphabet, tested=tested)
        )
        built = time.perf_counter() - begin
        size, column = (
            sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) for tree in (index, index.column)
        )
        print(
            f"{num_tokens} tokens, V {options.alphabet}: built in {built:.2f} s; "
            f"{size / num_tokens:.2f} bytes a token, "
            f"{column / num_tokens:.2f} without what locates; raw tokens 2.00",
            flush=True,
        )
        print(
            f"{'tested':>6} {'n-gram':>6} {'logits':>6} {'rows':>9} | {'us/hyp.':>8} "
            f"{'/plain':>7} {'/two-st':>7} {'all V/two-st':>12}"
        )
        for length, knows in itertools.product(options.length, (True, False)):
            arguments = inputs(index, tokens, length, options.batch, options.beam, knows)
            found, expected = (step(*arguments, width=options.beam) for step in (ours, all_tokens))
            np.testing.assert_array_equal(found, expected)
            taken = seconds(arguments, options.beam, options.rounds)
            rows = float(jnp.median(arguments[0][..., 1] - arguments[0][..., 0]))
            each = taken["ours"] / arguments[1].size * 1e6
            print(
                f"{tested:6d} {length:6d} {'knows' if knows else 'noise':>6} {rows:9.0f} | "
                f"{each:8.1f} {taken['ours'] / taken['plain']:7.2f} "
                f"{taken['ours'] / taken['two-stage']:7.2f} "
                f"{taken['all V'] / taken['two-stage']:12.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
