"""The tldr-pages as a search collection: what a user wants to do -> the command that does it.

A document is an English page: its id is platform/command, its title the command, its text the
description and the command lines. A query is the description of one example ("Extract an archive
into the current directory"), which stands on the page but not in the document. Pages that only
point to another one, pages without examples, and descriptions that stand on more than one page
("Display help") are left out. Per page one query is for `test` if there are at least 3 and one for
`dev` if at least 6; the rest is `train`, so that every test document has train queries. Which ones
is drawn with a seed.

By the tldr-pages team and contributors, CC BY 4.0. At the commit below: 6,826 documents, 20,429
train, 1,748 dev and 4,970 test queries; BM25 (k1 .9, b .4) Hit@10 .658, with the train queries
appended to their documents .797.
"""

from __future__ import annotations

import pathlib
import re
import zipfile
from collections import Counter

import numpy as np

from zoo import records

COMMIT = "08e345f42639f67d99282813247ac670dc6e87cb"
ADDRESS = f"https://github.com/tldr-pages/tldr/archive/{COMMIT}.zip"
FEWEST_FOR_TEST, FEWEST_FOR_DEV = 3, 6  # queries of a page

_POINTER = re.compile(r"This command (?:is an alias of|has been moved|has been renamed)")
_NO_CONTENT = re.compile(r"(?:More information|See also):")
_MNEMONIC = re.compile(r"\[(\w+)\]")  # e[x]tract


def read(archive: pathlib.Path, *, seed: int = 0) -> records.Collection:
    """The collection in a zip archive of the repository.

    Raises DataError if the archive is broken or holds no page.
    """
    try:
        with zipfile.ZipFile(archive) as members:
            names = sorted(
                name
                for name in members.namelist()
                if re.fullmatch(r"[^/]+/pages/[^/]+/[^/]+\.md", name)
            )
            pages = {
                name.split("/pages/")[1].removesuffix(".md"): _page(
                    members.read(name).decode("utf-8")
                )
                for name in names
            }
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise records.DataError(
            f"{archive}: expected a zip archive of tldr-pages: {error}; remove it and try again"
        ) from None
    pages = {name: page for name, page in pages.items() if page is not None}
    if not pages:
        raise records.DataError(
            f"{archive}: expected pages/PLATFORM/COMMAND.md in the archive, found none; get it "
            f"from {ADDRESS}"
        )
    pages_with = Counter(
        asked
        for _, _, examples in pages.values()
        for asked in {example.lower() for example in examples}
    )
    rng = np.random.default_rng(seed)
    queries, splits = {}, {"train": {}, "dev": {}, "test": {}}
    for name, (_, _, examples) in pages.items():
        own = [example for example in dict.fromkeys(examples) if pages_with[example.lower()] == 1]
        drawn = rng.permutation(len(own))
        test = drawn[0] if len(own) >= FEWEST_FOR_TEST else -1
        dev = drawn[1] if len(own) >= FEWEST_FOR_DEV else -1
        for number, example in enumerate(own):
            queries[f"{name}#{number}"] = example
            splits["test" if number == test else "dev" if number == dev else "train"][
                f"{name}#{number}"
            ] = {name: 1}
    return records.Collection(
        "tldr",
        records.Corpus(
            tuple(pages),
            *(
                tuple(column)
                for column in zip(*((title, text) for title, text, _ in pages.values()))
            ),
        ),
        records.Queries(tuple(queries), tuple(queries.values())),
        {split: records.Qrels(judged) for split, judged in splits.items() if judged},
    )


def _page(markdown: str) -> tuple[str, str, list[str]] | None:
    """(command, description || command lines, example descriptions) of a page.

    None if it is left out.
    """
    lines = [line.strip() for line in markdown.splitlines()]
    titles = [line[2:] for line in lines if line.startswith("# ")]
    description = [_plain(line[1:].strip()) for line in lines if line.startswith(">")]
    examples = [
        _MNEMONIC.sub(r"\1", _plain(line[2:])).rstrip(":")
        for line in lines
        if line.startswith("- ")
    ]
    commands = [_plain(line) for line in lines if line.startswith("`")]
    if not titles or not examples or any(_POINTER.match(line) for line in description):
        return None
    described = " ".join(line for line in description if not _NO_CONTENT.match(line))
    return titles[0], f"{described} || {' ; '.join(commands)}", examples


def _plain(text: str) -> str:
    """Text without the marks of code and of placeholders."""
    return text.replace("`", "").replace("{{", "").replace("}}", "")
