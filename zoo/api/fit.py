"""The verbs that Python and the command line share: fit, add, retrieve, evaluate; `zoo.api.fitted` saves and loads."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import platform
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.api import fitted as stored
from zoo.api import inputs
from zoo.api.fitted import Fitted
from zoo.records import DataError
from zoo.train import execution

DEPTH = 100  # answers that are evaluated


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Answers to a split, and how good they are."""

    split: str
    ranking: records.Ranking  # DEPTH deep
    measures: Mapping[str, float]  # ir-measures' name -> mean
    per_query: Mapping[str, np.ndarray]  # ir-measures' name -> f64[B]
    hit_curve: np.ndarray  # f64[DEPTH] Hit@1, Hit@2, ...
    queries_per_second: float  # after compilation
    # as per_query, of identifiers; empty if it has none
    by_identifier: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def fit(
    recipe: str,
    data: records.Collection | records.Interactions | str | os.PathLike,
    *,
    size: str = "small",
    options: Mapping[str, Any] | None = None,
    seed: int = 0,
    out: str | os.PathLike | None = None,
    init_from: str | os.PathLike | None = None,
    quiet: bool = False,
    plan: execution.Plan = execution.Plan(),
) -> Fitted:
    """Fits a system to a collection, of which it sees everything but the test split.

    Args:
      recipe: a name of `recipes.names()`.
      data: a collection or interactions, a registered name, or a folder (in the BEIR layout, or with interactions).
      size: tiny, small, base or paper.
      options: replaced values of the size's preset, by name.
      seed: decides everything random; the same seed on the same machine gives the same system.
      out: folder for the result, its logs, and checkpoints while it trains. If a fit with the same arguments was
        interrupted there, it goes on.
      init_from: a folder of weights that training starts from: T5's (safetensors, or a checkpoint of t5x), with its tokenizer, or
        a fit of ours. Options of sizes are then those of the weights.
      quiet: no progress bar.
      plan: how it is trained: devices, parts of a batch, averaging, ...; every system that trains follows it. In several processes
        (`zoo.train.processes.start`) all call this with the same arguments, and the first one writes.

    Raises:
      DataError: unknown names, unreadable data, or a folder that holds something else. A folder that this call opened is
        then as it was before.
    """
    import jax

    from zoo.train import log as logs
    from zoo.train import processes, sharding

    if not 0 <= seed < 2**32:
        raise DataError(f"fit: expected a seed from 0 to {2**32 - 1}, got {seed}")
    chosen = recipes.get(recipe)
    config = recipes.configure(chosen, size, options or {})
    start = None if init_from is None else _start(chosen, os.fspath(init_from))
    if start is not None:
        from zoo.models import warm_start

        config = warm_start.configured(recipe, config, options or {}, start)
    sharding.mesh_of(plan.mesh)
    run = {
        "recipe": recipe,
        "size": size,
        "seed": seed,
        "config": dataclasses.asdict(config),
        "plan": plan.decisive(),
    }
    begun = {} if start is None else {"init_from": {"path": start.where, "sha256": start.digest}}
    run |= begun
    written = out if processes.first() else None
    if written is not None:
        stored.refuse_occupied(pathlib.Path(written))
    collection = inputs.loaded(data)
    inputs.refuse_other_kind(chosen, collection)
    run["data"] = inputs.fingerprint(collection)
    started = time.monotonic()
    with stored.opened_run(written, run):
        log = logs.Log(
            out,
            quiet=quiet or not processes.first(),
            identity=json.dumps(run, sort_keys=True),
            plan=plan,
            writes=processes.first(),
        )
        try:
            weights = {} if start is None else {"start": start}
            state = chosen.fit(
                collection.without("test"), config, jax.random.key(seed), log, **weights
            )
        finally:
            log.close()
    fitted = Fitted(
        recipe=recipe,
        size=size,
        config=config,
        seed=seed,
        state=state,
        documents=stored.shown(collection.corpus),
        about={
            "collection": collection.name,
            "source": inputs.source_of(data),
            "corpus": collection.corpus.fingerprint(),
            "num_documents": len(collection.corpus),
            **inputs.counts(collection),
            **begun,
            "seconds": round(time.monotonic() - started, 2),
            "parameters": int(
                sum(np.size(leaf) for leaf in jax.tree.leaves(state.get("params", {})))
            ),
            "device": jax.devices()[0].device_kind,
            "python": platform.python_version(),
            "jax": jax.__version__,
            "warnings": list(log.warnings),
        },
        history=tuple(log.history),
    )
    if written is not None:
        stored.save(fitted, written)
        shutil.rmtree(pathlib.Path(written) / logs.CHECKPOINTS, ignore_errors=True)
    processes.wait("fitted")
    return fitted


