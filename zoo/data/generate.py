"""Queries made from documents, for documents that have few or none of their own.

A generator is a function `generate(corpus, *, per_document, seed) -> (queries, rows)`: texts and the row of the document
each was made from. DSI-QG (arXiv 2206.10128) has a trained sequence-to-sequence generator in this place; the one here
needs no training.
"""

from __future__ import annotations

import random
import re

from zoo import records

SHORTEST, LONGEST = 3, 16  # words of a generated query
TITLE_SHARE = 0.3  # of the queries name the title first

_BORDER = re.compile(r"\n+|(?<=[.;:!?])\s+")


def by_rules(corpus: records.Corpus, *, per_document: int, seed: int) -> tuple[list[str], list[int]]:
    """Sentences and random spans of words of each document, turn about; some behind the document's title.

    Documents shorter than SHORTEST words give what they have. Each document draws from a stream of its own, so adding
    documents changes no query of the others.
    """
    queries, rows = [], []
    for row, (name, title, text) in enumerate(zip(corpus.ids, corpus.titles, corpus.texts)):
        draw = random.Random(f"{seed} {name}")
        words = (text or title).split()
        sentences = [part.split() for part in _BORDER.split(text)]
        sentences = [part[:LONGEST] for part in sentences if len(part) >= SHORTEST]
        for number in range(per_document):
            if sentences and number % 2 == 0:
                span = draw.choice(sentences)
            else:
                size = draw.randint(SHORTEST + 1, LONGEST)
                first = draw.randrange(max(1, len(words) - size + 1))
                span = words[first : first + size]
            titled = title and text and draw.random() < TITLE_SHARE
            queries.append(" ".join([title, *span] if titled else span))
            rows.append(row)
    return queries, rows
