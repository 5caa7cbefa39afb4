"""Docids: prefix-free identifiers of documents, one row of tokens each.

By default row n names document n. With `document`, a document may have several identifiers (a title
and a URL, or all orders of a set of keywords), and several documents may share one.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

PAD = 0  # fills a row after the end of a short identifier; never a token of one


@dataclasses.dataclass(frozen=True, eq=False)
class Docids:
    """M identifiers of N documents. Create one with `build`, which checks it."""

    tokens: np.ndarray  # i32[M, L], PAD after the end of an identifier
    alphabet: int  # V, number of tokens that a model must tell apart, PAD among them
    # i32[M] row of the document that each identifier names; None: identifier n names document n
    document: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    @functools.cached_property
    def documents(self) -> np.ndarray:
        """i32[M] row of the document that each identifier names."""
        if self.document is None:
            return np.arange(len(self.tokens), dtype=np.int32)
        return self.document

    @functools.cached_property
    def num_documents(self) -> int:
        """N: one more than the largest row of a document."""
        return len(self) if self.document is None else int(self.document.max()) + 1

    @functools.cached_property
    def lengths(self) -> np.ndarray:
        """i32[M] tokens of each identifier, PAD not counted."""
        return np.count_nonzero(self.tokens, axis=1).astype(np.int32)

    @functools.cached_property
    def order(self) -> np.ndarray:
        """i64[M] rows in the lexicographic order of their identifiers; equal ones in row order."""
        order = np.arange(len(self.tokens))
        for column in self.tokens.T[::-1]:
            for half in (column, column >> 16) if self.alphabet > 2**16 else (column,):
                # of 16 bits: a radix sort
                order = order[np.argsort(half.astype(np.uint16)[order], kind="stable")]
        return order

    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of shape, alphabet, tokens and, where there is one,
        `document`.
        """
        head = np.array([*self.tokens.shape, self.alphabet], "<i8")
        digest = hashlib.sha256(head.tobytes() + self.tokens.astype("<i4").tobytes())
        if self.document is not None:
            digest.update(self.document.astype("<i4").tobytes())
        return digest.hexdigest()[:16]


def build(
    tokens: np.ndarray, alphabet: int | None = None, document: np.ndarray | None = None
) -> Docids:
    """Checked Docids. Cost: one sort, O(M L log M).

    Args:
      tokens: integers [M, L], M and L at least 1, PAD = 0 only after the end of an identifier.
      alphabet: V, greater than every token; by default the largest token plus one.
      document: integers [M], row of the document of each identifier; documents may then share one.
        By default identifier n names document n, and no two are equal.

    Raises:
      ValueError: naming the row, for a wrong shape or type, a token outside 0 .. V-1, a PAD before
        a token, an empty identifier, or a negative document; naming both rows if one identifier is
        a prefix of another, documents share one without `document`, or a document has one twice.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or 0 in tokens.shape or not np.issubdtype(tokens.dtype, np.integer):
        raise ValueError(
            f"docids: expected integers [N, L] with N, L >= 1, got {tokens.dtype} "
            f"{list(tokens.shape)}"
        )
    alphabet = int(tokens.max() + 1 if alphabet is None else alphabet)
    end = min(alphabet, 2**31 - 1)  # tokens are i32
    outside: Any = ((tokens < 0) | (tokens >= end)).any(axis=1)
    _refuse(
        tokens, outside, f"has a token outside 0 .. {end - 1}; renumber it or enlarge the alphabet"
    )

    ids = Docids(
        np.ascontiguousarray(tokens, np.int32), alphabet, _checked_document(document, tokens)
    )
    _refuse(tokens, ids.lengths == 0, "is empty; give it a token")
    gap = (tokens[:, :-1] == PAD) & (tokens[:, 1:] != PAD)
    _refuse(tokens, gap.any(axis=1), f"has a pad, {PAD}, before a token; pads may only follow")
    _refuse_prefixes(ids)
    return ids


def atomic(num_documents: int) -> Docids:
    """One token per document: N identifiers of length 1 over an alphabet of N + 1."""
    return build(np.arange(1, num_documents + 1, dtype=np.int32)[:, None])


def offset(ids: Docids) -> Docids:
    """The same identifiers over position-specific tokens: token + the largest tokens of all earlier
    positions.

    The alphabet is 1 + the sum over positions of their largest token; the lexicographic order does
    not change.
    """
    sizes = ids.tokens.max(axis=0)
    earlier = np.concatenate([[0], np.cumsum(sizes)])
    tokens = np.where(ids.tokens == PAD, PAD, ids.tokens + earlier[:-1])
    return build(tokens, int(1 + earlier[-1]), ids.document)


def lookup(ids: Docids, tokens: np.ndarray) -> np.ndarray:
    """i32[...] document named tokens[..., :], the first row of several; -1 = none.

    tokens: integers [..., L], PAD after the end. Exact; cost O(L log M) a row.
    """
    first, end = span(ids, tokens)
    row = ids.order[np.minimum(first, len(ids) - 1)]
    return np.where(first < end, ids.documents[row], -1).astype(np.int32)


def span(ids: Docids, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Range of identifiers equal to tokens[..., :] in `ids.order`: first i64[...], end i64[...].

    The documents that they name are ids.documents[ids.order[first:end]].
    """
    tokens = np.asarray(tokens)
    if tokens.ndim < 1 or tokens.shape[-1] != ids.tokens.shape[1]:
        length = ids.tokens.shape[1]
        raise ValueError(
            f"lookup: expected tokens [..., {length}], got {list(tokens.shape)}; decode to length "
            f"{length}"
        )
    known, wanted = _keys(ids.tokens[ids.order]), _keys(tokens)
    return np.searchsorted(known, wanted), np.searchsorted(known, wanted, side="right")


