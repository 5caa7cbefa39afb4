"""A search collection made from the running interpreter's own documentation: no download, no file
written.

A document is a public function, class or method of the standard library. Its id and title are the
qualified name; its text is the name in words, the parameters ("os path join (a, p)") and what is
left of the docstring. A query is a sentence of the docstring that has been TAKEN OUT of the
document; its only relevant document is the one it was taken from.

Protocol
  1. Objects: modules in `sys.stdlib_module_names` that import here, without those in
  `stdlib.SKIPPED`. An object is
     documented once, under its shortest name in the package that defines it; of objects with the
     same docstring (inherited,
     or a method and its module-level alias) the one with the shortest name stays.
  2. A docstring is cut into sentences and other paragraphs (doctests, lists, signatures, tables). A
  sentence can be asked if it
     has 4 to 40 words, at least three quarters of them plain words, and if its words (case,
     punctuation and white space ignored)
     stand in one place of its own docstring and in no other docstring of the library.
  3. The collection holds the objects whose first sentence can be asked, if something remains of the
  docstring without it.
     The first sentence is the `test` query. Of the other sentences that can be asked the 1st, 3rd,
     5th, ... are `train`
     queries and the rest stay in the document. From every fifth document with two train queries or
     more, the last goes to `dev`.
  4. An object is left out if, after that, the words of one of its queries still follow each other
  somewhere in its document
     (heading and remaining parts may by chance join to them).

Measured on Python 3.11.7 (3.12.1; 3.13.0): 2,228 (2,227; 2,204) documents, each with one test
query; 2,404 (2,399; 2,408)
train queries on 1,624 of them, 93 (93; 94) dev queries; a document has 19 words in the median (90th
percentile 74), a query 11;
517 documents keep nothing but name and parameters. BM25 (Lucene, k1 .9, b .4, English stop words,
Snowball stemmer) on
the test queries: Hit@1 .295, Hit@10 .612 (.613; .617; .649 with k1 1.5, b .75), Hit@100 .835; with
  the train queries appended
to their documents Hit@1 .360, Hit@10 .685 (.693; .700), Hit@100 .886. A linear softmax over
documents on bags of word stems,
trained for 12 s on parts and train queries, reaches Hit@10 .67: there is something to learn, and
words alone do not settle it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

from zoo import records
from zoo.data import stdlib

FEWEST_WORDS, MOST_WORDS, PLAIN_SHARE = 4, 40, 0.75  # of a query
DEV_EVERY = 5  # documents with two train queries or more, for each that gives one to dev

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(`*\[]*[A-Z])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|no|resp|incl|Dr|St|Mr)|\b[A-Z])\.$")
# f(x[, y]) -> z -- what it does
_SIGNATURE = re.compile(r"[A-Za-z_][\w.]*\(.*\)\s*(?:(?:->|=>|--|:).*)?$")
_NOT_PROSE = re.compile(
    r"\s|>>>|\.\.\.|\.\.\s|:\w|[-*+]\s|\d+[.)]\s|\w+\(.*\)$"
)  # indented, doctest, directive, field, list item, call
_PLAIN_WORD = re.compile(r"[\"'(`*]*[A-Za-z]+(?:['/-][A-Za-z]+)*[\"')`*]*[.,;:!?]*")
_NAME_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def build(max_documents: int | None = None) -> records.Collection:
    """The collection described above, the same at every call on the same build of Python.

    About 2 s.

    max_documents: keep this many documents, evenly spaced in the order of their names; all if None.
    Raises DataError if the interpreter has no documentation to offer or max_documents is below 1.
    """
    if max_documents is not None and max_documents < 1:
        raise records.DataError(
            f"pydocs: expected max_documents of at least 1 or None, got {max_documents}"
        )
    objects = _objects()
    cut = [_cut(documentation) for _, _, documentation in objects]
    askable = _askable(cut)
    documents, queries = {}, {}
    for (name, parameters, _), parts, can_ask in zip(objects, cut, askable):
        taken = _taken(parts, can_ask)
        if taken:
            heading = f"{' '.join(_NAME_PARTS.findall(name))} ({', '.join(parameters)})"
            text = "\n".join(
                [heading, *(text for number, (_, text) in enumerate(parts) if number not in taken)]
            )
            asked = [parts[number][1] for number in taken]
            if not any(normalised(query) in normalised(f"{name}\n{text}") for query in asked):
                documents[name], queries[name] = text, asked
    if not documents:
        raise records.DataError(
            f"pydocs: {sys.executable} has no docstrings; expected thousands; use a Python built "
            "with docstrings"
        )
    kept = _spread(list(documents), max_documents)
    return _collection(
        {name: documents[name] for name in kept}, {name: queries[name] for name in kept}
    )


def normalised(text: str) -> str:
    """The words of a text in lower case with one space before, between and after.

    Equal for texts that say the same.

    >>> normalised("Join  two `path`s.")
    ' join two path s '
    """
    words = re.findall(r"[^\W_]+", text.lower())
    return f" {' '.join(words)} "


def _objects() -> list[tuple[str, list[str], str]]:
    """(name, parameters, documentation) of the public objects, listed by a fresh interpreter of the
    same build.
    """
    if not sys.executable:
        raise records.DataError(
            "pydocs: sys.executable is empty; expected the path of the interpreter; run under "
            "python itself"
        )
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", stdlib.__file__]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise records.DataError(
            f"pydocs: cannot list the standard library with {sys.executable}: {error}"
        ) from None
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise records.DataError(
            f"pydocs: listing the standard library with {' '.join(command)} failed: {last}"
        )
    return json.loads(done.stdout)


def _cut(documentation: str) -> list[tuple[bool, str]]:
    """(whether it reads as a sentence, text with single spaces) of each sentence and each other
    paragraph, in order.
    """
    parts = []
    for paragraph in re.split(r"\n\s*\n", documentation):
        lines = paragraph.split("\n")
        while lines and _SIGNATURE.match(lines[0]):
            parts.append((False, lines.pop(0)))
        if any(_NOT_PROSE.match(line) for line in lines):
            parts.append((False, " ".join(lines)))
        else:
            parts.extend((_is_sentence(text), text) for text in _sentences(" ".join(lines)))
    return [(sentence, " ".join(text.split())) for sentence, text in parts if text.strip()]


def _sentences(paragraph: str) -> list[str]:
    sentences, start = [], 0
    for end in _SENTENCE_END.finditer(paragraph):
        if not _ABBREVIATION.search(paragraph[start : end.start()]):
            sentences.append(paragraph[start : end.end()])
            start = end.end()
    return [*sentences, paragraph[start:]]


def _is_sentence(text: str) -> bool:
    words = text.split()
    plain = sum(bool(_PLAIN_WORD.fullmatch(word)) for word in words)
    return len(words) <= MOST_WORDS and plain >= max(FEWEST_WORDS, PLAIN_SHARE * len(words))


def _askable(cut: list[list[tuple[bool, str]]]) -> list[set[int]]:
    """Numbers of the parts of each document that are sentences, stand in it once and stand in no
    other document.
    """
    contents = ["".join(normalised(text) for _, text in parts) for parts in cut]
    # four successive words -> documents, so that few need a full comparison
    where: dict[tuple[str, ...], set[int]] = {}
    for row, content in enumerate(contents):
        words = content.split()
        for four in zip(words, words[1:], words[2:], words[3:]):
            where.setdefault(four, set()).add(row)
    askable = []
    for row, parts in enumerate(cut):
        askable.append(set())
        for number, (sentence, text) in enumerate(parts):
            key = normalised(text)
            others = where.get(tuple(key.split()[:4]), set()) - {row}
            if (
                sentence
                and contents[row].count(key) == 1
                and not any(key in contents[other] for other in others)
            ):
                askable[-1].add(number)
    return askable


def _taken(parts: list[tuple[bool, str]], askable: set[int]) -> list[int]:
    """Numbers of the parts that become queries, the test query first.

    None if the document is to be left out.
    """
    first = next(
        (number for number, (_, text) in enumerate(parts) if not _SIGNATURE.match(text)), None
    )
    if first not in askable or len(parts) == 1:
        return []
    return [first, *[number for number in sorted(askable) if number != first][::2]]


def _spread(names: list[str], count: int | None) -> list[str]:
    if count is None or count >= len(names):
        return names
    return [names[row * len(names) // count] for row in range(count)]


def _collection(documents: dict[str, str], asked: dict[str, list[str]]) -> records.Collection:
    """The records; `name#0` is the test query of document `name`, `name#1`, ... the others."""
    splits: dict[str, dict[str, dict[str, int]]] = {"train": {}, "dev": {}, "test": {}}
    queries = {}
    rich = 0
    for name, sentences in asked.items():
        rich += len(sentences) > 2
        for number, sentence in enumerate(sentences):
            last_of_rich = (
                len(sentences) > 2 and number == len(sentences) - 1 and rich % DEV_EVERY == 0
            )
            split = "test" if number == 0 else "dev" if last_of_rich else "train"
            queries[f"{name}#{number}"] = sentence
            splits[split][f"{name}#{number}"] = {name: 1}
    corpus = records.Corpus(tuple(documents), tuple(documents), tuple(documents.values()))
    qrels = {split: records.Qrels(judged) for split, judged in splits.items() if judged}
    return records.Collection(
        "pydocs", corpus, records.Queries(tuple(queries), tuple(queries.values())), qrels
    )
