"""Sections on a fitted system itself: what it is, its data, its training, its identifiers."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.api import fitted as stored
from zoo.models import query_filter
from zoo.report import html

TREE_LEVELS = 2  # shown of a tree of codes
FRACTIONS = {  # scalars of `codes.spread` over all stages that learn identifiers -> heading
    "conflicts": "conflicts: fraction of documents whose codes another document has too",
    "diversity": "diversity: how evenly the codes of a position are used",
    "usage": "usage: fraction of the codes of a position that any document has",
}


def about(fitted: stored.Fitted) -> html.Html:
    """The recipe, its options, and its deviations from the paper."""
    recipe = recipes.get(fitted.recipe)
    config = dataclasses.asdict(fitted.config)
    preset = dataclasses.asdict(recipe.presets[fitted.size])
    changed = [
        (name, str(value), str(preset[name]))
        for name, value in config.items()
        if value != preset[name]
    ]
    same = html.element("p", f"All options are those of {fitted.size}.")
    options = html.table(("option", "here", f"in {fitted.size}"), changed) if changed else same
    head = {"recipe": fitted.recipe, "paper": recipe.paper}
    return html.section(
        "What it is",
        html.pairs({**head, "size": fitted.size, "seed": fitted.seed}),
        html.element("h3", "Options that differ from the preset"),
        options,
        html.element("details", html.element("summary", "All options"), html.pairs(config)),
        html.element("h3", "Deviations from the paper"),
        html.items(recipe.deviations),
        name="what",
    )


def data(fitted: stored.Fitted, collection: records.Collection | records.Interactions) -> html.Html:
    """Size of the data, cost of the fit, the machine, and warnings."""
    about, warned = fitted.about, fitted.about.get("warnings", ())
    rows = {
        "data": about["collection"],
        "fingerprint": about["corpus"],
        **_sizes(collection),
        "learned from": about.get("learn", "train"),
        "time to fit": f"{about['seconds']:,.0f} s",
        "parameters": f"{about['parameters']:,}" if about["parameters"] else "none",
        "machine": about["device"],
        "versions": f"Python {about['python']}, jax {about['jax']}",
    }
    if made := about.get("facts", {}).get("queries"):
        rows["generated queries"] = query_filter.describe(made)
    warnings = (
        [html.element("h3", "Warnings"), html.items(warned)]
        if warned
        else html.element("p", "The fit gave no warning.")
    )
    return html.section("Data and time", html.pairs(rows), warnings, name="data")


def training(fitted: stored.Fitted) -> html.Html:
    """The steps of each stage; a figure per phase of all logged scalars, and one over all stages
    that learn identifiers.
    """
    from zoo.report import plots

    phases: dict[str, list] = {}
    for row in fitted.history:
        phases.setdefault(row["phase"], []).append(row)
    parts: list[html.Html] = []
    if not phases:
        parts.append(html.element("p", "No scalars were logged: there are no training steps."))
    took = [
        (each["stage"], f"{each['steps']:,}", f"{each['seconds']:,.1f}")
        for each in fitted.about.get("stages", ())
    ]
    if took:
        parts.append(html.table(("stage", "steps", "seconds"), took))
    learned = [row for row in fitted.history if "conflicts" in row]
    if len({row["phase"] for row in learned}) > 1:
        last = learned[-1]
        diversity = min(value for name, value in last.items() if name.startswith("diversity_"))
        found = (
            f"{last['conflicts']:.1%} of documents share their codes in the end, and diversity is "
            f"{diversity:.2f} at least"
        )
        draw = functools.partial(plots.stages, fitted.history, panels=FRACTIONS, title=found)
        parts.append(html.figure(draw, found))
    for phase, rows in phases.items():
        losses = [row["loss"] for row in rows if "loss" in row]
        loss = f": loss from {losses[0]:.4g} to {losses[-1]:.4g}" if losses else ""
        title = f"{phase}, {rows[-1]['step']:,} steps{loss}"
        parts.append(html.figure(functools.partial(plots.scalars, rows, title=title), title))
    return html.section("Training", *parts, name="training")


def identifiers(fitted: stored.Fitted, corpus: records.Corpus) -> html.Html:
    """How well codes are used, and a figure of their tree."""
    from zoo.schemes import codes as schemes

    state = dict(fitted.state)
    codes = schemes.codes_of(fitted.config, state)
    if codes is None:
        nothing = html.element("p", "This system has none: it scores documents directly.")
        return html.section("Identifiers", nothing, name="identifiers")
    available = schemes.num_codes_of(fitted.config, state)
    spread = schemes.spread(codes, available)
    width = state["docids"]["tokens"].shape[1]
    parts = [_usage(codes, available, spread), html.element("p", _collisions(codes, width, spread))]
    if available and spread.collapsed:
        low = ", ".join(str(level + 1) for level in spread.collapsed)
        parts.append(
            html.element("p", f"Collapsed: level {low} uses few of its codes.", class_="fail")
        )
    return html.section("Identifiers", *parts, *_tree(codes, corpus), name="identifiers")


def _usage(codes: np.ndarray, available: int | None, spread: Any) -> html.Html:
    """A table of how each level's codes are used."""
    header = (
        "level",
        "codes in use",
        *(("of", "usage") if available else ()),
        "perplexity",
        "distinct prefixes",
        "bits so far",
    )
    ends = (codes == 0).any(axis=0)  # short identifiers: their end counts as a code
    rows = []
    for level in range(codes.shape[1]):
        used = f"{len(np.unique(codes[:, level])):,}{' with end' if ends[level] else ''}"
        usage = (available, f"{spread.usage[level]:.3f}") if available else ()
        rows.append(
            (
                level + 1,
                used,
                *usage,
                f"{spread.perplexity[level]:.1f}",
                f"{spread.prefixes[level]:,}",
                f"{spread.entropy[level]:.2f}",
            )
        )
    return html.table(header, rows)


