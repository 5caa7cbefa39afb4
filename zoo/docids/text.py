"""Textual identifiers: numbers as strings, titles and URLs in sub-words, ordered and unordered
keywords.

Sub-word tokens come from a function `encode`, such as `functools.partial(zoo.text.tokens.whole,
tokenizer)`; `alphabet` is then `tokens.count(tokenizer)`. A text may be a prefix of another, so
each identifier ends in a token that no text has, END = `alphabet`. POLICIES for documents of equal
text:

counter    the k-th of them in row order ends in token END + k - 1: identifiers get no longer
refuse     an error
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from zoo import records
from zoo.docids import table

END = 11  # of `naive_string`: closes a string shorter than the longest, which may begin another
POLICIES = ("counter", "refuse")
MOST_TERMS = 4  # of a keyword set: all 24 orders of each are identifiers

Encode = Callable[[Sequence[str]], Sequence[np.ndarray]]  # N texts -> N of i[...] tokens, 1 or more


def naive_string(num_documents: int, key: jax.Array) -> table.Docids:
    """Arbitrary integers as strings of digits: DSI's naive identifiers, arXiv 2202.06991, sec. 3.2.

    The integers are a random permutation of 0 .. N-1, without leading zeros; digit d is token d +
    1. "7" begins "70": every string shorter than the longest is closed by END, so no identifier
    begins another.

    Returns Docids of length = digits of N-1 and alphabet 12.
    """
    numbers = np.asarray(jax.random.permutation(key, num_documents))[:, None]  # -> [N, 1]
    width = len(str(num_documents - 1))
    digits = 1 + (numbers >= 10 ** np.arange(1, max(width, 2))).sum(axis=1, keepdims=True)
    # power of ten that stands at each position, negative after the end
    place = digits - 1 - np.arange(width)
    token = 1 + numbers // 10 ** np.maximum(place, 0) % 10
    return table.build(np.select([place >= 0, place == -1], [token, END], table.PAD), END + 1)


def next_naive(taken: np.ndarray, count: int) -> np.ndarray:
    """i32[count, L] identifiers like those of `naive_string` that are not among i32[M, L].

    First the integers from M on, then strings with leading zeros, which no integer has. Raises
    ValueError if fewer are left.
    """
    width, known = taken.shape[1], {tuple(row) for row in taken.tolist()}
    numbers = (str(number) for number in range(len(taken), 10**width))
    padded = (
        str(number).zfill(digits)
        for digits in range(2, width + 1)
        for number in range(10 ** (digits - 1))
    )
    names = map(functools.partial(_naive, width), itertools.chain(numbers, padded))
    found = list(itertools.islice((name for name in names if name not in known), count))
    if len(found) < count:
        raise ValueError(
            f"expected {count} strings of at most {width} digits that are not in use, "
            f"found {len(found)}; fit again to all documents"
        )
    return np.array(found, np.int32)


def _naive(width: int, digits: str) -> tuple[int, ...]:
    ends = (END,) if len(digits) < width else ()
    name = (*(int(digit) + 1 for digit in digits), *ends)
    return name + (table.PAD,) * (width - len(name))


def titles(
    texts: Sequence[str],
    encode: Encode,
    *,
    alphabet: int,
    length: int,
    duplicates: str,
    taken: np.ndarray | None = None,
) -> table.Docids:
    """Sub-words of each title and a closing token, GENRE's identifiers (arXiv 2010.00904, sec. 3).

    Arguments and rules: `spell`.

    Raises DataError naming the row of a title that is empty.
    """
    _refuse_empty(
        "title", texts, "name it by the beginning of its text, [title or text ...], which is cut"
    )
    return spell(
        encode(texts), alphabet=alphabet, length=length, duplicates=duplicates, taken=taken
    )


def urls(
    addresses: Sequence[str],
    titles: Sequence[str],
    encode: Encode,
    *,
    alphabet: int,
    length: int,
    duplicates: str,
) -> table.Docids:
    """Sub-words of `url_text` of each document and a closing token: Ultron's (arXiv 2208.09257,
    sec. 3). Arguments and rules: `spell`.

    titles: "" where a document has none. Raises DataError naming the row of an address of which
    nothing is left.
    """
    texts = [url_text(address, title) for address, title in zip(addresses, titles, strict=True)]
    _refuse_empty("address", texts, "expected one with a host, such as https://example.org/page")
    return spell(encode(texts), alphabet=alphabet, length=length, duplicates=duplicates)


def url_text(address: str, title: str = "") -> str:
    """Words of a URL in Ultron's order: what is specific first.

    Lower case, without scheme, query, suffix of the file, digits and punctuation; the segments of
    the path from the last to the first, then the host. A title of more than two words stands for
    the path.

    >>> url_text("https://www.example.org/animals/big-cats_2.html")
    'big cats animals www example org'
    """
    bare = re.sub(r"^[a-z][a-z0-9+.-]*://", "", address.strip().lower())
    host, *path = re.split(r"[?#]", bare, maxsplit=1)[0].split("/")
    if path:
        path[-1] = re.sub(r"\.\w+$", "", path[-1])
    content = [title.lower()] if len(title.split()) > 2 else path[::-1]
    return " ".join(re.findall(r"[^\W\d_]+", " ".join([*content, host])))


def spell(
    tokens: Sequence[np.ndarray],
    *,
    alphabet: int,
    length: int,
    duplicates: str,
    taken: np.ndarray | None = None,
) -> table.Docids:
    """Docids of N texts: their first length - 1 tokens, then a closing token.

    See the module's docstring.

    Texts that agree in their first length - 1 tokens have the same identifier, which `duplicates`
    settles.

    Args:
      tokens: N of i[...], at least one each, from 1 to alphabet - 1.
      alphabet: tokens of the texts, 0 among them; the identifiers have as many more as the most
        that are the same.
      length: L, 2 or more.
      duplicates: one of POLICIES.
      taken: i32[M, L] identifiers in use that the new ones must not repeat; their counters go on.

    Raises:
      DataError: naming the row of a text without tokens or with one out of range, or two rows that
        are the same under `refuse`.
    """
    if length < 2:
        raise records.DataError(
            "text identifiers: expected a length of 2 or more, a token and the one that closes, "
            f"got {length}"
        )
    rows = np.full((len(tokens), length), table.PAD, np.int32)
    for row, one in enumerate(map(np.asarray, tokens)):
        if not len(one):
            raise records.DataError(
                f"text identifiers: the text of row {row} has no token; give it one with a letter "
                "or digit"
            )
        if one.min() < 1 or one.max() >= alphabet:
            raise records.DataError(
                f"text identifiers: row {row} has tokens from {one.min()} to {one.max()}; "
                f"expected 1 to {alphabet - 1}: "
                "pass the alphabet of the tokenizer"
            )
        rows[row, : min(len(one), length - 1)] = one[: length - 1]
    return _closed(rows, alphabet, duplicates, taken)


class Keywords(NamedTuple):
    """Documents named by words, each a token: words[t - 1] is token t, END = len(words) + 1."""

    ids: table.Docids  # M identifiers, as many as documents or, in any order, more
    # i32[M] row of the document of each; a leaf of the trie is a row of `ids`, this maps it on
    document: np.ndarray
    words: tuple[str, ...]


def keywords(terms: Sequence[Sequence[str]], *, duplicates: str) -> Keywords:
    """Each document's words in the order given, then a closing token. Raises as `spell`."""
    words = tuple(sorted(set(itertools.chain.from_iterable(terms))))
    number = {word: 1 + t for t, word in enumerate(words)}
    rows = [np.array([number[word] for word in one], np.int32) for one in terms]
    length = 1 + max(map(len, rows), default=1)
    ids = spell(rows, alphabet=len(words) + 1, length=max(length, 2), duplicates=duplicates)
    return Keywords(ids, np.arange(len(rows), dtype=np.int32), words)


