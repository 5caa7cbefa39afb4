"""A recurrent network over the items of a history: GRU4Rec's.

Hidasi et al. 2016, "Session-based Recommendations with Recurrent Neural Networks"
(arXiv 1511.06939), sec. 3. One table for the items read and the items scored.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
from flax import linen as nn

from zoo.nets import items


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    num_items: int  # N
    width: int = 64  # D
    layers: int = 1  # of GRUs
    dropout: float = 0.0
    dtype: str = "float32"  # of activations


class RecurrentItems(items.Items):
    """Hidden states [B, S, D] of items i32[B, S], item n as n + 1, 0 = pad behind; state i sees
    items 0 .. i."""

    shape: Shape

    def setup(self) -> None:
        super().setup()
        s = self.shape
        self.layers = [nn.RNN(nn.GRUCell(s.width, dtype=s.dtype)) for _ in range(s.layers)]
        self.out = nn.Dense(s.width, dtype=s.dtype)

    def __call__(self, source: jax.Array, *, train: bool = False) -> jax.Array:
        x = self.read(source, train=train)
        for layer in self.layers:
            states: Any = layer(x)  # nn.RNN is typed as if it returned its carry too
            x = self.drop(states, deterministic=not train)
        return self.out(x)
