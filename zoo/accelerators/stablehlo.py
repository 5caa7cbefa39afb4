"""Export of the program that answers, as StableHLO: it runs without this package.

about.json        recipe, k, batch, platforms, names of the inputs and outputs
answer.stablehlo  the serialised program (`jax.export`), for each of the platforms
arrays.npz        its first argument: parameters and index, by place
inputs.npy        its second argument, an example: i32[B, S], what the encoder reads
documents.jsonl   {"_id", "title"} per document, by row
tokenizer.json    of systems for texts
run.py            runs the example with JAX alone
"""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from zoo import recipes, records
from zoo.accelerators import programs
from zoo.api import fitted as stored
from zoo.records import DataError

PLATFORMS = "cpu", "cuda", "tpu"
RUN = '''"""Runs the program on inputs.npy, or on the file named; needs jax and flatbuffers."""

import json
import pathlib
import sys

import numpy as np
from jax import export

here = pathlib.Path(__file__).parent
about = json.loads((here / "about.json").read_text())
program = export.deserialize((here / "answer.stablehlo").read_bytes())
stored = np.load(here / "arrays.npz")
arrays = [stored[name] for name in about["arrays"]]
inputs = np.load(sys.argv[1] if len(sys.argv) > 1 else here / "inputs.npy")
found = dict(zip(about["outputs"], program.call(arrays, inputs)))
np.savez(here / "outputs.npz", **found)
for name, array in found.items():
    print(name, np.asarray(array).tolist())
'''


def export(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    *,
    batch: int = 8,
    k: int = 10,
    platforms: Sequence[str] = PLATFORMS,
) -> dict[str, Any]:
    """Writes the program of the system in `folder` to a new folder; returns its about.json.

    batch: queries that the program answers at once, in the sizes that `zoo retrieve` pads to.

    Raises DataError if the system answers on the host, by several programs, or by an index that
    depends on the query (filter=yes); if `flatbuffers` is missing; or if `out` is occupied.
    """
    from zoo.data import atomic

    atomic.refuse_occupied(out)
    fitted = stored.load(folder)
    call = _call(fitted, batch, k)
    arguments, structure = jax.tree.flatten([call.arguments[0], *call.arguments[2:]])
    names = [f"a{number}" for number in range(len(arguments))]

    def answer(arrays: list, inputs: jax.Array) -> tuple:
        first, *rest = jax.tree.unflatten(structure, arrays)
        found = call.function(first, inputs, *rest, **call.options)
        if hasattr(found, "documents"):  # a beam holds more than k
            found = found._replace(documents=found.documents[:, :k], scores=found.scores[:, :k])
        return tuple(jax.tree.leaves(found))

    shapes = [programs.shape_of(leaf) for leaf in arguments]
    exporting = jax.export.export(jax.jit(answer), platforms=tuple(platforms))
    try:
        serialised = exporting(shapes, programs.shape_of(call.arguments[1])).serialize()
    except ImportError:
        raise DataError("export: needs the package flatbuffers; pip install flatbuffers") from None
    about = {
        "recipe": fitted.recipe,
        "size": fitted.size,
        "k": k,
        "batch": batch,
        "platforms": list(platforms),
        "inputs": list(np.shape(call.arguments[1])),
        "outputs": list(getattr(call.result, "_fields", ("scores",))),
        "arrays": names,
        "jax": jax.__version__,
    }
    with atomic.folder(out) as part:
        (part / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        (part / "answer.stablehlo").write_bytes(serialised)
        arrays: dict[str, Any] = dict(zip(names, map(np.asarray, arguments)))
        np.savez(part / "arrays.npz", **arrays)
        np.save(part / "inputs.npy", np.asarray(call.arguments[1]))
        (part / "run.py").write_text(RUN, encoding="utf-8")
        _write_documents(part, fitted)
    return about


def _call(fitted: stored.Fitted, batch: int, k: int) -> programs.Call:
    """The one call that answers a batch of queries."""
    if min(batch, k) < 1:
        raise DataError(f"export: expected a batch and k of at least 1, got {batch} and {k}")
    if isinstance(getattr(fitted.config, "filter", None), str) and fitted.config.filter != "no":
        raise DataError(
            f"{fitted.name}: filter={fitted.config.filter} may search another index for each "
            "user, and a program has one; fit it with --set filter=no"
        )
    recipe = recipes.get(fitted.recipe)
    ask = recipe.open(fitted.config, fitted.state)
    with programs.record() as calls:
        ask(_example(recipe, fitted.documents, batch), min(k, len(fitted.documents)))
    if len(calls) != 1:
        raise DataError(
            f"{fitted.name}: answers by {len(calls)} programs of a device, expected one; the "
            "systems that generate identifiers and the networks that score every item have one"
        )
    return calls[0]


def _example(recipe: recipes.Recipe, documents: records.Corpus, batch: int) -> Any:
    """A batch of queries: titles, or histories of one item each."""
    rows, names = np.arange(batch) % len(documents), tuple(f"q{row}" for row in range(batch))
    if recipe.asks == "history":
        return records.Histories(names, rows.astype(np.int32), np.arange(batch + 1))
    contents = documents.contents()
    return records.Queries(names, tuple(contents[row] for row in rows))


def _write_documents(part: pathlib.Path, fitted: stored.Fitted) -> None:
    rows = zip(fitted.documents.ids, fitted.documents.titles)
    lines = (json.dumps({"_id": name, "title": title}) + "\n" for name, title in rows)
    (part / "documents.jsonl").write_text("".join(lines), encoding="utf-8")
    if "tokenizer" in fitted.state:
        (part / "tokenizer.json").write_text(str(fitted.state["tokenizer"]), encoding="utf-8")
