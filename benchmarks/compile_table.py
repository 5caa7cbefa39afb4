"""Which systems compile for TPU slices and fit: the table of docs/scale.md.

    python benchmarks/compile_table.py --keep results/compile.jsonl --readme
    python benchmarks/compile_table.py --recipes dsi tiger --sizes base --topologies v5e:2x4

Every cell is one `zoo compile` in a process of its own; it needs libtpu (`pip install 'jax[tpu]'`)
and no TPU. `--keep FILE` appends each cell as soon as it is compiled and skips cells in the file:
repeat the command to continue after an interruption; `--minutes` bounds one run. All cells take
hours on two cores. A cell that fails is printed, not kept, and makes the command exit with 1.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
PAGE, KEPT = ROOT / "docs" / "scale.md", ROOT / "results" / "compile.jsonl"
OPEN, CLOSE = (
    "<!-- compile: `python benchmarks/compile_table.py --readme` writes this -->",
    "<!-- end of compile -->",
)
RECIPES = "dsi", "dsi-qg", "nci", "genre", "seal", "dpr", "dpr-hn", "genret", "tiger", "gru4rec"
MESHES = {
    "v5e:2x4": "data=8",
    "v5p:2x2x1": "data=4",
    "v6e:2x2": "data=4",
    "v5e:4x8": "data=4,fsdp=4,model=2",
}
CELL = "recipe", "size", "topology", "mesh", "options"
SECONDS = 3600  # a cell


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=[*RECIPES, "sasrec"])
    parser.add_argument("--sizes", nargs="+", default=["base", "paper"])
    parser.add_argument("--topologies", nargs="+", default=list(MESHES), choices=MESHES)
    parser.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE")
    parser.add_argument("--keep", type=pathlib.Path, default=KEPT)
    parser.add_argument("--minutes", type=float, default=1e9, help="start no cell after these")
    parser.add_argument("--readme", action="store_true", help="write the table of docs/scale.md")
    options = parser.parse_args()
    rows, failed, start = read(options.keep), [], time.monotonic()
    for cell in itertools.product(options.recipes, options.sizes, options.topologies):
        key = (*cell, MESHES[cell[2]], " ".join(options.set))
        if key in rows or time.monotonic() - start > 60 * options.minutes:
            continue
        row, reason = measure(*key)
        if row is None:
            failed.append(key)
            print(f"FAILED {' '.join(key)}: {reason}", flush=True)
            continue
        rows[key] = row
        keep(options.keep, row)
        print(line(row), flush=True)
    print("\n".join(table(rows)))
    if options.readme:
        PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    return 1 if failed else 0


def read(path: pathlib.Path) -> dict[tuple[str, ...], dict]:
    """Kept cells; a half-written last line is left out."""
    rows: dict[tuple[str, ...], dict] = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            row = json.loads(text)
        except json.JSONDecodeError:
            continue
        rows[tuple(row[name] for name in CELL)] = row
    return rows


def keep(path: pathlib.Path, row: dict) -> None:
    """Appends a cell, on a line of its own even if the file ends in half a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and not path.read_text(encoding="utf-8").endswith("\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" * torn + json.dumps(row) + "\n")


def measure(recipe: str, size: str, topology: str, mesh: str, chosen: str) -> tuple:
    """(row or None, reason) of one `zoo compile`."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "plan.json"
        command = [sys.executable, "-m", "zoo", "compile", recipe, "--size", size]
        command += ["--topology", topology, "--mesh", mesh, "--json", str(out)]
        for text in chosen.split():
            command += ["--set", text]
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            return None, f"no end after {SECONDS} s"
        if not out.exists():  # exits 1 with a plan if it does not fit
            return None, (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        plan = json.loads(out.read_text(encoding="utf-8"))
    return dict(zip(CELL, (recipe, size, topology, mesh, chosen))) | summary(plan), ""


def summary(plan: dict) -> dict:
    """What the table shows of a plan; of each kind of program the largest."""
    kinds = {
        kind: [one for one in plan["programs"] if one["name"].startswith(kind)]
        for kind in ("train", "answer")
    }
    return {
        "parameters": plan["parameters"],
        "fits": plan["fits"],
        "jax": plan["jax"],
        "seconds": round(sum(one["seconds"] for one in plan["programs"]), 1),
    } | {
        kind: {
            "memory": max(one["memory"] for one in found),
            "flops": max(one["flops"] for one in found),
            "bytes": max(one["bytes"] for one in found),
            "ms": 1e3 * max(max(one["predicted_seconds"].values()) for one in found),
        }
        for kind, found in kinds.items()
        if found
    }


def line(row: dict) -> str:
    """A row of the table."""
    cells = [row["recipe"], row["size"], row["topology"], row["mesh"], row["options"] or "-"]
    cells.append(f"{row['parameters'] / 1e6:,.1f}")
    for kind in ("train", "answer"):
        one = row.get(kind)
        cells += ["-", "-"] if one is None else [f"{one['memory'] / 2**30:.2f}", f"{one['ms']:.3g}"]
    cells += [f"{row['seconds']:.0f}", "yes" if row["fits"] else "**no**"]
    return f"| {' | '.join(cells)} |"


def table(rows: dict) -> list[str]:
    """Lines of the table of all kept cells."""
    heads = "system", "size", "slice", "mesh", "options", "M parameters"
    heads += "step: GiB a device", "at least ms", "answer: GiB", "at least ms", "compile s", "fits"
    kept = [line(row) for _, row in sorted(rows.items())]
    return [f"| {' | '.join(heads)} |", "| --- " * 5 + "| ---: " * 6 + "| --- |", *kept]


def replaced(page: str, rows: dict) -> str:
    """The page with the table between its marks."""
    before, _, rest = page.partition(OPEN)
    _, closed, after = rest.partition(CLOSE)
    if not closed:
        raise ValueError(f"{PAGE.name} has no {OPEN} ... {CLOSE}")
    return "\n".join([f"{before}{OPEN}", *table(rows), f"{CLOSE}{after}"])


if __name__ == "__main__":
    sys.exit(main())
