"""The command `zoo dynamic`."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping
from typing import Any

from zoo import recipes, records
from zoo.api import dynamic, inputs
from zoo.cli import flags
from zoo.data import dynamic as growing_


def dynamic_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "dynamic",
        "systems on a corpus that grows, without training after D0; repeat the command to resume",
        "zoo dynamic bm25 dsi seal --data pydocs --steps 5 --out runs/growing",
        run_dynamic,
    )
    added.add_argument(
        "recipes",
        nargs="+",
        metavar="RECIPE",
        help="see `zoo list`; dsi+edit, dsi+continue and dsi+refit learn new documents too",
    )
    flags.data(added)
    added.add_argument("--steps", type=int, default=5, help="parts added to D0 (default: 5)")
    added.add_argument(
        "--by",
        default="random",
        choices=growing_.KINDS,
        help="how documents are divided (default: random)",
    )
    added.add_argument(
        "--initial", type=float, default=0.5, help="share of documents in D0 (default: 0.5)"
    )
    added.add_argument(
        "--values",
        metavar="FILE",
        help="by time and field: a line for each document, its id, a tab, its value",
    )
    added.add_argument(
        "--size", default="small", choices=recipes.SIZES, help="preset (default: small)"
    )
    flags.settings(added, "change an option of the systems that have it; repeatable")
    flags.seed(added)
    flags.split(added)
    flags.out(added, "a folder for fits, cells, table.txt and curves.png")


def run_dynamic(parsed: argparse.Namespace) -> None:
    """Prints the table of all systems, and writes it with the figure."""
    from zoo.report import dynamic as report

    names = list(dict.fromkeys(parsed.recipes))
    options = _options_by_recipe(names, flags.options_of(parsed))
    out = pathlib.Path(parsed.out)
    collection = inputs.load_data(parsed.data)
    values: Any = None
    if parsed.values is not None:
        values = _values(parsed.values, collection.corpus)
        values = _numbers(values, parsed.values) if parsed.by == "time" else values
    growing = dynamic.divide(
        collection,
        parsed.by,
        steps=parsed.steps,
        initial=parsed.initial,
        seed=parsed.seed,
        values=values,
    )
    sizes = ", ".join(f"D{part} {len(rows)}" for part, rows in enumerate(growing.parts))
    print(
        f"{growing.collection.name} by {parsed.by}: {sizes} documents; "
        f"{growing.left_out(parsed.split)} queries of {parsed.split} belong to no single part"
    )
    systems = [
        dynamic.grow(
            name,
            growing,
            size=parsed.size,
            options=options[name],
            seed=parsed.seed,
            split=parsed.split,
            out=out / name,
        )
        for name in names
    ]
    table = report.text(systems)
    print(table)
    (out / "table.txt").write_text(table + "\n", encoding="utf-8")
    report.curves(systems, out / "curves.png", name=growing.collection.name)


def _options_by_recipe(names: list[str], options: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The options that each system has. Raises DataError for one that none has."""
    known = {name: set(recipes.option_names(recipes.get(name))) for name in names}
    for key in options:
        if not any(key in has for has in known.values()):
            raise records.DataError(f"--set {key}: none of {', '.join(names)} has this option")
    return {
        name: {key: value for key, value in options.items() if key in known[name]} for name in names
    }


def _values(path: str, corpus: records.Corpus) -> list[str]:
    """The value of each document. Raises DataError naming one without a value."""
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    found = dict(line.split("\t", 1) for line in lines if "\t" in line)
    for name in corpus.ids:
        if name not in found:
            raise records.DataError(
                f"{path}: no value for document {name!r}; expected a line of its id, a tab and a "
                "value"
            )
    return [found[name] for name in corpus.ids]


def _numbers(values: list[str], path: str) -> list[float]:
    try:
        return [float(value) for value in values]
    except ValueError as error:
        raise records.DataError(f"{path}: expected times as numbers ({error})") from None
