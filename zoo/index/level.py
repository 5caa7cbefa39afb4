"""One level of a trie: the edges from the nodes of one depth to those of the next.

Nodes of one depth are numbered in the lexicographic order of their prefixes, so the children of
node n are the contiguous nodes first(n) .. first(n+1)-1 of the next depth: the next state is
computed, not stored. `first` is stored as an i32 every 32 nodes and a u8 or u16 offset per node;
tokens as u8 or u16 if they fit.

`form_of` chooses one of three forms by the fan-outs; it is static under jit:

- chain: every node has one child. Only tokens are stored, nothing is ranked.
- light: at most C children, C small. C logits are gathered per hypothesis, for any V.
- split: few nodes have many children (real identifiers are skewed, and the widest node would set C
  for all). These heavy nodes also store their children as a row of V bits: reading all V logits in
  vectors is faster than gathering them. The other nodes are light. Without light nodes, as at the
  root, nothing is gathered.

All arrays are padded to size classes: a changed catalogue of the same classes does not recompile.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.docids import table

BLOCK = 32  # nodes that share one i32, and bits of a word
LIGHTEST_HEAVY = 32  # nodes with more children may be heavy
GATHER = 4.0  # cost of a gathered logit, in logits read in order (CPU)


class Form(NamedTuple):
    """The static part of a level. Levels of equal form and array shapes share compiled programs."""

    widest: int  # most children of a node, rounded up to a class
    light: int  # most children of a light node, likewise; 0 = no light node
    heavy: bool  # some nodes have a row of bits
    low: int  # smallest token of the level: tokens are stored less this
    words: int  # 32-bit words of a row of bits: tokens are below low + 32 words
    offset: str  # dtype of the offsets

    @property
    def chain(self) -> bool:
        return self.widest == 1


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Level:
    """Edges from M nodes to M'. Arrays may be longer; the padding is never reached."""

    # i32[M / 32 + 1] first child of every 32nd node; [0] in a chain, as the next three
    base: jax.Array
    offset: jax.Array  # u8, u16 or i32[M + 1] first child of a node, less that of its block
    heavy: jax.Array  # u32[M / 32 + 1] which of 32 nodes are heavy
    rank: jax.Array  # i32[M / 32 + 1] heavy nodes before a block
    token: jax.Array  # u8, u16 or i32[M'] token on the edge into each child, less form.low
    # u32[H, words], bit v % 32 of word v // 32: the heavy node has a child of token low + v
    rows: jax.Array
    form: Form = dataclasses.field(metadata={"static": True})

    def first(self, node: jax.Array) -> jax.Array:
        """i32[...] first child of nodes i32[...]; M' for node M."""
        if self.form.chain:
            return node
        return self.base[node // BLOCK] + self.offset[node].astype(jnp.int32)

    def row(self, node: jax.Array) -> tuple[jax.Array, jax.Array]:
        """bool[...] whether nodes are heavy, and i32[...] their row, 0 if not."""
        word, bit = self.heavy[node // BLOCK], (node % BLOCK).astype(jnp.uint32)
        heavy = (word >> bit) & 1 == 1
        before = jax.lax.population_count(word & ((jnp.uint32(1) << bit) - 1)).astype(jnp.int32)
        return heavy, jnp.where(heavy, self.rank[node // BLOCK] + before, 0)

    def tokens(self, child: jax.Array) -> jax.Array:
        """i32[...] tokens into children i32[...]."""
        return self.token[child].astype(jnp.int32) + self.form.low

    def find(self, node: jax.Array, token: jax.Array) -> jax.Array:
        """i32[...] child of nodes i32[...] on tokens i32[...], -1 = none. O(log C) gathers."""
        low, end = self.first(node), self.first(node + 1)
        high, last = end, len(self.token) - 1
        for _ in range(self.form.widest.bit_length()):
            middle = (low + high) // 2
            below = (low < high) & (self.tokens(jnp.minimum(middle, last)) < token)
            low, high = (
                jnp.where(below, middle + 1, low),
                jnp.where(below, high, jnp.minimum(middle, high)),
            )
        return jnp.where((low < end) & (self.tokens(jnp.minimum(low, last)) == token), low, -1)


def form_of(num_children: np.ndarray, token: np.ndarray, alphabet: int) -> Form:
    """The form that is cheapest to search.

    Cost is in logits read sequentially; a gathered logit costs GATHER of them.

    num_children: i[M] per node; tokens: i[M'] into the children.
    """
    least, offset = int(token.min()), _smallest_dtype(_most_before(num_children) * 5 // 4)
    most = int(num_children.max())
    widest = most + most // 8  # room to change
    # rounded, that it may stay the same
    low = table.PAD if least == table.PAD else 1 + (least - 1) // BLOCK * BLOCK
    words = min(
        width_class(-(-(int(token.max()) + 1 - low) // BLOCK)), -(-(alphabet - low) // BLOCK)
    )
    if widest == 1:
        return Form(1, 1, False, low, words, offset)
    span = words * BLOCK
    widest = max(most, min(width_class(widest), span))
    heavy = num_children > lightest_heavy(span)
    light = width_class(int(num_children[~heavy].max(initial=0)))
    split = heavy.any() and span + GATHER * light < GATHER * widest
    return Form(widest, light if split else widest, bool(split), low, words, offset)


def lightest_heavy(span: int) -> int:
    """Number of children above which a node is heavy: its row of `span` bits costs <= 8 bytes a
    child.
    """
    return max(LIGHTEST_HEAVY, span // 64)


def misfit(num_children: np.ndarray, token: np.ndarray, form: Form) -> str | None:
    """Why a level does not fit a form, or None."""
    most, least, last = int(num_children.max()), int(token.min()), int(token.max())
    if most > form.widest or least < form.low or last >= form.low + form.words * BLOCK:
        return f"{most} children and tokens {least} .. {last}"
    if not form.chain and (offset := _most_before(num_children)) > np.iinfo(form.offset).max:
        return f"{offset} children of {BLOCK} nodes"
    if (
        form.heavy
        and least == table.PAD
        and (
            num_children[np.repeat(np.arange(len(num_children)), num_children)][token == table.PAD]
            > form.light
        ).any()
    ):
        return "a heavy node that has a PAD child"
    return None


def encode(
    num_children: np.ndarray, token: np.ndarray, form: Form, like: Level | None = None
) -> Level:
    """A level of NumPy arrays. num_children: i[M]; token: i[M'], children in order.

    like: a level whose array lengths are reused where they suffice. Raises ValueError if the form
      has no room.
    """
    if wrong := misfit(num_children, token, form):
        raise ValueError(
            f"trie: a level with {wrong} does not fit {form}; let `build` choose the form"
        )
    room = [0, 0, 0] if like is None else [len(like.offset) - 1, len(like.token), len(like.rows)]
    num_nodes, span = len(num_children), form.words * BLOCK
    token = padded(
        (token - form.low).astype(_smallest_dtype(span - 1)), size_class(len(token), room[1])
    )
    nothing = np.zeros(0, np.int32)
    rows = np.zeros((0, form.words), np.uint32)
    if form.chain:
        offset, words = np.zeros(0, np.uint8), np.zeros(0, np.uint32)
        return _on_host(nothing, offset, words, nothing, token, rows, form=form)
    size = size_class(num_nodes, room[0])
    first = np.zeros(size + 1, np.int32)
    np.cumsum(num_children, out=first[1 : num_nodes + 1])
    first[num_nodes + 1 :] = first[num_nodes]
    base = first[::BLOCK].copy()
    offset = (first - np.repeat(base, BLOCK)[: len(first)]).astype(form.offset)
    words = np.zeros(len(base), np.uint32)
    rank = np.zeros(len(base), np.int32)
    if form.heavy:
        is_heavy = num_children > form.light
        bit = padded(is_heavy.astype(np.uint8), len(base) * BLOCK)
        words = np.packbits(bit, bitorder="little").view("<u4").astype(np.uint32)
        rank[1:] = np.cumsum(bit.reshape(-1, BLOCK).sum(axis=1))[:-1]
        num_rows = (
            max(int(is_heavy.sum()), room[2], 1)
            if form.words > 1024
            else size_class(int(is_heavy.sum()), room[2])
        )
        rows = rows_of(first, token, np.flatnonzero(is_heavy), num_rows, form.words)
    return _on_host(base, offset, words, rank, token, rows, form=form)


def _on_host(*arrays: Any, form: Form) -> Level:
    """A level of NumPy arrays, in the order of its fields."""
    return Level(*arrays, form=form)


def first_children(level: Level, num_nodes: int) -> np.ndarray:
    """i64[num_nodes + 1] first child of every node, on the host; the last entry is the total."""
    if level.form.chain:
        return np.arange(num_nodes + 1)
    node = np.arange(num_nodes + 1)
    return (
        np.asarray(level.base).astype(np.int64)[node // BLOCK]
        + np.asarray(level.offset)[: num_nodes + 1]
    )


def rows_of(
    first: np.ndarray,
    token: np.ndarray,
    heavy: np.ndarray,
    num_rows: int,
    words: int,
    *,
    alive: np.ndarray | None = None,
) -> np.ndarray:
    """u32[num_rows, words] bits of the children of heavy nodes, restricted to `alive` bool[M']."""
    bits = np.zeros((num_rows, words * BLOCK), bool)
    count = first[heavy + 1] - first[heavy]
    row = np.repeat(np.arange(len(heavy)), count)
    child = np.arange(len(row)) + np.repeat(first[heavy] - (np.cumsum(count) - count), count)
    bits[row, token[child]] = True if alive is None else alive[child]
    return np.packbits(bits, axis=1, bitorder="little").view("<u4").astype(np.uint32)


def _most_before(num_children: np.ndarray) -> int:
    """Maximal number of children before a node within its block."""
    before = np.concatenate([[0], np.cumsum(num_children)])
    starts = before[::BLOCK]
    ends = before[np.minimum(np.arange(len(starts)) * BLOCK + BLOCK - 1, len(before) - 1)]
    return int((ends - starts).max())


def _smallest_dtype(most: int) -> str:
    return "uint8" if most < 2**8 else "uint16" if most < 2**16 else "int32"


def size_class(size: int, room: int = 0) -> int:
    """`room` if it suffices, else the next size of 64, 68, .. 128, 136, ..

    (at most 1/16 too large).
    """
    if 0 < size <= room:
        return room
    step = 1 << max(max(size, 64).bit_length() - 5, 0)
    return max(64, -(-size // step) * step)


def width_class(width: int) -> int:
    """The next of 1, 2, 3, 4, 6, 8, 12, ..: two significant bits."""
    step = 1 << max(width.bit_length() - 2, 0)
    return -(-width // step) * step


def padded(array: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([array, np.zeros(size - len(array), array.dtype)])
