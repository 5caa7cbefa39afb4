"""What the notebooks print and show, kept for the site: `python docs/pictures.py [--small] NAME
...` runs them in a kernel of their own.

Of each notebook, under docs/notebooks: NAME.json, the setting, the machine and the output of each
cell, and NAME-1.png, ..., each with its finding as its title. The site says of outputs of the small
setting that they are no results, and of older code that it has changed.
"""

from __future__ import annotations

import argparse
import base64
import datetime
import hashlib
import html
import io
import json
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from importlib import metadata

import jupytext

ROOT = pathlib.Path(__file__).parents[1]
KEPT = ROOT / "docs" / "notebooks"
NOT_ON_SITE = "not-on-site"  # tag of a cell whose pictures the site leaves out
MOST_LINES = 40  # of a cell's output that a page shows
SHOWN_SECONDS = 1.0  # a page tells how long a cell took from this on


def run(source: pathlib.Path, *, small: bool, folder: pathlib.Path = KEPT) -> dict:
    """Executes a notebook, stores what it printed and showed, and returns that."""
    import nbclient

    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    )
    if small:
        os.environ["ZOO_SMALL"] = "1"
    else:
        os.environ.pop("ZOO_SMALL", None)
    notebook, begun = jupytext.read(source), time.monotonic()
    nbclient.NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder.parent)}},
    ).execute()
    about = {
        "setting": "small" if small else "full",
        "machine": f"{len(os.sched_getaffinity(0))} cores, {_device(notebook)}, jax "
        f"{metadata.version('jax')}",
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.monotonic() - begun),
    }
    return store(source, notebook, about, folder)


def store(source: pathlib.Path, notebook, about: dict, folder: pathlib.Path = KEPT) -> dict:
    """Writes the outputs of an executed notebook under a folder, in place of those that were there;
    returns what the JSON file holds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cells, pictures = [], {}
    for cell in notebook.cells:
        kept: dict = {"text": "", "pictures": []}
        for output in cell.get("outputs", []):
            if output.get("name") == "stdout":
                kept["text"] += output["text"]
            picture = output.get("data", {}).get("image/png")
            if picture and NOT_ON_SITE not in cell.metadata.get("tags", []):
                name = f"{source.stem}-{len(pictures) + 1}.png"
                pictures[name], caption = smaller(base64.b64decode(picture))
                kept["pictures"].append({"file": name, "caption": caption})
        if cell.cell_type == "code":
            cells.append(kept | _seconds(cell))
    for old in folder.glob(f"{source.stem}-*.png"):
        if old.name not in pictures:
            old.unlink()
    for name, content in pictures.items():
        (folder / name).write_bytes(content)
    found = {**about, "code": fingerprint(source), "cells": cells}
    (folder / f"{source.stem}.json").write_text(
        json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return found


def _seconds(cell) -> dict[str, float]:
    """Of an executed cell, if the kernel reported when it began and ended."""
    times = cell.metadata.get("execution", {})
    ends = [times.get(f"iopub.{name}") for name in ("execute_input", "status.idle")]
    if None in ends:
        return {}
    start, end = map(datetime.datetime.fromisoformat, ends)
    return {"seconds": round((end - start).total_seconds(), 1)}


def smaller(content: bytes) -> tuple[bytes, str]:
    """A PNG with a palette, a quarter of the size, and its title, which is its finding."""
    from PIL import Image

    picture = Image.open(io.BytesIO(content))
    out = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, "png", optimize=True)
    return out.getvalue(), picture.info.get("Title", "")


def fingerprint(source: pathlib.Path) -> str:
    """Of the code cells of a notebook."""
    code = "\0".join(
        cell.source for cell in jupytext.read(source).cells if cell.cell_type == "code"
    )
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def shown(source: pathlib.Path, folder: pathlib.Path = KEPT) -> tuple[str, list[str]]:
    """Markdown of where a notebook's outputs are from, and of the output of each code cell.

    Empty where none is kept.
    """
    codes = sum(cell.cell_type == "code" for cell in jupytext.read(source).cells)
    path = folder / f"{source.stem}.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"cells": []}
    if len(found["cells"]) != codes:  # none, or of other cells than there are
        return "", [""] * codes
    before = "Small setting, no result: " if found["setting"] == "small" else ""
    outputs = []
    for kept in found["cells"]:
        text = [f"```text\n{_cut(kept['text'])}\n```"] if kept["text"].strip() else []
        figures = [_figure(each["file"], before + each["caption"]) for each in kept["pictures"]]
        seconds = kept.get("seconds", 0.0)
        took = [f"*This cell took {seconds:,.0f} s.*"] if seconds >= SHOWN_SECONDS else []
        outputs.append("\n\n".join([*text, *figures, *took]))
    return _provenance(source, found), outputs


def _provenance(source: pathlib.Path, found: dict) -> str:
    command = f"`make pictures NOTEBOOKS={source.stem}`"
    told = f"run of {found['date']} on {found['machine']}, {found['seconds']:,} s"
    changed = (
        ""
        if found["code"] == fingerprint(source)
        else f" The notebook's code has changed since; {command} renews them."
    )
    if found["setting"] == "small":
        return (
            '!!! warning "Not results"\n    What cells print and show below is of the small '
            f"setting, a quick pass for tests ({told}). {command} runs the full one.{changed}"
        )
    return f'!!! note "Outputs"\n    What cells print and show below is of a full {told}.{changed}'


def _device(notebook) -> str:
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    return next(
        line.removeprefix("running on ")
        for line in printed.splitlines()
        if line.startswith("running on ")
    )


def _cut(text: str) -> str:
    lines = text.rstrip().replace("```", "'''").splitlines()
    return "\n".join(
        lines
        if len(lines) <= MOST_LINES
        else [*lines[:MOST_LINES], f"... {len(lines) - MOST_LINES} lines more"]
    )


def _figure(file: str, caption: str) -> str:
    told = html.escape(caption)
    return (
        f'<figure><img class="drawn" src="../{file}" alt="{told}" loading="lazy">'
        f"<figcaption>{told}</figcaption></figure>"
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="of notebooks or beginnings of them, as 04 (default: all)",
    )
    parser.add_argument(
        "--small",
        action="store_true",
        help="the small setting, which the site will not call a result",
    )
    asked = parser.parse_args(arguments)
    sources = sorted((ROOT / "colab").glob("*.py"))
    if unknown := [
        name for name in asked.names if not any(source.stem.startswith(name) for source in sources)
    ]:
        parser.error(
            f"expected names of notebooks, got {unknown[0]!r}; there are "
            f"{', '.join(source.stem for source in sources)}"
        )
    for source in sources:
        if not asked.names or any(source.stem.startswith(name) for name in asked.names):
            found = run(source, small=asked.small)
            pictures = [picture["file"] for cell in found["cells"] for picture in cell["pictures"]]
            print(
                f"{source.stem}: {found['setting']} setting, {found['seconds']} s, "
                f"{len(pictures)} pictures",
                flush=True,
            )


if __name__ == "__main__":
    main(sys.argv[1:])
