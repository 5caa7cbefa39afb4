"""Queries by rule differ by the kind of document."""

import pytest

from zoo import records
from zoo.text import kinds, rules

FUNCTION = '''def create_path(path):
    """Creates the folders of a path.

    path: with a file name.
    """
    # skip folders that exist already
    os.makedirs(path, exist_ok=True)
'''
PAGE = "Archive utility for many formats. || tar -c -f target.tar file ; tar --list -f source.tar"
ANSWER = "Q: Why does Python take so long to start? Virus scanners read each file. Exclude them."


@pytest.mark.parametrize(
    ("title", "text", "kind", "expected"),
    [
        (
            "",
            FUNCTION,
            kinds.CODE,
            {
                "create the folders of a path",
                "how to create the folders of a path",
                "create path",
                "skip folders that exist already",
                "create path create folders path",
                "create folders path",
            },
        ),
        (
            "keyword.isSoftKeyword(s)",
            "Return True if s is a soft keyword. New in version 3.9.",
            kinds.CODE,
            {
                "check if s is a soft keyword",
                "how to check if s is a soft keyword",
                "keyword is soft keyword",
                "check soft keyword",
                "keyword is soft keyword check soft keyword",
            },
        ),
        (
            "tar",
            PAGE,
            kinds.COMMAND,
            {
                "archive utility for many formats",
                "how to archive utility for many formats",
                "tar archive utility many formats",
                "archive utility many formats",
                "tar target file",
                "archive utility target file",
                "tar list source",
                "archive utility list source",
            },
        ),
        (
            "",
            ANSWER,
            kinds.FAQ,
            {"why does python take so long to start", "python take long start"},
        ),
        ("Bread", "Bread is made of flour and water. Is it old? Very.", kinds.PROSE, set()),
    ],
)
def test_phrases_are_what_is_asked_of_a_kind(title, text, kind, expected):
    assert kinds.kind_of(title, text) == kind
    assert set(kinds.phrases(title, text)) == expected


def test_rules_ask_for_code_by_its_phrases_and_prose_as_before():
    corpus = records.Corpus(("a", "b"), ("", "Bread"), (FUNCTION, "Bread is made of flour."))
    queries, rows = rules.by_rules(corpus, per_document=9, seed=0)
    own = [query for query, row in zip(queries, rows) if row == 0]
    # two of three are phrases, none twice
    phrases = [query for number, query in enumerate(own) if number % 3]
    assert len(phrases) == 6 and set(phrases) == set(kinds.phrases("", FUNCTION))
    alone = records.Corpus(("b",), ("Bread",), ("Bread is made of flour.",))
    sentences = lambda made: made[1::3]
    assert sentences([q for q, row in zip(queries, rows) if row == 1]) == sentences(
        rules.by_rules(alone, per_document=9, seed=0)[0]
    )
