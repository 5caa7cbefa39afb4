"""Documents, queries and relevance judgements."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import types
from collections.abc import Container, Iterator, Mapping, Sequence


class DataError(ValueError):
    """Bad input data; the message is one line: file and place, expected, got, remedy."""


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Documents in a fixed order; elsewhere a document is called by its row in this order."""

    ids: tuple[str, ...]  # N unique ids in the user's data
    titles: tuple[str, ...]  # N, "" = no title
    texts: tuple[str, ...]  # N

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.titles) == len(self.texts):
            raise DataError(
                f"corpus: expected ids, titles and texts of equal length, got {len(self.ids)}, "
                f"{len(self.titles)}, {len(self.texts)}"
            )
        refuse_repeated("corpus", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def contents(self) -> list[str]:
        """Title and text of each document, joined by a newline: the text that recipes index."""
        return [
            f"{title}\n{text}" if title else text for title, text in zip(self.titles, self.texts)
        ]

    def rows(self) -> Mapping[str, int]:
        """Row of each document id."""
        return self._rows

    @functools.cached_property
    def _rows(self) -> Mapping[str, int]:
        return types.MappingProxyType({document: row for row, document in enumerate(self.ids)})

    def __getstate__(self) -> dict:  # without `_rows`
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of all ids, titles and texts."""
        digest = hashlib.sha256()
        for column in (self.ids, self.titles, self.texts):
            for value in column:
                digest.update(value.encode("utf-8", "surrogatepass") + b"\x00")
        return digest.hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Queries:
    """Queries in a fixed order."""

    ids: tuple[str, ...]  # B unique
    texts: tuple[str, ...]  # B

    def __post_init__(self) -> None:
        if len(self.ids) != len(self.texts):
            raise DataError(
                f"queries: expected as many ids as texts, got {len(self.ids)} and {len(self.texts)}"
            )
        refuse_repeated("queries", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, texts: list[str] | tuple[str, ...] | str) -> Queries:
        """Queries with the ids "0", "1", ... from texts, or from one text."""
        texts = (texts,) if isinstance(texts, str) else tuple(texts)
        return cls(ids=tuple(str(row) for row in range(len(texts))), texts=texts)

    def take(self, rows: Sequence[int]) -> Queries:
        """The queries at these rows, in this order."""
        return Queries(tuple(self.ids[row] for row in rows), tuple(self.texts[row] for row in rows))


@dataclasses.dataclass(frozen=True)
class Qrels:
    """Graded relevance judgements: query id -> document id -> grade, 0 = not relevant."""

    grades: Mapping[str, Mapping[str, int]]

    def __len__(self) -> int:
        return len(self.grades)

    def among(self, documents: Container[str]) -> Qrels:
        """The judgements of these documents; queries without any are dropped."""
        if all(name in documents for judged in self.grades.values() for name in judged):
            return self
        kept = {
            query: {name: grade for name, grade in judged.items() if name in documents}
            for query, judged in self.grades.items()
        }
        return Qrels({query: judged for query, judged in kept.items() if judged})

    def pairs(self) -> Iterator[tuple[str, str]]:
        """(query id, document id) of each judgement with a grade above 0, in file order."""
        for query, documents in self.grades.items():
            for document, grade in documents.items():
                if grade > 0:
                    yield query, document


@dataclasses.dataclass(frozen=True)
class Collection:
    """A corpus with queries and judgements by split; the data of a system that searches."""

    name: str
    corpus: Corpus
    queries: Queries  # of all splits
    qrels: Mapping[str, Qrels]  # split -> judgements, also of documents outside the corpus
    # remarks on how the data were read, one line each
    notes: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def split(self, split: str) -> tuple[Queries, Qrels]:
        """The queries with judgements in a split, in the order of `queries`, and the judgements.

        Raises DataError naming the splits that exist when there is no such split.
        """
        if split not in self.qrels:
            have = ", ".join(sorted(self.qrels)) or "none"
            raise DataError(
                f"{self.name}: no split {split!r}; it has: {have}; add qrels/{split}.tsv or name "
                "another with --split"
            )
        qrels = self.qrels[split]
        kept = [
            (q, text) for q, text in zip(self.queries.ids, self.queries.texts) if q in qrels.grades
        ]
        if not kept:
            raise DataError(
                f"{self.name}: split {split!r} has no query; expected at least one line in "
                f"qrels/{split}.tsv"
            )
        ids, texts = zip(*kept)
        return Queries(ids, texts), qrels

    def without(self, *splits: str) -> Collection:
        """The collection without these splits' judgements and the queries that only they judge.

        Judgements of documents outside the corpus are dropped too: they cannot be learned from.
        """
        known = set(self.corpus.ids)
        qrels = {name: q.among(known) for name, q in self.qrels.items() if name not in splits}
        hidden = {q for name in splits if name in self.qrels for q in self.qrels[name].grades}
        hidden -= {q for judged in qrels.values() for q in judged.grades}
        kept = [
            (q, text) for q, text in zip(self.queries.ids, self.queries.texts) if q not in hidden
        ]
        ids, texts = zip(*kept) if kept else ((), ())
        return dataclasses.replace(self, queries=Queries(tuple(ids), tuple(texts)), qrels=qrels)


def refuse_repeated(what: str, ids: tuple[str, ...]) -> None:
    if len(set(ids)) != len(ids):
        seen: dict[str, int] = {}
        for row, name in enumerate(ids):
            if name in seen:
                raise DataError(
                    f"{what}: rows {seen[name]} and {row} have the id {name!r}; "
                    "ids must be unique, rename one"
                )
            seen[name] = row
