"""New documents learned by continued training on pseudo-queries of them and replayed known pairs.

The peer of an edit (`zoo.update.edit`): all parameters move. Mehta et al. 2023, DSI++
(arXiv 2212.09744), replay generated queries of known documents against forgetting.

Deviations: no flatness-seeking optimiser; the queries come from the caller.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from zoo import options
from zoo.data import batches
from zoo.models import encoder_decoder
from zoo.nets import network
from zoo.options import option
from zoo.text import tokens
from zoo.train import log as logs, stages
from zoo.update import edit


@dataclasses.dataclass(frozen=True)
class Config(options.Checked):
    """Options of continued training."""

    queries: int = option(10, "pseudo-queries a document", limits=options.SIZE)
    visits: float = option(20.0, "how often each new pair is seen", limits=options.AMOUNT)
    replay: float = option(0.5, "share of known pairs in a batch", limits=options.SHARE)
    rate: float = option(1e-3, "peak learning rate, falling linearly", limits=options.AMOUNT)

    SYSTEM = "continue"


def train(
    net: network.Network,
    params: Any,
    new: edit.Pairs,
    known: edit.Pairs,
    config: Config,
    training: options.Writing,
    key: jax.Array,
    log: logs.Log,
) -> Any:
    """Parameters after training on both kinds of pairs; training: options of the fit."""
    replayed = config.replay if len(known.targets) else 0.0
    steps = max(1, round(config.visits * len(new.targets) / training.batch / (1 - replayed)))
    changed: dict[str, Any] = dict(rate=config.rate, steps=steps, minutes=0.0, decay="linear")
    chosen = dataclasses.replace(training, **changed, warmup=min(training.warmup, steps // 10))
    sources = [
        batches.Source({"source": np.asarray(pairs.sources), "target": pairs.targets}, share)
        for pairs, share in ((new, 1 - replayed), (known, replayed))
        if share
    ]
    stage = encoder_decoder.stage(
        net, sources, chosen, log, name="continue", unknown=tokens.UNKNOWN
    )
    own = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), params)  # training donates them
    return jax.device_get(stages.run([stage], own, chosen, key, log))
