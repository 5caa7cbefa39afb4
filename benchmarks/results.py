"""Compares the search systems: `python benchmarks/results.py` updates docs/results.md.

It prints the table of the stored runs and writes it to the page.

    python benchmarks/results.py --measure pydocs FOLDER ... --minutes 8 --work runs/results

This fits and measures the missing runs, at most so many minutes per system and seed, and stores one
file per run in results/search/COLLECTION/. Repeat it after an interruption to continue. It skips
systems that this checkout does not have.

A cell is the mean over test queries and seeds, and half of its 95 % interval,
1.96 sqrt(v_q / B + v_s / S): v_q is the variance over the B queries of their mean over seeds, v_s
the variance of the S seeds' means. A deterministic system has one seed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

ROOT = pathlib.Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "results" / "search", ROOT / "docs" / "results.md"
OPEN, CLOSE = (
    "<!-- search results: `make results` writes this -->",
    "<!-- end of search results -->",
)


class System(NamedTuple):
    """A row of the table."""

    recipe: str
    options: Mapping[str, Any] = {}  # of the fit
    answering: Mapping[str, Any] = {}  # options of answering
    fit: str = ""  # name of the row whose fit it uses; its own by default
    decoder: str = "exact"  # how the best documents are found


SYSTEMS = {  # by name in the table
    "Tree": System("tree", decoder="beam 10, BM25 ahead"),
    "Tree, without BM25": System("tree", {}, {"lexical": 0.0}, "Tree", "beam 10"),
    "Tree, all clusters": System("tree", {}, {"beam": 100_000}, "Tree"),
    "Flat": System("flat"),
    "Hybrid": System("hybrid"),
    "Hybrid, reciprocal ranks": System("hybrid", {}, {"fusion": "reciprocal"}, "Hybrid"),
    "Dense": System("dense"),
    "Dense, nearest train query": System("dense-max"),
    "BM25": System("bm25"),
    "BM25 + train queries": System("bm25", {"expand_with_queries": True}),
    "DPR": System("dpr"),
    "DPR-HN": System("dpr-hn"),
    "DSI": System("dsi", decoder="beam 100"),
    "DSI, random identifiers": System("dsi", {"identifiers": "naive"}, decoder="beam 100"),
    "DSI-QG": System("dsi-qg", decoder="beam 100"),
    "NCI": System("nci", decoder="beam 100"),
    "GenRet": System("genret", decoder="beam 100"),
}
# systems that the tree is compared with query by query
PEERS = (
    "BM25 + train queries",
    "Hybrid",
    "Dense",
    "Dense, nearest train query",
    "Flat",
    "Tree, all clusters",
)
SEEDS = (0, 1, 2)
DEPTH = 10
# column -> value of a query, from the rank of its first relevant document (0: not in the top DEPTH)
SHOWN = {
    "Hit@1": lambda rank: rank == 1,
    "Hit@10": lambda rank: rank > 0,
    "MRR@10": lambda rank: np.where(rank > 0, 1 / np.maximum(rank, 1), 0.0),
}
DECIDES = "nDCG@10"


def measure(
    data: str,
    *,
    minutes: float,
    work: pathlib.Path,
    size: str,
    systems: list[str],
    seeds: tuple[int, ...],
) -> None:
    """Fits, measures and stores the missing runs of one collection."""
    import zoo
    from zoo import recipes, records
    from zoo.data import load

    collection = load.load(data)
    folder = RESULTS / collection.name
    folder.mkdir(parents=True, exist_ok=True)
    about = describe(collection)
    _write(folder / "collection.json", about)
    for name in systems:
        system = SYSTEMS[name]
        if system.recipe not in recipes.names():
            print(
                f"{collection.name}, {name}: no recipe {system.recipe} in this checkout; left out",
                flush=True,
            )
            continue
        if system.options.get("expand_with_queries") and "train" not in collection.qrels:
            print(f"{collection.name}, {name}: no train queries; left out", flush=True)
            continue
        trains = hasattr(recipes.get(system.recipe).presets[size], "minutes")
        options = dict(system.options) | ({"minutes": float(minutes)} if trains else {})
        for seed in seeds if trains else SEEDS[:1]:
            path = folder / f"{slug(name)}.{seed}.json"
            run = {
                "system": name,
                "recipe": system.recipe,
                "size": size,
                "options": options | system.answering,
                "seed": seed,
                "corpus": about["corpus"],
            }
            if path.exists():
                stored = json.loads(path.read_text(encoding="utf-8"))
                if any(stored[field] != run[field] for field in run):
                    changed = ", ".join(field for field in run if stored[field] != run[field])
                    raise records.DataError(
                        f"{path}: a run with another {changed}; remove it, or repeat the command "
                        "it was measured by"
                    )
                continue
            out = work / collection.name / f"{slug(system.fit or name)}.{seed}"
            done = (out / "fit.json").exists()
            fitted = (
                zoo.load(out)
                if done
                else zoo.fit(system.recipe, data, size=size, options=options, seed=seed, out=out)
            )
            fitted = zoo.with_options(fitted, system.answering) if system.answering else fitted
            evaluation = zoo.evaluate(fitted, collection)
            run |= values(evaluation, collection)
            run |= {
                name: fitted.about[name]
                for name in ("seconds", "parameters", "device", "python", "jax")
            } | {"cores": len(os.sched_getaffinity(0)), "facts": fitted.about.get("facts", {})}
            run["milliseconds"] = round(1000 / evaluation.queries_per_second, 2)
            _write(path, run)
            print(
                f"{collection.name}, {name}, seed {seed}: {DECIDES} {np.mean(run[DECIDES]):.3f}, "
                f"{run['seconds']:.0f} s",
                flush=True,
            )


def values(evaluation, collection) -> dict:
    """Per test query, the rank of the first relevant document and the nDCG.

    Rank 0: no relevant document in the top DEPTH.
    """
    grades, place = (
        collection.qrels["test"].grades,
        {query: row for row, query in enumerate(evaluation.ranking.query_ids)},
    )
    ranks = []
    for query, judged in grades.items():
        found = (
            [document for document, _ in evaluation.ranking.answers(place[query])[:DEPTH]]
            if query in place
            else []
        )
        ranks.append(
            next(
                (
                    rank
                    for rank, document in enumerate(found, start=1)
                    if judged.get(document, 0) > 0
                ),
                0,
            )
        )
    return {
        "ranks": ranks,
        DECIDES: [round(float(value), 3) for value in evaluation.per_query[DECIDES]],
    }


def describe(collection) -> dict:
    """Sizes, and the share of each test query's terms that occur in a relevant document."""
    from zoo.text import terms

    rows, corpus = collection.corpus.rows(), collection.corpus
    texts = dict(zip(collection.queries.ids, collection.queries.texts))
    judged = [
        (query, [d for d, grade in grades.items() if grade > 0])
        for query, grades in collection.qrels["test"].grades.items()
    ]
    analysis, found = terms.choose(corpus.contents())
    contents = [set(words) for words in terms.of_documents(found, analysis).texts()]
    asked = terms.of_queries([texts[query] for query, _ in judged], analysis).texts()
    asked = [set(words) for words in asked]
    shares = [
        max((len(words & contents[rows[d]]) / max(len(words), 1) for d in right), default=0.0)
        for words, (_, right) in zip(asked, judged)
    ]
    taught = (
        {document for _, document in collection.qrels["train"].pairs()}
        if "train" in collection.qrels
        else set()
    )
    known = [any(document in taught for document in right) for _, right in judged]
    return {
        "documents": len(corpus),
        "corpus": corpus.fingerprint(),
        "test": len(judged),
        "train": len(collection.qrels["train"]) if "train" in collection.qrels else 0,
        "taught": round(float(np.mean(known)), 3),
        "seen": [int(one) for one in known],
        "overlap": [round(share, 2) for share in shares],
    }


