"""The README names what runs, its blocks run, and the docs have the numbers of recorded runs."""

import dataclasses
import importlib.util
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from theory import claims, cli as theory_cli
from zoo import recipes
from zoo.cli import parser
from zoo.search import decoders
from zoo.update import edit

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
DECODERS = (ROOT / "docs" / "decoders.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def benchmark(name):
    """A module of benchmarks/."""
    spec = importlib.util.spec_from_file_location(
        f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py"
    )
    # dataclasses look up their module there
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readme, recommend, search, decode_trie = map(
    benchmark, ("readme", "recommend", "results", "decode_trie")
)


def test_the_results_equal_the_recorded_run():
    results = json.loads(readme.RESULTS.read_text(encoding="utf-8"))
    assert readme.replaced(RESULTS, results) == RESULTS
    assert readme.PICTURE.stat().st_size > 10_000
    changed = {**results, "table": results["table"].replace("BM25", "BM26")}
    assert readme.replaced(RESULTS, changed) != RESULTS  # control


def test_the_table_of_the_recorded_run_shows_its_numbers():
    results = json.loads(readme.RESULTS.read_text(encoding="utf-8"))
    for name, run in results["runs"].items():
        (row,) = (line for line in results["table"].splitlines() if line.startswith(f"| {name} |"))
        assert f"{run['Success@10']:.3f}".lstrip("0") in row.replace("*", "").replace("0.", "."), (
            row
        )


def test_the_rows_of_recommendation_equal_the_recorded_run():
    results = json.loads(recommend.RESULTS.read_text(encoding="utf-8"))
    assert recommend.replaced(RESULTS, results) == RESULTS
    next(iter(results["data"].values()))["runs"]["popularity"]["R@10"] += 0.1
    assert recommend.replaced(RESULTS, results) != RESULTS  # control


def test_the_search_systems_results_equal_the_stored_runs():
    assert search.replaced(RESULTS) == RESULTS
    # control: a page that differs is corrected
    assert search.replaced(RESULTS.replace(search.OPEN, search.OPEN + "\nmore")) == RESULTS


def test_the_rows_of_decoding_equal_the_recorded_run(tmp_path):
    rows = decode_trie.rows_in(decode_trie.KEPT)
    assert decode_trie.replaced(PERFORMANCE, rows) == PERFORMANCE
    half_written = tmp_path / "rows.jsonl"
    shown = lambda line: (
        (json.loads(line)["length"], json.loads(line)["beam"], json.loads(line)["batch"])
        == (4, 50, 8)
    )
    # the last is one of the table's
    lines = sorted(decode_trie.KEPT.read_text(encoding="utf-8").splitlines(), key=shown)
    half_written.write_text("\n".join(lines)[:-20], encoding="utf-8")
    # control, and the last line counts as none
    assert decode_trie.replaced(PERFORMANCE, decode_trie.rows_in(half_written)) != PERFORMANCE


def named_in(text):
    """First cells of a text's tables, if they are code."""
    return re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)


def test_every_system_that_runs_is_listed_and_no_other():
    assert sorted(named_in(TEXT)) == sorted(recipes.names())


def test_every_decoder_is_listed_and_no_other():
    (table,) = re.findall(r"^\| name \| ranks by.*?\n\n", DECODERS, re.MULTILINE | re.DOTALL)
    assert sorted(named_in(table)) == sorted(decoders.NAMES)


def test_the_readme_is_short():
    assert len(TEXT.splitlines()) <= 250


def test_the_number_of_claims_is_right():
    assert f"{len(claims.names())} claims" in TEXT


@pytest.mark.parametrize(
    "path",
    sorted(
        set(
            re.findall(
                r"(?<![\w/.-])((?:zoo|tests|theory|configs|colab|benchmarks)/[\w/.]*\w)", TEXT
            )
        )
        - {"zoo/recipes/NAME.py"}
    ),
)
def test_every_path_in_the_docs_exists(path):
    assert (ROOT / path).exists()


def test_the_search_in_python_prints_the_output_on_the_page(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"^```python\n(.*?)^```", DECODERS, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "decoders.md", "exec"), {})
    said = re.search(r"# (\[\[.*\]\])", code).group(1)
    assert re.findall(r"-?\d+", capsys.readouterr().out) == re.findall(r"-?\d+", said)
    assert (tmp_path / "runs" / "trie" / "trie.json").exists()


BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


def test_every_how_to_section_of_the_readme_has_a_block():
    assert len(BLOCKS) >= 6 and all(len(code.splitlines()) <= 16 for _, code in BLOCKS)


@pytest.mark.slow  # fits six systems, three of them in a new process without compiled programs
@pytest.mark.trains
def test_the_blocks_of_the_readme_run_one_after_the_other(tmp_path):
    """In a copy of the pages.

    Two minutes on pydocs become two steps on the toy collection, and so does the fit on a mesh.
    """
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.png"))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, arguments in (("zoo", "-m zoo"), ("theory", "-m theory"), ("python", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        (programs / name).chmod(0o755)
    script = "\n".join(
        code if kind == "bash" else f"python - <<'END'\n{code}END" for kind, code in BLOCKS
    )
    script = script.replace("minutes=2", "steps=2").replace("--data pydocs", "--data toy")
    script = script.replace("--mesh", "--set steps=2 --mesh")  # eight virtual devices on two cores
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # most of the time goes into compiling
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for said in ("i9", "semantic", "recall_half"):  # answers of tiger, of compare, of theory
        assert said in done.stdout
    for written in ("runs/semantic/report.html", "exports/mesh", "runs/dsi/fit.json"):
        assert (tmp_path / written).exists()


PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
COMMAND = re.compile(
    r"^(?:    )?(?:[A-Z_]+=\S+ |srun )*(?:\.venv/bin/)?(?:python -m )?(zoo|theory|make) (.+)"
)
SHOWN = [
    (path.name, *found.groups())
    for path in PAGES
    for line in path.read_text("utf-8").replace("\\\n", " ").splitlines()
    if (found := COMMAND.match(line))
]


def test_commands_are_found():
    assert len(SHOWN) > 40 and {program for _, program, _ in SHOWN} == {"zoo", "theory", "make"}


@pytest.mark.parametrize(("where", "program", "line"), SHOWN)
def test_every_command_in_the_docs_parses(where, program, line):
    words = shlex.split(line, comments=True)
    if program == "make":
        assert f"\n{words[0]}:" in (ROOT / "Makefile").read_text("utf-8")
        return
    parsed = {"zoo": parser.parser, "theory": theory_cli._parser}[program]().parse_args(words)
    options = {
        field.name
        for name in recipes.names()
        for field in dataclasses.fields(recipes.get(name).presets["small"])
    }
    if words[0] == "add":
        options |= {field.name for field in dataclasses.fields(edit.Config)}
    assert {setting.partition("=")[0] for setting in getattr(parsed, "set", [])} <= options
