"""Pages of the site that come from the code: a page a system, a page a notebook, the reference.

A hook of mkdocs.
"""

from __future__ import annotations

import io
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

import diagrams
import jupytext
import numpy as np
import pictures
from mkdocs.structure.files import File

import theory
import zoo
from zoo import recipes
from zoo.cli import help as help_

RESULTS = ROOT / "results"
NOTEBOOKS = sorted((ROOT / "colab").glob("*.py"))


def on_config(config):
    """Puts the generated pages into the navigation, under the index of their kind."""
    inside = {
        "Systems": [{name: f"systems/{name}.md"} for name in recipes.names()],
        "Notebooks": [f"notebooks/{path.stem}.md" for path in NOTEBOOKS],
    }
    config.nav = [
        {title: [page, *inside.get(title, [])] if title in inside else page}
        for entry in config.nav
        for title, page in entry.items()
    ]
    return config


def on_files(files, config):
    """Adds what is generated."""
    for name in recipes.names():
        files.append(File.generated(config, f"systems/{name}.png", content=diagrams.png(name)))
    files.append(File.generated(config, "systems/index.md", content=systems_index()))
    for path in NOTEBOOKS:
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=notebook(path)))
    files.append(File.generated(config, "notebooks/index.md", content=notebooks_index()))
    files.append(File.generated(config, "reference.md", content=reference()))
    return files


def on_page_markdown(markdown, page, config, files):
    """A system's page: what its file says by hand, then what the code knows."""
    path = pathlib.PurePosixPath(page.file.src_uri)
    if path.parent.as_posix() == "systems" and path.stem in recipes.names():
        idea, mark, sections = markdown.partition("\n## ")
        return idea + "\n\n" + system(path.stem, mark + sections)
    return markdown


def systems_index() -> str:
    """A table of all systems: the first sentence of each one's page, and its paper."""
    rows = []
    for name in recipes.names():
        idea = (
            (ROOT / "docs" / "systems" / f"{name}.md")
            .read_text(encoding="utf-8")
            .split("\n\n", 1)[1]
        )
        first = re.split(r"(?<=[.:]) ", " ".join(idea.split()), maxsplit=1)[0].rstrip(":.")
        rows.append(f"| [`{name}`]({name}.md) | {first}. | {recipes.get(name).paper} |")
    return (
        "# Systems\n\nEach is one file, `zoo/recipes/NAME.py`.\n\n| name | idea | paper |\n| --- "
        "| --- | --- |\n" + "\n".join(rows) + "\n"
    )


def system(name: str, sections: str = "") -> str:
    """Figure, commands, results, sections written by hand, deviations, options and citation of a
    system.
    """
    recipe = recipes.get(name)
    data, asked = (
        ("toy-walks", "--history d3,d17")
        if recipe.asks == "history"
        else ("pydocs", '--query "join two paths"')
    )
    return "\n".join(
        [
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
            sections,
            "",
            "## Where it departs from the paper",
            "",
            *(f"- {line}" for line in recipe.deviations),
            "",
            "## Options",
            "",
            "Set with `--set KEY=VALUE`. One value is that of every size.",
            "",
            *options(recipe),
            "",
            "## Cite",
            "",
            f"> {recipe.paper}",
            "",
        ]
    )


def options(recipe: recipes.Recipe) -> list[str]:
    """A table of a system's options: help, accepted values, and the value in each size."""
    lines = ["| option | meaning | accepts | value |", "| --- | --- | --- | --- |"]
    for each, sizes in recipes.options_of(recipe):
        values = {size: f"`{help_.value(value)}`" for size, value in sizes.items()}
        if len(set(values.values())) == 1:
            shown = values["small"]
        else:
            shown = ", ".join(f"{size}: {value}" for size, value in values.items())
        accepts = ", ".join(filter(None, (each.kind, each.accepts)))
        lines.append(f"| `{each.name}` | {each.about} | {accepts} | {shown} |")
    return lines