def keyword_sets(terms: Sequence[Sequence[str]], *, duplicates: str) -> Keywords:
    """Each document's set of words in every order: all permutations are its identifiers (TSGen,
    arXiv 2305.13859, sec. 3).

    At most n! rows for n words. Documents of the same set are closed by their number in every
    order.

    Raises DataError naming the row of a set of more than MOST_TERMS words or with a word twice, and
    as `spell`.
    """
    for row, one in enumerate(terms):
        if len(one) > MOST_TERMS or len(set(one)) < len(one):
            raise records.DataError(
                f"keyword sets: row {row} is {list(one)}; expected at most {MOST_TERMS} words, "
                "each once"
            )
    named = keywords([sorted(one) for one in terms], duplicates=duplicates)
    rows, document = [], []
    for row, (tokens, length) in enumerate(zip(named.ids.tokens, named.ids.lengths)):
        for order in itertools.permutations(tokens[: length - 1]):
            rows.append([*order, tokens[length - 1], *tokens[length:]])
            document.append(row)
    return Keywords(
        table.build(np.array(rows), named.ids.alphabet), np.array(document, np.int32), named.words
    )


def shortest_prefixes(ids: table.Docids) -> table.Docids:
    """The identifiers cut where they differ from all others: again none begins another. O(M L)."""
    ordered = ids.tokens[ids.order]
    equal = np.cumprod(ordered[1:] == ordered[:-1], axis=1).sum(axis=1)  # -> [M - 1] tokens shared
    shared = np.maximum(np.append(equal, 0), np.insert(equal, 0, 0))
    length = np.empty(len(ids), np.int64)
    length[ids.order] = np.minimum(shared + 1, ids.lengths[ids.order])
    columns = np.arange(length.max())
    kept = np.where(columns < length[:, None], ids.tokens[:, : len(columns)], table.PAD)
    return table.build(kept, ids.alphabet, ids.document)


