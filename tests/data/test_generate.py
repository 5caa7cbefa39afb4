"""Generated queries come from their documents, and from nothing else."""

import math

from zoo import records
from zoo.data import generate

WORDS = [f"w{number}" for number in range(400)]


def prose(first, sentences, length=8):
    """Text of words that occur once each, so that a span tells where it was taken."""
    words = iter(WORDS[first:])
    return " ".join(" ".join(next(words) for _ in range(length)) + "." for _ in range(sentences))


CORPUS = records.Corpus(
    ids=("a", "b", "c", "d", "e", "f"),
    titles=("Alpha", "", "Gamma", "Delta title only here", "", "Zeta"),
    texts=(prose(0, 5), prose(50, 6), "two words", "", "one\nword a line", prose(100, 4, 40)),
)


def spans(corpus, **options):
    """Of each query its document's row, whether it names the title, and the words after it."""
    found = []
    for query, row in zip(*generate.by_rules(corpus, **options)):
        title = corpus.titles[row]
        titled = bool(title and corpus.texts[row] and query.startswith(title + " "))
        found.append((row, titled, query.removeprefix(title).split() if titled else query.split()))
    return found


def holds(words, span):
    return any(words[start : start + len(span)] == span for start in range(len(words) - len(span) + 1))


def test_every_document_gets_its_queries_in_order():
    queries, rows = generate.by_rules(CORPUS, per_document=7, seed=0)
    assert rows == [row for row in range(len(CORPUS)) for _ in range(7)]
    assert len(queries) == len(rows) and all(query.strip() for query in queries)
    assert generate.by_rules(CORPUS, per_document=0, seed=0) == ([], [])


def test_a_query_is_a_span_of_words_of_its_document():
    for row, _, span in spans(CORPUS, per_document=40, seed=1):
        words = (CORPUS.texts[row] or CORPUS.titles[row]).split()
        assert holds(words, span)
        assert min(len(words), generate.SHORTEST) <= len(span) <= generate.LONGEST
        others = [text for number, text in enumerate(CORPUS.texts) if number != row]
        assert not any(holds(text.split(), span) for text in others)  # control: it tells documents apart


def test_sentences_and_spans_come_turn_about():
    first = CORPUS.texts[0].split(". ")
    sentences = [sentence.removesuffix(".").split() for sentence in first]
    found = [[word.removesuffix(".") for word in span] for row, _, span in spans(CORPUS, per_document=60, seed=2) if row == 0]
    assert all(span in sentences for span in found[::2])
    assert {tuple(span) for span in found[::2]} == {tuple(sentence) for sentence in sentences}
    assert sum(span in sentences for span in found[1::2]) < 10  # spans start and end anywhere
    long = [span for row, _, span in spans(CORPUS, per_document=10, seed=2) if row == 5]
    assert all(len(span) == generate.LONGEST for span in long[::2])  # sentences of 40 words are cut


def test_spans_reach_the_whole_document():
    taken = {word for row, _, span in spans(CORPUS, per_document=400, seed=3) if row == 5 for word in span}
    assert taken == set(CORPUS.texts[5].split())


def test_the_title_stands_in_front_of_its_share_of_queries():
    number = 2000
    found = spans(CORPUS, per_document=number, seed=4)
    deviation = math.sqrt(generate.TITLE_SHARE * (1 - generate.TITLE_SHARE) / number)
    for wanted in (0, 5):
        share = sum(titled for row, titled, _ in found if row == wanted) / number
        assert abs(share - generate.TITLE_SHARE) < 4 * deviation  # one in 16,000 by chance
        assert abs(share - 0.4) > 4 * deviation  # control: a share that is a third larger is told apart
    assert not any(titled for row, titled, _ in found if row in (1, 3))


def test_a_short_document_gives_what_it_has():
    found = {row: set() for row in range(len(CORPUS))}
    for row, _, span in spans(CORPUS, per_document=20, seed=5):
        found[row].add(" ".join(span))
    assert found[2] == {"two words"}
    assert found[3] == {"Delta title only here"}  # without a text the title is the document
    assert found[4] == {"one word a line", "word a line"}  # the second line is a sentence, the first too short for one


def test_queries_are_drawn_from_the_seed():
    one, again, other = (generate.by_rules(CORPUS, per_document=5, seed=seed) for seed in (6, 6, 7))
    assert one == again != other
    assert other[1] == one[1]


def test_adding_documents_changes_no_other_queries():
    def of_each(corpus):
        queries, rows = generate.by_rules(corpus, per_document=6, seed=8)
        return {name: [query for query, at in zip(queries, rows) if at == row] for row, name in enumerate(corpus.ids)}

    picked = [5, 0, 1]  # fewer, and in another order
    fewer = records.Corpus(*(tuple(column[row] for row in picked) for column in (CORPUS.ids, CORPUS.titles, CORPUS.texts)))
    everything = of_each(CORPUS)
    assert of_each(fewer) == {name: everything[name] for name in fewer.ids}
    renamed = of_each(records.Corpus(("g", *CORPUS.ids[1:]), CORPUS.titles, CORPUS.texts))  # control: the id names the stream
    assert renamed["g"] != everything["a"]
