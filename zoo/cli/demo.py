"""The demonstration: generative retrieval beside BM25 on the documentation of the Python that runs it."""

from __future__ import annotations

import json
import os
import pathlib
import sys

from zoo import recipes, records
from zoo.api import answer, evaluate, fit, fitted as stored
from zoo.report import answers

QUESTIONS = (
    "remove all whitespace at both ends of a string",
    "wait until all threads have reached the same point",
    "parse a date and time from text",
)
SYSTEMS = {  # name in the table -> recipe, options
    "BM25": ("bm25", {}),
    "BM25 + train queries": ("bm25", {"expand_with_queries": True}),
    "DSI (semantic ids)": ("dsi", {"minutes": 4.5}),
}
HITS, TRAINING, TABLE, RESULTS = "hits.png", "training.png", "table.md", "results.json"


def run(out: str, *, seed: int = 0) -> None:
    """Fits, measures, asks and plots; everything goes to a new folder or to one that an earlier demo wrote.

    A system that an earlier demo finished in the folder is not fitted again.
    """
    from zoo.data import atomic, pydocs
    from zoo.metrics import compare
    from zoo.report import plots, tables

    folder = pathlib.Path(out)
    _refuse_foreign(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _say("the documentation of this Python becomes a search collection")
    collection = pydocs.build()
    counts = ", ".join(f"{len(qrels):,} {split}" for split, qrels in collection.qrels.items())
    _say(
        f"{len(collection.corpus):,} documents; queries: {counts}; no query's words are left in its document"
    )

    runs, curves, systems = [], {}, {}
    for name, (recipe, options) in SYSTEMS.items():
        fitted = systems[name] = _fitted(folder / _slug(name), collection, recipe, options, seed)
        _say(f"{name} answers the test queries")
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
        "BM25 + train queries has the train queries, which DSI learns from, appended to its documents.\n"
    )

    generative = systems["DSI (semantic ids)"]
    rows = generative.documents.rows()
    ranking = answer.retrieve(generative, QUESTIONS, k=3)
    for number, question in enumerate(QUESTIONS):
        print(
            "\n".join(
                [
                    f"Q: {question}",
                    *answers.format_answers(generative, rows, ranking.answers(number)),
                    "",
                ]
            )
        )

    history = [row for row in generative.history if "loss" in row]
    pictures = [
        plots.hit_curves(curves, folder / HITS),
        plots.training_curves(
            [row["step"] for row in history],
            {"DSI": [row["loss"] for row in history]},
            folder / TRAINING,
        ),
    ]
    table = tables.markdown(comparison)
    results = {
        "table": table,
        "runs": {run.name: _numbers(run) for run in runs},
        "collection": {
            "documents": len(collection.corpus),
            "corpus": collection.corpus.fingerprint(),
        },
        "machine": _machine(generative),
    }
    for name, content in ((TABLE, table + "\n"), (RESULTS, json.dumps(results, indent=1) + "\n")):
        with atomic.file(folder / name) as file:
            file.write(content)
    print(f"plots: {', '.join(map(str, pictures))}")
    print(f"table: {folder / TABLE}; numbers: {folder / RESULTS}")
    print(f'ask more: zoo retrieve {folder / _slug("DSI (semantic ids)")} --query "..."')


def _fitted(
    folder: pathlib.Path, collection: records.Collection, recipe: str, options: dict, seed: int
) -> stored.Fitted:
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
            f"{folder}: fitted to another collection or with another seed or options; remove it or name another --out"
        )
    _say(f"{recipe} learns the documents")
    return fit.fit(recipe, collection, options=options, seed=seed, out=folder)


def _refuse_foreign(folder: pathlib.Path) -> None:
    """The folder is absent, empty, or holds nothing but what a demo writes."""
    from zoo.data import atomic

    ours = {HITS, TRAINING, TABLE, RESULTS, *map(_slug, SYSTEMS)}
    if not folder.is_dir() or {path.name for path in folder.iterdir()} - ours:
        atomic.refuse_occupied(folder)


def _numbers(run) -> dict:
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
