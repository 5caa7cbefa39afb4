"""Generated queries come from their documents only."""

import math

from zoo import records
from zoo.text import rules

WORDS = [f"w{number}" for number in range(400)]


def prose(first, sentences, length=8):
    """Text of unique words, so that a span shows its position."""
    words = iter(WORDS[first:])
    return " ".join(" ".join(next(words) for _ in range(length)) + "." for _ in range(sentences))


CORPUS = records.Corpus(
    ids=("a", "b", "c", "d", "e", "f"),
    titles=("Alpha", "", "Gamma", "Delta title only here", "", "Zeta"),
    texts=(prose(0, 5), prose(50, 6), "two words", "", "one\nword a line", prose(100, 4, 40)),
)


def terms(corpus, **options):
    """(row of the document, terms) of every query of terms, the first of every three."""
    made = enumerate(zip(*rules.by_rules(corpus, **options)))
    return [
        (row, query.split())
        for number, (query, row) in made
        if number % options["per_document"] % 3 == 0
    ]


def spans(corpus, **options):
    """(row of the document, True if it starts with the title, words) of each sentence and span."""
    found = []
    for number, (query, row) in enumerate(zip(*rules.by_rules(corpus, **options))):
        if number % options["per_document"] % 3 == 0:
            continue  # terms
        title = corpus.titles[row]
        titled = bool(title and corpus.texts[row] and query.startswith(title + " "))
        found.append((row, titled, query.removeprefix(title).split() if titled else query.split()))
    return found


def holds(words, span):
    return any(
        words[start : start + len(span)] == span for start in range(len(words) - len(span) + 1)
    )


def test_every_document_gets_its_queries_in_order():
    queries, rows = rules.by_rules(CORPUS, per_document=7, seed=0)
    assert rows == [row for row in range(len(CORPUS)) for _ in range(7)]
    assert len(queries) == len(rows) and all(query.strip() for query in queries)
    assert rules.by_rules(CORPUS, per_document=0, seed=0) == ([], [])


def test_sentences_and_spans_are_words_in_a_row_of_their_document():
    for row, _, span in spans(CORPUS, per_document=40, seed=1):
        words = (CORPUS.texts[row] or CORPUS.titles[row]).split()
        assert holds(words, span)
        assert min(len(words), rules.SHORTEST) <= len(span) <= rules.LONGEST
        others = [text for number, text in enumerate(CORPUS.texts) if number != row]
        # control: documents differ
        assert not any(holds(text.split(), span) for text in others)


def test_terms_are_different_words_of_their_document():
    found = terms(CORPUS, per_document=60, seed=1)
    for row, words in found:
        known = set(rules._TERM.findall(f"{CORPUS.titles[row]}\n{CORPUS.texts[row]}".lower()))
        assert set(words) <= known and len(set(words)) == len(words)
        assert min(len(known), rules.SHORTEST) <= len(words) <= rules.MOST_TERMS
    assert {len(words) for row, words in found if row == 0} == set(
        range(rules.SHORTEST, rules.MOST_TERMS + 1)
    )
    in_a_row = [holds(CORPUS.texts[0].lower().split(), words) for row, words in found if row == 0]
    assert not all(in_a_row)  # control: terms are not spans


def test_the_first_term_is_drawn_by_its_tfidf_weight():
    corpus = records.Corpus(
        ("a", "b", "c"), ("", "", ""), ("rare rare other shared", "shared x", "unlike y")
    )
    number = 3000
    first = [words[0] for row, words in terms(corpus, per_document=3 * number, seed=2) if row == 0]
    rare, shared = math.log(3), math.log(3 / 2)
    weights = {"rare": 2 * rare, "other": rare, "shared": shared}
    for term, weight in weights.items():
        share = weight / sum(weights.values())
        deviation = math.sqrt(share * (1 - share) / number)
        assert abs(first.count(term) / number - share) < 4 * deviation
        assert abs(first.count(term) / number - 1 / 3) > 4 * deviation  # control: not drawn evenly


def test_sentences_and_spans_alternate():
    first = CORPUS.texts[0].split(". ")
    sentences = [sentence.removesuffix(".").split() for sentence in first]
    found = [
        [word.removesuffix(".") for word in span]
        for row, _, span in spans(CORPUS, per_document=90, seed=2)
        if row == 0
    ]
    assert all(span in sentences for span in found[::2])
    assert {tuple(span) for span in found[::2]} == {tuple(sentence) for sentence in sentences}
    assert sum(span in sentences for span in found[1::2]) < 10  # spans start and end anywhere
    long = [span for row, _, span in spans(CORPUS, per_document=15, seed=2) if row == 5]
    assert all(len(span) == rules.LONGEST for span in long[::2])  # sentences of 40 words are cut


def test_spans_reach_the_whole_document():
    taken = {
        word
        for row, _, span in spans(CORPUS, per_document=1200, seed=3)
        if row == 5
        for word in span
    }
    assert taken == set(CORPUS.texts[5].split())


def test_the_title_precedes_its_share_of_queries():
    number = 2000
    found = spans(CORPUS, per_document=3 * number // 2, seed=4)
    deviation = math.sqrt(rules.TITLE_SHARE * (1 - rules.TITLE_SHARE) / number)
    for wanted in (0, 5):
        share = sum(titled for row, titled, _ in found if row == wanted) / number
        assert abs(share - rules.TITLE_SHARE) < 4 * deviation  # one in 16,000 by chance
        # control: the test rejects a share larger by a third
        assert abs(share - 0.4) > 4 * deviation
    assert not any(titled for row, titled, _ in found if row in (1, 3))


def test_a_short_document_gives_its_few_queries():
    found = {row: set() for row in range(len(CORPUS))}
    for row, _, span in spans(CORPUS, per_document=20, seed=5):
        found[row].add(" ".join(span))
    assert found[2] == {"two words"}
    assert found[3] == {"Delta title only here"}  # without a text the title is the document
    # the second line is a sentence, the first too short for one
    assert found[4] == {"one word a line", "word a line"}


def test_queries_are_drawn_from_the_seed():
    one, again, other = (rules.by_rules(CORPUS, per_document=5, seed=seed) for seed in (6, 6, 7))
    assert one == again != other
    assert other[1] == one[1]


def test_sentences_and_spans_change_with_no_other_document():
    def of_each(corpus):
        found = {name: [] for name in corpus.ids}
        for row, titled, span in spans(corpus, per_document=6, seed=8):
            found[corpus.ids[row]].append((titled, span))
        return found

    picked = [5, 0, 1]  # fewer, and in another order
    fewer = records.Corpus(
        *(
            tuple(column[row] for row in picked)
            for column in (CORPUS.ids, CORPUS.titles, CORPUS.texts)
        )
    )
    everything = of_each(CORPUS)
    assert of_each(fewer) == {name: everything[name] for name in fewer.ids}
    # control: the id names the stream
    renamed = of_each(records.Corpus(("g", *CORPUS.ids[1:]), CORPUS.titles, CORPUS.texts))
    assert renamed["g"] != everything["a"]


def test_a_document_of_blanks_gives_its_title_or_name():
    corpus = records.Corpus(("a", "b"), ("Title", ""), (" ", "\n"))
    queries, rows = rules.by_rules(corpus, per_document=6, seed=9)
    assert set(zip(queries, rows)) == {("title", 0), ("Title", 0), ("b", 1)}
