"""SASRec: causal self-attention reads the history; items are scored against its last state.

Kang and McAuley 2018, "Self-Attentive Sequential Recommendation" (arXiv 1808.09781). With
cross-entropy over all items instead of one sampled negative it beats most later systems (Klenitskiy
and Vasilev 2023, arXiv 2309.07602); that is the default here, and loss=bce is the paper's.
"""

from __future__ import annotations

import dataclasses
import functools

from zoo import options, recipes, records
from zoo.models import next_item
from zoo.nets import causal
from zoo.options import option
from zoo.update import catalogue, items


@dataclasses.dataclass(frozen=True)
class Config(next_item.Config):
    """Options of SASRec."""

    heads: int = option(2, "attention heads; divides width", limits=options.SIZE)
    layers: int = 2
    hidden: int = option(128, "width of the MLPs", limits=options.SIZE)

    SYSTEM = "sasrec"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise records.DataError(
                f"sasrec: option heads expects a divisor of width {self.width}, got {self.heads}"
            )


RECIPE = recipes.Recipe(
    name="sasrec",
    paper="Kang and McAuley 2018, Self-Attentive Sequential Recommendation, arXiv 1808.09781",
    presets={
        "tiny": Config(**next_item.TINY, layers=1, hidden=64),
        "small": Config(),
        "base": Config(width=128, heads=4, hidden=256, history=50, batch=256, visits=200.0),
        "paper": Config(
            **next_item.PAPER, loss="bce", width=50, heads=1, hidden=50, dropout=0.5, patience=20
        ),
    },
    fit=functools.partial(next_item.fit, causal.Shape),
    open=next_item.open,
    deviations=(
        "loss=ce, the default, is cross-entropy over all items (arXiv 2309.07602); the paper has "
        "bce",
        "blocks are those of T5 v1.1: pre-RMSNorm, gated MLPs, and relative position biases "
        "instead of learned positions",
        "a history longer than `history` is learned in pieces; the paper drops what is older",
        "the parameters kept are those of best Recall@10 on a sample of dev",
    ),
    asks="history",
    answering=("filter",),
    add=items.add,
    remove=catalogue.hide,
)
