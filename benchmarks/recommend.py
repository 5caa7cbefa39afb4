"""Measures the systems that need no training on interactions: `python benchmarks/recommend.py NAME|PATH ...` prints the table.

With `--keep`, also writes results/recommend.json and the README's table from it. A row a system, all users, all items
compete, history = all events before the last, ties at the expected rank.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
RESULTS, README = ROOT / "results" / "recommend.json", ROOT / "README.md"
OPEN, CLOSE = "<!-- recommendation: `python benchmarks/recommend.py --keep ...` writes this -->", "<!-- end of recommendation -->"
SHOWN = ("R@5", "nDCG@5", "R@10", "nDCG@10")
SYSTEMS = (  # name, recipe, options
    ("popularity", "popularity", {}),
    ("Markov chain", "markov", {}),
    ("Markov chain, seen items left out", "markov", {"filter": True}),
    ("item neighbours, seen items left out", "itemknn", {}),
)


def measure(data: str) -> dict:
    """Sizes of the data and measures of each system."""
    import zoo
    from zoo.data import catalog

    interactions = catalog.load(data)
    runs = {}
    for name, recipe, options in SYSTEMS:
        fitted = zoo.fit(recipe, interactions, options=options, quiet=True)
        found = zoo.evaluate(fitted, interactions).measures
        runs[name] = {measure: round(found[measure], 4) for measure in SHOWN} | {"seconds": round(fitted.about["seconds"], 1)}
    return {"users": len(interactions.histories), "items": len(interactions.corpus), "events": len(interactions.histories.items), "runs": runs}


def table(results: dict) -> str:
    """Markdown of the measured data."""
    lines = ["| data | system | Recall@5 | nDCG@5 | Recall@10 | nDCG@10 |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for name, data in results["data"].items():
        for system, run in data["runs"].items():
            lines.append(f"| {name} | {system} | {' | '.join(f'{run[measure]:.4f}' for measure in SHOWN)} |")
    sizes = "; ".join(f"{name} {data['users']:,} users, {data['items']:,} items" for name, data in results["data"].items())
    return "\n".join([*lines, "", f"{sizes}. Measured on {results['machine']}."])


def replaced(readme: str, results: dict) -> str:
    """The README with the table of these results."""
    before, rest = readme.split(OPEN)
    return f"{before}{OPEN}\n{table(results)}\n{CLOSE}{rest.split(CLOSE)[1]}"


def main(*arguments: str) -> None:
    names = [argument for argument in arguments if argument != "--keep"]
    results = {"machine": f"{len(os.sched_getaffinity(0))} cores", "data": {pathlib.Path(name).name: measure(name) for name in names}}
    print(table(results))
    if "--keep" in arguments:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        README.write_text(replaced(README.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
