"""Names of branches of a tree of identifiers: words that the titles below have in common."""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.index import trie
from zoo.report import html

SAMPLED, WORDS, TITLES = 120, 2, 4  # titles read per branch, words of a name, titles shown
COUNTED = 50_000  # titles whose words are counted
LETTERS = 70
_WORD = re.compile(r"[^\W\d_]{3,}")


class Names:
    """Names the documents of a trie that stand side by side."""

    def __init__(self, titles: Sequence[str], index: trie.Trie):
        self._titles = titles
        self._documents = np.asarray(index.documents)
        step = max(1, len(titles) // COUNTED)
        self._read = len(titles[::step])
        self._common = collections.Counter(
            word for title in titles[::step] for word in _words(title)
        )

    def of(self, first: int, end: int) -> dict[str, Any]:
        """Number, name and some titles of the documents at these places of the trie."""
        count = end - first
        places = np.unique(np.linspace(first, end - 1, min(count, SAMPLED)).astype(np.int64))
        titles = [html.short(self._titles[int(row)], LETTERS) for row in self._documents[places]]
        shown = titles[:: max(1, len(titles) // TITLES)][:TITLES]
        name = titles[0] if count == 1 else self._name(titles)
        return {"documents": count, "name": name, "titles": shown}

    def _name(self, titles: Sequence[str]) -> str:
        """The most telling words: frequent below, rare elsewhere."""
        below = collections.Counter(word for title in titles for word in _words(title))
        worth = {
            word: count / len(titles) * np.log((1 + self._read) / (1 + self._common[word]))
            for word, count in below.items()
            if count > 1 or len(titles) < 4
        }
        best = sorted(worth, key=lambda word: (-worth[word], word))[:WORDS]
        return " · ".join(best)


def _words(title: str) -> set[str]:
    return set(_WORD.findall(title.lower()))
