"""New documents that a fitted system also learns: by an edit, or by continued training."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from zoo import options as options_, recipes, records
from zoo.api import add, answer, inputs
from zoo.api.fitted import Fitted
from zoo.docids import table
from zoo.models import encoder_decoder, generate
from zoo.nets import network
from zoo.records import DataError
from zoo.text import rules
from zoo.train import log as logs
from zoo.update import continue_training, edit

INDEX, EDIT, CONTINUE = "index", "edit", "continue"
WAYS = (INDEX, CONTINUE, EDIT)
ASKED = 200  # known queries whose answers are compared


def learn(
    fitted: Fitted,
    documents: records.Corpus | str | os.PathLike,
    *,
    by: str = EDIT,
    data: records.Collection | str | os.PathLike | None = None,
    options: Mapping[str, Any] | None = None,
    queries: Mapping[str, Sequence[Any]] | None = None,
    seed: int = 0,
    quiet: bool = False,
) -> Fitted:
    """The system with more documents, named by what was fitted (`zoo.add`) and then learned.

    Seconds a document and the change of known answers go to the last of `about["changes"]`.

    Args:
      by: index, which learns nothing; edit (`zoo.update.edit`); or continue
        (`zoo.update.continue_training`).
      data: the collection of the known documents, whose answers are protected; by default where it
        was when the system was fitted.
      options: of `edit.Config` or `continue_training.Config`.
      queries: pseudo-queries by document id; of a recommender histories of item ids, which it
        needs. By default made by rule (`zoo.text.rules`).

    Raises DataError if the system generates no identifiers with an encoder-decoder, for other
    options, or if a document has no query.
    """
    if by not in WAYS:
        raise DataError(f"add: expected by to be one of {', '.join(WAYS)}, got {by!r}")
    if not isinstance(documents, records.Corpus):
        collection = inputs.load_data(documents)
        inputs.refuse_other_kind(recipes.get(fitted.recipe), collection)
        documents = collection.corpus
    started = time.monotonic()
    named = add.add(fitted, documents)
    if by == INDEX:
        return _with_facts(named, by, time.monotonic() - started, len(documents), {})
    config = _config(by, options or {})
    asks = _generator(named)
    collection = _known(fitted, data)
    known = _known_queries(fitted, collection, config.queries, seed)
    found = _new_queries(asks, documents, queries, config.queries, seed)
    pairs = [_pairs(named, asks, *each) for each in (found, known)]
    params = _learned(named, config, pairs[0], pairs[1], seed, quiet)
    seconds = time.monotonic() - started
    after = dataclasses.replace(named, state=dict(named.state) | {"params": params})
    facts = _change_of_answers(fitted, after, *known)
    return _with_facts(after, by, seconds, len(documents), facts)


def _learned(
    named: Fitted,
    config: edit.Config | continue_training.Config,
    new: edit.Pairs,
    known: edit.Pairs,
    seed: int,
    quiet: bool,
) -> Any:
    """Parameters after the edit or the training."""
    net, params = network.of(named.state), named.state["params"]
    log = logs.Log(quiet=quiet)
    if isinstance(config, edit.Config):
        rows = np.random.default_rng(seed).permutation(len(known.targets))
        known = edit.Pairs(known.sources[rows], known.targets[rows])
        return edit.edit(net, params, new, known, config, log)
    key = jax.random.key(seed)
    return continue_training.train(net, params, new, known, config, named.config, key, log)


def sentence(fitted: Fitted) -> str:
    """What the last change cost, and what it did to known answers."""
    change = fitted.about["changes"][-1]
    text = f"{1000 * change['seconds_a_document']:.3g} ms a document by {change['by']}"
    if "asked" not in change:
        return text
    return (
        f"{text}; of {change['asked']} known queries {change['changed']:.1%} have another first "
        f"answer, Hit@1 {change['hit_before']:.3f} -> {change['hit_after']:.3f}"
    )


def _config(by: str, given: Mapping[str, Any]) -> edit.Config | continue_training.Config:
    preset = edit.Config() if by == EDIT else continue_training.Config()
    return options_.replace(preset, given, system=by)


def _generator(fitted: Fitted) -> generate.Opened:
    asks = answer.open(fitted).ask
    held = fitted.state.get(network.STATE)
    layers = 0 if held is None else getattr(network.parse(held), "decoder_layers", 0)
    if not isinstance(asks, generate.Opened) or not layers:
        raise DataError(
            f"{fitted.recipe}: has no decoder of identifiers to change; add documents by index"
        )
    return asks


def _known(
    fitted: Fitted, data: records.Collection | records.Interactions | str | os.PathLike | None
) -> records.Collection | records.Interactions:
    source = fitted.about.get("source") if data is None else data
    if not source:
        raise DataError(
            f"{fitted.recipe}: was fitted to data in memory; name the data of the known documents"
        )
    return inputs.load_data(source)


Asked = tuple[list[Any], list[str]]  # queries and the document that each is answered with


def _known_queries(
    fitted: Fitted, collection: records.Collection | records.Interactions, count: int, seed: int
) -> Asked:
    """Train queries and queries by rule of known documents; of a recommender its histories."""
    rows = fitted.documents.rows()
    if isinstance(collection, records.Interactions):
        learned = collection.without(*collection.held).histories
        ids, found = collection.corpus.ids, []
        for user in range(len(learned)):
            items = learned.items[learned.starts[user] : learned.starts[user + 1]]
            if len(items) > 1:
                found.append(([ids[item] for item in items[:-1]], ids[items[-1]]))
        kept = [(history, last) for history, last in found if last in rows]
        return [history for history, _ in kept], [last for _, last in kept]
    texts, answers = encoder_decoder.pairs(collection)
    made, origins = rules.by_rules(collection.corpus, per_document=count, seed=seed)
    ids = collection.corpus.ids
    kept = [
        (text, ids[row])
        for text, row in zip([*texts, *made], [*answers, *origins])
        if ids[row] in rows and text.strip()
    ]
    return [text for text, _ in kept], [name for _, name in kept]


def _new_queries(
    asks: generate.Opened,
    documents: records.Corpus,
    given: Mapping[str, Sequence[Any]] | None,
    count: int,
    seed: int,
) -> Asked:
    if given is None:
        if asks.ask is not None:
            raise DataError("add: a recommender learns new items from histories; pass queries")
        made, origins = rules.by_rules(documents, per_document=count, seed=seed)
        kept = [(text, documents.ids[row]) for text, row in zip(made, origins) if text.strip()]
        return [text for text, _ in kept], [name for _, name in kept]
    for name in documents.ids:
        if not given.get(name):
            raise DataError(f"add: document {name!r} has no query; expected at least one of each")
    found = [(query, name) for name in documents.ids for query in given[name][:count]]
    return [query for query, _ in found], [name for _, name in found]


def _pairs(fitted: Fitted, asks: generate.Opened, queries: list[Any], names: list[str]):
    """What the encoder reads of the queries, and the first identifier of each document."""
    ids, rows = table.unpack(fitted.state["docids"]), fitted.documents.rows()
    documents, first = np.unique(ids.documents, return_index=True)
    place = dict(zip(documents.tolist(), first.tolist()))
    targets = ids.tokens[[place[rows[name]] for name in names]].astype(np.int32)
    return edit.Pairs(asks.read(inputs.as_queries(fitted, queries)), targets)


def _change_of_answers(
    before: Fitted, after: Fitted, queries: list[Any], names: list[str]
) -> dict[str, Any]:
    """First answers to known queries, before and after."""
    chosen = np.random.default_rng(0).permutation(len(queries))[:ASKED]
    asked, wanted = [queries[row] for row in chosen], [names[row] for row in chosen]
    firsts = []
    for system in (before, after):
        ranking = answer.open(system)(asked, 1)
        firsts.append([answers[0].document if answers else "" for answers in ranking])
    hits = [float(np.mean([a == b for a, b in zip(first, wanted)])) for first in firsts]
    changed = float(np.mean([one != other for one, other in zip(*firsts)]))
    return dict(asked=len(asked), changed=changed, hit_before=hits[0], hit_after=hits[1])


def _with_facts(
    fitted: Fitted, by: str, seconds: float, count: int, facts: Mapping[str, Any]
) -> Fitted:
    *earlier, last = fitted.about["changes"]
    last = {**last, "by": by, "seconds_a_document": seconds / count, **facts}
    about = dict(fitted.about) | {"changes": [*earlier, last]}
    return dataclasses.replace(fitted, about=about)
