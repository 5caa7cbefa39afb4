"""The section of results: measures beside baselines, differences with intervals, exposure."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

from zoo import recipes
from zoo.api import evaluate, fitted as stored
from zoo.metrics import compare, exposure, measures, recommend, transitions
from zoo.report import html

RANKS_BY = "nDCG@10"  # the measure of the verdict and of the figure
DIFFERENCES = {"history": (RANKS_BY, "R@10"), "text": (RANKS_BY, "Success@1")}
TESTS = "Interval: 95 % paired bootstrap. p: paired randomisation test, Holm's correction."


class Measured(NamedTuple):
    """A system, its name on the page, and its evaluation."""

    name: str
    fitted: stored.Fitted
    result: evaluate.Evaluation

    @property
    def asks(self) -> str:
        """ "text" or "history"."""
        return recipes.get(self.fitted.recipe).asks

    @property
    def askers(self) -> str:
        """What the page calls the queries."""
        return "users" if self.asks == "history" else "queries"

    @property
    def digits(self) -> int:
        """Decimals of a measure on the page."""
        return 4 if self.asks == "history" else 3


def verdict(systems: Sequence[Measured]) -> str:
    """One sentence: what the first system reaches, and how it compares to the best baseline."""
    own, rivals = systems[0], systems[1:]
    label, digits = measures.label(RANKS_BY), own.digits
    reached = own.result.per_query[RANKS_BY]
    found = (
        f"{own.name} reaches {label} {reached.mean():.{digits}f} on {len(reached):,} {own.askers} "
        f"of {own.result.split}"
    )
    if not rivals:
        return f"{found}."
    best = max(rivals, key=lambda rival: rival.result.per_query[RANKS_BY].mean())
    theirs = best.result.per_query[RANKS_BY]
    low, high = compare.bootstrap_interval(reached - theirs)
    how = "ahead of" if low > 0 else "behind" if high < 0 else "not significantly different from"
    return (
        f"{found}: {how} the best baseline, {best.name}, {theirs.mean():.{digits}f} "
        f"(difference {(reached - theirs).mean():+.{digits}f}, "
        f"95 % interval [{low:+.{digits}f}, {high:+.{digits}f}])."
    )


def results(systems: Sequence[Measured]) -> html.Html:
    """Measures of all systems, their differences, items beside identifiers, and exposure."""
    own = systems[0]
    history, digits = own.asks == "history", own.digits
    shown = recommend.DEFAULT if history else measures.DEFAULT
    rule = "; every item competes, and items of equal score share their expected rank"
    caution = (
        f" Options may have been chosen on {own.result.split}; evaluate --split test only once, "
        "at the end."
    )
    learned = evaluate.sentence_if_learned(own.fitted, own.result.split)
    header = ("system", *map(measures.label, shown))
    rows = [
        (name, *(f"{result.measures[measure]:.{digits}f}" for measure in shown))
        for name, _, result in systems
    ]
    return html.section(
        f"Results on {own.result.split}",
        html.element(
            "p",
            f"{len(own.result.ranking):,} {own.askers}{rule if history else ''}."
            f"{'' if own.result.split == 'test' else caution}"
            f"{f' {learned}.' if learned else ''}",
        ),
        html.table(header, rows, own=0),
        _differences(systems),
        _by_identifier(own, shown),
        _exposure(systems),
        _popularity(systems),
        _transitions(systems),
        name="results",
    )


def _differences(systems: Sequence[Measured]) -> list:
    """The first system minus each baseline: intervals, corrected tests, and a figure."""
    from zoo.report import plots

    own, rivals = systems[0], systems[1:]
    if not rivals:
        return []
    rows, shown = [], []
    digits = own.digits
    for measure in DIFFERENCES[own.asks]:
        gaps = [own.result.per_query[measure] - rival.result.per_query[measure] for rival in rivals]
        corrected = compare.holm([compare.randomisation_test(gap) for gap in gaps])
        for rival, gap, p in zip(rivals, gaps, corrected):
            low, high = compare.bootstrap_interval(gap)
            rows.append(
                (
                    measures.label(measure),
                    rival.name,
                    f"{gap.mean():+.{digits}f}",
                    f"[{low:+.{digits}f}, {high:+.{digits}f}]",
                    "< .001" if p < 0.001 else f"{p:.3f}",
                )
            )
            if measure == RANKS_BY:
                shown.append((rival.name, float(gap.mean()), low, high))
    ahead = sum(low > 0 for _, _, low, _ in shown)
    draw = functools.partial(
        plots.intervals,
        shown,
        xlabel=f"difference in {measures.label(RANKS_BY)}, 95 % intervals",
        title=f"{own.name} is significantly ahead of {ahead} of {len(shown)} baselines",
    )
    return [
        html.element("h3", "Differences"),
        html.element("p", f"{own.name} minus each baseline, query by query. {TESTS}"),
        html.figure(draw, "differences with intervals"),
        html.table(("measure", "minus", "difference", "interval", "p"), rows),
    ]


def _by_identifier(own: Measured, shown: Sequence[str]) -> list:
    """Measures of items beside those of identifiers; nothing for a system without identifiers."""
    if not own.result.by_identifier:
        return []
    digits, found = own.digits, own.result.measures
    items = ("items", *(f"{found[name]:.{digits}f}" for name in shown))
    named = (
        "identifiers",
        *(f"{found[name + recommend.BY_IDENTIFIER]:.{digits}f}" for name in shown),
    )
    note = (
        "By identifier, without the counter of collisions, all items with the same codes count as "
        "one. It measures how well identifiers are generated and is no measure of recommendation: "
        "one identifier for all items would always be found. Compare other systems with the row of "
        "items only."
    )
    return [
        html.element("h3", "Items and identifiers"),
        html.table(("counted by", *map(measures.label, shown)), [items, named]),
        html.element("p", note, class_="small"),
    ]


def _exposure(systems: Sequence[Measured]) -> list:
    """How much of the corpus is shown and how evenly, invalid identifiers, and speed."""
    header = ("system", "coverage@10", "Gini@10", "invalid", "fit (s)", "queries/s")
    rows = []
    for name, fitted, result in systems:
        rate = result.queries_per_second
        rows.append(
            (
                name,
                f"{exposure.coverage(result.ranking):.4f}",
                f"{exposure.gini(result.ranking):.4f}",
                f"{result.ranking.invalid_share:.2%}",
                f"{fitted.about['seconds']:,.1f}",
                "-" if rate is None else f"{rate:,.0f}",
            )
        )
    note = (
        "Coverage: fraction of the documents among the first 10 answers of any query. Gini: 0 if "
        "all are shown equally often, near 1 if few take it all. Invalid: fraction of generated "
        "identifiers of no document."
    )
    return [
        html.element("h3", "Coverage and speed"),
        html.table(header, rows, own=0),
        html.element("p", note, class_="small"),
    ]


def _popularity(systems: Sequence[Measured]) -> list:
    """Recall by the popularity of the target item."""
    note = (
        "Head, middle and tail: items by falling popularity, with a third of the training events "
        "each; new items have none."
    )
    return _recall_in(systems, exposure.BUCKETS, "Recall@10 by popularity", note)


def _transitions(systems: Sequence[Measured]) -> list:
    """Recall by how training knows the transition from the last item to the target."""
    note = (
        "Memorised: a training history has the target right after the last item; symmetric: right "
        "before it; transitive: in two steps, over a third item; other: none of these."
    )
    return _recall_in(systems, transitions.KINDS, "Recall@10 by transition", note)


def _recall_in(systems: Sequence[Measured], groups: Sequence[str], title: str, note: str) -> list:
    """A table of Recall@10 in groups of users, for the groups that have some."""
    values = systems[0].result.measures
    shown = [name for name in groups if f"users {name}" in values]
    if not shown:
        return []
    header = ("system", *(f"{name} ({values[f'users {name}']:,.0f} users)" for name in shown))
    rows = [
        (name, *(f"{result.measures[f'R@10 {group}']:.4f}" for group in shown))
        for name, _, result in systems
    ]
    return [
        html.element("h3", title),
        html.table(header, rows, own=0),
        html.element("p", note, class_="small"),
    ]
