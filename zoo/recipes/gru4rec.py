"""GRU4Rec: a recurrent network reads the history; items are scored against its last state.

Hidasi et al. 2016, "Session-based Recommendations with Recurrent Neural Networks" (arXiv
1511.06939); the loss bpr-max is eq. 10 of Hidasi and Karatzoglou 2018 (arXiv 1706.03847). The
default here is cross-entropy over all items.
"""

from __future__ import annotations

import dataclasses
import functools

from zoo import recipes
from zoo.models import next_item
from zoo.nets import recurrent
from zoo.update import catalogue, items


@dataclasses.dataclass(frozen=True)
class Config(next_item.Config):
    """Options of GRU4Rec."""

    SYSTEM = "gru4rec"


RECIPE = recipes.Recipe(
    name="gru4rec",
    paper="Hidasi et al. 2016, Session-based Recommendations with Recurrent Neural Networks, "
    "arXiv 1511.06939",
    presets={
        "tiny": Config(**next_item.TINY),
        "small": Config(),
        "base": Config(width=128, history=50, batch=256, visits=200.0),
        "paper": Config(**next_item.PAPER, loss="bpr-max", negatives=512, width=100, dropout=0.2),
    },
    fit=functools.partial(next_item.fit, recurrent.Shape),
    open=next_item.open,
    deviations=(
        "loss=ce, the default, is cross-entropy over all items; the papers' losses compare the "
        "target with items of the batch and with sampled ones",
        "negatives of bpr-max are sampled uniformly per target; the paper samples by a power of "
        "popularity and shares them in a batch",
        "input and output items share one embedding table, and whole histories are examples, not "
        "single events with state carried over batches",
        "AdamW; the papers have Adagrad",
        "the parameters kept are those of best Recall@10 on a sample of dev",
    ),
    asks="history",
    answering=("filter",),
    add=items.add,
    remove=catalogue.hide,
)
