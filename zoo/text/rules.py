"""Queries made from documents, for documents that have few or none of their own.

A generator is a function `generate(corpus, *, per_document, seed) -> (queries, rows)`: texts and
the row of the document each was made from. DSI-QG (arXiv 2206.10128) has a trained
sequence-to-sequence generator in this place; the one here needs no training.
"""

from __future__ import annotations

import collections
import math
import random
import re

from zoo import records
from zoo.text import kinds

SHORTEST, LONGEST = 3, 16  # words of a generated query
MOST_TERMS = 8
TITLE_SHARE = 0.3  # of the sentences and spans name the title first

_BORDER = re.compile(r"\n+|(?<=[.;:!?])\s+")
_TERM = re.compile(r"\w+")


def by_rules(
    corpus: records.Corpus, *, per_document: int, seed: int
) -> tuple[list[str], list[int]]:
    """Queries of three kinds, turn about: terms of a document drawn by TF-IDF weight, sentences,
    and spans of words; in place of the last two, what is asked of code, commands and FAQs
    (`zoo.text.kinds.phrases`), as far as a document has any.

    Terms are SHORTEST to MOST_TERMS different words of title and text, drawn without replacement
    with weight tf * ln(N / df) (as the terms of Ultron's pre-training, arXiv 2208.09257); some
    sentences and spans stand behind the title. Documents shorter than SHORTEST words give what they
    have. Each document draws from a stream of its own.
    """
    if not per_document:
        return [], []
    counts = [collections.Counter(_TERM.findall(content.lower())) for content in corpus.contents()]
    frequency = collections.Counter(term for count in counts for term in count)
    queries, rows = [], []
    for row, (name, title, text) in enumerate(zip(corpus.ids, corpus.titles, corpus.texts)):
        draw = random.Random(f"{seed} {name}")
        weights = {
            term: tf * (math.log(len(corpus) / frequency[term]) + 1e-3)
            for term, tf in counts[row].items()
        }
        words = text.split() or title.split() or [name]
        sentences = [part.split() for part in _BORDER.split(text)]
        sentences = [part[:LONGEST] for part in sentences if len(part) >= SHORTEST]
        asked = kinds.phrases(title, text)
        draw.shuffle(asked)
        for number in range(per_document):
            if asked and number % 3:
                queries.append(asked.pop())
                rows.append(row)
                continue
            if weights and number % 3 == 0:
                span = _terms(weights, draw)
            elif sentences and number % 3 == 1:
                span = draw.choice(sentences)
            else:
                size = draw.randint(SHORTEST + 1, LONGEST)
                first = draw.randrange(max(1, len(words) - size + 1))
                span = words[first : first + size]
            titled = title and text.strip() and number % 3 and draw.random() < TITLE_SHARE
            queries.append(" ".join([title, *span] if titled else span))
            rows.append(row)
    return queries, rows


def _terms(weights: dict[str, float], draw: random.Random) -> list[str]:
    """Different terms drawn one after another by weight: the first to ring of exponential clocks
    with these rates.
    """
    size = draw.randint(SHORTEST, MOST_TERMS)
    return sorted(weights, key=lambda term: draw.expovariate(weights[term]))[:size]
