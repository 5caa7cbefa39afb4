"""The systems of the zoo: a literal table of names, and what a system is."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from zoo import options as options_
from zoo.records import DataError

MODULES = {
    "bm25": "zoo.recipes.bm25",
    "dsi": "zoo.recipes.dsi",
    "dsi-qg": "zoo.recipes.dsi_qg",
    "nci": "zoo.recipes.nci",
    "dpr": "zoo.recipes.dpr",
    "dpr-hn": "zoo.recipes.dpr_hn",
    "genret": "zoo.recipes.genret",
    "tiger": "zoo.recipes.tiger",
    "popularity": "zoo.recipes.popularity",
    "markov": "zoo.recipes.markov",
    "itemknn": "zoo.recipes.itemknn",
    "semanticknn": "zoo.recipes.semanticknn",
    "gru4rec": "zoo.recipes.gru4rec",
    "sasrec": "zoo.recipes.sasrec",
}
SIZES = ("tiny", "small", "base", "paper")


class Recipe(NamedTuple):
    """A system of the literature as a pair of functions.

    fit(collection, config, key, log) -> state: a nested dict whose leaves are arrays or str. The collection comes without
    the split to be tested; what `log` offers is in `zoo.train.log`.
    retrieve(config, state, queries, k) -> Ranking.

    A system that recommends asks "history": its collection is `records.Interactions`, its queries `records.Histories`. If it
    gives every item a score, it may offer score(config, state, histories) -> float[B, N], -inf = never recommend; places of
    items are then exact, ties and all.

    A system whose encoder-decoder others may train and ask (`zoo export`) offers, beside what it `reads`, examples(collection,
    config, state) -> kind -> `batches.Source` of what `fit` learns from, with targets out of `state["docids"]["tokens"]`.

    A system that takes in documents that it was not trained on offers extend(config, state, corpus) -> the state with the documents of
    `corpus` behind its own, and a DataError for one that it has.
    """

    name: str
    paper: str
    presets: Mapping[str, Any]  # one frozen dataclass for each of SIZES
    fit: Callable
    retrieve: Callable
    deviations: tuple[str, ...]  # from the paper, a sentence each
    asks: str = "text"  # or "history"
    score: Callable | None = None
    # whether `fit` takes start=, a `zoo.models.warm_start.Start` of weights, and has its options of
    # sizes
    starts: bool = False
    # options that `retrieve` alone reads, so that they may change after fitting
    answering: tuple[str, ...] = ()
    # (config, state, queries) -> (i32[B, S] for the encoder of an encoder-decoder, its shape)
    reads: Callable | None = None
    examples: Callable | None = None  # of those that `zoo export` takes
    extend: Callable | None = None


def names() -> tuple[str, ...]:
    """Names of all systems."""
    return tuple(MODULES)


def get(name: str) -> Recipe:
    """The system of that name; DataError naming those that exist otherwise."""
    if not isinstance(name, str):
        raise TypeError(
            f"expected the name of a recipe, one of {', '.join(MODULES)}; got {type(name).__name__}"
        )
    if name not in MODULES:
        raise DataError(f"no recipe {name!r}; expected one of: {', '.join(MODULES)}")
    return importlib.import_module(MODULES[name]).RECIPE


def configure(recipe: Recipe, size: str, options: Mapping[str, Any]) -> Any:
    """The preset of a size with options replaced; values may be text, as they come from `--set key=value`.

    Raises DataError for a size or key that does not exist (naming those that do) and a value of the wrong kind.
    """
    if size not in recipe.presets:
        raise DataError(
            f"{recipe.name}: no size {size!r}; expected one of: {', '.join(recipe.presets)}"
        )
    return options_.replace(recipe.presets[size], options, system=recipe.name)


def options_of(recipe: Recipe) -> list[tuple[options_.Option, dict[str, Any]]]:
    """Each option of a recipe with its value in each size, the recipe's own options first."""
    described = {
        size: {each.name: each for each in options_.describe(preset)}
        for size, preset in recipe.presets.items()
    }
    first = next(iter(described.values()))
    return [
        (first[name], {size: options[name].default for size, options in described.items()})
        for name in option_names(recipe)
    ]


def option_names(recipe: Recipe) -> list[str]:
    """Options of a recipe: its own, then those that it shares with others."""
    config = next(iter(recipe.presets.values()))
    shared = {
        name
        for kind in type(config).__mro__
        if kind.__module__ == options_.__name__
        for name in vars(kind).get("__annotations__", {})
    }
    return sorted(
        (field.name for field in dataclasses.fields(config)), key=lambda name: name in shared
    )
