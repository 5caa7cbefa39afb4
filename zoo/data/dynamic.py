"""A collection as a corpus that grows: D0, which systems are fitted on, then D1 to Dn.

    random   D0 and equal parts of the rest, drawn by a seed
    time     documents in the order of their values: D0 has the earliest
    field    documents of one value stay together: D0 has the most frequent values
    cluster  like field, with the numbers of clusters as values

After Zhang et al. 2025 (arXiv 2504.17519). A query belongs to the part with all of its relevant
documents.

Deviations: queries with relevant documents in several parts are left out and counted; the paper's
queries have one relevant document. The paper tests on the last 1,000 queries of each part, here
the collection's own split is asked.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from zoo import records
from zoo.records import DataError

KINDS = ("random", "cluster", "time", "field")


@dataclasses.dataclass(frozen=True, eq=False)
class Growing:
    """A collection whose documents arrive in parts. Create one with `split`."""

    collection: records.Collection
    parts: tuple[np.ndarray, ...]  # i64 rows of D0, D1, ..., Dn, each ascending

    @property
    def steps(self) -> int:
        """n, the parts that are added."""
        return len(self.parts) - 1

    @functools.cached_property
    def part_of(self) -> np.ndarray:
        """i32[N] the part of each document."""
        found = np.zeros(len(self.collection.corpus), np.int32)
        for number, rows in enumerate(self.parts):
            found[rows] = number
        return found

    def corpus(self, part: int) -> records.Corpus:
        """The documents of a part."""
        whole, rows = self.collection.corpus, self.parts[part]
        columns = (whole.ids, whole.titles, whole.texts)
        return records.Corpus(*(tuple(column[row] for row in rows) for column in columns))

    def initial(self) -> records.Collection:
        """D0 with its queries of every split; nothing of it comes from later documents."""
        qrels = {name: self._qrels(0, name) for name in self.collection.qrels}
        asked = {query for judged in qrels.values() for query in judged.grades}
        known = self.collection.queries
        rows = [row for row, query in enumerate(known.ids) if query in asked]
        return records.Collection(
            f"{self.collection.name} D0",
            self.corpus(0),
            known.take(rows),
            {name: judged for name, judged in qrels.items() if len(judged)},
        )

    def so_far(self, part: int) -> records.Collection:
        """D0 to D_part with the queries of D0: later documents bring no queries to learn from."""
        first, more = self.initial(), [self.corpus(number) for number in range(1, part + 1)]
        columns = zip(
            *((corpus.ids, corpus.titles, corpus.texts) for corpus in (first.corpus, *more))
        )
        corpus = records.Corpus(*(sum(column, ()) for column in columns))
        return dataclasses.replace(first, corpus=corpus, name=f"{self.collection.name} D{part}")

    def queries(self, part: int, split: str) -> tuple[records.Queries, records.Qrels]:
        """The queries of a split whose relevant documents are all in a part, and their judgements.

        Raises DataError if there is none.
        """
        queries, _ = self.collection.split(split)
        qrels = self._qrels(part, split)
        rows = [row for row, query in enumerate(queries.ids) if query in qrels.grades]
        if not rows:
            raise DataError(
                f"{self.collection.name}: no query of {split} has its documents in D{part}; take "
                "fewer steps, or another way to divide"
            )
        return queries.take(rows), qrels

    def left_out(self, split: str) -> int:
        """Queries of a split with relevant documents in several parts, or none in the corpus."""
        kept = sum(len(self._qrels(part, split)) for part in range(len(self.parts)))
        return len(self.collection.split(split)[0]) - kept

    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of documents and parts."""
        digest = hashlib.sha256(self.collection.corpus.fingerprint().encode())
        digest.update(self.part_of.astype("<i4").tobytes())
        return digest.hexdigest()[:16]

    def _qrels(self, part: int, split: str) -> records.Qrels:
        rows = self.collection.corpus.rows()
        kept = {}
        for query, judged in self.collection.qrels[split].grades.items():
            relevant = [name for name, grade in judged.items() if grade > 0 and name in rows]
            if relevant and {self.part_of[rows[name]] for name in relevant} == {part}:
                kept[query] = {name: judged[name] for name in relevant}
        return records.Qrels(kept)


def split(
    collection: records.Collection,
    by: str = "random",
    *,
    steps: int = 5,
    initial: float = 0.5,
    seed: int = 0,
    values: Sequence[float] | Sequence[str] | np.ndarray | None = None,
) -> Growing:
    """D0 to Dn of a collection.

    Args:
      by: one of KINDS.
      steps: n, the parts that are added.
      initial: share of the documents in D0; at least that by field and cluster, whose values stay
        together.
      seed: of the draw by random.
      values: one for each document: times, names of a field, or numbers of clusters; none by
        random.

    Raises DataError for another kind, sizes that leave a part empty, and values that do not fit.
    """
    count = len(collection.corpus)
    if by not in KINDS:
        raise DataError(f"dynamic: expected one of {', '.join(KINDS)}, got {by!r}")
    first = round(initial * count)
    if steps < 1 or not 0 < initial < 1 or first < 1 or count - first < steps:
        raise DataError(
            f"{collection.name}: {count} documents have no D0 of a share of {initial} and "
            f"{steps} parts more; take other numbers"
        )
    if (by == "random") != (values is None) or (values is not None and len(values) != count):
        got = "none" if values is None else f"{len(values)}"
        wanted = "no values" if by == "random" else f"{count} values, one for each document"
        raise DataError(f"{collection.name}: by {by} expected {wanted}, got {got}")
    if values is not None and by != "time":
        parts = _grouped([str(value) for value in values], first, steps, collection.name)
    else:
        order = (
            np.random.default_rng(seed).permutation(count)
            if values is None
            else np.argsort(np.asarray(values), kind="stable")
        )
        parts = [order[:first], *np.array_split(order[first:], steps)]
    return Growing(collection, tuple(np.sort(part).astype(np.int64) for part in parts))


def _grouped(values: list[str], first: int, steps: int, name: str) -> list[np.ndarray]:
    """Rows of D0, the most frequent values, and of the others, each put into the smallest part."""
    sizes = Counter(values).most_common()  # equal ones in order of appearance
    if len(sizes) <= steps:
        raise DataError(
            f"{name}: {len(sizes)} values cannot be divided into D0 and {steps} parts; take fewer "
            "steps"
        )
    part_of, filled = {}, np.zeros(steps + 1, np.int64)
    for number, (value, size) in enumerate(sizes):
        left = len(sizes) - number
        into = 0 if not filled[0] or (filled[0] < first and left > steps) else -1
        part_of[value] = into if into == 0 else 1 + int(np.argmin(filled[1:]))
        filled[part_of[value]] += size
    parts = np.array([part_of[value] for value in values])
    return [np.flatnonzero(parts == part) for part in range(steps + 1)]