def estimate(per_seed: np.ndarray) -> tuple[float, float]:
    """Mean of f64[S, B] and half of its 95 % interval.

    The module's docstring has the formula; v_s = 0 for one seed.
    """
    seeds, queries = per_seed.shape
    over_queries = per_seed.mean(axis=0).var(ddof=1) / queries if queries > 1 else 0.0
    over_seeds = per_seed.mean(axis=1).var(ddof=1) / seeds if seeds > 1 else 0.0
    return float(per_seed.mean()), float(1.96 * np.sqrt(over_queries + over_seeds))


def stored(folder: pathlib.Path) -> tuple[dict, dict[str, list[dict]]]:
    """(description of a collection, runs of each system in the order of SYSTEMS)."""
    runs = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("*.json"))
        if path.name != "collection.json"
    ]
    by_system = {name: [run for run in runs if run["system"] == name] for name in SYSTEMS}
    return json.loads((folder / "collection.json").read_text(encoding="utf-8")), {
        name: found for name, found in by_system.items() if found
    }


def section(name: str, about: dict, runs: dict[str, list[dict]]) -> str:
    """Markdown of one collection: sizes, one row per system, best first, and the verdict."""
    cells, halves = {}, {}
    seen = np.array(about.get("seen", []), bool)
    for system, found in runs.items():
        ranks, gains = (np.array([run[field] for run in found]) for field in ("ranks", DECIDES))
        cells[system] = {
            column: estimate(value(ranks).astype(float)) for column, value in SHOWN.items()
        } | {DECIDES: estimate(gains)}
        halves[system] = [
            f"{gains[:, which].mean():.3f}" if len(which) and which.any() else "-"
            for which in (seen, ~seen)
        ]
    order = sorted(runs, key=lambda system: -cells[system][DECIDES][0])
    columns = [*SHOWN, DECIDES]
    lines = [
        f"| {name} | {' | '.join(columns)} | seen | unseen | decoder | ms a query | fit (s) "
        "| parameters | seeds |",
        f"| --- |{' ---: |' * (len(columns) + 2)} --- |{' ---: |' * 4}",
    ]
    for system in order:
        found = runs[system]
        numbers = " | ".join(
            f"{mean:.3f} ± {half:.3f}"
            for mean, half in (cells[system][column] for column in columns)
        )
        seconds = np.mean([run["seconds"] for run in found])
        timed = [run["milliseconds"] for run in found if "milliseconds" in run]
        lines.append(
            f"| {system} | {numbers} | {' | '.join(halves[system])} | {SYSTEMS[system].decoder} | "
            f"{f'{np.mean(timed):.1f}' if timed else '-'} | {seconds:,.0f} | "
            f"{found[0]['parameters']:,} | {len(found)} |"
        )
    machines = sorted(
        {
            f"{run['cores']} cores, {run['device']}, jax {run['jax']}"
            for found in runs.values()
            for run in found
        }
    )
    sizes = (
        f"{about['documents']:,} documents, {about['train']:,} train and {about['test']:,} "
        f"test queries; measured on {'; '.join(machines)}."
    )
    return "\n".join([*lines, "", f"{sizes} {verdict(about, runs, cells, order)}", *paired(runs)])