def measured(name: str) -> str:
    """Rows of recorded runs of a system; a sentence if there is none."""
    rows = []
    known = json.loads((RESULTS / "pydocs.json").read_text(encoding="utf-8"))["runs"]
    for label, run in known.items():
        if label.split()[0].lower() == name:
            rows.append(
                (
                    "pydocs, by `make demo`",
                    label,
                    f"{run['nDCG@10']:.3f}",
                    f"{run['Success@10']:.3f}",
                )
            )
    for folder in sorted((RESULTS / "search").glob("*")):
        runs = [
            json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(folder.glob("*.json"))
            if path.name != "collection.json"
        ]
        for label in dict.fromkeys(run["system"] for run in runs if run["recipe"] == name):
            same = [run for run in runs if run["system"] == label]
            gain = np.mean([run["nDCG@10"] for run in same])
            hit = np.mean([[0 < rank <= 10 for rank in run["ranks"]] for run in same])
            rows.append(
                (
                    folder.name,
                    f"{label}, {len(same)} {'seeds' if len(same) > 1 else 'seed'}",
                    f"{gain:.3f}",
                    f"{hit:.3f}",
                )
            )
    for data, found in json.loads((RESULTS / "recommend.json").read_text(encoding="utf-8"))[
        "data"
    ].items():
        for label, run in found["runs"].items():
            if diagrams.ROWS.get(name) and label.startswith(diagrams.ROWS[name]):
                rows.append((data, label, f"{run['nDCG@10']:.4f}", f"{run['R@10']:.4f}"))
    if not rows:
        return "No run of it is recorded yet; the commands above measure it."
    found = "Recall@10" if recipes.get(name).asks == "history" else "Hit@10"
    return f"| data | run | nDCG@10 | {found} |\n| --- | --- | ---: | ---: |\n" + "\n".join(
        f"| {' | '.join(row)} |" for row in rows
    )


def notebook(path: pathlib.Path) -> str:
    """A notebook's source as a page, with what its cells printed and showed where that is kept."""
    note, outputs = pictures.shown(path)
    parts, output = [], iter(outputs)
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "markdown":
            parts.append(maths(cell.source))
        else:
            parts += [f"```python\n{cell.source}\n```", next(output)]
    return "\n\n".join(part for part in [parts[0], note, *parts[1:]] if part) + "\n"


def maths(text: str) -> str:
    """Markdown with the formulas between dollars as HTML, which is read without a network.

    ValueError for one that needs more than that.
    """

    def html(found: re.Match) -> str:
        formula = found[1].replace(r"\,", "\u2009").replace("-", "\u2212")
        if re.search(r"[\\{}_]", formula):
            raise ValueError(
                f"pages: expected a formula of letters, powers and fractions, got ${found[1]}$; "
                "write it in words"
            )
        formula = re.sub(r"\^(\w+)", r"<sup>\1</sup>", formula)
        return re.sub(r"([A-Za-z]+)(?![^<]*>)", r"<i>\1</i>", formula)

    return re.sub(r"\$([^$\n]+)\$", html, text)


def notebooks_index() -> str:
    """What each notebook is about: its title and first paragraph."""
    lines = [
        "# Notebooks",
        "",
        "Each opens in Colab, says what it runs on, and ends in assertions about what it claims.",
        "",
    ]
    for path in NOTEBOOKS:
        first = jupytext.read(path).cells[0].source.split("\n\n")
        lines += [
            f"- [{first[0].removeprefix('# ')}]({path.stem}.md): {' '.join(first[2].split())}"
        ]
    return "\n".join(lines) + "\n"


def reference() -> str:
    """Docstrings of the public names."""
    out = io.StringIO()
    out.write(
        "# Reference\n\nWhat `import zoo` and `import theory` offer; each name is loaded when it "
        "is first used.\n\n"
    )
    for package in (zoo, theory):
        for name in package.__all__:
            shown = f"{package.__name__}.{name}"
            out.write(
                f"::: {package._HOME[name]}.{name}\n"
                f'    options: {{heading: "{shown}", toc_label: "{shown}"}}\n\n'
            )
    return out.getvalue()
