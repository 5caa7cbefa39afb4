"""Measures the recommenders: `python benchmarks/recommend.py NAME|PATH ...` prints the table.

`--trained FOLDER` also fits the trained systems once and keeps them there (at most 43 minutes of
training in all). `--keep` also writes results/recommend.json and the table of docs/results.md;
unmeasured rows stay as they are. One row per system. All users, all items compete, history = all
events before the last, ties get the expected rank.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS, PAGE = ROOT / "results" / "recommend.json", ROOT / "docs" / "results.md"
OPEN, CLOSE = (
    "<!-- recommendation: `python benchmarks/recommend.py --keep ...` writes this -->",
    "<!-- end of recommendation -->",
)
SHOWN = ("R@5", "nDCG@5", "R@10", "nDCG@10")
SYSTEMS = (  # name, recipe, options
    ("popularity", "popularity", {}),
    ("Markov chain", "markov", {}),
    ("Markov chain, seen items left out", "markov", {"filter": True}),
    ("item neighbours, seen items left out", "itemknn", {}),
    ("like the last item, seen items left out", "semanticknn", {}),
)
TRAINED = (
    ("GRU4Rec", "gru4rec", {"filter": True, "minutes": 5.0}),
    ("SASRec, binary cross-entropy", "sasrec", {"loss": "bce", "filter": True, "minutes": 5.0}),
    ("SASRec", "sasrec", {"filter": True, "minutes": 5.0}),
    ("TIGER", "tiger", {"minutes": 28.0}),
)


def measure(data: str, folder: str | None) -> dict:
    """Data sizes and the metrics of each system; skips trained systems without a folder."""
    import zoo
    from zoo.data import load

    interactions = load.load(data)
    runs = {}
    for name, recipe, options in SYSTEMS + (TRAINED if folder else ()):
        out = None
        if folder and (name, recipe, options) in TRAINED:
            out = (
                pathlib.Path(folder)
                / f"{interactions.name}-{'-'.join([recipe, *map(str, options.values())])}"
            )
        if out and (out / "fit.json").exists():
            fitted = zoo.load(out)
        else:
            fitted = zoo.fit(
                recipe,
                interactions if out is None else data,
                options=options,
                quiet=out is None,
                out=out,
            )
        found = zoo.evaluate(fitted, interactions).measures
        runs[name] = {measure: round(found[measure], 4) for measure in SHOWN} | {
            "seconds": round(fitted.about["seconds"], 1)
        }
        print(name, runs[name], flush=True)
    return {
        "users": len(interactions.histories),
        "items": len(interactions.corpus),
        "events": len(interactions.histories.items),
        "runs": runs,
    }


def table(results: dict) -> str:
    """Markdown table of the results."""
    lines = [
        "| data | system | Recall@5 | nDCG@5 | Recall@10 | nDCG@10 | fit (s) |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, data in results["data"].items():
        for system, run in data["runs"].items():
            lines.append(
                f"| {name} | {system} | {' | '.join(f'{run[measure]:.4f}' for measure in SHOWN)} "
                f"| {run['seconds']:,.0f} |"
            )
    sizes = "; ".join(
        f"{name} {data['users']:,} users, {data['items']:,} items"
        for name, data in results["data"].items()
    )
    return "\n".join([*lines, "", f"{sizes}. Measured on {results['machine']}."])


def replaced(page: str, results: dict) -> str:
    """The page with its table replaced by these results."""
    before, rest = page.split(OPEN)
    return f"{before}{OPEN}\n{table(results)}\n{CLOSE}{rest.split(CLOSE)[1]}"


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", metavar="NAME|PATH")
    parser.add_argument(
        "--trained", metavar="FOLDER", help="also fit the trained systems and keep them there"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="write results/recommend.json and the table of docs/results.md",
    )
    parsed = parser.parse_args(arguments)
    results = {"machine": f"{len(os.sched_getaffinity(0))} cores", "data": {}}
    known = json.loads(RESULTS.read_text(encoding="utf-8"))["data"] if RESULTS.exists() else {}
    for name in parsed.data:
        found = measure(name, parsed.trained)
        results["data"][pathlib.Path(name).name] = found | {
            "runs": known.get(pathlib.Path(name).name, {}).get("runs", {}) | found["runs"]
        }
    print(table(results))
    if parsed.keep:
        results["data"] = known | results["data"]
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
