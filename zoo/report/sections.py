"""The parts of a page about a fitted system, each from what the run and its evaluation hold."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from zoo import recipes, records
from zoo.api import evaluate, fitted as stored
from zoo.metrics import compare, exposure, measures, recommend
from zoo.report import html

NUM_EXAMPLES, EXAMPLES_SEED = 10, 0
NUM_ANSWERS, NUM_EVENTS, NUM_JUDGED = 10, 8, 5  # shown of an example
DECIDES = "nDCG@10"
DIFFERENCES = {"history": (DECIDES, "R@10"), "text": (DECIDES, "Success@1")}
HOW = "Interval: 95 % paired bootstrap. p: paired randomisation test, Holm's correction."
TREE_LEVELS = 2
SHARES = {  # of `tokenizer.spread`, over all stages in which identifiers are learned
    "conflicts": "conflicts: share of documents whose codes are another's too",
    "diversity": "diversity: how evenly the codes of a position are used",
    "usage": "usage: share of the codes of a position that some document has",
}


class Measured(NamedTuple):
    """A system, what it is called on the page, and how good its answers are."""

    name: str
    fitted: stored.Fitted
    result: evaluate.Evaluation


def verdict(systems: Sequence[Measured]) -> str:
    """What the system reaches and how it stands to the best of its baselines, in a sentence."""
    own, rivals = systems[0], systems[1:]
    label, digits = measures.label(DECIDES), _digits(own.fitted)
    reached = own.result.per_query[DECIDES]
    told = f"{own.name} reaches {label} {reached.mean():.{digits}f} on {len(reached):,} {_who(own)} of {own.result.split}"
    if not rivals:
        return f"{told}."
    best = max(rivals, key=lambda rival: rival.result.per_query[DECIDES].mean())
    gap = reached - best.result.per_query[DECIDES]
    low, high = compare.bootstrap_interval(gap)
    what = "ahead of" if low > 0 else "behind" if high < 0 else "not told apart from"
    return (
        f"{told}: {what} the best baseline, {best.name}, {best.result.per_query[DECIDES].mean():.{digits}f} "
        f"(difference {gap.mean():+.{digits}f}, 95 % interval [{low:+.{digits}f}, {high:+.{digits}f}])."
    )


def about(fitted: stored.Fitted) -> html.Html:
    """The recipe, its options, and how it departs from the paper."""
    recipe = recipes.get(fitted.recipe)
    config, preset = (
        dataclasses.asdict(fitted.config),
        dataclasses.asdict(recipe.presets[fitted.size]),
    )
    changed = [
        (name, str(value), str(preset[name]))
        for name, value in config.items()
        if value != preset[name]
    ]
    same = html.element("p", f"All options are those of {fitted.size}.")
    options = html.table(("option", "here", f"in {fitted.size}"), changed) if changed else same
    every = html.element("details", html.element("summary", "All options"), html.pairs(config))
    return html.section(
        "What it is",
        html.pairs(
            {
                "recipe": fitted.recipe,
                "paper": recipe.paper,
                "size": fitted.size,
                "seed": fitted.seed,
            }
        ),
        html.element("h3", "Options that differ from the preset"),
        options,
        every,
        html.element("h3", "Where it departs from the paper"),
        html.items(recipe.deviations),
        name="what",
    )


def data(fitted: stored.Fitted, collection: records.Collection | records.Interactions) -> html.Html:
    """Sizes of the data, what the fit cost, and on which machine; warnings."""
    about, warned = fitted.about, fitted.about.get("warnings", ())
    rows = {"data": about["collection"], "fingerprint": about["corpus"], **_sizes(collection)}
    rows |= {
        "time to fit": f"{about['seconds']:,.0f} s",
        "parameters": f"{about['parameters']:,}" if about["parameters"] else "none trained",
    }
    rows |= {
        "machine": about["device"],
        "versions": f"Python {about['python']}, jax {about['jax']}",
    }
    warnings = (
        [html.element("h3", "Warnings"), html.items(warned)]
        if warned
        else html.element("p", "The fit gave no warning.")
    )
    return html.section("Data and time", html.pairs(rows), warnings, name="data")


def training(fitted: stored.Fitted) -> html.Html:
    """Where identifiers are learned in stages, how they came about; and curves of all scalars that were logged, a figure a phase."""
    from zoo.report import plots

    phases: dict[str, list] = {}
    for row in fitted.history:
        phases.setdefault(row["phase"], []).append(row)
    parts = (
        [html.element("p", "No scalars were logged: nothing here is trained step by step.")]
        if not phases
        else []
    )
    spread = [row for row in fitted.history if "conflicts" in row]
    if len({row["phase"] for row in spread}) > 1:
        evenness = [value for name, value in spread[-1].items() if name.startswith("diversity_")]
        found = f"{spread[-1]['conflicts']:.1%} of documents share their codes in the end, and diversity is {min(evenness):.2f} at least"
        parts.append(
            _figure(
                functools.partial(plots.stages, fitted.history, panels=SHARES, title=found), found
            )
        )
    for phase, rows in phases.items():
        losses = [row["loss"] for row in rows if "loss" in row]
        told = f": loss {losses[0]:.4g} at first, {losses[-1]:.4g} at last" if losses else ""
        title = f"{phase}, {rows[-1]['step']:,} steps{told}"
        parts.append(_figure(functools.partial(plots.scalars, rows, title=title), title))
    return html.section("Training", *parts, name="training")


def identifiers(fitted: stored.Fitted, corpus: records.Corpus) -> html.Html:
    """How well codes are used, and the picture of their tree."""
    from zoo.schemes import codes as named

    codes = named.codes_of(fitted.config, fitted.state)
    if codes is None:
        return html.section(
            "Identifiers",
            html.element("p", "This system has none: it scores documents by what they are."),
            name="identifiers",
        )
    available, tokens = (
        named.num_codes_of(fitted.config, fitted.state),
        fitted.state["docids"]["tokens"],
    )
    found = named.spread(codes, available)
    ends = (codes == 0).any(axis=0)  # short identifiers: their end counts as a code
    header = (
        "level",
        "codes in use",
        *(("of", "usage") if available else ()),
        "perplexity",
        "distinct prefixes",
        "bits so far",
    )
    rows = []
    for level in range(codes.shape[1]):
        used = f"{len(np.unique(codes[:, level])):,}{' with end' if ends[level] else ''}"
        share = (available, f"{found.usage[level]:.3f}") if available else ()
        rows.append(
            (
                level + 1,
                used,
                *share,
                f"{found.perplexity[level]:.1f}",
                f"{found.prefixes[level]:,}",
                f"{found.entropy[level]:.2f}",
            )
        )
    counter = (
        "; a counter after the codes tells them apart" if tokens.shape[1] > codes.shape[1] else ""
    )
    alike = f"{found.colliding:.1%} share their codes with another, at most {found.most_alike} the same{counter}."
    sentence = f"{len(codes):,} documents ({np.log2(len(codes)):.2f} bits). {alike if found.colliding else 'None shares its codes with another.'}"
    low = ", ".join(str(level + 1) for level in found.collapsed) if available else ""
    collapsed = (
        html.element("p", f"Collapsed: level {low} uses few of its codes.", class_="fail")
        if low
        else []
    )
    return html.section(
        "Identifiers",
        html.table(header, rows),
        html.element("p", sentence),
        collapsed,
        _tree(codes, corpus),
        name="identifiers",
    )


def results(systems: Sequence[Measured]) -> html.Html:
    """Measures beside baselines, their differences with intervals, items beside identifiers, exposure."""
    own, history = systems[0], _asks(systems[0].fitted) == "history"
    shown, digits = (recommend.DEFAULT if history else measures.DEFAULT), _digits(own.fitted)
    rule = (
        "; every item competes, and items of equal score share their expected rank"
        if history
        else ""
    )
    told = (
        ""
        if own.result.split == "test"
        else f" Options may have been chosen on {own.result.split}; the last word is --split test, once."
    )
    header = ("system", *map(measures.label, shown))
    rows = [
        (name, *(f"{result.measures[measure]:.{digits}f}" for measure in shown))
        for name, _, result in systems
    ]
    return html.section(
        f"Results on {own.result.split}",
        html.element("p", f"{len(own.result.ranking):,} {_who(own)}{rule}.{told}"),
        html.table(header, rows, own=0),
        _differences(systems),
        _by_identifier(own, shown, digits),
        _exposure(systems),
        _popularity(systems),
        name="results",
    )


def examples(system: Measured, collection: records.Collection | records.Interactions) -> html.Html:
    """A few queries drawn with a fixed key, what was asked for, and the answers."""
    asked, qrels = collection.split(system.result.split)
    count = min(NUM_EXAMPLES, len(asked))
    chosen = sorted(np.random.default_rng(EXAMPLES_SEED).choice(len(asked), count, replace=False))
    card = _user if isinstance(asked, records.Histories) else _query
    told = (
        f"{count} of {len(asked):,} {'users' if isinstance(asked, records.Histories) else 'queries'}, drawn with seed {EXAMPLES_SEED} whatever the "
        "answers are: none was picked for being good. ✓ marks an answer that was asked for."
    )
    cards = [
        card(system.result.ranking, row, asked, qrels, collection.corpus)
        for row in map(int, chosen)
    ]
    return html.section("Answers in words", html.element("p", told), *cards, name="examples")


def _user(
    ranking: records.Ranking,
    row: int,
    histories: records.Histories,
    qrels: records.Qrels,
    corpus: records.Corpus,
) -> html.Html:
    events = histories.history(row)
    earlier = len(events) - NUM_EVENTS
    lines = [_titled(corpus, item) for item in events[-NUM_EVENTS:]]
    before = html.element("p", f"{earlier} earlier, then", class_="small") if earlier > 0 else []
    left = [html.element("h4", "did, oldest first"), before, html.items(lines)]
    return _card(f"User {histories.ids[row]}", left, ranking, row, qrels, corpus)


def _query(
    ranking: records.Ranking,
    row: int,
    queries: records.Queries,
    qrels: records.Qrels,
    corpus: records.Corpus,
) -> html.Html:
    left = [html.element("h4", "asks"), html.element("p", html.short(queries.texts[row], 400))]
    return _card(f"Query {queries.ids[row]}", left, ranking, row, qrels, corpus)


def _card(
    heading: str,
    left: list,
    ranking: records.Ranking,
    row: int,
    qrels: records.Qrels,
    corpus: records.Corpus,
) -> html.Html:
    """A query beside its answers; below the query what was asked for, and where it stands."""
    rows = corpus.rows()
    wanted = [name for name, grade in qrels.grades[ranking.query_ids[row]].items() if grade > 0]
    answers = ranking.answers(row)
    place = {name: rank for rank, (name, _) in enumerate(answers, start=1)}
    judged = [
        [
            _titled(corpus, rows[name]) if name in rows else f"{name} (not in the corpus)",
            _place(place.get(name), len(answers)),
        ]
        for name in wanted[:NUM_JUDGED]
    ]
    below = [html.element("h4", "asked for"), html.items(judged)]
    more = (
        html.element("p", f"and {len(wanted) - NUM_JUDGED} more", class_="small")
        if len(wanted) > NUM_JUDGED
        else []
    )
    lines = []
    for name, _ in answers[:NUM_ANSWERS]:
        title = _titled(corpus, rows[name])
        lines.append(html.element("span", "✓ ", title, class_="pass") if name in wanted else title)
    right = [
        html.element("h4", "answers"),
        html.items(lines, ordered=True) if lines else html.element("p", "none"),
    ]
    both = html.element(
        "div", html.element("div", left, below, more), html.element("div", right), class_="pair"
    )
    return html.element("div", html.element("h3", heading), both, class_="card")


def _place(rank: int | None, depth: int) -> html.Html:
    return html.element(
        "span", f" (answer {rank})" if rank else f" (not among {depth} answers)", class_="small"
    )


def _titled(corpus: records.Corpus, row: int) -> html.Html:
    """A document in words: its title, else its text, else its id."""
    words = html.short(corpus.titles[row]) or html.short(corpus.texts[row])
    return html.element(
        "span", words or corpus.ids[row], **({"title": corpus.ids[row]} if words else {})
    )


def _differences(systems: Sequence[Measured]) -> list:
    """This system minus each baseline: means with bootstrap intervals, tests corrected for their number, a picture."""
    from zoo.report import plots

    own, rivals = systems[0], systems[1:]
    if not rivals:
        return []
    rows, shown = [], []
    digits = _digits(own.fitted)
    for measure in DIFFERENCES[_asks(own.fitted)]:
        gaps = [own.result.per_query[measure] - rival.result.per_query[measure] for rival in rivals]
        corrected = compare.holm([compare.randomisation_test(gap) for gap in gaps])
        for rival, gap, p in zip(rivals, gaps, corrected):
            low, high = compare.bootstrap_interval(gap)
            interval = f"[{low:+.{digits}f}, {high:+.{digits}f}]"
            rows.append(
                (
                    measures.label(measure),
                    rival.name,
                    f"{gap.mean():+.{digits}f}",
                    interval,
                    "< .001" if p < 0.001 else f"{p:.3f}",
                )
            )
            shown += [(rival.name, float(gap.mean()), low, high)] if measure == DECIDES else []
    label = measures.label(DECIDES)
    ahead = sum(low > 0 for *_, low, _ in shown)
    title = f"{own.name} is ahead of {ahead} of {len(shown)} baselines beyond chance"
    draw = functools.partial(
        plots.intervals, shown, xlabel=f"difference in {label}, 95 % intervals", title=title
    )
    return [
        html.element("h3", "Differences"),
        html.element("p", f"{own.name} minus each baseline, query by query. {HOW}"),
        _figure(draw, "differences with intervals"),
        html.table(("measure", "minus", "difference", "interval", "p"), rows),
    ]


def _by_identifier(own: Measured, shown: Sequence[str], digits: int) -> list:
    if not own.result.by_identifier:
        return []
    items = ("items", *(f"{own.result.measures[name]:.{digits}f}" for name in shown))
    named = (
        "identifiers",
        *(f"{own.result.measures[name + recommend.BY_IDENTIFIER]:.{digits}f}" for name in shown),
    )
    told = (
        "Counted by identifier, without the counter of collisions, all items of the same codes are one. That tells how well identifiers are "
        "generated, and is no measure of recommendation: one identifier for all items would always be found. Only the row of items can be set "
        "beside other systems."
    )
    both = html.table(("counted by", *map(measures.label, shown)), [items, named])
    return [
        html.element("h3", "Items and identifiers"),
        both,
        html.element("p", told, class_="small"),
    ]


def _exposure(systems: Sequence[Measured]) -> list:
    """How much of the corpus all queries are shown together, how evenly, identifiers that name nothing, and speed."""
    header = ("system", "coverage@10", "Gini@10", "invalid", "fit (s)", "queries/s")
    rows = []
    for name, fitted, result in systems:
        found = (exposure.coverage(result.ranking), exposure.gini(result.ranking))
        speed = (f"{fitted.about['seconds']:,.1f}", f"{result.queries_per_second:,.0f}")
        rows.append(
            (
                name,
                *(f"{value:.4f}" for value in found),
                f"{result.ranking.invalid_share:.2%}",
                *speed,
            )
        )
    told = (
        "Coverage: share of the documents that stand among the first 10 of at least one. Gini: 0 if all do equally often, near 1 if few take it "
        "all. Invalid: generated identifiers that name nothing."
    )
    return [
        html.element("h3", "Coverage and speed"),
        html.table(header, rows, own=0),
        html.element("p", told, class_="small"),
    ]


def _popularity(systems: Sequence[Measured]) -> list:
    """Recall by how popular the item is that was asked for."""
    values = systems[0].result.measures
    buckets = [name for name in exposure.BUCKETS if f"users {name}" in values]
    if not buckets:
        return []
    header = ("system", *(f"{name} ({values[f'users {name}']:,.0f} users)" for name in buckets))
    rows = [
        (name, *(f"{result.measures[f'R@10 {bucket}']:.4f}" for bucket in buckets))
        for name, _, result in systems
    ]
    told = "Head, middle and tail: items by falling popularity, a third of the events of training each; new items have none."
    return [
        html.element("h3", "Recall@10 by popularity"),
        html.table(header, rows, own=0),
        html.element("p", told, class_="small"),
    ]


def _tree(codes: np.ndarray, corpus: records.Corpus) -> list:
    from zoo.data import categories
    from zoo.report import plots

    if len(np.unique(codes[:, 0])) == len(codes):
        return [html.element("p", "Every document is a code of its own: there is no tree to draw.")]
    labels, where = categories.of(corpus)
    told = (
        f"The first {min(TREE_LEVELS, codes.shape[1])} levels of the tree of codes, the root's children on top. A node is as wide as it has "
        f"documents, and has the colour of the most common category among them ({where}), the paler the fewer they are; the last row is each "
        "document's own category."
    )
    return [
        _figure(
            functools.partial(plots.code_tree, codes[:, :TREE_LEVELS], labels), "tree of codes"
        ),
        html.element("p", told, class_="small"),
    ]


def _figure(draw: Callable, alt: str) -> html.Html:
    """What draw(path) saves."""
    with tempfile.TemporaryDirectory() as folder:
        return html.picture(draw(path=pathlib.Path(folder) / "figure.png").read_bytes(), alt)


def _sizes(collection: records.Collection | records.Interactions) -> dict[str, str]:
    if isinstance(collection, records.Interactions):
        lengths, left_out = collection.histories.lengths, collection.left_out
        users = f"{len(lengths):,}" + (
            f", and {left_out:,} with fewer than 3 events left out" if left_out else ""
        )
        events = f"{lengths.sum():,}; of a user {np.median(lengths):.0f} (median), {lengths.min()} to {lengths.max()}; "
        events += f"{collection.tied:,} at the time of another of their user, {collection.repeated:,} repeated"
        return {"items": f"{len(collection.corpus):,}", "users": users, "events": events}
    splits = ", ".join(f"{len(qrels):,} {split}" for split, qrels in collection.qrels.items())
    return {"documents": f"{len(collection.corpus):,}", "queries": splits}


def _asks(fitted: stored.Fitted) -> str:
    return recipes.get(fitted.recipe).asks


def _who(system: Measured) -> str:
    return "users" if _asks(system.fitted) == "history" else "queries"


def _digits(fitted: stored.Fitted) -> int:
    return 4 if _asks(fitted) == "history" else 3
