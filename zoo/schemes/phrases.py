"""The scheme of ZeroGR (Sun et al. 2025): a document is named in words of a language model.

The words are phrases of the document (`zoo.text.phrases`), its title, or what a file says.
"""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from zoo import records
from zoo.docids import table, text
from zoo.records import DataError
from zoo.text import language, phrases

PHRASES, TITLE = "phrases", "title"
ID, NAME = "id", "name"  # of a line of a file of names


def fit(
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    key: jax.Array,
    log: Any,
    *,
    tokenizer: str = "",
    names: str = PHRASES,
    length: int = 16,
) -> tuple[dict, table.Docids]:
    """State and identifiers.

    tokenizer: of the language model; "" trains one on the names. names: phrases, title (phrases
    where a document has none), or a JSONL file of {"id", "name"} (phrases for those it leaves out).
    length: tokens of an identifier at most, with the one that closes it.
    """
    counts = phrases.count(corpus.contents())
    read = {} if names in (PHRASES, TITLE) else read_names(names)
    if read and not read.keys() & set(corpus.ids):
        raise DataError(f"{names}: names no document of this collection")
    spoken = _names(corpus, names, read, counts)
    tokenizer = tokenizer or language.train(spoken, size=4000)
    ids = _spell(tokenizer, spoken, length, None)
    ids = table.Docids(ids.tokens[:, : ids.lengths.max()], ids.alphabet)
    # words of one document teach nothing of another, and their count is that of an unknown word
    kept = {word: number for word, number in counts.words.items() if number > 1}
    state = {
        "tokenizer": tokenizer,
        "names": names if names in (PHRASES, TITLE) else PHRASES,
        "counts": json.dumps([counts.documents, kept], ensure_ascii=False),
        "sizes": ids.tokens.max(axis=0),
    }
    return state, ids


def assign(
    state: Mapping[str, Any],
    corpus: records.Corpus,
    vectors: np.ndarray | None,
    taken: table.Docids,
) -> table.Docids:
    """Identifiers of new documents by title or phrases, cut to the length of those in use."""
    documents, counted = json.loads(state["counts"])
    spoken = _names(corpus, state["names"], {}, phrases.Counts(documents, counted))
    ids = _spell(state["tokenizer"], spoken, taken.tokens.shape[1], taken.tokens)
    return table.Docids(ids.tokens, max(ids.alphabet, taken.alphabet))


def read_names(path: str) -> dict[str, str]:
    """Name by document of a JSONL file. Raises DataError naming the line that is none."""
    if not pathlib.Path(path).is_file():
        raise DataError(
            f"names: expected {PHRASES}, {TITLE} or a JSONL file of {ID} and {NAME}, got {path!r}"
        )
    found = {}
    for number, line in enumerate(pathlib.Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            document, name = row[ID], row[NAME]
        except (ValueError, KeyError, TypeError, RecursionError):
            document = name = None
        if not isinstance(document, str) or not isinstance(name, str) or not name.strip():
            raise DataError(
                f'{path}:{number}: expected {{"{ID}": "...", "{NAME}": "..."}}, got {line[:60]!r}'
            )
        found[document] = " ".join(name.split())
    return found


def _names(
    corpus: records.Corpus, names: str, read: Mapping[str, str], counts: phrases.Counts
) -> list[str]:
    made = []
    for name, title, body in zip(corpus.ids, corpus.titles, corpus.texts):
        spoken = read.get(name) or (title if names == TITLE else "")
        # a document of no words is called by its id
        made.append(spoken.strip().lower() or phrases.name(title, body, counts) or name)
    return made


def _spell(tokenizer: str, names: list[str], length: int, taken: np.ndarray | None) -> table.Docids:
    encode = functools.partial(language.spell, tokenizer)
    return text.titles(
        names,
        encode,
        alphabet=language.count(tokenizer) + 1,
        length=length,
        duplicates="counter",
        taken=taken,
    )