def _start(recipe: recipes.Recipe, where: str):
    """The weights of a folder, or of a fit. Raises DataError if the recipe cannot start from any."""
    from zoo.models import warm_start

    if not recipe.starts:
        able = ", ".join(name for name in recipes.names() if recipes.get(name).starts)
        raise DataError(
            f"{recipe.name}: has no encoder-decoder that could start from {where}; leave --init-from out, or fit one of: {able}"
        )
    if any((pathlib.Path(where) / name).is_file() for name in (stored.FIT, stored.RUN)):
        fitted = stored.load(where)
        return warm_start.of_fit(where, fitted.recipe, fitted.config, fitted.state)
    return warm_start.of_weights(where)


def adjusted(fitted: Fitted, options: Mapping[str, Any]) -> Fitted:
    """The system with other options of answering, such as the width of the beam; those that it was fitted with stay.

    Raises DataError for an option that does not exist, is not read when answering, or has a value of the wrong kind.
    """
    recipe = recipes.get(fitted.recipe)
    config = recipes.configure(
        recipe._replace(presets={fitted.size: fitted.config}), fitted.size, options
    )
    for key in options:
        if key not in recipe.answering:
            allowed = (
                f"expected one of: {', '.join(recipe.answering)}"
                if recipe.answering
                else "none of this system's may"
            )
            raise DataError(
                f"{fitted.recipe}: option {key} was settled when the system was fitted, and may not change now; {allowed}"
            )
    return dataclasses.replace(fitted, config=config)


def add(fitted: Fitted, documents: records.Corpus | str | os.PathLike) -> Fitted:
    """The system with more documents, which it was not trained on and names or encodes as it has learned to; nothing else changes.

    documents: a corpus, or a folder that holds one. Raises DataError if one is there already or the system cannot take in any.
    """
    recipe = recipes.get(fitted.recipe)
    if recipe.extend is None:
        able = ", ".join(name for name in recipes.names() if recipes.get(name).extend)
        raise DataError(
            f"{fitted.recipe}: takes in no documents after it is fitted; fit it anew to all of them, or use one of: {able}"
        )
    if not isinstance(documents, records.Corpus):
        collection = inputs.loaded(documents)
        inputs.refuse_other_kind(recipe, collection)
        documents = collection.corpus
    corpus = documents
    state = recipe.extend(fitted.config, fitted.state, corpus)
    old, new = fitted.documents, stored.shown(corpus)
    about = dict(fitted.about) | {
        "added": [
            *fitted.about.get("added", []),
            {"corpus": corpus.fingerprint(), "num_documents": len(corpus)},
        ],
        "num_documents": len(old) + len(corpus),
    }
    shown = records.Corpus(old.ids + new.ids, old.titles + new.titles, old.texts + new.texts)
    return dataclasses.replace(fitted, state=state, documents=shown, about=about)


def retrieve(
    fitted: Fitted,
    queries: records.Queries | records.Histories | Sequence[str] | Sequence[Sequence[str]] | str,
    k: int = 10,
) -> records.Ranking:
    """The k best documents for each query with their titles, best first; fewer where the system finds fewer.

    queries: texts, or one; of a system that recommends, histories: lists of item ids, oldest first, or one list.
    Raises DataError if k is below 1, a query is empty, or the system asks for the other kind.
    """
    recipe = recipes.get(fitted.recipe)
    if k < 1:
        raise DataError(f"retrieve: expected k of at least 1, got {k}")
    ranking = recipe.retrieve(fitted.config, fitted.state, inputs.asked(fitted, queries), k)
    return dataclasses.replace(ranking, titles=fitted.documents.titles)


