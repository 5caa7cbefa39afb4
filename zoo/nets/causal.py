"""Causal self-attention over the items of a history: SASRec's network with the blocks of T5.

Kang and McAuley 2018, "Self-Attentive Sequential Recommendation" (arXiv 1808.09781), sec. 3.2-3.3.
Distances between items enter as relative biases, so every position is trained, however long the
history.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from zoo.nets import items, layers, stack, transformer


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of the network."""

    num_items: int  # N
    width: int = 64  # D
    layers: int = 2
    heads: int = 2  # H, a divisor of the width
    hidden: int = 128  # of the MLPs
    dropout: float = 0.0
    dtype: str = "float32"  # of activations
    remat: bool = False  # recompute the inside of layers in the backward pass

    def blocks(self) -> transformer.Shape:
        """The shape of the layers."""
        return transformer.Shape(
            source_vocab=self.num_items + 1,
            target_vocab=1,
            target_length=1,
            width=self.width,
            heads=self.heads,
            head_width=self.width // self.heads,
            encoder_hidden=self.hidden,
            encoder_layers=self.layers,
            dropout=self.dropout,
            dtype=self.dtype,
            remat=self.remat,
        )


class CausalItems(items.Items):
    """Hidden states [B, S, D] of items i32[B, S], item n as n + 1, 0 = pad behind; state i sees
    items 0 .. i."""

    shape: Shape

    def setup(self) -> None:
        super().setup()
        blocks = self.shape.blocks()
        self.bias = transformer.relative_bias(blocks, bidirectional=False)
        self.layers = [transformer.EncoderLayer(blocks) for _ in range(blocks.encoder_layers)]
        self.norm = layers.RMSNorm(blocks.dtype)

    def __call__(self, source: jax.Array, *, train: bool = False) -> jax.Array:
        position = jnp.arange(source.shape[1])
        causal = jnp.where(position[None, :] > position[:, None], layers.MASKED, 0.0)
        bias = (self.bias(position, position) + causal[None])[None]
        x = self.read(source, train=train)
        return self.norm(stack.apply(self.layers, x, None, bias, train=train))
