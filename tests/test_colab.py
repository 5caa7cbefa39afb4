"""The notebooks run from top to bottom, their assertions hold, and Colab opens these files."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tomllib

import jupytext
import nbformat
import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = sorted((ROOT / "colab").glob("*.py"))
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "urls"
]["Repository"]
SMALL = os.environ | {  # compilation takes most of the time
    "ZOO_SMALL": "1",
    "PYTHONPATH": str(ROOT),
    "JUPYTER_PLATFORM_DIRS": "1",
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
}

every_notebook = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def test_notebooks_have_distinct_numbers():
    numbers = [path.name[:2] for path in SOURCES]
    assert SOURCES and all(map(str.isdigit, numbers)) and len(set(numbers)) == len(numbers)


@every_notebook
def test_the_notebook_is_generated_from_its_source(source):
    """`make notebooks` writes it."""
    written, made = nbformat.read(source.with_suffix(".ipynb"), as_version=4), jupytext.read(source)
    cells = lambda notebook: [(cell.cell_type, cell.source) for cell in notebook.cells]
    assert cells(written) == cells(made)
    assert not any(cell.get("outputs") for cell in written.cells)


@every_notebook
def test_the_badge_and_the_first_cell_name_the_repository(source):
    text = source.read_text(encoding="utf-8")
    owner = REPOSITORY.removeprefix("https://github.com/")
    assert f"colab.research.google.com/github/{owner}/blob/main/colab/{source.stem}.ipynb" in text
    assert f'REPOSITORY = "{REPOSITORY}"' in text
    assert f"/{owner}/blob/main/colab/{source.stem}.ipynb" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )


@every_notebook
def test_a_notebook_names_its_hardware_and_ends_in_assertions(source):
    cells = [cell.source for cell in jupytext.read(source).cells]
    assert any("jax.devices()[0].device_kind" in cell for cell in cells)
    assert (
        len(re.findall(r"^\s*assert ", cells[-1], re.MULTILINE)) >= 3
        and "all claims hold" in cells[-1]
    )


@every_notebook
def test_the_first_cell_takes_a_wheel_where_the_repository_cannot_be_reached(
    source, tmp_path, monkeypatch
):
    cells = jupytext.read(source)
    assert cells.metadata["accelerator"] == ("TPU" if source.name[:2] == "05" else "GPU")
    code = next(cell.source for cell in cells.cells if cell.cell_type == "code")
    monkeypatch.chdir(tmp_path)
    asked = []

    def install(command, **_):
        asked.append(command[-1])
        return subprocess.CompletedProcess(command, int("git+" in command[-1]))

    monkeypatch.setattr(subprocess, "run", install)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="cannot be reached"):
        exec(code, {})
    (tmp_path / "generative_retrieval_zoo-1-py3-none-any.whl").touch()
    exec(code, {})
    assert len(asked) == 3 and asked[-1].startswith("./generative_retrieval_zoo-1-py3-none-any.whl")


@pytest.mark.slow  # each fits a system or two
@every_notebook
def test_a_notebook_runs_on_its_small_setting(source, tmp_path):
    done = subprocess.run(
        [sys.executable, source], env=SMALL, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "all claims hold" in done.stdout


@pytest.mark.notebook
@every_notebook
def test_a_fresh_kernel_executes_the_notebook(source, tmp_path, monkeypatch):
    import nbclient

    for name, value in SMALL.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbclient.NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()
    told = "".join(
        output.get("text", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
    assert "all claims hold" in told
    assert any(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )
