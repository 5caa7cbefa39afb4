"""Export of a fitted system to another launcher, and import of the parameters trained there."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.api import fitted as stored, inputs as given
from zoo.data import batches, learning
from zoo.exchange import exported
from zoo.records import DataError
from zoo.update import catalogue

DIFFERENCES = (
    "parameters are trained by t5x's trainer and optimiser on SeqIO's mixture of the same "
    "examples, not in the batches of `zoo fit`",
    "the padding that ends a short identifier is not learned: t5x gives it no weight; identifiers "
    "are prefix-free, and the trie forces it",
    "no validation on a sample of dev during training; t5x evaluates and keeps checkpoints as "
    "configured",
)
HEADS = (
    "label smoothing must stay 0: the head of a position gives other positions' tokens no "
    "probability"
)
DIFFERENCES_OF = {  # recipe -> further differences
    "tiger": (HEADS, "answers may be items of the history, as with `--set filter=no`"),
    "genret": (
        HEADS,
        "the identifiers are those of the export; t5x trains the retriever on them, not the "
        "tokenizer that assigns them",
    ),
}


def export(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    data: records.Collection | records.Interactions | str | os.PathLike | None = None,
) -> pathlib.Path:
    """Exports the system that `fit(out=folder)` wrote to a new folder, atomically; returns `out`.

    `zoo.exchange.exported` describes its files.
    data: the collection that the system was fitted to; by default where it was then.
    Raises DataError if there is no such system, it has no encoder-decoder to train elsewhere, or
    `out` is occupied.
    """
    from zoo.data import atomic

    atomic.refuse_occupied(out)
    fitted = stored.load(folder)
    recipe = recipes.get(fitted.recipe)
    if recipe.examples is None:
        able = ", ".join(name for name in recipes.names() if recipes.get(name).examples is not None)
        raise DataError(
            f"{folder}: {fitted.recipe} has no encoder-decoder that a launcher could train; "
            f"expected one of: {able}"
        )
    if "encoder" in fitted.state:
        raise DataError(
            f"{folder}: reads vectors of encoder={fitted.config.encoder}, and an export holds "
            "tokens; fit without encoder to train elsewhere"
        )
    collection = given.data_of(fitted, folder, data)
    with atomic.folder(out) as part:
        learned = learning.select(collection, fitted.about.get("learn", "train"))
        kinds = recipe.examples(learned, fitted.config, fitted.state)
        _write(part, fitted, collection, kinds)
        exported.seal(part)
    return pathlib.Path(out)


def import_checkpoint(
    folder: str | os.PathLike, checkpoint: str | os.PathLike, out: str | os.PathLike
) -> stored.Fitted:
    """The exported system with the parameters of a t5x checkpoint, saved in `out` like a fit.

    The network may be wider or deeper than that of the export: its shape is read from the
    parameters as far as they determine it; the rest (dropout, dtypes, distances) is the export's.

    checkpoint: a folder checkpoint_STEP, or a MODEL_DIR, whose last checkpoint is read.
    Raises DataError if there is no checkpoint, or its network has other vocabularies or is of
    another kind.
    """
    from zoo.data import atomic
    from zoo.nets import network
    from zoo.train import checkpoint as checkpoints, t5x_layout

    atomic.refuse_occupied(out)
    source = exported.read(folder)
    params, step, path = t5x_layout.load(pathlib.Path(checkpoint))
    shape = _shape_of(params, source, path)
    about = source.about
    for name in source.digests:
        if name.startswith(f"{exported.STATE}/"):
            source.checked(name)
    rest = checkpoints.load_state(source.folder / exported.STATE)
    ids = source.docids()
    state = rest | {
        "params": {"params": params},
        network.STATE: network.dump(shape),
        "docids": {"tokens": ids.tokens, "alphabet": np.asarray(ids.alphabet)},
    }
    recipe = recipes.get(about["recipe"])
    config = recipes.configure(recipe, about["size"], about["config"])
    sizes = {
        name: value
        for name, value in dataclasses.asdict(shape).items()
        if type(getattr(config, name, None)) is type(value)
    }
    config = dataclasses.replace(config, **sizes)
    rows = source.lines(exported.DOCUMENTS)
    documents = records.Corpus(
        *(tuple(row[column] for row in rows) for column in ("_id", "title", "text"))
    )
    trained = {
        "checkpoint": str(path.resolve()),
        "step": step,
        "parameters": int(sum(leaf.size for leaf in _leaves(params).values())),
    }
    fitted = stored.Fitted(
        about["recipe"],
        about["size"],
        config,
        about["seed"],
        state,
        documents,
        about["fit"] | trained,
        (),
    )
    stored.save(fitted, out)
    return fitted


def _write(
    part: pathlib.Path,
    fitted: stored.Fitted,
    collection: records.Collection | records.Interactions,
    kinds: Mapping[str, batches.Source],
) -> None:
    """Writes all files but the manifest. kinds: examples by kind."""
    from zoo.docids import table as docids
    from zoo.index import store, trie
    from zoo.models import generate
    from zoo.nets import network
    from zoo.text import tokens
    from zoo.train import checkpoint, t5x_layout

    state, config = fitted.state, fitted.config
    ids = docids.unpack(state["docids"])
    np.save(part / exported.DOCIDS, ids.tokens)
    store.save(trie.build(generate.answerable(state)), part / exported.TRIE)
    inputs = {kind: source.rows["source"] for kind, source in kinds.items()}
    for kind, source in kinds.items():
        _save_arrays(
            part / exported.EXAMPLES / kind,
            inputs=source.rows["source"],
            targets=source.rows["target"],
        )
    asked = {}
    for split, name in exported.SPLITS.items():
        if split in collection.qrels:
            asked[name], inputs[name] = _write_questions(
                part / exported.QUESTIONS / name, fitted, collection, split, ids
            )
    rest = {name: leaf for name, leaf in state.items() if name not in ("params", "docids")}
    checkpoint.save_state(rest, part / exported.STATE)
    t5x_layout.save(state["params"]["params"], part / exported.PARAMETERS, step=0)
    rows = zip(*(getattr(fitted.documents, column) for column in ("ids", "titles", "texts")))
    _write_lines(
        part / exported.DOCUMENTS, (dict(zip(("_id", "title", "text"), row)) for row in rows)
    )
    about = {
        "format": exported.FORMAT,
        **{name: getattr(fitted, name) for name in ("recipe", "size", "seed")},
        "config": dataclasses.asdict(config),
        "network": json.loads(state[network.STATE]),
        "lengths": {
            "inputs": max(rows.shape[1] for rows in inputs.values()),
            "targets": ids.tokens.shape[1],
        },
        "examples": {
            kind: {"weight": source.weight, "count": len(source.rows["target"])}
            for kind, source in kinds.items()
        },
        "questions": asked,
        "documents": len(ids),
        "docids": ids.fingerprint(),
        "unknown": tokens.unknown(state["tokenizer"]) if state["tokenizer"] else tokens.UNKNOWN,
        "checkpoint": f"{exported.PARAMETERS}/checkpoint_0",
        "differences": [*DIFFERENCES, *DIFFERENCES_OF.get(fitted.recipe, ())],
        "fit": dict(fitted.about),
    }
    (part / exported.ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")


def _write_questions(
    folder: pathlib.Path,
    fitted: stored.Fitted,
    collection: records.Collection | records.Interactions,
    split: str,
    ids: Any,
) -> tuple[int, np.ndarray]:
    """Number and inputs of the queries of a split with a relevant document that may be answered."""
    queries, qrels = collection.split(split)
    hidden = catalogue.removed(fitted.state)
    rows = {name: row for name, row in collection.corpus.rows().items() if not hidden[row]}
    relevant = [
        [
            rows[document]
            for document, grade in _best_first(qrels.grades[query])
            if grade > 0 and document in rows
        ]
        for query in queries.ids
    ]
    kept = [row for row, found in enumerate(relevant) if found]
    queries, relevant = queries.take(kept), [relevant[row] for row in kept]
    table = np.full((len(relevant), max(map(len, relevant))), -1, np.int32)
    for row, found in enumerate(relevant):
        table[row, : len(found)] = found
    inputs = fitted.opened.read(queries)
    _save_arrays(folder, inputs=inputs, targets=ids.tokens[table[:, 0]], relevant=table)
    if isinstance(queries, records.Histories):
        texts = [
            " ".join(collection.corpus.ids[item] for item in queries.history(row))
            for row in range(len(queries))
        ]
    else:
        texts = queries.texts
    _write_lines(
        folder / "queries.jsonl",
        ({"_id": name, "text": text} for name, text in zip(queries.ids, texts)),
    )
    return len(queries), inputs


def _best_first(grades: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(grades.items(), key=lambda judged: -judged[1])


def _save_arrays(folder: pathlib.Path, **arrays: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", np.asarray(array, np.int32))


def _write_lines(path: pathlib.Path, rows) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _shape_of(params: dict, source: exported.Export, path: pathlib.Path):
    """Shape of the network with these parameters. Raises DataError naming one that does not fit."""
    import jax
    import jax.numpy as jnp

    leaves = _leaves(params)
    layers = lambda stack: len(
        {
            name.split("/")[0]
            for name in leaves
            if name.startswith(f"{stack}_") and name.split("/")[0][len(stack) + 1 :].isdigit()
        }
    )
    try:
        width, heads, head_width = leaves["decoder_0/self_attention/query/kernel"].shape
        hidden = {
            f"{stack}_hidden": leaves[f"{stack}_0/mlp/out/kernel"].shape[0]
            for stack in ("encoder", "decoder")
            if f"{stack}_0/mlp/out/kernel" in leaves
        }
        shape = dataclasses.replace(
            source.shape,
            width=width,
            heads=heads,
            head_width=head_width,
            encoder_layers=layers("encoder"),
            decoder_layers=layers("decoder"),
            buckets=leaves["decoder_bias/table"].shape[0],
            mlp="gelu" if "decoder_0/mlp/gate/kernel" in leaves else "relu",
            tied="head/kernel" not in leaves,
            shared="target_embedding/embedding" not in leaves,
            recency=leaves["recency/embedding"].shape[0] if "recency/embedding" in leaves else 0,
            **hidden,
        )
    except KeyError as error:
        raise DataError(
            f"{path}: has no parameter {error}; "
            "expected a checkpoint of zoo.launch.module.Transformer"
        ) from None
    blank = jnp.zeros((1, 1), jnp.int32), jnp.zeros((1, shape.target_length), jnp.int32)
    wanted = _leaves(jax.eval_shape(shape.net().init, jax.random.key(0), *blank)["params"])
    for name in sorted(wanted.keys() | leaves.keys()):
        got, expected = (
            tuple(side[name].shape) if name in side else "none" for side in (leaves, wanted)
        )
        if got != expected:
            raise DataError(
                f"{path}: parameter {name} is {got}, expected {expected}; "
                f"was it trained on the export in {source.folder}?"
            )
    return shape


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Arrays of nested dicts, by path."""
    found = {}
    for name, value in tree.items():
        found |= (
            _leaves(value, f"{prefix}{name}/")
            if isinstance(value, Mapping)
            else {prefix + name: value}
        )
    return found
