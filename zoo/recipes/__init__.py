"""The systems of the zoo: a literal table of names, and what a system is."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from zoo import options as options_, records
from zoo.records import DataError

MODULES = {
    "bm25": "zoo.recipes.bm25",
    "tree": "zoo.recipes.tree",
    "flat": "zoo.recipes.flat",
    "dense": "zoo.recipes.dense",
    "dense-max": "zoo.recipes.dense_max",
    "hybrid": "zoo.recipes.hybrid",
    "dsi": "zoo.recipes.dsi",
    "dsi-qg": "zoo.recipes.dsi_qg",
    "nci": "zoo.recipes.nci",
    "genre": "zoo.recipes.genre",
    "seal": "zoo.recipes.seal",
    "zerogr": "zoo.recipes.zerogr",
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


# An opened system: (queries, k) -> Ranking, of records.Queries or records.Histories as the recipe
# asks. Systems that generate identifiers return `zoo.models.generate.Opened`, recommenders that
# score every item `zoo.ranking.scores.Scored`.
Ask = Callable[[Any, int], records.Ranking]


class Recipe(NamedTuple):
    """A system of the literature as a pair of functions.

    fit(collection, config, key, log) -> state: a nested dict whose leaves are arrays or str. The
    collection comes without the test split; see `zoo.train.log` for `log`. open(config, state) ->
    Ask: whatever is paid once is paid here: parsing the tokenizer, building the index, moving
    parameters to the device.

    A recommender asks "history": its collection is `records.Interactions`, its queries
    `records.Histories`. If it scores every item, `open` returns `scores.Scored`, and places of
    items are exact, ties included.

    A system whose encoder-decoder can be trained elsewhere (`zoo export`) opens as
    `generate.Opened` and has examples(collection, config, state) -> kind -> `batches.Source` of
    what `fit` learns from, whose targets are rows of `state["docids"]["tokens"]`.

    A system whose documents may change after it is fitted has add(config, state, corpus) -> the
    state with the documents of `corpus`, none of which it has, after its own, and remove(config,
    state, rows i[n]) -> state. A system for texts forgets what is removed and moves later rows up;
    a recommender hides it (`zoo.update.catalogue`), because histories go on naming it. Identifiers
    never change.
    """

    name: str
    paper: str
    presets: Mapping[str, Any]  # a frozen dataclass for each of SIZES
    fit: Callable
    open: Callable[[Any, Any], Ask]
    deviations: tuple[str, ...]  # from the paper, one sentence each
    asks: str = "text"  # or "history"
    # whether `fit` takes start=, a `zoo.models.warm_start.Start` of weights, and has its options of
    # sizes
    starts: bool = False
    # options that `open` alone reads: they may change after fitting
    answering: tuple[str, ...] = ()
    examples: Callable | None = None
    add: Callable | None = None
    remove: Callable | None = None


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
    """The preset of a size with options replaced.

    Values may be text, as they come from `--set key=value`.

    Raises DataError for a size or key that does not exist (naming those that do) and a value of the
    wrong kind.
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
