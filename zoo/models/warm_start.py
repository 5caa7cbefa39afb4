"""Initial parameters of an encoder-decoder from published T5 weights or another fit.

The layers of both stacks are copied. Embedding rows are copied where tokens mean the same: the
source's if the system reads with the tokenizer of the weights, the target's if it generates the
same identifiers. Every other row (code tokens, prompts, new identifiers) is drawn from a normal
distribution with the per-dimension mean and deviation of the old rows, so that layers see inputs
like those they were trained on (Hewitt 2021, "Initializing New Word Embeddings for Pretrained
Language Models", with noise to tell new tokens apart). The new head has code tokens only, so words
do not dominate them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from zoo.nets import network, t5_weights, transformer
from zoo.records import DataError
from zoo.text import sentencepiece, tokens

SIZES = (
    "width",
    "heads",
    "head_width",
    "encoder_hidden",
    "decoder_hidden",
    "encoder_layers",
    "decoder_layers",
)
# options of `options.Reading` that belong to a tokenizer, and what published weights need
READING = {"stem": False, "language": "auto", "strip_accents": False}
FAMILY = "mlp", "tied", "buckets", "max_distance"
TOKENIZERS = {"tokenizer.json": sentencepiece.published, "spiece.model": sentencepiece.tokenizer}


class Start(NamedTuple):
    """Weights to start from."""

    where: str
    digest: str  # of the parameters
    shape: transformer.Shape
    params: Any  # of shape.net()
    # JSON that the source is read with; "" if none came along, or the source is no text
    tokenizer: str
    names: np.ndarray | None = None  # i32[N, L] identifiers that it writes; None: text
    # of the system that it is from, that decide what its tokens mean
    options: Mapping[str, Any] = {}
    # tables whose rows mean the same to the new system: source, target
    keeps: frozenset[str] = frozenset({"source"})


def of_weights(folder: str | os.PathLike) -> Start:
    """Published T5 weights, see `zoo.nets.t5_weights`, with the tokenizer that lies beside them."""
    found = t5_weights.load(folder)
    made = next(
        (
            read(pathlib.Path(folder) / name)
            for name, read in TOKENIZERS.items()
            if (pathlib.Path(folder) / name).is_file()
        ),
        "",
    )
    return Start(str(folder), found.digest, found.shape, found.params, made)


def of_fit(where: str, recipe: str, config: Any, state: Mapping[str, Any]) -> Start:
    """A fitted system. Raises DataError if it has no encoder-decoder."""
    try:
        shape, params = network.of(state).spec, state["params"]
    except DataError:
        shape = None
    if type(shape) is not transformer.Shape or shape.vector_width:
        raise DataError(
            f"{where}: {recipe} has no plain encoder-decoder to start from; "
            "name a fit of dsi or tiger, or T5 weights"
        ) from None
    options = {name: getattr(config, name) for name in READING if hasattr(config, name)}
    if "languages" in state:
        options["languages"] = json.loads(state["languages"])
    return Start(
        where,
        t5_weights.digest(params),
        shape,
        params,
        state["tokenizer"],
        np.asarray(state["docids"]["tokens"]) if "docids" in state else None,
        options,
    )


def configure(recipe: str, config: Any, given: Mapping[str, Any], start: Start) -> Any:
    """The recipe's config with the sizes of `start`. given: options that the user set.

    Raises DataError if they conflict.
    """
    wanted = {name: getattr(start.shape, name) for name in (*SIZES, "mlp")} | {
        **{name: start.options.get(name, default) for name, default in READING.items()},
        "vector_start": False,
    }
    wanted = {name: value for name, value in wanted.items() if hasattr(config, name)}
    for name, value in wanted.items():
        if name in given and getattr(config, name) != value:
            raise DataError(
                f"{recipe}: option {name} has to be {value} to start from {start.where}, "
                f"got {getattr(config, name)}; leave it out"
            )
    return dataclasses.replace(config, **wanted)


def reader(start: Start, prompts: Sequence[str]) -> str:
    """The tokenizer of the weights, with prompts. Raises DataError if none came along."""
    if not start.tokenizer:
        raise DataError(
            f"{start.where}: no tokenizer to read text with; "
            f"put T5's {' or '.join(TOKENIZERS)} beside the weights"
        )
    return tokens.prompted(start.tokenizer, prompts)


def writing(start: Start | None, names: np.ndarray) -> Start | None:
    """The start of a system that generates the identifiers i32[N, L]."""
    if start is None or start.names is None or not np.array_equal(start.names, names):
        return start
    return start._replace(keeps=start.keeps | {"target"})


def writing_what_it_reads(start: Start | None, names: np.ndarray) -> Start | None:
    """Like `writing`, if the source are identifiers too: keeps both tables, or draws both."""
    if start is None:
        return None
    same = start.names is not None and np.array_equal(start.names, names)
    return start._replace(tokenizer="", keeps=frozenset({"source", "target"} if same else ()))


def match_shape(shape: transformer.Shape, start: Start | None) -> transformer.Shape:
    """The shape in the family of `start`, with a row for every token of its source."""
    if start is None:
        return shape
    rows = (
        max(shape.source_vocab, start.shape.source_vocab)
        if "source" in start.keeps
        else shape.source_vocab
    )
    return dataclasses.replace(
        shape, source_vocab=rows, **{name: getattr(start.shape, name) for name in FAMILY}
    )


def copy_weights(fresh: Any, start: Start, key: jax.Array) -> Any:
    """The parameters `fresh`, replaced by those of `start` where it has them.

    Raises DataError naming a parameter whose shapes differ.
    """
    tree = start.params["params"]
    source = tree["source_embedding"]["embedding"]
    target = source if start.shape.shared else tree["target_embedding"]["embedding"]
    tables = {"source_embedding": source, "target_embedding": target}
    # as the logits of a tied table are scaled
    head = target * start.shape.width**-0.5 if start.shape.tied else tree["head"]["kernel"].T
    flat, structure = jax.tree.flatten_with_path(fresh)
    leaves = []
    for number, (path, leaf) in enumerate(flat):
        names = [step.key for step in path]
        place = names[1]
        draw = jax.random.fold_in(key, number)
        if place in tables:
            leaves.append(_rows(tables[place], len(leaf), place.split("_")[0] in start.keeps, draw))
        elif place == "head":
            leaves.append(_rows(head, leaf.shape[1], "target" in start.keeps, draw).T)
        else:
            found = start.params
            for name in names:
                found = found.get(name) if isinstance(found, Mapping) else None
            if found is not None and np.shape(found) != leaf.shape:
                raise DataError(
                    f"{start.where}: parameter {'/'.join(names[1:])} expected shape "
                    f"{list(leaf.shape)}, got {list(np.shape(found))}"
                )
            # a copy: training donates its buffers
            leaves.append(leaf if found is None else jnp.array(found))
    return jax.tree.unflatten(structure, leaves)


def _rows(table: Any, num: int, kept: bool, key: jax.Array) -> jax.Array:
    """f32[num, D] rows of the table, if kept, and random ones beyond."""
    table = jnp.asarray(table, jnp.float32)
    drawn = table.mean(axis=0)[None] + table.std(axis=0)[None] * jax.random.normal(
        key, (num, table.shape[1])
    )
    return drawn.at[: len(table)].set(table[:num]) if kept else drawn
