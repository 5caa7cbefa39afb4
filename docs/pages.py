"""Pages of the site that come from the code: a page a system, a page a notebook, the reference. A hook of mkdocs."""

from __future__ import annotations

import dataclasses
import io
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import diagrams
import jupytext
from mkdocs.structure.files import File

import theory
import zoo
from zoo import recipes

RESULTS = ROOT / "results"


def on_files(files, config):
    """Adds what is generated."""
    for name in recipes.names():
        files.append(File.generated(config, f"systems/{name}.png", content=diagrams.png(name)))
    files.append(File.generated(config, "systems/index.md", content=systems_index()))
    for path in sorted((ROOT / "colab").glob("*.py")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook(path)))
    files.append(File.generated(config, "notebooks/index.md", content=notebooks_index()))
    files.append(File.generated(config, "reference.md", content=reference()))
    return files


def on_page_markdown(markdown, page, config, files):
    """A system's page: what its file says by hand, then what the code knows."""
    path = pathlib.PurePosixPath(page.file.src_uri)
    if path.parent.as_posix() == "systems" and path.stem in recipes.names():
        return markdown + "\n\n" + system(path.stem)
    return markdown


def systems_index() -> str:
    """A table of all systems."""
    rows = [f"| [{name}]({name}.md) | {recipes.get(name).paper} |" for name in recipes.names()]
    return "# Systems\n\nEach is one file, `zoo/recipes/NAME.py`.\n\n| name | paper |\n| --- | --- |\n" + "\n".join(rows) + "\n"


def system(name: str) -> str:
    """Figure, commands, results, options, deviations and citation of a system."""
    recipe = recipes.get(name)
    data, asked = ("toy-walks", "--history d3,d17") if recipe.asks == "history" else ("pydocs", '--query "join two paths"')
    fields = dataclasses.fields(recipe.presets["small"])
    changed = [f.name for f in fields if len({repr(getattr(recipe.presets[size], f.name)) for size in recipes.SIZES}) > 1]
    same = [f.name for f in fields if f.name not in changed]
    header = "| option | " + " | ".join(recipes.SIZES) + " |\n| --- |" + " --- |" * len(recipes.SIZES)
    table = "\n".join(f"| `{o}` | " + " | ".join(f"`{getattr(recipe.presets[size], o)}`" for size in recipes.SIZES) + " |" for o in changed)
    rest = ", ".join(f"`{option}={getattr(recipe.presets['small'], option)}`" for option in same)
    return "\n".join([
        f"![How {name} learns and answers]({name}.png)",
        "",
        "## Run it",
        "",
        "```",
        f"zoo fit {name} --data {data} --out runs/{name}",
        f"zoo retrieve runs/{name} {asked} -k 5",
        f"zoo evaluate runs/{name} --data {data} --split test",
        "```",
        "",
        "## Measured",
        "",
        measured(name),
        "",
        "## Options",
        "",
        *([header, table, ""] if changed else []),
        f"In every size: {rest}." if rest else "",
        "",
        "## Where it departs from the paper",
        "",
        *(f"- {line}" for line in recipe.deviations),
        "",
        "## Cite",
        "",
        f"> {recipe.paper}",
        "",
    ])  # fmt: skip


def measured(name: str) -> str:
    """Rows of recorded runs of a system; a sentence if there is none."""
    rows = []
    known = json.loads((RESULTS / "pydocs.json").read_text(encoding="utf-8"))["runs"]
    for label, run in known.items():
        if label.split()[0].lower() == name:
            rows.append(("pydocs", label, f"nDCG@10 {run['nDCG@10']:.3f}", f"Hit@10 {run['Success@10']:.3f}"))
    for data, found in json.loads((RESULTS / "recommend.json").read_text(encoding="utf-8"))["data"].items():
        for label, run in found["runs"].items():
            if diagrams.ROWS.get(name) and label.startswith(diagrams.ROWS[name]):
                rows.append((data, label, f"nDCG@10 {run['nDCG@10']:.4f}", f"Recall@10 {run['R@10']:.4f}"))
    if not rows:
        return "No run of it is recorded yet; the commands above measure it."
    return "| data | run | | |\n| --- | --- | --- | --- |\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows)


def notebook(path: pathlib.Path) -> str:
    """A notebook's source as a page."""
    parts = []
    for cell in jupytext.read(path).cells:
        parts.append(cell.source if cell.cell_type == "markdown" else f"```python\n{cell.source}\n```")
    return "\n\n".join(parts) + "\n"


def notebooks_index() -> str:
    """What each notebook is about: its title and first paragraph."""
    lines = ["# Notebooks", "", "Each runs on a free TPU, GPU or CPU runtime in under ten minutes and ends in assertions about what it says.", ""]
    for path in sorted((ROOT / "colab").glob("*.py")):
        first = jupytext.read(path).cells[0].source.split("\n\n")
        lines += [f"- [{first[0].removeprefix('# ')}]({path.stem}.md): {' '.join(first[2].split())}"]
    return "\n".join(lines) + "\n"


def reference() -> str:
    """Docstrings of the public names."""
    out = io.StringIO()
    out.write("# Reference\n\nWhat `import zoo` and `import theory` offer; each name is loaded when it is first used.\n\n")
    for package in (zoo, theory):
        for name in package.__all__:
            shown = f"{package.__name__}.{name}"
            out.write(f'::: {package._HOME[name]}.{name}\n    options: {{heading: "{shown}", toc_label: "{shown}"}}\n\n')
    return out.getvalue()
