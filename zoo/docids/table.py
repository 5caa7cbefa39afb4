"""Docids: what every document is called, one row of tokens a document, unique and prefix-free."""

from __future__ import annotations

import dataclasses
import functools
import hashlib

import numpy as np

PAD = 0  # fills a row after the end of a short identifier; never a token of one


@dataclasses.dataclass(frozen=True, eq=False)
class Docids:
    """Identifiers of N documents, row n naming document n. Make one with `build`, which checks it."""

    tokens: np.ndarray  # i32[N, L], PAD after the end of an identifier
    alphabet: int  # V, number of tokens that a model must tell apart, PAD among them

    def __len__(self) -> int:
        return len(self.tokens)

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """i32[N] tokens of each identifier, PAD not counted."""
        return np.count_nonzero(self.tokens, axis=1).astype(np.int32)

    @functools.cached_property
    def order(self) -> np.ndarray:
        """i64[N] rows in the lexicographic order of their identifiers; equal ones in row order."""
        order = np.arange(len(self.tokens))
        for column in self.tokens.T[::-1]:
            for half in (column, column >> 16) if self.alphabet > 2**16 else (column,):
                # of 16 bits: a radix sort
                order = order[np.argsort(half.astype(np.uint16)[order], kind="stable")]
        return order

    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of shape, alphabet and tokens; tells a foreign table apart."""
        head = np.array([*self.tokens.shape, self.alphabet], "<i8")
        return hashlib.sha256(head.tobytes() + self.tokens.astype("<i4").tobytes()).hexdigest()[:16]


def build(tokens: np.ndarray, alphabet: int | None = None) -> Docids:
    """Checked Docids. Cost: one sort, O(N L log N).

    Args:
      tokens: integers [N, L], N and L at least 1, PAD = 0 only after the end of an identifier.
      alphabet: V, greater than every token; by default the largest token plus one.

    Raises:
      ValueError: naming the document, for a wrong shape or type, a token outside 0 .. V-1, a PAD before a token, an
        empty identifier; naming both documents when two are called the same or one's name begins with the other's.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or 0 in tokens.shape or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(
            f"docids: expected integers [N, L] with N, L >= 1, got {tokens.dtype} {list(tokens.shape)}"
        )
    alphabet = int(tokens.max() + 1 if alphabet is None else alphabet)
    end = min(alphabet, 2**31 - 1)  # tokens are i32
    outside = ((tokens < 0) | (tokens >= end)).any(axis=1)
    _refuse(
        tokens, outside, f"has a token outside 0 .. {end - 1}; renumber it or enlarge the alphabet"
    )

    ids = Docids(np.ascontiguousarray(tokens, np.int32), alphabet)
    _refuse(tokens, ids.lengths == 0, "is empty; give it a token")
    gap = (tokens[:, :-1] == PAD) & (tokens[:, 1:] != PAD)
    _refuse(tokens, gap.any(axis=1), f"has a pad, {PAD}, before a token; pads may only follow")
    _refuse_prefixes(ids)
    return ids


def atomic(num_documents: int) -> Docids:
    """One token of its own a document: N identifiers of length 1 over an alphabet of N + 1."""
    return build(np.arange(1, num_documents + 1, dtype=np.int32)[:, None])


def offset(ids: Docids) -> Docids:
    """The same identifiers over position-specific tokens: token + the largest tokens of all earlier positions.

    The alphabet is 1 + the sum over positions of their largest token; the lexicographic order does not change.
    """
    sizes = ids.tokens.max(axis=0)
    earlier = np.concatenate([[0], np.cumsum(sizes)])
    return build(np.where(ids.tokens == PAD, PAD, ids.tokens + earlier[:-1]), int(1 + earlier[-1]))


def lookup(ids: Docids, tokens: np.ndarray) -> np.ndarray:
    """i32[...] document called tokens[..., :], -1 where none is. Exact; cost O(L log N) a row.

    tokens: integers [..., L], PAD after the end.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim < 1 or tokens.shape[-1] != ids.tokens.shape[1]:
        length = ids.tokens.shape[1]
        raise ValueError(
            f"lookup: expected tokens [..., {length}], got {list(tokens.shape)}; decode to length {length}"
        )
    known, wanted = _keys(ids.tokens[ids.order]), _keys(tokens)
    place = np.minimum(np.searchsorted(known, wanted), len(ids) - 1)
    return np.where(known[place] == wanted, ids.order[place], -1).astype(np.int32)


def _keys(tokens: np.ndarray) -> np.ndarray:
    """One scalar a row; as bytes, most significant first, they sort as the rows do (tokens >= 0)."""
    rows = np.ascontiguousarray(tokens, ">i4")
    return rows.view(np.dtype((np.void, rows.shape[-1] * 4)))[..., 0]


def _refuse(tokens: np.ndarray, bad: np.ndarray, what: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"docids: document {row}, {tokens[row].tolist()}, {what}")


def _refuse_prefixes(ids: Docids) -> None:
    # PAD sorts first, so whatever stands between a row and a longer row that it begins also begins
    # with it:
    # looking at neighbours is enough.
    first, second = ids.order[:-1], ids.order[1:]
    same = (ids.tokens[first] == ids.tokens[second]) | (ids.tokens[first] == PAD)
    bad = np.flatnonzero(same.all(axis=1))
    if len(bad):
        a, b = int(first[bad[0]]), int(second[bad[0]])
        short, long = (ids.tokens[row, : ids.lengths[row]].tolist() for row in (a, b))
        if short == long:
            raise ValueError(
                f"docids: documents {a} and {b} are both {short}; append a tie-break token"
            )
        raise ValueError(
            f"docids: document {a} is {short}, which begins document {b}, {long}; append an end token to it"
        )
