"""A category for each document, to colour pictures by: what its text says of it, else the first
word of its title.
"""

from __future__ import annotations

import collections
import re

from zoo import records

# of texts as `zoo.data.items.describe` writes them, best first
FIELDS = ("categories", "genres", "class", "brand")
# share of documents that a field must name; share of one value from which on it tells nothing
NAMED, DULL = 0.5, 0.9
_WORD = re.compile(r"[^\W_]+")


def of(corpus: records.Corpus) -> tuple[list[str], str]:
    """A category of each document, N, and where it was found.

    A field holds values from the general to the special: the first place at which documents differ
    is taken, so of "Beauty, Makeup, Nails" and "Beauty, Hair Care" the second.
    """
    for field in FIELDS:
        pattern = re.compile(rf"(?:^|; ){field}: ([^;]*)")
        values = [
            match[1].split(", ") if (match := pattern.search(text)) else [] for text in corpus.texts
        ]
        if sum(map(bool, values)) < NAMED * len(corpus):
            continue
        for place in range(max(map(len, values))):
            labels = [value[min(place, len(value) - 1)] if value else "none" for value in values]
            if 0 < collections.Counter(labels).most_common(1)[0][1] < DULL * len(corpus):
                return labels, f"{field}, value {place + 1}" if place else field
    words = [_WORD.search(title or text) for title, text in zip(corpus.titles, corpus.texts)]
    return [word[0] if word else "none" for word in words], "first word of the title"
