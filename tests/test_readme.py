"""The front door names what runs, and its numbers are those of the recorded run."""

import ast
import dataclasses
import importlib.util
import json
import pathlib
import re
import shlex
import sys

import pytest

from theory import claims, cli as theory_cli
from zoo import recipes
from zoo.cli import parser
from zoo.search import decoders

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def benchmark(name):
    """The module of a file in benchmarks/."""
    spec = importlib.util.spec_from_file_location(
        f"benchmark_{name}", ROOT / "benchmarks" / f"{name}.py"
    )
    # where dataclasses look themselves up
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


readme, recommend, search, decode_trie = map(
    benchmark, ("readme", "recommend", "results", "decode_trie")
)


def test_the_results_are_those_of_the_recorded_run():
    results = json.loads(readme.RESULTS.read_text(encoding="utf-8"))
    assert readme.replaced(TEXT, results) == TEXT
    assert readme.PICTURE.stat().st_size > 10_000
    changed = {**results, "table": results["table"].replace("BM25", "BM26")}
    assert readme.replaced(TEXT, changed) != TEXT  # control


def test_the_table_of_the_recorded_run_shows_its_numbers():
    results = json.loads(readme.RESULTS.read_text(encoding="utf-8"))
    for name, run in results["runs"].items():
        (row,) = (line for line in results["table"].splitlines() if line.startswith(f"| {name} |"))
        assert f"{run['Success@10']:.3f}".lstrip("0") in row.replace("*", "").replace("0.", "."), (
            row
        )


def test_the_rows_of_recommendation_are_those_of_the_recorded_run():
    results = json.loads(recommend.RESULTS.read_text(encoding="utf-8"))
    assert recommend.replaced(TEXT, results) == TEXT
    next(iter(results["data"].values()))["runs"]["popularity"]["R@10"] += 0.1
    assert recommend.replaced(TEXT, results) != TEXT  # control


def test_the_search_systems_results_are_those_of_the_stored_runs():
    assert search.replaced(TEXT) == TEXT
    # control: what differs is put right
    assert search.replaced(TEXT.replace(search.OPEN, search.OPEN + "\nmore")) == TEXT


def test_the_rows_of_decoding_are_those_of_the_recorded_run(tmp_path):
    rows = decode_trie.rows_in(decode_trie.KEPT)
    assert decode_trie.replaced(TEXT, rows) == TEXT
    half_written = tmp_path / "rows.jsonl"
    shown = lambda line: (
        (json.loads(line)["length"], json.loads(line)["beam"], json.loads(line)["batch"])
        == (4, 50, 8)
    )
    # the last is one of the table's
    lines = sorted(decode_trie.KEPT.read_text(encoding="utf-8").splitlines(), key=shown)
    half_written.write_text("\n".join(lines)[:-20], encoding="utf-8")
    # control, and the last line counts as none
    assert decode_trie.replaced(TEXT, decode_trie.rows_in(half_written)) != TEXT


def named_in(section):
    """First cells, in code type, of the tables of a section."""
    (text,) = re.findall(rf"^## {section}\n(.*?)(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)


def test_every_system_that_runs_is_listed_and_no_other():
    assert sorted(named_in("Systems and results")) == sorted(recipes.names())


def test_every_decoder_is_listed_and_no_other():
    assert sorted(named_in("Decoders")) == sorted(decoders.NAMES)


def test_the_python_example_is_short_and_all_parse():
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    for example in examples:
        ast.parse(example)
    assert len([line for line in examples[0].splitlines() if line.strip()]) <= 15


def test_the_number_of_claims_is_right():
    assert len(claims.names()) == 20 and "checks twenty claims" in TEXT


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
def test_every_path_that_is_named_exists(path):
    assert (ROOT / path).exists()


def test_the_lines_on_what_may_be_answered_run_and_print_what_they_say(
    tmp_path, monkeypatch, capsys
):
    (text,) = re.findall(r"^## What may be answered\n(.*?)(?=^## )", TEXT, re.MULTILINE | re.DOTALL)
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})
    said = re.search(r"# (\[\[.*\]\])", code).group(1)
    assert re.findall(r"-?\d+", capsys.readouterr().out) == re.findall(r"-?\d+", said)
    assert (tmp_path / "runs" / "trie" / "trie.json").exists()


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
def test_every_command_that_is_shown_has_a_parser_that_takes_it(where, program, line):
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
    assert {setting.partition("=")[0] for setting in getattr(parsed, "set", [])} <= options
