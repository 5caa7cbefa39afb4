"""The commands `zoo evaluate` and `zoo compare`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import Any

from zoo import records
from zoo.api import evaluate as evaluation, fitted as stored, inputs
from zoo.cli import ask, flags

BESIDE = (  # explains the second table of `compare`
    "coverage: fraction of the items among the first 10 of any user; Gini: 0 if all items are "
    "recommended equally often, near 1 if few take it all; invalid: fraction of generated "
    "identifiers of no item; head, middle, tail, new: Recall@10 of users whose target item is "
    "among the items with a third each of the training events, or with none; memorised: Recall@10 "
    "of users whose last item comes right before their target in a training history; generalised: "
    "of the other users; by id: items with equal codes count as one, which is no measure of "
    "recommendation."
)


def evaluate_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "evaluate",
        "evaluate a fitted system, or a TREC run of any system, on a split",
        "zoo evaluate runs/dsi --data pydocs --split test --json dsi.json",
        evaluate,
    )
    added.add_argument(
        "folder", nargs="?", metavar="DIR", help="a folder that `zoo fit --out` wrote"
    )
    added.add_argument(
        "--run-file",
        dest="foreign",
        metavar="FILE.trec",
        help="evaluate this TREC run instead of a fitted system",
    )
    flags.data(added)
    flags.split(added)
    _leave_out_self(added)
    flags.answering(added)
    added.add_argument(
        "--categories",
        metavar="FILE",
        help="a category per line, in the order of the items, for Entropy@10 "
        "(default: read from the items)",
    )
    added.add_argument("--json", metavar="FILE", help="write the measures with the configuration")
    added.add_argument(
        "--run", dest="run_file", metavar="FILE.trec", help="write the answers as a TREC run"
    )


def evaluate(parsed: argparse.Namespace) -> None:
    """Evaluates a system or a run; prints a table and writes the files that are asked for."""
    from zoo.data import streams
    from zoo.metrics import compare, exposure, recommend, transitions
    from zoo.report import tables

    if (parsed.folder is None) == (parsed.foreign is None):
        raise records.DataError("evaluate: expected either DIR or --run-file FILE.trec")
    flags.refuse_unwritable(parsed.json, parsed.run_file)
    written = [path for path in (parsed.json, parsed.run_file) if path]
    said = sys.stderr if any(map(streams.is_stdout, written)) else sys.stdout
    result, run, head = (_of_run if parsed.foreign else _of_system)(parsed)
    print(tables.text(compare.compare([run]), **_columns(result)), file=said)
    if "coverage@10" in result.measures:
        print(exposure.sentence(result.measures), file=said)
        print(transitions.sentence(result.measures), file=said)
    if result.self_left_out:
        print(
            "a document with the id of the query is left out of its answers "
            "(--no-leave-out-self keeps it)",
            file=said,
        )
    if head.get("learned"):
        print(head["learned"], file=said)
    if result.by_identifier:
        print(recommend.sentence_by_identifier(result.measures), file=said)
    _write(parsed, result, run.name, head)


def compare_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "compare",
        "one table of several fitted systems, with paired significance tests",
        "zoo compare runs/bm25 runs/dsi --data pydocs",
        compare,
    )
    added.add_argument(
        "folders", nargs="+", metavar="DIR", help="folders that `zoo fit --out` wrote"
    )
    flags.data(added)
    flags.split(added)
    _leave_out_self(added)
    added.add_argument(
        "--measure",
        default="nDCG@10",
        help="the measure that ranks and is tested, by ir-measures' name (default: nDCG@10)",
    )
    added.add_argument("--markdown", action="store_true", help="print a Markdown table")


def compare(parsed: argparse.Namespace) -> None:
    """Evaluates several systems and prints their table."""
    from zoo.data import load
    from zoo.metrics import compare as comparing
    from zoo.report import tables

    systems = [stored.load(folder) for folder in parsed.folders]
    collection = load.load(parsed.data)
    for fitted in systems:
        inputs.refuse_other_corpus(fitted, collection)
    names = [fitted.name for fitted in systems]
    runs, results = [], []
    for folder, fitted in zip(parsed.folders, systems):
        name = fitted.name if names.count(fitted.name) == 1 else f"{fitted.name} ({folder})"
        result = evaluation.evaluate(
            fitted, collection, split=parsed.split, leave_out_self=parsed.leave_out_self
        )
        results.append(result)
        runs.append(
            _run(results[-1], name, fitted.about["seconds"])._replace(beside=_beside(results[-1]))
        )
    comparison = comparing.compare(runs, parsed.measure)
    table = tables.markdown if parsed.markdown else tables.text
    print(table(comparison, **_columns(results[0])))
    if comparison.runs[0].beside:
        print(BESIDE)
    for fitted in systems:
        if learned := evaluation.sentence_if_learned(fitted, parsed.split):
            print(learned)


def _leave_out_self(parser: flags.Parser) -> None:
    parser.add_argument(
        "--leave-out-self",
        action=argparse.BooleanOptionalAction,
        help="leave the document with the id of a query out of its answers, as BEIR's evaluation "
        "does (default: where the queries are documents)",
    )


def _of_system(parsed: argparse.Namespace) -> tuple[evaluation.Evaluation, Any, dict[str, Any]]:
    """Evaluation and run of a fitted system, and what it is."""
    from zoo.data import trec

    fitted = ask.load(parsed)
    collection = inputs.load_data(parsed.data)
    if parsed.run_file:
        queries, _ = collection.split(parsed.split)
        trec.refuse_ids(parsed.run_file, fitted.name, queries.ids, fitted.documents.ids)
    result = evaluation.evaluate(
        fitted,
        collection,
        split=parsed.split,
        categories=_categories(parsed, len(fitted.documents)),
        leave_out_self=parsed.leave_out_self,
    )
    head = {name: getattr(fitted, name) for name in ("recipe", "size", "seed")} | {
        "config": dataclasses.asdict(fitted.config),
        "about": dict(fitted.about),
    }
    if learned := evaluation.sentence_if_learned(fitted, parsed.split):
        head["learned"] = learned
    return result, _run(result, fitted.name, fitted.about["seconds"]), head


def _of_run(parsed: argparse.Namespace) -> tuple[evaluation.Evaluation, Any, dict[str, Any]]:
    """Evaluation and run of a TREC run, and what it is."""
    collection = inputs.load_data(parsed.data)
    if parsed.set:
        raise records.DataError("evaluate: --set changes a fitted system, not a run; leave it out")
    result = evaluation.evaluate_run(
        parsed.foreign,
        collection,
        split=parsed.split,
        categories=_categories(parsed, len(collection.corpus)),
        leave_out_self=parsed.leave_out_self,
    )
    return result, _run(result, parsed.foreign, None), {"run_file": parsed.foreign}


def _categories(parsed: argparse.Namespace, count: int) -> list[str] | None:
    if not parsed.categories:
        return None
    from zoo.schemes import folder

    return folder.read_labels(parsed.categories, count)


def _write(
    parsed: argparse.Namespace, result: evaluation.Evaluation, name: str, head: dict[str, Any]
) -> None:
    """Writes the JSON first: a run that cannot be written does not lose the measures."""
    from zoo.data import atomic, trec

    if parsed.json:
        summary = {"name": name, **head} | {
            "split": result.split,
            "self_left_out": result.self_left_out,
            "num_queries": len(result.ranking),
            "measures": dict(result.measures),
            "queries_per_second": result.queries_per_second,
        }
        with atomic.file(parsed.json) as file:
            json.dump(summary, file, indent=1)
    if parsed.run_file:
        trec.write(result.ranking, parsed.run_file, tag=name)


def _run(result: evaluation.Evaluation, name: str, seconds: float | None) -> Any:
    from zoo.metrics import compare as comparing

    return comparing.Run(
        name, result.per_query, seconds, result.queries_per_second, result.ranking.invalid_share
    )


def _columns(result: evaluation.Evaluation) -> dict[str, Any]:
    """The measures that a table shows; recommendation has its own, with one more digit."""
    from zoo.metrics import measures, recommend

    if "coverage@10" in result.measures:
        return {"shown": recommend.DEFAULT, "digits": 4}
    return {"shown": measures.DEFAULT}


def _beside(result: evaluation.Evaluation) -> dict[str, float]:
    """Measures of a recommender that the first table leaves out, by column title."""
    from zoo.metrics import exposure, measures, recommend

    found = result.measures
    if "coverage@10" not in found:
        return {}
    titles = {
        "coverage@10": "coverage@10",
        "gini@10": "Gini@10",
        "entropy@10": "Entropy@10",
        measures.INVALID_SHARE: "invalid",
    }
    names = (*exposure.BUCKETS, "memorised", "generalised")
    titles |= {f"R@10 {name}": f"R@10 {name}" for name in names}
    titles |= {f"{name}{recommend.BY_IDENTIFIER}": f"{name} by id" for name in ("R@10", "nDCG@10")}
    return {title: found[name] for name, title in titles.items() if name in found}