def subset(ids: Docids, documents: np.ndarray) -> Docids:
    """The identifiers of some documents, bool[N]; the rows of documents do not change."""
    kept = np.flatnonzero(np.asarray(documents, bool)[ids.documents])
    return Docids(ids.tokens[kept], ids.alphabet, ids.documents[kept])


def gather(ids: Docids, documents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows i32[B, E] of documents i32[B, E] and their identifiers i32[B, E, L]; -1 = none.

    Where a document has up to m identifiers, the second axis is E m, with a place for each.
    """
    if ids.document is None:
        return documents, ids.tokens[np.maximum(documents, 0)]
    order = np.argsort(ids.document, kind="stable")
    first = np.searchsorted(ids.document[order], documents)
    end = np.searchsorted(ids.document[order], documents, side="right")
    place = first[..., None] + np.arange(np.bincount(ids.document).max())  # -> [B, E, m]
    found = (documents >= 0)[..., None] & (place < end[..., None])
    tokens = ids.tokens[order[np.minimum(place, len(ids) - 1)]]
    rows = np.where(found, documents[..., None], -1).astype(np.int32)
    return rows.reshape(len(rows), -1), tokens.reshape(len(rows), -1, tokens.shape[-1])


def join(ids: Docids, more: Docids) -> Docids:
    """The identifiers of both; rows of documents of `more` follow those of `ids`.

    Raises ValueError as `build`, if an identifier begins another or, where both are one-to-one, is
    equal.
    """
    document = None
    if ids.document is not None or more.document is not None:
        document = np.concatenate([ids.documents, more.documents + ids.num_documents])
    tokens = np.concatenate([ids.tokens, more.tokens])
    return build(tokens, max(ids.alphabet, more.alphabet), document)


def pack(ids: Docids) -> dict[str, np.ndarray]:
    """The identifiers as part of the state of a system."""
    state = {"tokens": ids.tokens, "alphabet": np.asarray(ids.alphabet)}
    return state if ids.document is None else state | {"document": ids.document}


def unpack(state: Mapping[str, Any]) -> Docids:
    """What `pack` made, unchecked."""
    document = state.get("document")
    return Docids(
        np.asarray(state["tokens"]),
        int(state["alphabet"]),
        None if document is None else np.asarray(document),
    )


def _checked_document(document: np.ndarray | None, tokens: np.ndarray) -> np.ndarray | None:
    if document is None:
        return None
    document = np.asarray(document)
    if document.shape != tokens.shape[:1] or not np.issubdtype(document.dtype, np.integer):
        raise ValueError(
            f"docids: expected document as integers [{len(tokens)}], one per identifier, "
            f"got {document.dtype} {list(document.shape)}"
        )
    _refuse(tokens, document < 0, "names a negative document; rows count from 0")
    return np.ascontiguousarray(document, np.int32)


def _keys(tokens: np.ndarray) -> np.ndarray:
    """One scalar per row, big-endian bytes that sort like the rows (tokens >= 0)."""
    rows = np.ascontiguousarray(tokens, ">i4")
    return rows.view(np.dtype((np.void, rows.shape[-1] * 4)))[..., 0]


def _refuse(tokens: np.ndarray, bad: np.ndarray, what: str) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise ValueError(f"docids: document {row}, {tokens[row].tolist()}, {what}")


def _refuse_prefixes(ids: Docids) -> None:
    # PAD sorts first, so every row between an identifier and a longer one that it begins is begun
    # by it too:
    # comparing neighbours is enough.
    first, second = ids.order[:-1], ids.order[1:]
    equal = ids.tokens[first] == ids.tokens[second]
    bad = (equal | (ids.tokens[first] == PAD)).all(axis=1)
    if ids.document is not None:  # equal rows are in row order, not in that of their documents
        repeated = equal.all(axis=1)
        bad &= ~repeated
        if repeated.any():
            _refuse_repeated(ids)
    bad = np.flatnonzero(bad)
    if len(bad):
        a, b = int(first[bad[0]]), int(second[bad[0]])
        short, long = (ids.tokens[row, : ids.lengths[row]].tolist() for row in (a, b))
        if short == long:
            raise ValueError(
                f"docids: documents {a} and {b} are both {short}; append a tie-break token"
            )
        raise ValueError(
            f"docids: document {a} is {short}, which begins document {b}, {long}; append an end "
            "token to it"
        )


def _refuse_repeated(ids: Docids) -> None:
    """Raises ValueError if a document has the same identifier twice."""
    pairs = np.column_stack([ids.tokens, ids.documents])
    _, first, count = np.unique(pairs, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        row = int(first[count > 1].min())
        name = ids.tokens[row, : ids.lengths[row]].tolist()
        raise ValueError(
            f"docids: document {int(ids.documents[row])} has the identifier {name} twice; drop one"
        )
