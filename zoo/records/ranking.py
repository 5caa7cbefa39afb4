"""Answers to queries: a ranking that iterates, prints as a table and converts to other formats."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from zoo.records.documents import DataError
from zoo.records.printable import printable

SHOWN_QUERIES, SHOWN_ANSWERS = 10, 10  # of a printed table
WIDTH = 60  # characters of a printed title
COLUMNS = ("query", "rank", "document", "score", "title")


class Answer(NamedTuple):
    """One document of the answers to a query."""

    document: str  # its id
    score: float
    title: str  # "" if it has none


@dataclasses.dataclass(frozen=True, repr=False)
class Ranking:
    """Answers to B queries, best first, at most k each.

    `ranking[0]` and `ranking["q1"]` are the answers to one query as a list of `Answer`, a slice is
    a smaller ranking, and iterating yields the list of each query. It prints as a table, also in a
    notebook.
    """

    query_ids: tuple[str, ...]  # B
    corpus_ids: tuple[str, ...]  # N, what `documents` indexes
    # i32[B, k] rows of the corpus, -1 = no answer; -1 only after the last answer
    documents: np.ndarray
    scores: np.ndarray  # f32[B, k], descending, -inf where there is no answer
    # fraction of generated identifiers that name no document (free decoding only)
    invalid_share: float = 0.0
    # fraction of queries whose answers are proven the k best by the system's scores; 0 for most
    # decoders
    proven_share: float = 0.0
    titles: tuple[str, ...] = ()  # N, of the corpus; () = unknown

    def __len__(self) -> int:
        return len(self.query_ids)

    def __getitem__(self, which: int | str | slice) -> Any:
        """The answers to one query, by position or id; a smaller ranking for a slice.

        Raises IndexError or KeyError if there is no such query.
        """
        if isinstance(which, slice):
            return dataclasses.replace(
                self,
                query_ids=self.query_ids[which],
                documents=self.documents[which],
                scores=self.scores[which],
            )
        if isinstance(which, str):
            if which not in self.query_ids:
                raise KeyError(f"no query {which!r}; this ranking has {self._queries()}")
            return self._answers(self.query_ids.index(which))
        if not -len(self) <= which < len(self):
            raise IndexError(f"no query number {which}; this ranking has {self._queries()}")
        return self._answers(int(which) % len(self))

    def __iter__(self) -> Iterator[list[Answer]]:
        return map(self._answers, range(len(self)))

    def __repr__(self) -> str:
        return _text(self)

    def _repr_html_(self) -> str:
        return _html(self)

    def answers(self, row: int) -> list[tuple[str, float]]:
        """(document id, score) of the answers to query number `row`, best first."""
        return [
            (self.corpus_ids[document], float(score))
            for document, score in zip(self.documents[row], self.scores[row])
            if document >= 0
        ]

    def top(self, k: int) -> Ranking:
        """The first k answers to each query."""
        return dataclasses.replace(self, documents=self.documents[:, :k], scores=self.scores[:, :k])

    def to_dicts(self) -> list[dict[str, Any]]:
        """A row per answer with the keys query, rank (from 1), document, score and title."""
        return [
            dict(zip(COLUMNS, (query, rank, answer.document, answer.score, answer.title)))
            for query, answers in zip(self.query_ids, self)
            for rank, answer in enumerate(answers, start=1)
        ]

    def to_dataframe(self) -> Any:
        """The rows of `to_dicts` as a pandas DataFrame. Raises ImportError without pandas."""
        try:
            import pandas  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise ImportError(
                "to_dataframe needs pandas: pip install pandas; to_dicts() needs nothing"
            ) from None
        return pandas.DataFrame(self.to_dicts(), columns=list(COLUMNS))

    def to_trec(self, tag: str = "zoo") -> str:
        """The lines `query Q0 document rank score tag` of a TREC run; see `falling_scores`.

        Raises DataError if an id or the tag is empty or holds a blank.
        """
        lines = []
        for query, rank, document, score in self.falling_scores():
            for name in (query, document, tag):
                if not name or name.split() != [name]:
                    raise DataError(
                        f"to_trec: a TREC run cannot hold {name!r}; ids and tag need at least one "
                        "character and no blanks"
                    )
            lines.append(f"{query} Q0 {document} {rank} {score:.9g} {tag}\n")
        return "".join(lines)

    def falling_scores(self) -> Iterator[tuple[str, int, str, np.float32]]:
        """(query, rank from 1, document, score) of each answer, for tools that sort by score alone.

        Where a score is not below the one before it, the next smaller 32-bit float is returned
        instead, so that such tools see the order of the ranking.
        Raises DataError if a score is not finite.
        """
        for row, query in enumerate(self.query_ids):
            before = np.float32(np.inf)
            for rank, (document, score) in enumerate(self.answers(row), start=1):
                if not np.isfinite(score):
                    raise DataError(
                        f"query {query}, document {document}: expected a finite score, got {score}"
                    )
                before = min(np.float32(score), np.nextafter(before, np.float32(-np.inf)))
                yield query, rank, document, before

    def _answers(self, row: int) -> list[Answer]:
        known = self.documents[row]
        return [
            Answer(
                self.corpus_ids[document],
                float(score),
                self.titles[document] if self.titles else "",
            )
            for document, score in zip(known, self.scores[row])
            if document >= 0
        ]

    def _queries(self) -> str:
        few = ", ".join(map(repr, self.query_ids[:3]))
        return f"{len(self)} queries: {few}{', ...' if len(self) > 3 else ''}"


def _shown(ranking: Ranking) -> tuple[list[Mapping[str, Any]], str]:
    """The rows that a table shows, and a line on what it leaves out ("" if nothing)."""
    shown = ranking[:SHOWN_QUERIES].top(SHOWN_ANSWERS)
    rows = shown.to_dicts()
    total = int((ranking.documents >= 0).sum())
    if len(rows) == total:
        return rows, ""
    return rows, f"{len(rows)} of {total:,} answers to {len(ranking):,} queries"


def _text(ranking: Ranking) -> str:
    rows, more = _shown(ranking)
    if not rows:
        return f"no answers to {len(ranking)} queries"
    cells = [
        [
            printable(row["query"]),
            str(row["rank"]),
            printable(row["document"]),
            f"{row['score']:.4g}",
            printable(row["title"])[:WIDTH],
        ]
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *cells)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
        for line in (COLUMNS, *cells)
    ]
    return "\n".join([*lines, more] if more else lines)


def _html(ranking: Ranking) -> str:
    rows, more = _shown(ranking)
    cell = lambda name, value: f"<{name}>{html.escape(printable(str(value)))}</{name}>"
    head = "".join(cell("th", column) for column in COLUMNS)
    body = "".join(
        "<tr>"
        + "".join(
            cell("td", f"{row[column]:.4g}" if column == "score" else row[column])
            for column in COLUMNS
        )
        + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return table + (f"<p>{html.escape(more)}</p>" if more else "")
