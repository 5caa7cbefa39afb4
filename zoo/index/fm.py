"""An FM-index over the tokens of a corpus: every n-gram of a document is an identifier.

SEAL, arXiv 2204.10628, sec. 3. The index stores the documents reversed, each followed by a
separator. An n-gram read backwards is a prefix of some suffixes of that text, which are adjacent
once sorted: an n-gram is a range of rows. The token before each of these suffixes, the last column
of the Burrows-Wheeler matrix, is the token after that occurrence of the n-gram, so appending a
token is one step of backward search (Ferragina and Manzini 2005): two walks down a wavelet matrix
(`zoo.index.wavelet`).

A node is a range of rows, i32[2]: first row and end; its width is the number of occurrences.
Separators are 0, like PAD, and never legal: no n-gram crosses a document boundary, and an n-gram at
the end of its document has no child.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo import records
from zoo.docids import table
from zoo.index import children as winners, continuations, level, suffixes, topk, wavelet

TESTED = 64
SAMPLED = 8  # every so many places of a document one is kept


class Occurrences(NamedTuple):
    """The occurrences of an n-gram; -1 past the last."""

    document: jax.Array  # i32[..., most] row, as often as the n-gram occurs in it
    end: jax.Array  # i32[..., most] place in the document of the token after the n-gram


def _static(**kwargs):
    return dataclasses.field(metadata={"static": True}, **kwargs)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class FMIndex:
    """A pytree: pass it to a jitted function as an argument.

    Arrays are padded to size classes (`level.size_class`).
    """

    column: wavelet.Wavelet  # the token after each row's n-gram, 0 = the document ends
    marked: jax.Array  # u32[R, wavelet.ROW] rows of which the place is kept
    place: jax.Array  # i32[n / SAMPLED] of the marked rows, in the reversed text
    starts: jax.Array  # i32[N + 1] place of each document in the reversed text; padded with n
    size: jax.Array  # i32[] n, tokens and separators
    alphabet: int = _static()  # V
    tested: int = _static()  # most tokens of a wide node that `choose` tries before it looks at all

    def start(self, batch: int) -> jax.Array:
        """i32[B, 1, 2], the empty n-gram for every query: all rows."""
        return jnp.broadcast_to(jnp.stack([jnp.zeros_like(self.size), self.size]), (batch, 1, 2))

    def expand(
        self, t: int, node: jax.Array, logits: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Logit f32[B, K, V'], token and node i32[B, K, V', 2] of each token.

        The logit is -inf if the n-gram does not occur with that token. Exact, for logits f32[B, K,
        V'], V' >= V. Cost: 2 V gathers per node, and memory for B K V' nodes; `choose` needs
        neither.
        """
        self._check(logits)
        token = jax.lax.broadcasted_iota(jnp.int32, logits.shape, 2)
        child = self.children(node)
        child = jnp.pad(child, [(0, 0)] * 2 + [(0, logits.shape[2] - self.alphabet), (0, 0)])
        return jnp.where(child[..., 0] < child[..., 1], logits, -jnp.inf), token, child

    def choose(
        self,
        t: int,
        node: jax.Array,
        before: jax.Array,
        logits: jax.Array,
        *,
        width: int,
        score: winners.Score,
    ) -> winners.Winners:
        """The `width` best children of nodes i32[B, K, 2], equal to `beam.best_children`.

        See `automaton.Choosing`. Cost: `continuations.best`, which tries `tested` tokens per node
        first. score="renormalised" needs the mass of all children, 2 V gathers per node.
        """
        self._check(logits)
        if score == "model":
            logits = jax.nn.log_softmax(logits, axis=-1)
        gain = logits[..., : self.alphabet]
        pad = jax.lax.broadcasted_iota(jnp.int32, gain.shape, 2) == table.PAD
        gain = jnp.where(pad, -jnp.inf, gain)
        if score == "renormalised":
            flat = lambda x: x.reshape(-1, x.shape[-1])
            gain = jax.lax.map(
                lambda pair: self._renormalized(*pair), (flat(node), flat(gain))
            ).reshape(gain.shape)
        gain = jnp.where(gain < jnp.inf, gain, -jnp.inf)  # no NaN
        total, token, parent = continuations.best(
            self.column, node, before, gain, width=width, tested=self.tested
        )
        return winners.Winners(total, token, self.extend(topk.pick(node, parent), token), parent)

    def leaf(self, length: int, node: jax.Array) -> jax.Array:
        """i32[...] first row of an n-gram, unique among n-grams of one length.

        -1 if it does not occur.
        """
        return jnp.where(node[..., 0] < node[..., 1], node[..., 0], -1)

    def extend(self, node: jax.Array, token: jax.Array) -> jax.Array:
        """i32[..., 2] nodes i32[..., 2] with tokens i32[...] appended.

        Empty if that does not occur.
        """
        known = (token > table.PAD) & (token < self.alphabet)
        child = self.column.follow(jnp.where(known, token, 0)[..., None], node)
        return jnp.where(known[..., None], child, 0)

    def children(self, node: jax.Array) -> jax.Array:
        """i32[..., V, 2] nodes i32[..., 2] with every token appended.

        Empty (first row = end) if that does not occur, as for token 0.
        """
        child = jnp.moveaxis(self.column.follow_all(node)[..., : self.alphabet], -2, -1)
        return child.at[..., table.PAD, :].set(0)

    @jax.jit
    def find(self, tokens: jax.Array) -> jax.Array:
        """i32[..., 2] nodes of n-grams i32[..., L], padded with PAD; all rows for no tokens."""
        tokens = jnp.asarray(tokens)
        node = jnp.broadcast_to(self.start(1)[0, 0], (*tokens.shape[:-1], 2))
        append = lambda node, token: (
            jnp.where((token == table.PAD)[..., None], node, self.extend(node, token)),
            None,
        )
        return jax.lax.scan(append, node, jnp.moveaxis(tokens, -1, 0))[0]

    def count(self, tokens: jax.Array) -> jax.Array:
        """i32[...] occurrences of n-grams i32[..., L], padded with PAD."""
        node = self.find(tokens)
        return node[..., 1] - node[..., 0]

    @functools.partial(jax.jit, static_argnames="most")
    def locate(self, node: jax.Array, *, most: int) -> Occurrences:
        """The first `most` occurrences of n-grams, in row order, which is not corpus order.

        node: i32[..., 2]. Cost: up to SAMPLED - 1 steps of D gathers per occurrence.
        """
        row = node[..., :1] + jax.lax.broadcasted_iota(
            jnp.int32, (*node.shape[:-1], most), node.ndim - 1
        )
        real = row < node[..., 1:]

        def step(_, state):
            row, steps = state
            _, kept = wavelet.rank(self.marked, row)
            _, before = self.column.read(row)
            return jnp.where(kept == 1, row, before), steps + 1 - kept

        row, steps = jax.lax.fori_loop(
            0, SAMPLED - 1, step, (jnp.where(real, row, 0), jnp.zeros_like(row))
        )
        place = self.place[wavelet.rank(self.marked, row)[0]] + steps
        document = jnp.searchsorted(self.starts, place, side="right").astype(jnp.int32) - 1
        end = self.starts[document + 1] - 1 - place  # the text is reversed
        return Occurrences(jnp.where(real, document, -1), jnp.where(real, end, -1))

    def _renormalized(self, node: jax.Array, gain: jax.Array) -> jax.Array:
        """f32[V] log-probabilities renormalised over the children of one node."""
        return jax.nn.log_softmax(
            jnp.where(continuations.can_follow(self.column, node, self.alphabet), gain, -jnp.inf)
        )

    def _check(self, logits: jax.Array) -> None:
        if logits.shape[-1] < self.alphabet:
            raise ValueError(
                f"fm: expected logits over {self.alphabet} tokens or more, got {logits.shape[-1]}; "
                "size the output layer by the alphabet of the corpus"
            )