def _collisions(codes: np.ndarray, width: int, spread: Any) -> str:
    """One sentence on documents with equal codes. width: tokens of an identifier."""
    documents = f"{len(codes):,} documents ({np.log2(len(codes)):.2f} bits)."
    if not spread.colliding:
        return f"{documents} None shares its codes with another."
    counter = "; a counter after the codes separates them" if width > codes.shape[1] else ""
    return (
        f"{documents} {spread.colliding:.1%} share their codes with another, at most "
        f"{spread.most_alike} the same{counter}."
    )


def _tree(codes: np.ndarray, corpus: records.Corpus) -> list[html.Html]:
    """The figure of the first levels, coloured by category."""
    from zoo.data import categories
    from zoo.report import code_tree

    if len(np.unique(codes[:, 0])) == len(codes):
        return [html.element("p", "Every document has a first code of its own: there is no tree.")]
    labels, where = categories.of(corpus)
    note = (
        f"The first {min(TREE_LEVELS, codes.shape[1])} levels of the tree of codes, the root's "
        "children on top. A node is as wide as it has documents, in the colour of their most "
        f"common category ({where}), paler if fewer of them have it; the last row shows each "
        "document's own category."
    )
    draw = functools.partial(code_tree.code_tree, codes[:, :TREE_LEVELS], labels)
    return [html.figure(draw, "tree of codes"), html.element("p", note, class_="small")]


def _sizes(collection: records.Collection | records.Interactions) -> dict[str, str]:
    if isinstance(collection, records.Interactions):
        lengths, left_out = collection.histories.lengths, collection.left_out
        short = f", and {left_out:,} with fewer than 3 events left out" if left_out else ""
        events = (
            f"{lengths.sum():,}; per user {np.median(lengths):.0f} (median), {lengths.min()} to "
            f"{lengths.max()}; {collection.tied:,} at the same time as another of their user, "
            f"{collection.repeated:,} repeated"
        )
        items, users = f"{len(collection.corpus):,}", f"{len(lengths):,}{short}"
        return {"items": items, "users": users, "events": events}
    splits = ", ".join(f"{len(qrels):,} {split}" for split, qrels in collection.qrels.items())
    return {"documents": f"{len(collection.corpus):,}", "queries": splits}
