"""Outputs of the command line: runs, JSON, streams, links, and hostile text on the terminal."""

import json
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.api import evaluate
from zoo.cli import ask, main
from zoo.data import trec

ROOT = pathlib.Path(__file__).parents[2]
DOCUMENTS = ("Paris", "ok", "third")


def write_collection(folder, ids=DOCUMENTS, title="capital"):
    (folder / "qrels").mkdir(parents=True)
    texts = ("capital of France", "another thing", "thing of France")
    (folder / "corpus.jsonl").write_text(
        "".join(
            json.dumps({"_id": name, "title": title, "text": text}) + "\n"
            for name, text in zip(ids, texts)
        )
    )
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "capital France"}\n{"_id": "q2", "text": "another"}\n'
    )
    (folder / "qrels" / "test.tsv").write_text(
        f"query-id\tcorpus-id\tscore\nq1\t{ids[0]}\t1\nq2\t{ids[1]}\t1\n"
    )
    return folder


def run_main(*arguments):
    return main.main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("data") / "cities")


@pytest.fixture(scope="module")
def system(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "bm25"
    assert run_main("fit", "bm25", "--data", data, "--out", out) == 0
    return out


def test_an_id_that_a_run_cannot_hold_is_refused_before_any_query(tmp_path, capsys, monkeypatch):
    folder = write_collection(tmp_path / "data", ("Paris (city)", "ok", "third"))
    assert run_main("fit", "bm25", "--data", folder, "--out", tmp_path / "bm25") == 0
    capsys.readouterr()
    target, run = tmp_path / "a.json", tmp_path / "a.trec"

    def answered(*arguments, **options):
        raise AssertionError("answered a query")

    with monkeypatch.context() as patched:
        patched.setattr(evaluate, "evaluate", answered)
        code = run_main(
            "evaluate", tmp_path / "bm25", "--data", folder, "--json", target, "--run", run
        )
    out, err = capsys.readouterr()
    assert code == main.BAD_INPUT and out == "" and "cannot hold 'Paris (city)'" in err
    assert not target.exists() and not run.exists()
    assert run_main("evaluate", tmp_path / "bm25", "--data", folder, "--json", target) == 0
    assert json.loads(target.read_text())["measures"]["Success@1"] == 1.0


def test_the_json_is_kept_if_the_run_cannot_be_written(data, system, tmp_path, monkeypatch):
    def full(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr(trec, "write", full)
    target = tmp_path / "a.json"
    arguments = ("--data", data, "--json", target, "--run", tmp_path / "a.trec")
    assert run_main("evaluate", system, *arguments) == main.BAD_INPUT
    assert json.loads(target.read_text())["num_queries"] == 2


def test_a_symbolic_link_is_written_through(data, system, tmp_path):
    (tmp_path / "real").mkdir()
    link, target = tmp_path / "a.trec", tmp_path / "real" / "b.trec"
    link.symlink_to(target)
    assert run_main("evaluate", system, "--data", data, "--run", link) == 0
    assert link.is_symlink() and target.read_text().startswith("q1 Q0 Paris 1 ")


def test_a_pipe_is_written_through(data, system, tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    assert run_main("evaluate", system, "--data", data, "--json", pipe) == 0
    reader.join(timeout=10)
    assert json.loads(read[0])["num_queries"] == 2 and pipe.is_fifo()


def test_devices_are_written_through(data, system):
    assert run_main("evaluate", system, "--data", data, "--run", os.devnull) == 0
    assert pathlib.Path(os.devnull).is_char_device()


@pytest.mark.parametrize("redirected", (False, True))
def test_stdout_contains_only_the_json(redirected, data, system, tmp_path):
    """Over a second: starts a process with a pipe or a file as stdout."""
    command = [sys.executable, "-m", "zoo", "evaluate", system, "--data", data, "--json"]
    with open(tmp_path / "out", "w+") as file:
        stdout = file if redirected else subprocess.PIPE
        done = subprocess.run(
            [*command, "/dev/stdout"], cwd=ROOT, text=True, stdout=stdout, stderr=subprocess.PIPE
        )
        file.seek(0)
        found = file.read() if redirected else done.stdout
    assert done.returncode == 0, done.stderr
    assert json.loads(found)["num_queries"] == 2
    assert "Hit@10" in done.stderr


def test_an_external_run_is_evaluated_without_a_fitted_folder(data, tmp_path, capsys):
    run, target = tmp_path / "foreign.trec", tmp_path / "foreign.json"
    run.write_text(
        "q1 Q0 third 1 2.5 other\nq1 Q0 Paris 2 1.5 other\nq9 Q0 ok 1 1 other\n"
        "q2\tQ0\tok\t1\t7\tother\n"
    )
    assert run_main("evaluate", "--run-file", run, "--data", data, "--json", target) == 0
    written = json.loads(target.read_text())
    # Paris at rank 2 and ok at rank 1: RR is .5 and 1
    assert written["measures"]["RR@10"] == 0.75 and written["measures"]["Success@1"] == 0.5
    assert written["num_queries"] == 2 and written["queries_per_second"] is None
    assert str(run) in capsys.readouterr().out


def test_an_unanswered_query_of_an_external_run_counts_0(data, tmp_path):
    (tmp_path / "a.trec").write_text("q2 Q0 ok 1 7 other\n")
    assert zoo.evaluate_run(tmp_path / "a.trec", str(data)).measures["RR@10"] == 0.5


def test_an_external_run_of_recommendations_is_evaluated():
    corpus = records.Corpus(tuple("abcd"), ("",) * 4, ("x",) * 4)
    histories = records.Histories(
        ("u", "v"), np.array([0, 1, 2, 3, 2, 1], np.int32), np.array([0, 3, 6])
    )
    given = records.Interactions("shop", corpus, histories)
    run = records.Ranking(
        ("v", "u"),
        corpus.ids,
        np.array([[0, 1], [2, -1]], np.int32),
        np.array([[2.0, 1.0], [1.0, -np.inf]], np.float32),
    )
    measured = zoo.evaluate_run(run, given).measures  # test targets: c for u, b for v
    assert measured["R@5"] == 1.0 and measured["RR"] == 0.75 and "coverage@10" in measured


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        ([], "expected either DIR or --run-file"),
        (["--run-file", "a.trec", "{system}"], "expected either DIR or --run-file"),
        (["--run-file", "a.trec", "--set", "beam=3"], "--set changes a fitted system"),
        (["--run-file", "a.trec"], "answers no query of the split 'test'"),
        (["--run-file", "b.trec"], "document 'nowhere' is not in the corpus"),
    ),
)
def test_an_invalid_external_run_is_refused(
    arguments, message, data, system, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("a.trec").write_text("q7 Q0 ok 1 1 other\n")
    pathlib.Path("b.trec").write_text("q1 Q0 nowhere 1 1 other\n")
    given = [argument.format(system=system) for argument in arguments]
    assert run_main("evaluate", *given, "--data", data) == main.BAD_INPUT
    assert message in capsys.readouterr().err


def test_k_is_at_most_the_number_of_documents(system, capsys):
    assert zoo.retrieve(zoo.load(system), "France", k=10**12).documents.shape == (1, 3)
    assert run_main("retrieve", system, "--query", "France", "-k", 10**12) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_terminal_escapes_are_not_printed_raw(tmp_path, capsys):
    folder = write_collection(tmp_path / "data", ("a\x1b[31m", "ok", "third"), "\x1b]0;pwned\x07")
    assert run_main("fit", "bm25", "--data", folder, "--out", tmp_path / "bm25") == 0
    assert run_main("retrieve", tmp_path / "bm25", "--query", "capital\x9b") == 0
    out, err = capsys.readouterr()
    assert "a\\x1b[31m" in out and "\\x1b]0;pwned\\x07" in out and "capital\\x9b" in out
    assert not {"\x1b", "\x07", "\x9b"} & set(out + err)


def test_printable_text_is_unchanged():
    assert records.printable("crème brûlée 東京 💡 שלום") == "crème brûlée 東京 💡 שלום"
    assert records.printable("a\u202eb\nc") == "a\\u202eb\\nc"


def test_memory_that_a_device_lacks_is_one_line(system, monkeypatch, capsys):
    def exhaust(*_, **__):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory\nallocating 48 bytes")

    monkeypatch.setattr(ask.answer, "retrieve", exhaust)
    assert run_main("retrieve", system, "--query", "capital") == main.BAD_INPUT
    assert capsys.readouterr().err.splitlines() == [
        "zoo: not enough memory (RESOURCE_EXHAUSTED: Out of memory allocating 48 bytes); "
        "choose smaller sizes"
    ]
