"""LIMIT: every pair of N documents answers one query; what dimension and identifiers make of it.

Weller et al., "On the Theoretical Limitations of Embedding-Based Retrieval" (arXiv 2508.21038); 46
documents and 1,035 pairs in its small version. Here names and attributes are generated, so nothing
is downloaded, and every pair has a query (the published set has 1,000).

**Four dimensions rank every pair exactly.** Documents t = 1 .. N are (t, t^2, t^3, t^4); the query
of {a, b} is the coefficients of -(x - a)^2 (x - b)^2 without the constant. Scores are that
polynomial at t plus a constant: it is 0 at a and b and below 0 at any other t. [] (The points of a
moment curve in an even dimension 2 k are the vertices of a k-neighbourly polytope.) With t spaced
h = 2 / (N - 1) apart in [-1, 1] the smallest gap is h^4, of the pairs with one document between
them: dimension permits what floating point does not.

**Word vectors that are not trained** rank by chance as T8 says: a document is the sum of its N - 1
attribute vectors, the relevant one leads by 1 over noise of variance (N - 2) / d, and
R@2 = recall_exact(N, 2, 2, sqrt(d / (N - 2))).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from zoo import records

NAMES = "ba be bi bo bu da de di do du ka ke ki ko ku la le li lo lu ma me mi mo mu".split()
RATE, TEMPERATURE = 0.05, 20.0


class Fit(NamedTuple):
    """Vectors of unit length that were trained to rank pairs."""

    recall: float  # R@2 of all pairs
    margin: float  # smallest score of a relevant document less the largest of another
    unseen: float  # R@2 of the pairs that were not trained; NaN without any


def pairs(num: int) -> np.ndarray:
    """i64[num (num - 1) / 2, 2] all pairs a < b of documents 0 .. num - 1."""
    return np.stack(np.triu_indices(num, 1), axis=1)


def moment_curve(num: int) -> tuple[np.ndarray, np.ndarray]:
    """Integer queries i64[P, 4] and documents i64[num, 4] on the moment curve; exact to 5,000."""
    t = np.arange(1, num + 1, dtype=np.int64)
    a, b = (pairs(num) + 1).T
    total, product = a + b, a * b
    queries = np.stack([2 * product * total, -(total**2 + 2 * product), 2 * total, 0 * a - 1], 1)
    return queries, np.stack([t, t**2, t**3, t**4], 1)


def centred_curve(num: int) -> tuple[np.ndarray, np.ndarray]:
    """The same f64 with t spaced evenly in [-1, 1], where the vectors are short."""
    t = np.linspace(-1, 1, num)
    a, b = t[pairs(num)].T
    total, product = a + b, a * b
    queries = np.stack([2 * product * total, -(total**2 + 2 * product), 2 * total, 0 * a - 1], 1)
    return queries, np.stack([t, t**2, t**3, t**4], 1)


def recall_at_2(scores: np.ndarray, which: np.ndarray | None = None) -> float:
    """Mean share of each pair among its two best documents; scores [P, N] in the order of `pairs`.

    Ties count as lost. which: rows of pairs; all if None.
    """
    answers = pairs(scores.shape[1])
    if which is not None:
        scores, answers = scores[which], answers[which]
    own = np.take_along_axis(scores, answers, axis=1)
    above = (scores[:, None, :] >= own[:, :, None]).sum(-1)  # itself included
    return float((above <= 2).mean())


def margin(scores: np.ndarray) -> float:
    """Smallest score of a relevant document less the largest of another, over all pairs."""
    answers = pairs(scores.shape[1])
    own = np.take_along_axis(scores, answers, axis=1).min(1)
    others = np.array(scores, copy=True)
    np.put_along_axis(others, answers, np.iinfo(np.int64).min // 2, axis=1)
    return float((own - others.max(1)).min())


def random_words(num: int, width: int, key: jax.Array) -> np.ndarray:
    """f32[P, N] scores when attributes have random unit vectors f32[d] and documents sum theirs."""
    words = jax.random.normal(key, (num * (num - 1) // 2, width))
    words = words / jnp.linalg.norm(words, axis=1, keepdims=True)
    return np.asarray(words @ _sums(words, num).T)


def _sums(words: jax.Array, num: int) -> jax.Array:
    a, b = jnp.asarray(pairs(num)).T
    blank = jnp.zeros((num, words.shape[1]))
    return blank.at[a].add(words).at[b].add(words)


def free_vectors(num: int, width: int, key: jax.Array, *, steps: int = 2000) -> Fit:
    """Queries and documents as free unit vectors, trained on all pairs: the best case of a width.

    Cross-entropy over documents at TEMPERATURE, a pair's two documents sharing the target; Adam.
    """
    first, second = jax.random.split(key)
    params = {
        "queries": jax.random.normal(first, (num * (num - 1) // 2, width)),
        "documents": jax.random.normal(second, (num, width)),
    }
    scores = _trained(params, num, np.arange(len(params["queries"])), steps=steps)
    return Fit(recall_at_2(scores), margin(scores), float("nan"))


def word_vectors(num: int, width: int, key: jax.Array, *, steps: int = 1000) -> Fit:
    """One vector per attribute, documents sum theirs; trained on every second pair.

    The other attributes occur in documents, never as a query: a dense retriever meets them so.
    """
    params = {"words": jax.random.normal(key, (num * (num - 1) // 2, width))}
    seen = np.arange(0, len(params["words"]), 2)
    scores = _trained(params, num, seen, steps=steps)
    unseen = np.setdiff1d(np.arange(len(scores)), seen)
    return Fit(recall_at_2(scores, seen), margin(scores), recall_at_2(scores, unseen))


def _trained(params: dict, num: int, rows: np.ndarray, *, steps: int) -> np.ndarray:
    answers = jnp.asarray(pairs(num)[rows])
    return np.asarray(_train(params, answers, jnp.asarray(rows), num=num, steps=steps))


@functools.partial(jax.jit, static_argnames=("num", "steps"))
def _train(params: dict, answers: jax.Array, rows: jax.Array, *, num: int, steps: int) -> jax.Array:
    def scores(params: dict, rows: jax.Array) -> jax.Array:
        if "words" in params:
            queries, documents = params["words"], _sums(params["words"], num)
        else:
            queries, documents = params["queries"], params["documents"]
        unit = lambda x: x / jnp.linalg.norm(x, axis=1, keepdims=True)
        return unit(queries[rows]) @ unit(documents).T

    def loss(params: dict) -> jax.Array:
        logs = jax.nn.log_softmax(TEMPERATURE * scores(params, rows))
        return -jnp.take_along_axis(logs, answers, axis=1).mean()

    optimiser = optax.adam(optax.cosine_decay_schedule(RATE, steps))

    def step(carry: tuple, _: None) -> tuple:
        params, state = carry
        updates, state = optimiser.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimiser.init(params)), None, length=steps)
    return scores(params, jnp.arange(num * (num - 1) // 2))


def collection(num: int = 46, *, negatives: int = 0, seed: int = 0) -> records.Collection:
    """The pairs as text: documents list what a person likes, queries ask who likes one thing.

    negatives: for each thing, other persons who are said to dislike it (hard negatives): its name
    no longer identifies two documents. Every second pair is a train query, the others are test.
    """
    rng = np.random.default_rng(seed)
    answers = pairs(num)
    drawn = rng.choice(len(NAMES) ** 4, num + len(answers), replace=False)
    digits = np.stack(np.unravel_index(drawn, (len(NAMES),) * 4), axis=1)
    words = ["".join(NAMES[digit] for digit in row) for row in digits]
    people, things = words[:num], words[num:]
    likes: list[list[str]] = [[] for _ in people]
    dislikes: list[list[str]] = [[] for _ in people]
    for thing, pair in zip(things, answers):
        for person in pair:
            likes[person].append(thing)
        others = np.setdiff1d(np.arange(num), pair)
        for person in rng.choice(others, negatives, replace=False):
            dislikes[person].append(thing)
    texts = []
    for liked, disliked in zip(likes, dislikes):
        parts = [f"likes {thing}" for thing in rng.permutation(liked)]
        parts += [f"dislikes {thing}" for thing in rng.permutation(disliked)]
        texts.append(". ".join(rng.permutation(parts)))
    ids = tuple(f"d{row}" for row in range(num))
    queries = records.Queries(
        tuple(f"q{row}" for row in range(len(things))), tuple(f"who likes {x}" for x in things)
    )
    grades = [{ids[person]: 1 for person in pair} for pair in answers]
    qrels = {
        split: records.Qrels({f"q{row}": grades[row] for row in range(first, len(grades), 2)})
        for split, first in (("train", 0), ("test", 1))
    }
    name = f"limit-{num}" + (f"-{negatives}" if negatives else "")
    corpus = records.Corpus(ids, tuple(word.title() for word in people), tuple(texts))
    return records.Collection(name, corpus, queries, qrels)
