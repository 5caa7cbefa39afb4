"""Typed records of documents, queries, judgements and answers; the types every column of the zoo speaks."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Container, Iterator, Mapping, Sequence

import numpy as np


class DataError(ValueError):
    """Bad input data; its message is one line that names the file, the place, what was expected and the remedy."""


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Documents, in a fixed order; a document's row in this order is its number everywhere else."""

    ids: tuple[str, ...]  # N unique identifiers of the owner of the data
    titles: tuple[str, ...]  # N, "" where a document has none
    texts: tuple[str, ...]  # N

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.titles) == len(self.texts):
            raise DataError(
                f"corpus: expected ids, titles and texts of one length, got {len(self.ids)}, {len(self.titles)}, {len(self.texts)}"
            )
        _refuse_repeated("corpus", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def contents(self) -> list[str]:
        """Title and text of each document joined by a newline, the field that every recipe indexes."""
        return [
            f"{title}\n{text}" if title else text for title, text in zip(self.titles, self.texts)
        ]

    def rows(self) -> dict[str, int]:
        """Row of each document id."""
        return {document: row for row, document in enumerate(self.ids)}

    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of all ids, titles and texts; tells two corpora of one name apart."""
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
        _refuse_repeated("queries", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, texts: list[str] | tuple[str, ...] | str) -> Queries:
        """Queries numbered "0", "1", ... from bare texts (or one text)."""
        texts = (texts,) if isinstance(texts, str) else tuple(texts)
        return cls(ids=tuple(str(row) for row in range(len(texts))), texts=texts)

    def take(self, rows: Sequence[int]) -> Queries:
        """The queries at these rows, in this order."""
        return Queries(tuple(self.ids[row] for row in rows), tuple(self.texts[row] for row in rows))


@dataclasses.dataclass(frozen=True, eq=False)
class Histories:
    """What users did, oldest event first: the queries of recommendation."""

    ids: tuple[str, ...]  # B unique, the users
    items: np.ndarray  # i32[E] rows of the corpus, user after user
    starts: np.ndarray  # i64[B + 1]; the events of user b are items[starts[b] : starts[b + 1]]

    def __post_init__(self) -> None:
        if (
            len(self.starts) != len(self.ids) + 1
            or self.starts[0] != 0
            or self.starts[-1] != len(self.items)
        ):
            raise DataError(
                f"histories: expected {len(self.ids) + 1} starts from 0 to {len(self.items)}, got {len(self.starts)}: {self.starts}"
            )
        if (np.diff(self.starts) < 0).any():
            raise DataError("histories: expected starts that never fall; sort the events by user")
        _refuse_repeated("histories", self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """Events of each user as i64[B]."""
        return np.diff(self.starts)

    @property
    def users(self) -> np.ndarray:
        """Row of the user of each event as i64[E]."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def history(self, row: int) -> np.ndarray:
        """Events of user number `row` as i32[...], oldest first."""
        return self.items[self.starts[row] : self.starts[row + 1]]

    @classmethod
    def of(cls, corpus: Corpus, histories: Sequence[Sequence[str]] | Sequence[str]) -> Histories:
        """Histories numbered "0", "1", ... from lists of item ids (or one list).

        Raises DataError naming an item that is not in the corpus.
        """
        words = [isinstance(one, str) for one in histories]
        if any(words) and not all(words):
            raise DataError(
                "histories: expected item ids or lists of item ids, got some of both; put each history in a list"
            )
        lists = [list(one) for one in ([histories] if all(words) else histories)]
        rows = corpus.rows()
        for number, one in enumerate(lists):
            for item in one:
                if item not in rows:
                    known = ", ".join(corpus.ids[:3])
                    raise DataError(
                        f"history {number}: item {item!r} is not in the corpus; expected ids like {known}"
                    )
        items = np.array([rows[item] for one in lists for item in one], np.int32)
        return cls(
            tuple(map(str, range(len(lists)))),
            items,
            np.cumsum([0, *map(len, lists)], dtype=np.int64),
        )

    def take(self, rows: Sequence[int]) -> Histories:
        """The histories at these rows, in this order."""
        rows = np.asarray(rows, np.int64)
        return _gathered(
            self, tuple(self.ids[row] for row in rows), self.starts[rows], self.lengths[rows]
        )

    def earlier(self, count: int | np.ndarray) -> Histories:
        """Each history without its last `count` events; one number, or i64[B]."""
        return _gathered(self, self.ids, self.starts[:-1], np.maximum(self.lengths - count, 0))

    def latest(self, count: int) -> np.ndarray:
        """The last `count` events of each user as i32[B, count], oldest first, -1 before the first."""
        place = self.starts[1:, None] - count + np.arange(count)
        inside = place >= self.starts[:-1, None]
        items = self.items if len(self.items) else np.full(1, -1, np.int32)
        return np.where(inside, items[np.where(inside, place, 0)], -1).astype(np.int32)

    def fingerprint(self) -> str:
        """First 16 hex digits of the SHA-256 of users and events."""
        digest = hashlib.sha256("\x00".join(self.ids).encode("utf-8", "surrogatepass"))
        digest.update(
            np.asarray(self.items, "<i4").tobytes() + np.asarray(self.starts, "<i8").tobytes()
        )
        return digest.hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Qrels:
    """Graded judgements: query id -> document id -> grade, 0 meaning judged and not relevant."""

    grades: Mapping[str, Mapping[str, int]]

    def __len__(self) -> int:
        return len(self.grades)

    def among(self, documents: Container[str]) -> Qrels:
        """The judgements of these documents; a query that has none left is dropped."""
        if all(name in documents for judged in self.grades.values() for name in judged):
            return self
        kept = {
            query: {name: grade for name, grade in judged.items() if name in documents}
            for query, judged in self.grades.items()
        }
        return Qrels({query: judged for query, judged in kept.items() if judged})

    def pairs(self) -> Iterator[tuple[str, str]]:
        """(query id, document id) of every judgement with a grade above 0, in file order."""
        for query, documents in self.grades.items():
            for document, grade in documents.items():
                if grade > 0:
                    yield query, document


@dataclasses.dataclass(frozen=True)
class Collection:
    """A corpus with queries and judgements by split; what `--data` names."""

    name: str
    corpus: Corpus
    queries: Queries  # of all splits
    qrels: Mapping[str, Qrels]  # split -> judgements; some may name documents that are not there
    # what a reader of the data should know, a line each
    notes: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def split(self, split: str) -> tuple[Queries, Qrels]:
        """Queries that a split judges, in the order of `queries`, and the judgements.

        Raises DataError naming the splits that exist when there is no such split.
        """
        if split not in self.qrels:
            have = ", ".join(sorted(self.qrels)) or "none"
            raise DataError(
                f"{self.name}: no split {split!r}; it has: {have}; add qrels/{split}.tsv or name another with --split"
            )
        qrels = self.qrels[split]
        kept = [
            (q, text) for q, text in zip(self.queries.ids, self.queries.texts) if q in qrels.grades
        ]
        if not kept:
            raise DataError(
                f"{self.name}: split {split!r} has no query; expected at least one line in qrels/{split}.tsv"
            )
        ids, texts = zip(*kept)
        return Queries(ids, texts), qrels

    def without(self, *splits: str) -> Collection:
        """The collection without the judgements of these splits and the queries that only they judge.

        Judgements of documents that the corpus lacks are dropped too: nothing can learn from them.
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


@dataclasses.dataclass(frozen=True, eq=False)
class Interactions:
    """Items and what users did to them; the data of a recommender.

    A split cuts each history in two: the system is asked for the first event after the cut, given
    all events before it. Under leave-one-out `test` asks for the last event and `dev` for the last
    but one, so the history of `test` ends with the event that `dev` asks for. Other splits cut each
    user at a place of their own (`zoo.data.splits`); a user whose part after the cut is empty, or
    belongs to a later split, or whose part before the cut is empty, is not asked.
    """

    name: str
    corpus: Corpus  # the items
    histories: Histories  # every user's whole sequence
    # split -> number of events after its cut: of every user alike, or i64[B]; earlier splits first
    held: Mapping[str, int | np.ndarray] = dataclasses.field(
        default_factory=lambda: {"dev": 2, "test": 1}
    )
    left_out: int = 0  # users with too few events, who are not in `histories`
    # events that share their time with another of their user
    tied: int = 0
    times: np.ndarray | None = None  # i64[E] of the events of `histories`, in any unit
    notes: tuple[str, ...] = ()  # what a reader of the data should know, a line each

    def __post_init__(self) -> None:
        numbers = [place for place in self.held.values() if isinstance(place, int)]
        fewest = max(numbers, default=0) + 1
        short = np.flatnonzero(self.histories.lengths < fewest)
        if len(short):
            raise DataError(
                f"{self.name}: user {self.histories.ids[short[0]]!r} has "
                f"{self.histories.lengths[short[0]]} events; expected at least {fewest}, so that "
                "each split has a history; leave such users out"
            )
        for split, place in self.held.items():
            if not isinstance(place, int) and not (
                place.shape == self.histories.lengths.shape
                and (place >= 0).all()
                and (place <= self.histories.lengths).all()
            ):
                raise DataError(
                    f"{self.name}: split {split!r}: expected a number from 0 to the length of the "
                    "history for each user"
                )
        if self.times is not None and self.times.shape != self.histories.items.shape:
            raise DataError(
                f"{self.name}: expected a time for each of {len(self.histories.items)} events, got "
                f"{len(self.times)}"
            )
        items = self.histories.items
        if len(items) and not 0 <= items.min() <= items.max() < len(self.corpus):
            raise DataError(
                f"{self.name}: expected events to be rows from 0 to {len(self.corpus) - 1}, got "
                f"{items.min()} to {items.max()}"
            )

    @property
    def repeated(self) -> int:
        """Number of events with an item that their user had before."""
        pairs = self.histories.users * max(len(self.corpus), 1) + self.histories.items
        return len(pairs) - len(np.unique(pairs))

    @functools.cached_property
    def qrels(self) -> Mapping[str, Qrels]:
        """Split -> the one item that each user is to be recommended."""
        return {split: self._targets(split) for split in self.held}

    def asked(self, split: str) -> np.ndarray:
        """Rows of the users that a split asks, i64[B'], ascending."""
        splits = list(self.held)
        place, lengths = self._places(split), self.histories.lengths
        asked = (place > 0) & (place < lengths)
        for later in splits[splits.index(split) + 1 :]:
            asked &= place != self._places(later)
        return np.flatnonzero(asked)

    def split(self, split: str) -> tuple[Histories, Qrels]:
        """Histories before the cut of a split, and the event of each after it.

        Raises DataError naming the splits that exist when there is no such split.
        """
        if split not in self.held:
            raise DataError(
                f"{self.name}: no split {split!r}; it has: {', '.join(sorted(self.held)) or 'none'}; "
                "name another with --split"
            )
        rows = self.asked(split)
        if not len(rows):
            raise DataError(f"{self.name}: split {split!r} has no user; expected at least one")
        before = self.histories.earlier(self._places(split))
        return before if len(rows) == len(before) else before.take(rows), self.qrels[split]

    def without(self, *splits: str) -> Interactions:
        """The interactions before the earliest cut of these splits; users without any are left out."""
        gone = [self.held[split] for split in splits if split in self.held]
        if all(isinstance(place, int) for place in self.held.values()):
            cut = max(gone, default=0)
            held = {split: place - cut for split, place in self.held.items() if place > cut}
            return dataclasses.replace(
                self, histories=self.histories.earlier(cut), held=held, times=None
            )
        cuts = functools.reduce(np.maximum, gone, np.zeros(len(self.histories), np.int64))
        histories = self.histories.earlier(cuts)
        kept = np.flatnonzero(histories.lengths)
        left = {split: (self._places(split) - cuts).clip(0)[kept] for split in self.held}
        held = {split: places for split, places in left.items() if places.any()}
        return dataclasses.replace(self, histories=histories.take(kept), held=held, times=None)

    def _places(self, split: str) -> np.ndarray:
        """Events after the cut of a split, i64[B]."""
        return np.broadcast_to(np.asarray(self.held[split], np.int64), (len(self.histories),))

    def _targets(self, split: str) -> Qrels:
        rows = self.asked(split)
        items = self.histories.items[self.histories.starts[rows + 1] - self._places(split)[rows]]
        return Qrels(
            {self.histories.ids[row]: {self.corpus.ids[item]: 1} for row, item in zip(rows, items)}
        )


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Answers to B queries, best first, at most k each."""

    query_ids: tuple[str, ...]  # B
    corpus_ids: tuple[str, ...]  # N, what `documents` indexes
    # i32[B, k] rows of the corpus, -1 = no answer; -1 only after the last answer
    documents: np.ndarray
    scores: np.ndarray  # f32[B, k], descending, -inf where there is no answer
    # share of generated identifiers that name no document (free decoding only)
    invalid_share: float = 0.0
    # share of queries whose answers are proven the k best by the system's scores; of most decoders
    # 0
    proven_share: float = 0.0
    titles: tuple[str, ...] = ()  # N, of the corpus; () = not known

    def __len__(self) -> int:
        return len(self.query_ids)

    def answers(self, row: int) -> list[tuple[str, float]]:
        """(document id, score) of the answers to query number `row`, best first."""
        return [
            (self.corpus_ids[document], float(score))
            for document, score in zip(self.documents[row], self.scores[row])
            if document >= 0
        ]

    def titled(self, row: int) -> list[tuple[str, str, float]]:
        """(document id, title, score) of the answers to query number `row`, best first; "" where there is no title."""
        title_of = dict(zip(self.corpus_ids, self.titles))
        return [(name, title_of.get(name, ""), score) for name, score in self.answers(row)]

    def top(self, k: int) -> Ranking:
        """The first k answers of each query."""
        return dataclasses.replace(self, documents=self.documents[:, :k], scores=self.scores[:, :k])


def _gathered(
    histories: Histories, ids: tuple[str, ...], firsts: np.ndarray, lengths: np.ndarray
) -> Histories:
    """Histories of `lengths` i64[B] events, from those at `firsts` i64[B] on."""
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    place = np.arange(starts[-1]) + np.repeat(firsts - starts[:-1], lengths)
    return Histories(ids, histories.items[place], starts)


def _refuse_repeated(what: str, ids: tuple[str, ...]) -> None:
    if len(set(ids)) != len(ids):
        seen: dict[str, int] = {}
        for row, name in enumerate(ids):
            if name in seen:
                raise DataError(
                    f"{what}: id {name!r} stands at rows {seen[name]} and {row}; ids must be unique, rename one"
                )
            seen[name] = row
