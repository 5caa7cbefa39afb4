"""The section of examples: a few queries, their relevant documents, and the answers in words."""

from __future__ import annotations

import numpy as np

from zoo import records
from zoo.report import html, results

NUM_EXAMPLES, SEED = 10, 0
NUM_ANSWERS, NUM_EVENTS, NUM_RELEVANT = 10, 8, 5  # shown per example


def examples(
    system: results.Measured, collection: records.Collection | records.Interactions
) -> html.Html:
    """Queries drawn with a fixed seed, their relevant documents, and the answers."""
    queries, qrels = collection.split(system.result.split)
    count = min(NUM_EXAMPLES, len(queries))
    chosen = sorted(np.random.default_rng(SEED).choice(len(queries), count, replace=False))
    note = (
        f"{count} of {len(queries):,} {system.askers}, drawn with seed {SEED} independently of the "
        "answers. ✓ marks a relevant answer."
    )
    ranking, corpus = system.result.ranking, collection.corpus
    cards = []
    for row in map(int, chosen):
        if isinstance(queries, records.Histories):
            heading, left = _history(queries, row, corpus)
        else:
            heading, left = _query(queries, row)
        cards.append(_card(heading, left, ranking, row, qrels, corpus))
    return html.section("Answers in words", html.element("p", note), *cards, name="examples")


def _history(
    histories: records.Histories, row: int, corpus: records.Corpus
) -> tuple[str, list[html.Html]]:
    """Heading and left column of a user."""
    events = histories.history(row)
    earlier = len(events) - NUM_EVENTS
    left = [html.element("h4", "history, oldest first")]
    if earlier > 0:
        left.append(html.element("p", f"{earlier} earlier, then", class_="small"))
    left.append(html.items([_title(corpus, item) for item in events[-NUM_EVENTS:]]))
    return f"User {histories.ids[row]}", left


def _query(queries: records.Queries, row: int) -> tuple[str, list[html.Html]]:
    """Heading and left column of a query."""
    text = html.element("p", html.short(queries.texts[row], 400))
    return f"Query {queries.ids[row]}", [html.element("h4", "query"), text]


def _card(
    heading: str,
    left: list[html.Html],
    ranking: records.Ranking,
    row: int,
    qrels: records.Qrels,
    corpus: records.Corpus,
) -> html.Html:
    """A query beside its answers; below the query its relevant documents with their ranks."""
    rows = corpus.rows()
    grades = qrels.grades[ranking.query_ids[row]]
    relevant = [name for name, grade in grades.items() if grade > 0]
    answers = [name for name, _ in ranking.answers(row)]
    ranks = {name: rank for rank, name in enumerate(answers, start=1)}
    listed = [
        [
            _title(corpus, rows[name]) if name in rows else f"{name} (not in the corpus)",
            _rank(ranks.get(name), len(answers)),
        ]
        for name in relevant[:NUM_RELEVANT]
    ]
    below = [html.element("h4", "relevant"), html.items(listed)]
    if len(relevant) > NUM_RELEVANT:
        more = f"and {len(relevant) - NUM_RELEVANT} more"
        below.append(html.element("p", more, class_="small"))
    lines = []
    for name in answers[:NUM_ANSWERS]:
        title = _title(corpus, rows[name])
        hit = name in relevant
        lines.append(html.element("span", "✓ ", title, class_="pass") if hit else title)
    found = html.items(lines, ordered=True) if lines else html.element("p", "none")
    columns = [
        html.element("div", left, below),
        html.element("div", html.element("h4", "answers"), found),
    ]
    both = html.element("div", columns, class_="pair")
    return html.element("div", html.element("h3", heading), both, class_="card")


def _rank(rank: int | None, depth: int) -> html.Html:
    where = f" (answer {rank})" if rank else f" (not among {depth} answers)"
    return html.element("span", where, class_="small")


def _title(corpus: records.Corpus, row: int) -> html.Html:
    """A document in words: its title, else its text, else its id."""
    words = html.short(corpus.titles[row]) or html.short(corpus.texts[row])
    tooltip = {"title": corpus.ids[row]} if words else {}
    return html.element("span", words or corpus.ids[row], **tooltip)