def path(fitted: Fitted, query: str | Sequence[str], *, width: int = 8) -> Any:
    """What a beam of `width` keeps at each depth on its way to the answers of one query, a `recipes.paths.Path`; the trie constrains it.

    query: a text, or a history of item ids. Raises DataError if the system generates no identifiers.
    """
    from zoo.models import beam_path

    return beam_path.of(
        recipes.get(fitted.recipe),
        fitted.config,
        fitted.state,
        inputs.asked(fitted, [query]),
        width=width,
    )


def evaluate(
    fitted: Fitted,
    data: records.Collection | records.Interactions | str | os.PathLike,
    *,
    split: str = "test",
    categories: Sequence[str] | None = None,
) -> Evaluation:
    """Answers the queries of a split and measures the answers; a short first call keeps compilation out of the rate.

    categories: of each item, for the entropy of those that are recommended; read from the items' texts, if they name some, by default.
    Raises DataError if the collection has no such split, or its corpus is not the one that the system has learned.
    """
    collection = inputs.loaded(data)
    recipe = recipes.get(fitted.recipe)
    inputs.refuse_other_kind(recipe, collection)
    queries, qrels = collection.split(split)
    inputs.refuse_other_corpus(fitted, collection)
    retrieve(fitted, queries.take([0]), DEPTH)
    if recipe.asks == "history":
        return _recommended(
            fitted, collection, queries, qrels, split, _categories(collection.corpus, categories)
        )
    return _answered(fitted, collection, queries, qrels, split)


def _categories(corpus: records.Corpus, named: Sequence[str] | None) -> list[str] | None:
    from zoo.data import categories

    if named is None:
        found, where = categories.of(corpus)
        return found if where.startswith(categories.FIELDS) else None
    if len(named) != len(corpus):
        raise DataError(
            f"categories: expected one for each of {len(corpus)} items, got {len(named)}"
        )
    return list(named)


def _answered(
    fitted, collection, queries: records.Queries, qrels: records.Qrels, split: str
) -> Evaluation:
    """How good the documents are that texts are answered with."""
    from zoo.metrics import measures

    started = time.monotonic()
    ranking = retrieve(fitted, queries, DEPTH)
    rate = len(queries) / max(time.monotonic() - started, 1e-9)
    per_query, means = measures.per_query(ranking, qrels), measures.evaluate(ranking, qrels)
    return Evaluation(
        split, ranking, means, per_query, measures.hit_curve(ranking, qrels, DEPTH), rate
    )


def _recommended(
    fitted,
    collection,
    histories: records.Histories,
    qrels: records.Qrels,
    split: str,
    categories: list[str] | None,
) -> Evaluation:
    """How good the items are that histories are answered with; exact among all items if the system scores them all."""
    from zoo.metrics import exposure, measures, recommend
    from zoo.ranking import scores
    from zoo.schemes import codes as identifiers

    score = recipes.get(fitted.recipe).score
    targets = recommend.targets(qrels, histories.ids, collection.corpus)
    started = time.monotonic()
    if score is None:
        ranking = retrieve(fitted, histories, DEPTH)
        places = recommend.places_in(ranking, targets)
    else:
        scores_of = functools.partial(score, fitted.config, fitted.state)
        ranking, places = scores.placed(scores_of, collection.corpus.ids, histories, targets, DEPTH)
    rate = len(histories) / max(time.monotonic() - started, 1e-9)
    per_query, codes = (
        recommend.per_query(places),
        identifiers.codes_of(fitted.config, fitted.state),
    )
    by_identifier = (
        {}
        if codes is None
        else recommend.per_query(recommend.identifier_places(ranking, codes, targets))
    )
    means = {name: float(values.mean()) for name, values in per_query.items()} | {
        measures.INVALID_SHARE: float(ranking.invalid_share)
    }
    means |= {
        name + recommend.BY_IDENTIFIER: float(values.mean())
        for name, values in by_identifier.items()
    }
    learned = collection.without(*collection.held).histories.items
    means |= exposure.summary(
        ranking, places, targets, np.bincount(learned, minlength=len(collection.corpus)), categories
    )
    return Evaluation(
        split, ranking, means, per_query, recommend.hit_curve(places, DEPTH), rate, by_identifier
    )
