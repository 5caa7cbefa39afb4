"""Systems on a corpus that grows: fitted on D0, then given D1 to Dn without training.

After each step the queries of D0 and those of the part that was added are asked of all documents
so far (Zhang et al. 2025, arXiv 2504.17519). Hits are of documents.
"""

from __future__ import annotations

import functools
import json
import os
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from zoo import recipes, records
from zoo.api import add, answer, fit, inputs, learn as learning
from zoo.api.fitted import Fitted
from zoo.data import atomic, dynamic as growing_
from zoo.docids import cluster
from zoo.metrics import dynamic, measures
from zoo.models import behaviour, generate
from zoo.records import DataError
from zoo.text import embed
from zoo.train import log as logs

REFIT = "refit"
MEASURES = ("Success@1", "Success@10")
DEPTH = 10
CLUSTERS = 20  # of documents, divided by cluster
WIDTH = 64  # of the vectors that are clustered


class Cell(NamedTuple):
    """What a system finds after a step."""

    old: Mapping[str, Sequence[float]]  # measure -> of each query of D0
    new: Mapping[str, Sequence[float]]  # measure -> of each query of the part; empty at step 0
    seconds: float  # to fit D0, or to add the part
    added: int  # documents of the part
    # of systems that generate codes, on the queries of the part: accuracy and entropy by position
    # (`zoo.models.behaviour`), and the share of first answers that are older documents
    behaviour: Mapping[str, Any] = {}


class Grown(NamedTuple):
    """A system on a growing corpus."""

    name: str
    cells: tuple[Cell, ...]  # n + 1

    def old(self, measure: str = "Success@10") -> np.ndarray:
        """f64[n+1] P_0 ... P_n."""
        return np.array([np.mean(cell.old[measure]) for cell in self.cells])

    def new(self, measure: str = "Success@10") -> np.ndarray:
        """f64[n] G_1 ... G_n."""
        return np.array([np.mean(cell.new[measure]) for cell in self.cells[1:]])

    def forgetting(self, measure: str = "Success@10") -> tuple[float, float]:
        """F_n, and half its 95 % interval over queries."""
        queries = np.array([cell.old[measure] for cell in self.cells])
        drops = queries[0] - queries[1:].mean(axis=0)
        return dynamic.forgetting(self.old(measure)), dynamic.half_interval([drops])

    def generalisation(self, measure: str = "Success@10") -> tuple[float, float]:
        """GA_n, and half its 95 % interval over queries."""
        queries = [np.asarray(cell.new[measure]) for cell in self.cells[1:]]
        return dynamic.generalisation(self.new(measure)), dynamic.half_interval(queries)

    def seconds_a_document(self) -> float:
        """To add one."""
        later = self.cells[1:]
        return sum(cell.seconds for cell in later) / sum(cell.added for cell in later)


def divide(
    data: records.Collection | records.Interactions | str | os.PathLike,
    by: str = "random",
    *,
    steps: int = 5,
    initial: float = 0.5,
    seed: int = 0,
    values: Sequence[Any] | None = None,
) -> growing_.Growing:
    """D0 to Dn of a collection or its name, see `zoo.data.dynamic.split`.

    By cluster, documents are grouped by k-means of their TF-IDF and SVD vectors, of all parts:
    which documents arrive together is decided before anything is fitted.
    """
    collection = inputs.load_data(data)
    if not isinstance(collection, records.Collection):
        raise DataError(f"dynamic: {collection.name} has histories; name a collection with queries")
    if by == "cluster" and values is None:
        vectors = embed.embed(collection.corpus, embed.TFIDF, logs.Log(quiet=True), dim=WIDTH)
        key = jax.random.key(seed)
        _, assigned = cluster.kmeans(vectors, max(CLUSTERS, 2 * steps + 2), key, iterations=30)
        values = np.asarray(assigned).tolist()
    return growing_.split(collection, by, steps=steps, initial=initial, seed=seed, values=values)