def _closed(
    rows: np.ndarray, end: int, duplicates: str, taken: np.ndarray | None = None
) -> table.Docids:
    """Docids of rows i32[N, L] whose last column is PAD, each closed by `end` + its number among
    equal rows.
    """
    if duplicates not in POLICIES:
        raise records.DataError(
            f"text identifiers: no policy {duplicates!r} for duplicates; expected one of: "
            f"{', '.join(POLICIES)}"
        )
    num_taken = 0 if taken is None else len(taken)
    if taken is not None:  # without their closing tokens, which alone are `end` or more
        rows = np.concatenate([np.where(taken < end, taken, table.PAD), rows]).astype(np.int32)
    _, group = np.unique(rows, axis=0, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    group = group.reshape(-1)[order]
    number = np.empty(len(rows), np.int32)
    number[order] = np.arange(len(rows)) - np.searchsorted(group, group)
    number[:num_taken] = 0
    again = np.flatnonzero(number)
    if duplicates == "refuse" and len(again):
        first = int(np.flatnonzero((rows == rows[again[0]]).all(axis=1))[0])
        raise records.DataError(
            f"text identifiers: rows {first} and {int(again[0])} are both "
            f"{[int(t) for t in rows[again[0]] if t]} ({len(again)} rows repeat "
            "an earlier one); choose duplicates='counter', or a greater length where they were cut"
        )
    rows, number = rows[num_taken:].copy(), number[num_taken:]
    rows[np.arange(len(rows)), np.count_nonzero(rows, axis=1)] = end + number
    return table.build(rows, int(end + 1 + number.max(initial=0)))


def _refuse_empty(what: str, texts: Sequence[str], remedy: str) -> None:
    for row, one in enumerate(texts):
        if not one.strip():
            raise records.DataError(f"text identifiers: the {what} of row {row} is empty; {remedy}")
