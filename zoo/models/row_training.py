"""Training of output rows that start as document vectors, against the vectors' own ranking.

With q the vector of a query, d_i those of N documents and T a temperature,

    s_i = T (q + mlp(q)) . (d_i + delta_i)

and the loss of a query with document y is

    -log softmax(s)_y  +  distil * KL(softmax(TEACHER q . d) || softmax(s))

Rows of documents without a train query do not move (delta = 0), or documents that are never asked
for in training would be pushed down by all that are. Of what was learned, a share is kept that
ranks dev queries best: share * delta and share * mlp (Wortsman et al. 2022, arXiv 2109.01903,
interpolate the weights before and after tuning for the same reason).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options
from zoo.data import batches
from zoo.nets import rows
from zoo.options import option
from zoo.train import loop, stages

TEACHER = 20.0  # inverse temperature of the start's scores, and T at the start
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)  # of what was learned
# rates of groups of parameters, relative to the option `rate`
RATES = {"delta": 0.1, "in": 2.0, "bias": 0.2, "out": 0.02, "cluster": 0.1, "temperature": 0.3}
BLOCK = 256  # queries that are scored at once


@dataclasses.dataclass(frozen=True)
class Config(options.Training):
    """Options of systems whose rows are trained."""

    hidden: int = option(512, "units of the MLPs between query and rows", limits=options.SIZE)
    distil: float = option(
        0.5, "weight of the KL divergence to the ranking of the start", limits=options.AMOUNT
    )
    kept: float = option(
        -1.0,
        "share of what training changed that is kept; -1 = chosen on dev queries",
        limits=(-1.0, 1.0),
    )
    generated: int = option(2, "generated queries per document; 0 = none", limits=options.COUNT)
    generated_share: float = option(
        0.5,
        "fraction of the examples with generated queries, if there are train queries",
        limits=options.PROBABILITY,
    )
    visits: float = 40.0
    fewest_steps: int = 300
    most_steps: int = 600
    rate: float = 2e-3
    warmup: int = 10
    weight_decay: float = 0.0


class Examples(NamedTuple):
    """Queries as vectors, and the document of each."""

    asked: np.ndarray  # f32[n, D] train queries
    answers: np.ndarray  # i64[n]
    made: np.ndarray  # f32[m, D] generated queries
    origins: np.ndarray  # i64[m]

    def sources(self, share: float) -> list[batches.Source]:
        """Examples by kind; share: of generated queries if there are both."""
        share = (share if len(self.asked) else 1.0) if len(self.made) else 0.0
        kinds = ((self.asked, self.answers, 1 - share), (self.made, self.origins, share))
        return [
            batches.Source(
                {
                    "source": np.ones((len(vectors), 1), np.int32),
                    "query": vectors,
                    "target": np.asarray(targets, np.int32),
                },
                weight,
            )
            for vectors, targets, weight in kinds
            if len(vectors) and weight > 0
        ]


def fit_rows(
    documents: np.ndarray,
    given: Examples,
    config: Any,
    key: jax.Array,
    log: Any,
    *,
    budget: stages.Budget,
    share: float = 1.0,
) -> dict:
    """Learned parameters {"delta" f32[N, D], "mlp", "temperature"} of documents f32[N, D]."""
    init_key, train_key = jax.random.split(key)
    params = untrained(documents, config.hidden, init_key)
    seen = jnp.asarray(seen_of(len(documents), given.answers))
    loss = listwise(jnp.asarray(documents), seen, distil=config.distil)
    stage = stages.Stage("documents", given.sources(config.generated_share), loss, share=share)
    return stages.run([stage], params, config, train_key, log, budget=budget)


def untrained(documents: np.ndarray, hidden: int, key: jax.Array) -> dict:
    """Learned parameters before training: those of the vectors themselves."""
    return {
        "delta": jnp.zeros(documents.shape),
        "mlp": _scaled(rows.mlp(key, documents.shape[1], hidden)),
        "temperature": jnp.log(jnp.float32(TEACHER)) / RATES["temperature"],
    }


def listwise(documents: jax.Array, seen: jax.Array, *, distil: float) -> loop.Loss:
    """The loss of this module, of {"query": f32[B, D], "target": i32[B]} batches. O(B N D).

    seen: bool[N, 1] documents whose rows move.
    """

    def loss(params, batch, key):
        query, target = batch["query"], batch["target"]
        found = at_share(params, documents, seen, 1.0)
        scores = found["temperature"] * rows.state(found["mlp"], query) @ found["document"].T
        log_p = jax.nn.log_softmax(scores)
        teacher = jax.nn.softmax(TEACHER * query @ documents.T)
        entropy = jnp.take_along_axis(log_p, target[:, None], axis=1)[:, 0]
        divergence = (teacher * (jnp.log(teacher + 1e-9) - log_p)).sum(axis=1)
        value = (-entropy + distil * divergence).mean()
        return value, {"right": (scores.argmax(axis=1) == target).mean()}

    return loss


def at_share(params: Any, documents: Any, seen: Any, share: float) -> dict:
    """Parameters of `rows` for a share of what was learned; seen: bool[N, 1]."""
    moved = jnp.where(seen, RATES["delta"] * params["delta"], 0.0)
    mlp = _unscaled(params["mlp"])
    return {
        "document": documents + share * moved,
        "mlp": mlp | {"out": share * mlp["out"]},
        "temperature": jnp.exp(RATES["temperature"] * params["temperature"]),
    }


def scores(found: Mapping[str, Any], queries: np.ndarray) -> np.ndarray:
    """f32[B, N] scores h . r of all documents, without the temperature."""
    blocks = [
        np.asarray(
            _scores(found["mlp"], found["document"], jnp.asarray(queries[first : first + BLOCK]))
        )
        for first in range(0, len(queries), BLOCK)
    ]
    return np.concatenate(blocks)


@jax.jit
def _scores(mlp: Any, document: jax.Array, query: jax.Array) -> jax.Array:
    return jnp.einsum("bd,nd->bn", rows.state(mlp, query), document, precision="highest")


def fit_clusters(
    found: Mapping[str, Any],
    clusters: tuple[np.ndarray, np.ndarray],
    given: Examples,
    config: Any,
    key: jax.Array,
    log: Any,
    *,
    budget: stages.Budget,
    share: float,
) -> dict:
    """Parameters {"cluster" f32[C, D], "cluster_mlp"} of the first step; `found` does not move.

    clusters: centroids f32[C, D], and the cluster i[N] of each document.
    """
    centroids, cluster = clusters
    init_key, train_key = jax.random.split(key)
    mlp = rows.mlp(init_key, centroids.shape[1], config.hidden)
    params = {"cluster": jnp.zeros(centroids.shape), "mlp": _scaled(mlp)}
    fixed = jax.tree.map(jnp.asarray, dict(found))
    loss = prefix(fixed, jnp.asarray(centroids), jnp.asarray(cluster, jnp.int32))
    stage = stages.Stage("clusters", given.sources(config.generated_share), loss, share=share)
    params = stages.run([stage], params, config, train_key, log, budget=budget)
    return _clusters(params, jnp.asarray(centroids))


def prefix(found: Mapping[str, Any], centroids: jax.Array, cluster: jax.Array) -> loop.Loss:
    """KL divergence of the first step's softmax from that of the best document of each cluster.

    The score of a prefix is that of its best document, as in RIPOR (arXiv 2311.09134).
    """

    def loss(params, batch, key):
        query, learned = batch["query"], _clusters(params, centroids)
        best = found["temperature"] * rows.state(found["mlp"], query) @ found["document"].T
        best = jax.ops.segment_max(best.T, cluster, len(centroids)).T  # -> [B, C]
        scores = found["temperature"] * rows.state(learned["cluster_mlp"], query)
        log_p = jax.nn.log_softmax(scores @ learned["cluster"].T)
        wanted = jax.nn.softmax(best)
        value = (wanted * (jnp.log(wanted + 1e-9) - log_p)).sum(axis=1).mean()
        return value, {"best_first": (log_p.argmax(axis=1) == best.argmax(axis=1)).mean()}

    return loss


def _clusters(params: Any, centroids: jax.Array) -> dict:
    return {
        "cluster": centroids + RATES["cluster"] * params["cluster"],
        "cluster_mlp": _unscaled(params["mlp"]),
    }


def _scaled(mlp: Mapping[str, jax.Array]) -> dict:
    """An MLP over the rates of its parts, so that one optimiser moves each part at its rate."""
    return {name: leaf / RATES[name] for name, leaf in mlp.items()}


def _unscaled(mlp: Mapping[str, jax.Array]) -> dict:
    return {name: RATES[name] * leaf for name, leaf in mlp.items()}


def seen_of(num_documents: int, answers: Sequence[int] | np.ndarray) -> np.ndarray:
    """bool[N, 1] documents with a train query."""
    seen = np.zeros((num_documents, 1), bool)
    seen[np.asarray(answers, np.int64)] = True
    return seen
