"""The command line: `python -m zoo`, installed as `zoo`."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence

from zoo import recipes, records
from zoo.api import add, answer, evaluate, fit, fitted as stored, inputs
from zoo.cli import data, parser
from zoo.report import answers
from zoo.train import execution, interrupts

BAD_INPUT, INTERRUPTED = parser.BAD_INPUT, 130  # exit codes
FEW_CORES = 8  # whose threads can share one arena of memory
BESIDE = (  # what the second table of `compare` holds
    "coverage: share of the items among the first 10 of any user; Gini: 0 if all are as often, near 1 if few take it all; invalid: share of "
    "generated identifiers that name nothing; head, middle, tail, new: Recall@10 of users whose item has a third each of the training events, or "
    "none; by id: items of the same codes count as one, which is no measure of recommendation."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit code: 0, BAD_INPUT with one line on stderr, or INTERRUPTED; 0 too if SIGTERM stopped a training that is kept."""
    parsed = parser.parser().parse_args(arguments)
    _keep_freed_memory()
    if hasattr(sys.stdout, "reconfigure"):
        # an answer may hold what the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        RUN[parsed.command](parsed)
        sys.stdout.flush()
    except (records.DataError, FloatingPointError, OSError) as error:
        # the reader has seen enough, as in `zoo retrieve ... | head`
        if isinstance(error, BrokenPipeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"zoo: {' '.join(str(error).split())}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt as error:
        preempted = isinstance(error, interrupts.Preempted)
        print(f"zoo: {str(error) or 'interrupted'}", file=sys.stderr, flush=True)
        # the end of this process, and jaxlib crashes in a tidy one if its compiler was interrupted
        if arguments is None:
            os._exit(0 if preempted else INTERRUPTED)
        return 0 if preempted else INTERRUPTED
    return 0


def _keep_freed_memory() -> None:
    """Lets glibc reuse what was freed instead of giving it back to the system; must come before JAX starts its threads.

    XLA on a CPU allocates its temporaries anew in each step: 150 MB of page faults a step of DSI `small`, a quarter of the
    processor time (250 ms against 185 ms of both cores). With many cores the threads of its compiler would all wait for the lock
    of one arena, so there each keeps its own (beside an H100, with 16 cores and one arena, a first step took 50 s and three quarters
    of the processor time were the kernel's; not measured since).
    """
    trim, mmap, arenas = -1, -3, -8  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX of malloc.h
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in ((trim, 2**31 - 1), (mmap, 2**31 - 1), (arenas, 1)):
            if option != arenas or (os.cpu_count() or 1) <= FEW_CORES:
                mallopt(option, value)


def _list(parsed: argparse.Namespace) -> None:
    wide = max(map(len, recipes.names()))
    for name in recipes.names():
        recipe = recipes.get(name)
        print(f"{name:<{wide}} {recipe.paper}\n{'':<{wide}} sizes: {', '.join(recipe.presets)}")
        if parsed.options:
            for option in recipes.option_names(recipe):
                values = ", ".join(
                    f"{size} {getattr(preset, option)}" for size, preset in recipe.presets.items()
                )
                print(f"{'':<{wide}}   {option}: {values}")


def _docids_fit(parsed: argparse.Namespace) -> None:
    data.docids_fit(parsed, dict(_option(text) for text in parsed.set))


def _queries_generate(parsed: argparse.Namespace) -> None:
    data.queries_generate(parsed, dict(_option(text) for text in parsed.set))


def _fit(parsed: argparse.Namespace) -> None:
    options = dict(_option(text) for text in parsed.set)
    executed = execution.Execution(
        **{
            field.name: getattr(parsed, field.name)
            for field in dataclasses.fields(execution.Execution)
        }
    )
    if parsed.processes:
        from zoo.train import processes

        processes.start(parsed.processes)
    fitted = fit.fit(
        parsed.recipe,
        parsed.data,
        size=parsed.size,
        options=options,
        seed=parsed.seed,
        out=parsed.out,
        init_from=parsed.init_from,
        execution=executed,
    )
    about = fitted.about
    if "num_users" in about:
        print(_counted(about))
    parameters = f", {about['parameters']:,} parameters" if about["parameters"] else ""
    print(
        f"{parsed.out}: {fitted.name} fitted to {about['num_documents']} documents of {about['collection']} "
        f"in {about['seconds']:.0f} s{parameters}"
    )


def _counted(about: Mapping) -> str:
    """A line on the users and events that a system was fitted to."""
    events = [
        (about["tied_events"], "at the time of another of their user, in the order of the file"),
        (about["repeated_events"], "of an item that their user had before"),
    ]
    left_out = (
        f" ({about['users_left_out']:,} left out for fewer than 3 events)"
        if about["users_left_out"]
        else ""
    )
    notes = "".join(f"; {count:,} {what}" for count, what in events if count)
    return f"{about['num_users']:,} users{left_out}, {about['num_events']:,} events{notes}"


def _add(parsed: argparse.Namespace) -> None:
    from zoo.data import atomic

    atomic.refuse_occupied(parsed.out)  # nor into a fit that goes on
    before = stored.load(parsed.folder)
    after = add.add(before, parsed.documents)
    stored.save(after, parsed.out)
    print(
        f"{parsed.out}: {after.name} with {len(after.documents) - len(before.documents)} documents more than {parsed.folder}, {len(after.documents)} in all"
    )


def _retrieve(parsed: argparse.Namespace) -> None:
    from zoo.data import files, trec

    queries = files.read_queries(parsed.queries) if parsed.queries is not None else parsed.query
    if parsed.run_file:
        _refuse_unwritable(parsed.run_file)
    fitted = _loaded(parsed)
    if parsed.history is not None:
        queries = records.Histories.of(
            fitted.documents, [item.strip() for item in parsed.history.split(",")]
        )
    ranking = answer.retrieve(fitted, queries, parsed.k)
    if parsed.run_file:
        trec.write(ranking, parsed.run_file, tag=fitted.name)
        print(f"{parsed.run_file}: answers to {len(ranking)} queries")
        return
    rows = fitted.documents.rows()
    texts = (
        queries.texts if isinstance(queries, records.Queries) else (parsed.history or parsed.query,)
    )
    for number, query in enumerate(texts):
        print(query if number == 0 else f"\n{query}")
        print(
            "\n".join(answers.format_answers(fitted, rows, ranking.answers(number)))
            or "  no answer"
        )


def _loaded(parsed: argparse.Namespace) -> stored.Fitted:
    """The system of a folder, with the options that it is to answer by."""
    return answer.with_options(
        stored.load(parsed.folder), dict(_option(text) for text in parsed.set)
    )


def _evaluate(parsed: argparse.Namespace) -> None:
    from zoo.data import atomic, trec
    from zoo.metrics import compare, exposure, recommend
    from zoo.report import tables

    for path in filter(None, (parsed.json, parsed.run_file)):
        _refuse_unwritable(path)
    fitted = _loaded(parsed)
    categories = None
    if parsed.categories:
        from zoo.schemes import folder as folder_

        categories = folder_.read_labels(parsed.categories, len(fitted.documents))
    result = evaluate.evaluate(fitted, parsed.data, split=parsed.split, categories=categories)
    print(
        tables.text(compare.compare([_run(fitted, result, fitted.name)]), **_shown_measures(fitted))
    )
    if "coverage@10" in result.measures:
        print(exposure.sentence(result.measures))
    if result.by_identifier:
        print(recommend.sentence_by_identifier(result.measures))
    if parsed.run_file:
        trec.write(result.ranking, parsed.run_file, tag=fitted.name)
    if parsed.json:
        with atomic.file(parsed.json) as out:
            json.dump(_summary(fitted, result), out, indent=1)


def _shown_measures(fitted: stored.Fitted) -> dict:
    """What the tables of a system show: those of recommendation differ, and need a digit more."""
    from zoo.metrics import measures, recommend

    history = recipes.get(fitted.recipe).asks == "history"
    return {"shown": recommend.DEFAULT, "digits": 4} if history else {"shown": measures.DEFAULT}


def _summary(fitted: stored.Fitted, result: evaluate.Evaluation) -> dict:
    """What `evaluate --json` writes."""
    return {
        "name": fitted.name,
        "recipe": fitted.recipe,
        "size": fitted.size,
        "seed": fitted.seed,
        "config": dataclasses.asdict(fitted.config),
        "about": dict(fitted.about),
        "split": result.split,
        "num_queries": len(result.ranking),
        "measures": dict(result.measures),
        "queries_per_second": result.queries_per_second,
    }


def _compare(parsed: argparse.Namespace) -> None:
    from zoo.data import load
    from zoo.metrics import compare
    from zoo.report import tables

    systems = [stored.load(folder) for folder in parsed.folders]
    collection = load.load(parsed.data)
    for fitted in systems:
        inputs.refuse_other_corpus(fitted, collection)
    names = [fitted.name for fitted in systems]
    runs = []
    for folder, fitted in zip(parsed.folders, systems):
        name = fitted.name if names.count(fitted.name) == 1 else f"{fitted.name} ({folder})"
        result = evaluate.evaluate(fitted, collection, split=parsed.split)
        runs.append(_run(fitted, result, name)._replace(beside=_beside(result)))
    comparison = compare.compare(runs, parsed.measure)
    table = tables.markdown if parsed.markdown else tables.text
    print(table(comparison, **_shown_measures(systems[0])))
    if comparison.runs[0].beside:
        print(BESIDE)


def _beside(result: evaluate.Evaluation) -> dict[str, float]:
    """Of a system that recommends, what the table of measures leaves out, by column title."""
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
    titles |= {f"R@10 {name}": f"R@10 {name}" for name in exposure.BUCKETS}
    titles |= {f"{name}{recommend.BY_IDENTIFIER}": f"{name} by id" for name in ("R@10", "nDCG@10")}
    return {title: found[name] for name, title in titles.items() if name in found}


def _run(fitted: stored.Fitted, result: evaluate.Evaluation, name: str):
    from zoo.metrics import compare

    return compare.Run(
        name,
        result.per_query,
        fitted.about["seconds"],
        result.queries_per_second,
        result.ranking.invalid_share,
    )


def _report(parsed: argparse.Namespace) -> None:
    from zoo.report import run

    print(run.write_report(parsed.folder, parsed.data, out=parsed.out, split=parsed.split))


def _export(parsed: argparse.Namespace) -> None:
    from zoo.exchange import exported, transfer

    about = exported.read(transfer.export(parsed.folder, parsed.out, parsed.data)).about
    examples = ", ".join(f"{kind['count']:,} {name}" for name, kind in about["examples"].items())
    questions = (
        ", ".join(f"{count:,} {name}" for name, count in about["questions"].items()) or "none"
    )
    print(
        f"{parsed.out}: {about['documents']:,} identifiers of {about['recipe']}; examples: {examples}; questions: {questions}"
    )


def _import(parsed: argparse.Namespace) -> None:
    from zoo.exchange import transfer

    fitted = transfer.import_checkpoint(parsed.folder, parsed.checkpoint, parsed.out)
    print(
        f"{parsed.out}: {fitted.name} with {fitted.about['parameters']:,} parameters of step {fitted.about['step']} of {fitted.about['checkpoint']}"
    )


def _demo(parsed: argparse.Namespace) -> None:
    from zoo.cli import demo

    demo.run(parsed.out, seed=parsed.seed)


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise records.DataError(
            f"--set expects key=value, got {text!r}; `zoo list --options` shows the keys"
        )
    return key, value


def _refuse_unwritable(path: str) -> None:
    """Before long work, as writing would find it only after."""
    parent = pathlib.Path(path).parent
    if not parent.is_dir():
        raise records.DataError(
            f"{path}: expected the folder {parent} to exist; create it or name another place"
        )
    if pathlib.Path(path).is_dir():
        raise records.DataError(
            f"{path}: expected the name of a file, got a folder; add a file name"
        )


RUN = {  # command -> what it does
    "list": _list,
    "data list": data.data_list,
    "data get": data.data_get,
    "data prepare": data.data_prepare,
    "data cold": data.data_cold,
    "docids fit": _docids_fit,
    "docids stats": data.docids_stats,
    "queries generate": _queries_generate,
    "fit": _fit,
    "add": _add,
    "retrieve": _retrieve,
    "evaluate": _evaluate,
    "compare": _compare,
    "report": _report,
    "export": _export,
    "import": _import,
    "demo": _demo,
}