def paired(runs: dict[str, list[dict]], first: str = "Tree") -> list[str]:
    """A line on the differences of nDCG@10 of the tree and its peers on the same queries.

    Each with half of its 95 % interval over queries, of means over seeds.
    """
    if first not in runs:
        return []
    mean = lambda system: np.mean([run[DECIDES] for run in runs[system]], axis=0)
    told = []
    for system in PEERS:
        if system in runs:
            difference = mean(first) - mean(system)
            half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
            told.append(f"{system} {difference.mean():+.3f} ± {half:.3f}")
    return ["", f"{first}, {DECIDES} less that of: {'; '.join(told)}."] if told else []


def verdict(about: dict, runs: dict[str, list[dict]], cells: dict, order: list[str]) -> str:
    """The best system, and BM25 against the best other system by word overlap.

    Compares both on the queries that share most and fewest words with their documents.
    """
    overlap = np.array(about["overlap"])
    text = (
        f"{_winner(cells, order)} {overlap.mean():.0%} of a query's words stand in its document, "
        "and "
        f"{about['taught']:.0%} of the queries ask for a document with train queries."
    )
    others = [system for system in order if not system.startswith("BM25")]
    if "BM25" not in runs or not others:
        return text
    low = overlap <= np.median(overlap)
    if low.all():
        return text
    mean = lambda system, which: np.mean(
        [np.array(run[DECIDES])[which].mean() for run in runs[system]]
    )
    halves = [(mean("BM25", which), mean(others[0], which)) for which in (low, ~low)]
    side = lambda pair: "behind" if pair[0] < pair[1] else "ahead of"
    return (
        f"{text} Where they share least (at most {np.median(overlap):.0%}), BM25 has {DECIDES} "
        f"{halves[0][0]:.3f}, {side(halves[0])} "
        f"{others[0]}'s {halves[0][1]:.3f}; on the other queries {halves[1][0]:.3f}, "
        f"{side(halves[1])} {halves[1][1]:.3f}."
    )