class Rows(NamedTuple):
    """The sorted suffixes of the reversed documents, on the host."""

    text: np.ndarray  # i32[n] documents reversed, each followed by a separator
    starts: np.ndarray  # i64[N + 1] of the documents in it
    place: np.ndarray  # i32[n] in the text, of each row

    def locate(self, row: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Document i64[...] of n-grams at rows i[...], and the place in it of the token after."""
        place = self.place[row]
        document = np.searchsorted(self.starts, place, side="right") - 1
        return document, self.starts[document + 1] - 1 - place


def sort(tokens: np.ndarray, starts: np.ndarray, *, alphabet: int) -> Rows:
    """The rows of an index of N documents. Arguments, cost and errors: see `build`."""
    tokens, starts = np.asarray(tokens), np.asarray(starts, np.int64)
    _refuse(tokens, starts, alphabet)
    document = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    closed = starts + np.arange(len(starts))  # starts in the text with separators
    text = np.zeros(int(closed[-1]), np.int32)
    text[closed[document + 1] - 2 - (np.arange(len(tokens)) - starts[document])] = tokens
    return Rows(text, closed, suffixes.suffix_array(text, alphabet))


def build(
    tokens: np.ndarray, starts: np.ndarray, *, alphabet: int, tested: int = TESTED
) -> FMIndex:
    """FM-index of N documents, on the device.

    Host cost: `suffixes.suffix_array` and a pass per bit of a token. Bytes per token: log2(V) / 7
    in the wavelet matrix, 4 / SAMPLED and 1 / 7 to locate; 2.8 for V = 2^15; plus 4 per document.

    Args:
      tokens: i[n] in 1 .. alphabet - 1, document after document; n + N < 2^31.
      starts: i64[N + 1]; document d is tokens[starts[d] : starts[d + 1]], empty documents included.
      alphabet: V; logits of a search have at least as many entries.
      tested: tokens of a wide node that a search tries first; answers do not depend on it.

    Raises DataError naming the document of an invalid token.
    """
    return of_rows(sort(tokens, starts, alphabet=alphabet), alphabet=alphabet, tested=tested)


def of_rows(rows: Rows, *, alphabet: int, tested: int = TESTED) -> FMIndex:
    """FM-index of sorted documents, see `build`."""
    closed, size = rows.starts, len(rows.text)
    column = wavelet.build(rows.text[rows.place - 1], alphabet)
    inside = np.arange(size) - np.repeat(closed[:-1], np.diff(closed))
    kept = (inside % SAMPLED == 0)[rows.place]
    place = rows.place[kept]
    starts = np.append(closed, np.full(level.size_class(len(closed)) - len(closed), size))
    on_host: dict[str, Any] = {
        "marked": wavelet.pack(kept),
        "place": level.padded(place, level.size_class(len(place))),
        "starts": starts.astype(np.int32),
        "size": np.int32(size),
    }
    host = FMIndex(column=column, alphabet=alphabet, tested=tested, **on_host)
    return jax.tree.map(jnp.asarray, host)


def _refuse(tokens: np.ndarray, starts: np.ndarray, alphabet: int) -> None:
    if tokens.ndim != 1 or not np.issubdtype(tokens.dtype, np.integer):
        raise records.DataError(
            f"fm: expected integer tokens [n], got {tokens.dtype} {list(tokens.shape)}; join the "
            "documents with ngrams.join"
        )
    if (
        len(starts) < 2
        or starts[0] != 0
        or starts[-1] != len(tokens)
        or (np.diff(starts) < 0).any()
    ):
        raise records.DataError(
            f"fm: expected starts of one document or more that rise from 0 to {len(tokens)}, got "
            f"{starts}"
        )
    if len(tokens) + len(starts) > 2**31 - 1:
        raise records.DataError(
            f"fm: {len(tokens)} tokens in {len(starts) - 1} documents are over 2^31; index the "
            "corpus in parts"
        )
    bad = np.flatnonzero((tokens <= table.PAD) | (tokens >= alphabet))
    if len(bad):
        document = int(np.searchsorted(starts, bad[0], side="right")) - 1
        raise records.DataError(
            f"fm: document {document} has the token {int(tokens[bad[0]])} at place "
            f"{int(bad[0] - starts[document])}; expected tokens from "
            f"1 to {alphabet - 1}, 0 closes documents; renumber them or enlarge the alphabet"
        )