def grow(
    recipe: str,
    growing: growing_.Growing,
    *,
    size: str = "small",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    split: str = "test",
    out: str | os.PathLike | None = None,
    quiet: bool = False,
) -> Grown:
    """Fits a system on D0, adds each part, and asks after each step.

    recipe: a name, or a name and how new documents are learned: "dsi+edit", "dsi+continue"
    (`zoo.learn`, options with that prefix, such as edit.lam), "dsi+refit": a fit to all documents
    so far, with the train queries of D0. Their fit of D0 is that of "dsi", in a folder beside.
    out: a folder that keeps the fit and a cell for each step; repeated, the call resumes.
    Raises DataError if the system takes no documents after it is fitted, or the folder holds cells
    of another division, split or fit.
    """
    name, _, way = recipe.partition("+")
    chosen = recipes.get(name)
    if way not in ("", *learning.WAYS, REFIT):
        known = ", ".join((*learning.WAYS, REFIT))
        raise DataError(f"{recipe}: expected {name} or {name}+ one of {known}")
    given = dict(options or {})
    taught = {key: given.pop(key) for key in list(given) if key.startswith(f"{way}.") and way}
    given = {key: value for key, value in given.items() if "." not in key}
    if chosen.add is None or chosen.asks != "text":
        able = [each for each in recipes.names() if _takes_texts(recipes.get(each))]
        raise DataError(f"{recipe}: takes no documents later; use one of: {', '.join(able)}")
    folder = None if out is None else pathlib.Path(out)
    config = recipes.configure(chosen, size, given)
    decides = [recipe, size, repr(config), seed, split, growing.fingerprint()]
    identity = json.dumps([*decides, taught] if taught else decides, sort_keys=True)
    kept = [_read(folder, step, identity) for step in range(growing.steps + 1)]
    cells = [cell for cell in kept if cell is not None]
    if len(cells) == len(kept):
        return Grown(recipe, tuple(cells))
    begin = functools.partial(fit.fit, name, size=size, options=given, seed=seed, quiet=quiet)
    if folder is not None:
        where = folder.with_name(name) if way else folder
        begin = functools.partial(begin, out=where / "fit")
    started = time.monotonic()
    fitted = begin(growing.initial())
    seconds, cells = time.monotonic() - started, []
    for step, cell in enumerate(kept):
        if step and (way != REFIT or cell is None):
            started = time.monotonic()
            fitted = (
                begin(growing.so_far(step), out=None)
                if way == REFIT
                else _more(fitted, growing, step, way, taught, quiet)
            )
            seconds = time.monotonic() - started
        if cell is None:
            cell = _ask(fitted, growing, step, split, seconds)
            _write(folder, step, identity, cell)
        cells.append(cell)
    return Grown(recipe, tuple(cells))


def _more(
    fitted: Fitted,
    growing: growing_.Growing,
    step: int,
    way: str,
    options: Mapping[str, Any],
    quiet: bool,
) -> Fitted:
    """The system with the documents of a part."""
    if not way:
        return add.add(fitted, growing.corpus(step))
    return learning.learn(
        fitted,
        growing.corpus(step),
        by=way,
        data=growing.so_far(step - 1),
        options={key.partition(".")[2]: value for key, value in options.items()},
        quiet=quiet,
    )


def _takes_texts(recipe: recipes.Recipe) -> bool:
    return recipe.add is not None and recipe.asks == "text"


def _ask(fitted: Fitted, growing: growing_.Growing, step: int, split: str, seconds: float) -> Cell:
    found = [_hits(fitted, *growing.queries(part, split)) for part in sorted({0, step})]
    if not step:
        return Cell(found[0], {}, seconds, len(growing.parts[0]))
    seen = _behaviour(fitted, *growing.queries(step, split), len(growing.parts[step]))
    return Cell(found[0], found[1], seconds, len(growing.parts[step]), seen)


def _behaviour(
    fitted: Fitted, queries: records.Queries, qrels: records.Qrels, added: int
) -> dict[str, Any]:
    """How the decoder treats identifiers of new documents; nothing of systems without one each."""
    opened = answer.open(fitted)
    asks = opened.ask
    if not isinstance(asks, generate.Opened) or asks.model.ids.document is not None:
        return {}
    rows, texts = fitted.documents.rows(), dict(zip(queries.ids, queries.texts))
    pairs = [(texts[query], rows[name]) for query, name in qrels.pairs()]
    sources = asks.read(records.Queries.of([text for text, _ in pairs]))
    targets = asks.model.ids.tokens[[row for _, row in pairs]]
    found = behaviour.by_position(asks.model.net, asks.model.params, sources, targets)
    ranking = opened(queries, 1)
    return {
        "accuracy": found.accuracy.tolist(),
        "entropy": found.entropy.tolist(),
        "old_share": behaviour.old_share(ranking, len(rows) - added),
    }


def _hits(fitted: Fitted, queries: records.Queries, qrels: records.Qrels) -> dict[str, list[float]]:
    ranking = answer.open(fitted)(queries, DEPTH)
    return {
        name: values.tolist()
        for name, values in measures.per_query(ranking, qrels, MEASURES).items()
    }


def _file(folder: pathlib.Path, step: int) -> pathlib.Path:
    return folder / f"step-{step}.json"


def _read(folder: pathlib.Path | None, step: int, identity: str) -> Cell | None:
    """The cell of a step, if it was finished."""
    if folder is None or not _file(folder, step).exists():
        return None
    found = json.loads(_file(folder, step).read_text(encoding="utf-8"))
    if found.pop("identity") != identity:
        raise DataError(
            f"{_file(folder, step)}: belongs to another fit, division or split; name another folder"
        )
    return Cell(**found)


def _write(folder: pathlib.Path | None, step: int, identity: str, cell: Cell) -> None:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic.file(_file(folder, step)) as out:
            json.dump({"identity": identity, **cell._asdict()}, out)
