"""One HTML page of a fitted system: training, identifiers, results beside baselines, examples."""

from __future__ import annotations

import os
import pathlib
import shlex

from zoo import recipes, records
from zoo.api import evaluate, fit, fitted as stored, inputs
from zoo.records import DataError
from zoo.report import examples, html, results, sections, walk_view

PAGE, SPLIT = "report.html", "dev"
BASELINES = {  # what a system asks for -> (name, recipe, options)
    "history": (
        ("popularity", "popularity", {}),
        ("Markov chain", "markov", {}),
        ("Markov, unseen items", "markov", {"filter": True}),
        ("item neighbours", "itemknn", {}),
    ),
    "text": (("BM25", "bm25", {}), ("BM25 + train queries", "bm25", {"expand_with_queries": True})),
}


def write_report(
    folder: str | os.PathLike,
    data: records.Collection | records.Interactions | str | os.PathLike | None = None,
    *,
    out: str | os.PathLike | None = None,
    split: str | None = None,
    quiet: bool = False,
) -> pathlib.Path:
    """Writes a self-contained page of the system that `fit(out=folder)` wrote; returns its path.

    The baselines of BASELINES are fitted anew and evaluated in the same way.

    Args:
      folder: the fitted system.
      data: the collection that it was fitted to; by default where it was then.
      out: the file; by default PAGE in the folder.
      split: split to evaluate; by default dev, so that test is evaluated only on request.
      quiet: print no progress.

    Raises:
      DataError: the folder holds no fitted system, its data is gone or another, or there is no such
        split.
    """
    from zoo.data import atomic
    from zoo.train import log as logs

    fitted = stored.load(folder)
    collection = inputs.data_of(fitted, folder, data)
    split = split or SPLIT
    if split not in collection.qrels:
        have = ", ".join(sorted(collection.qrels)) or "none"
        raise DataError(
            f"{collection.name}: no split {split!r} to report on; it has: {have}; name one of them "
            "with --split"
        )
    log = logs.Log(quiet=quiet)
    path = pathlib.Path(folder) / PAGE if out is None else pathlib.Path(out)
    with atomic.file(path) as file:  # refuses a bad place before the work begins
        log.phase(f"evaluate {fitted.name} on {split}")
        systems = [
            results.Measured(
                fitted.name, fitted, evaluate.evaluate(fitted, collection, split=split)
            )
        ]
        for name, recipe, options in _baselines(fitted, collection):
            log.phase(f"fit and evaluate {name}")
            learn = fitted.about.get("learn", "train")
            rival = fit.fit(
                recipe, collection, size=fitted.size, options=options, quiet=True, learn=learn
            )
            systems.append(
                results.Measured(name, rival, evaluate.evaluate(rival, collection, split=split))
            )
        log.phase("write")
        named = ["--data", os.fspath(data)] if isinstance(data, (str, os.PathLike)) else []
        again = shlex.join(["zoo", "report", os.fspath(folder), *named, "--split", split])
        file.write(_page(fitted, collection, systems, again))
    return path


def _baselines(
    fitted: stored.Fitted, collection: records.Collection | records.Interactions
) -> list[tuple[str, str, dict]]:
    """The baselines that differ from the system and have data."""
    rivals = []
    for name, recipe, options in BASELINES[recipes.get(fitted.recipe).asks]:
        same = (recipe, recipes.configure(recipes.get(recipe), fitted.size, options)) == (
            fitted.recipe,
            fitted.config,
        )
        if not same and ("train" in collection.qrels or not options.get("expand_with_queries")):
            rivals.append((name, recipe, options))
    return rivals


def _page(
    fitted: stored.Fitted,
    collection: records.Collection | records.Interactions,
    systems: list[results.Measured],
    again: str,
) -> str:
    return html.page(
        f"{fitted.name} on {collection.name}",
        html.element("p", results.verdict(systems), class_="lead"),
        sections.about(fitted),
        sections.data(fitted, collection),
        sections.training(fitted),
        sections.identifiers(fitted, collection.corpus),
        results.results(systems),
        walk_view.section(fitted, *collection.split(systems[0].result.split)),
        examples.examples(systems[0], collection),
        html.element("p", html.element("code", again), " writes this page again.", class_="small"),
    )