def _winner(cells: dict, order: list[str]) -> str:
    """The best system and its lead; significant if it exceeds the sum of both half intervals."""
    best = order[0]
    if len(order) == 1:
        return f"**{best}** is the only system measured."
    (mean, half), (next_mean, next_half) = (cells[system][DECIDES] for system in order[:2])
    if mean - next_mean > half + next_half:
        return (
            f"**{best}** wins, {mean - next_mean:.3f} ahead of {order[1]} and beyond both "
            "intervals."
        )
    return (
        f"**{best}** and **{order[1]}** lead, {DECIDES} {mean:.3f} and {next_mean:.3f}; "
        "their intervals overlap, so neither wins."
    )


def block() -> str:
    """Markdown between the two marks."""
    folders = (
        sorted(path for path in RESULTS.glob("*") if (path / "collection.json").is_file())
        if RESULTS.is_dir()
        else []
    )
    sections = [section(folder.name, *found) for folder in folders if (found := stored(folder))[1]]
    return (
        "\n\n".join(sections) if sections else "No run is stored yet: `make measure` measures them."
    )


def replaced(page: str) -> str:
    """The page with the block of the stored runs."""
    before, rest = page.split(OPEN)
    return f"{before}{OPEN}\n{block()}\n{CLOSE}{rest.split(CLOSE)[1]}"


def slug(name: str) -> str:
    """A system's name as a file name."""
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def _write(path: pathlib.Path, content: dict) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content) + "\n", encoding="utf-8")
    part.rename(path)


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--measure",
        nargs="+",
        metavar="NAME|PATH",
        default=[],
        help="fit and measure the missing runs on these collections",
    )
    parser.add_argument(
        "--minutes", type=float, default=8.0, help="maximum training time per run (default: 8)"
    )
    parser.add_argument(
        "--work",
        type=pathlib.Path,
        default=ROOT / "runs" / "results",
        metavar="FOLDER",
        help="folder of the fitted systems",
    )
    parser.add_argument("--size", default="small")
    parser.add_argument(
        "--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS), metavar="NAME"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=list(SEEDS))
    parsed = parser.parse_args(arguments)
    if parsed.measure:
        from zoo import records

        try:
            for data in parsed.measure:
                measure(
                    data,
                    minutes=parsed.minutes,
                    work=parsed.work,
                    size=parsed.size,
                    systems=parsed.systems,
                    seeds=tuple(parsed.seeds),
                )
        except records.DataError as error:
            sys.exit(f"results: {error}")
    print(block())
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
