"""The command line: every command, and every error in one line with exit code 2."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import zoo
from zoo.api import evaluate, fitted as stored
from zoo.cli import main
from zoo.data import files, trec

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTS = {
    "crème-brûlée": (
        "Crème brûlée",
        "Custard of cream and egg yolks under a crust of burnt sugar.",
    ),
    "東京": ("東京", "The capital of Japan; 寿司 and ramen stand at every corner."),
    "bread": ("", "Flour, water, salt and yeast, kneaded, left to rise and baked."),
    "tea/green": ("Green tea", "Leaves that are steamed and not oxidised, drawn in hot water."),
    "soup": ("Soup", "Vegetables boiled in water or stock with salt."),
    "omelette": ("Omelette", "Beaten egg fried in butter, folded over cheese."),
}
QUERIES = {
    "q1": ("crust of burnt sugar", "crème-brûlée"),
    "q2": ("寿司 in the capital", "東京"),
    "q3": ("knead flour with yeast", "bread"),
    "é4": ("steamed leaves", "tea/green"),
    "q5": ("boiled vegetables", "soup"),
    "q6": ("fried egg with cheese", "omelette"),
}


def write_collection(folder, documents=DOCUMENTS):
    (folder / "qrels").mkdir(parents=True)
    line = lambda value: json.dumps(value, ensure_ascii=False) + "\n"
    rows = [
        line({"_id": name, "title": title, "text": text})
        for name, (title, text) in documents.items()
    ]
    (folder / "corpus.jsonl").write_text("".join(rows), encoding="utf-8")
    asked = {name: pair for name, pair in QUERIES.items() if pair[1] in documents}
    (folder / "queries.jsonl").write_text(
        "".join(line({"_id": name, "text": text}) for name, (text, _) in asked.items()),
        encoding="utf-8",
    )
    judged = [f"{name}\t{document}\t1\n" for name, (_, document) in asked.items()]
    (folder / "qrels" / "train.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(judged[:2]), encoding="utf-8"
    )
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(judged), encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_collection(tmp_path_factory.mktemp("data") / "kitchen")


@pytest.fixture(scope="module")
def system(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "bm25"
    assert main.main(["fit", "bm25", "--data", str(data), "--size", "tiny", "--out", str(out)]) == 0
    return out


@pytest.fixture
def zoo_command(capsys):
    """Runs a command; returns its exit code, stdout and stderr."""

    def command(*arguments):
        try:
            code = main.main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def refused(zoo_command):
    """Runs a command that must exit with code 2; returns its single line on stderr."""

    def command(*arguments):
        code, out, err = zoo_command(*arguments)
        # phases report progress
        err = "".join(line for line in err.splitlines(keepends=True) if not line.startswith("- "))
        assert code == main.BAD_INPUT and out == "" and err.startswith("zoo")
        assert err.endswith("\n") and err.count("\n") == 1, f"expected one line, got {err!r}"
        return err

    return command


def test_data_list_and_get(zoo_command, refused, tmp_path):
    code, out, _ = zoo_command("data", "list")
    assert code == 0 and "toy" in out and "pydocs" in out
    code, out, _ = zoo_command("data", "get", "toy", "--out", tmp_path / "toy")
    assert (
        code == 0
        and out == f"{tmp_path / 'toy'}: 200 documents; queries: 600 train, 200 dev, 200 test\n"
    )
    assert len(files.read_beir(tmp_path / "toy").corpus) == 200
    assert "found" in refused("data", "get", "toy", "--out", tmp_path / "toy")
    assert "did you mean toy" in refused("data", "get", "toi", "--out", tmp_path / "toi")
    assert not (tmp_path / "toi").exists()


def test_fit_reports_system_documents_and_collection(data, zoo_command, tmp_path):
    code, out, err = zoo_command(
        "fit", "bm25", "--data", data, "--set", "k1=1.2", "--set", "b=1", "--out", tmp_path / "out"
    )
    assert (
        code == 0
        and out.startswith(f"{tmp_path / 'out'}: bm25 fitted to 6 documents of kitchen in ")
        and out.endswith(" s\n")
    )
    assert err == "- index\n"
    config = zoo.load(tmp_path / "out").config
    assert (config.k1, config.b) == (1.2, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (["dpr2"], "no recipe 'dpr2'; expected one of: bm25, "),
        (["bm25", "--size", "huge"], "invalid choice: 'huge'"),
        (["bm25", "--set", "k1"], "--set expects key=value, got 'k1'"),
        (["bm25", "--set", "k2=1"], "no option 'k2'; expected one of: k1, b"),
        (["bm25", "--set", "k1=much"], "option k1 expects float"),
        (["bm25", "--set", "k1=-1"], "option k1 expects 0 to 1,000,000"),
        (["bm25", "--set", "expand_with_queries=perhaps"], "expects bool"),
        (["dsi", "--set", "identifiers=roman"], "option identifiers expects"),
        (["dsi", "--set", "batch=0"], "option batch expects 1 to 1,048,576"),
        (["bm25", "--seed", "one"], "invalid int value: 'one'"),
        (["bm25", "--seed", "-1"], "expected a seed from 0"),
        (["bm25", "--data", "no/such/folder"], "no folder and no collection"),
        (["bm25", "--colour"], "unrecognized arguments: --colour"),
    ),
)
def test_fit_refuses_bad_arguments_and_writes_nothing(arguments, message, data, refused, tmp_path):
    assert message in refused(
        "fit", *arguments[:1], "--data", data, *arguments[1:], "--out", tmp_path / "out"
    )
    assert list(tmp_path.iterdir()) == []


def broken(name, old, new):
    def damage(folder):
        path = folder / name
        path.write_bytes(
            path.read_bytes().replace(
                old.encode(), new if isinstance(new, bytes) else new.encode(), 1
            )
        )

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    (
        (
            broken("corpus.jsonl", '"_id": "bread"', '"_id": "bread'),
            "corpus.jsonl:3: expected a JSON object, got bad JSON at column",
        ),
        (broken("corpus.jsonl", '"_id": "bread", ', ""), 'corpus.jsonl:3: expected the key "_id"'),
        (
            broken("corpus.jsonl", '"bread"', '"東京"'),
            "corpus.jsonl:3: \"_id\" '東京' stands already on line 2",
        ),
        (
            broken(
                "corpus.jsonl",
                "Flour, water, salt and yeast, kneaded, left to rise and baked.",
                " ",
            ),
            "document 'bread' with neither",
        ),
        (
            broken("corpus.jsonl", "Flour", b"Fl\xe4r"),
            "corpus.jsonl:3: expected UTF-8, got byte 0xe4",
        ),
        (
            broken("qrels/test.tsv", "bread", "cake"),
            "test.tsv:4: document 'cake' is not in corpus.jsonl",
        ),
        (broken("qrels/test.tsv", "q3", "q9"), "test.tsv:4: query 'q9' is not in queries.jsonl"),
        (broken("qrels/test.tsv", "bread\t1", "bread 1"), "test.tsv:4: expected 3 columns"),
        (
            lambda folder: (folder / "corpus.jsonl").write_text(""),
            "expected at least one document, got an empty file",
        ),
        (
            lambda folder: (folder / "queries.jsonl").write_text(""),
            "expected at least one query, got an empty file",
        ),
        (
            lambda folder: (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\n"),
            "at least one query with a grade above 0",
        ),
        (lambda folder: (folder / "corpus.jsonl").unlink(), "expected a folder with corpus.jsonl"),
        (lambda folder: (folder / "queries.jsonl").unlink(), "no queries.jsonl"),
    ),
)
def test_broken_data_is_refused_and_nothing_is_written(
    damage, message, data, system, refused, tmp_path
):
    folder = write_collection(tmp_path / "data")
    damage(folder)
    assert message in refused("fit", "bm25", "--data", folder, "--out", tmp_path / "out")
    assert message in refused("evaluate", system, "--data", folder, "--json", tmp_path / "out.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_fit_refuses_an_occupied_folder_and_leaves_it(data, system, refused):
    before = {path: path.stat().st_mtime_ns for path in system.rglob("*")}
    assert "holds a fitted system already" in refused(
        "fit", "bm25", "--data", data, "--size", "base", "--out", system
    )
    assert {path: path.stat().st_mtime_ns for path in system.rglob("*")} == before


def test_a_repeated_fit_reports_that_it_was_finished(data, system, zoo_command):
    before = {path: path.stat().st_mtime_ns for path in system.rglob("*")}
    code, out, err = zoo_command("fit", "bm25", "--data", data, "--size", "tiny", "--out", system)
    assert code == 0 and f"{system}: bm25 fitted to 6 documents" in out
    assert f"{system}: this fit was finished before" in err
    assert {path: path.stat().st_mtime_ns for path in system.rglob("*")} == before


def test_retrieve_prints_ranked_answers(system, zoo_command):
    code, out, err = zoo_command("retrieve", system, "--query", "egg", "-k", 5)
    assert code == 0 and err == ""
    question, first, second = out.splitlines()
    assert question == "egg" and first.startswith("  1. ") and second.startswith("  2. ")
    assert {"omelette", "crème-brûlée"} == {line.split()[2] for line in (first, second)}
    assert float(first.split()[1]) >= float(second.split()[1])
    assert zoo_command("retrieve", system, "--query", "qwertz")[1] == "qwertz\n  no answer\n"


def test_a_run_file_contains_the_ranking(data, system, zoo_command, tmp_path):
    code, out, _ = zoo_command(
        "retrieve",
        system,
        "--queries",
        data / "queries.jsonl",
        "--run",
        tmp_path / "a.trec",
        "-k",
        3,
    )
    assert code == 0 and out == f"{tmp_path / 'a.trec'}: answers to 6 queries\n"
    fitted = zoo.load(system)
    expected = zoo.retrieve(fitted, files.read_queries(data / "queries.jsonl"), 3)
    run = trec.read(tmp_path / "a.trec", expected.corpus_ids)
    answered = [row for row in range(len(expected)) if expected.answers(row)]
    assert (
        run.query_ids == tuple(expected.query_ids[row] for row in answered)
        and "é4" in run.query_ids
    )
    for number, row in enumerate(answered):
        assert [name for name, _ in run.answers(number)] == [
            name for name, _ in expected.answers(row)
        ]
        assert [score for _, score in run.answers(number)] == pytest.approx(
            [score for _, score in expected.answers(row)], rel=1e-6
        )


def test_several_queries_are_printed_one_after_the_other(data, system, zoo_command):
    _, out, _ = zoo_command("retrieve", system, "--queries", data / "queries.jsonl")
    assert [block.splitlines()[0] for block in out.split("\n\n")] == [
        text for text, _ in QUERIES.values()
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (["--query", ""], "the query is empty"),
        (["--query", "  \t"], "the query is empty"),
        (["--query", "egg", "-k", "0"], "expected k of at least 1, got 0"),
        (["--query", "egg", "-k", "-3"], "expected k of at least 1"),
        (["--query", "egg", "-k", "many"], "invalid int value: 'many'"),
        (["--queries", "no-such.jsonl"], "no-such.jsonl: expected a file, found nothing"),
        (["--query", "egg", "--queries", "x.jsonl"], "not allowed with"),
        ([], "one of the arguments --query --queries --history --user --histories"),
        (
            ["--query", "egg", "--run", "no/such/folder/a.trec"],
            "expected the folder no/such/folder to exist",
        ),
        (["--query", "egg", "--run", "."], "expected the name of a file, got a folder"),
        (["--query", "half \udcff"], "half a character"),
    ),
)
def test_retrieve_refuses_bad_queries_k_and_outputs(
    arguments, message, system, refused, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert message in refused("retrieve", system, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_folders_without_a_system_are_refused(data, refused, tmp_path):
    for folder, message in (
        (tmp_path / "absent", "no such folder"),
        (data, "holds no fitted system"),
        (tmp_path, "holds no fitted system"),
    ):
        assert message in refused("retrieve", folder, "--query", "egg")
        assert message in refused("evaluate", folder, "--data", data)
        assert message in refused("compare", folder, "--data", data)


def test_a_bad_line_of_queries_is_named(system, refused, tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text('{"_id": "1", "text": "egg"}\n{"_id": "2", "text": ""}\n')
    assert f"{path}:2: expected a query" in refused("retrieve", system, "--queries", path)
    path.write_bytes('{"_id": "1", "text": "œuf"}'.encode("utf-16"))
    assert "expected UTF-8" in refused("retrieve", system, "--queries", path)


def test_evaluate_prints_a_table_and_writes_json_and_run(data, system, zoo_command, tmp_path):
    target, run = tmp_path / "result.json", tmp_path / "run.trec"
    code, out, err = zoo_command("evaluate", system, "--data", data, "--json", target, "--run", run)
    assert code == 0 and err == ""
    assert "Hit@10" in out and "bm25" in out and "on 6 queries" in out
    written = json.loads(target.read_text())
    result = evaluate.evaluate(zoo.load(system), data)
    assert written["measures"] == result.measures and set(written["measures"]) > {
        "Success@1",
        "Success@10",
        "RR@10",
        "nDCG@10",
        "R@100",
    }
    assert (
        written["name"] == written["recipe"] == "bm25"
        and written["size"] == "tiny"
        and written["split"] == "test"
    )
    assert written["num_queries"] == 6 and written["queries_per_second"] > 0
    assert written["about"]["num_documents"] == 6 and written["config"]["k1"] == 0.9
    assert trec.read(run, tuple(DOCUMENTS)).query_ids[0] == "q1"
    assert "on 2 queries" in zoo_command("evaluate", system, "--data", data, "--split", "train")[1]


def test_evaluate_refuses_other_splits_other_corpora_and_bad_outputs(
    data, system, refused, tmp_path
):
    assert "no split 'dev'; it has: test, train" in refused(
        "evaluate", system, "--data", data, "--split", "dev"
    )
    assert "of this system, those of" in refused("evaluate", system, "--data", "toy")
    assert "to exist" in refused(
        "evaluate", system, "--data", data, "--json", tmp_path / "no" / "a.json"
    )
    assert "got a folder" in refused("evaluate", system, "--data", data, "--run", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_compare_prints_one_table_with_a_paired_test(data, system, zoo_command, tmp_path):
    other = tmp_path / "other"
    assert (
        zoo_command(
            "fit", "bm25", "--data", data, "--set", "expand_with_queries=true", "--out", other
        )[0]
        == 0
    )
    code, out, err = zoo_command("compare", system, other, "--data", data, "--measure", "RR@10")
    assert code == 0 and err == ""
    assert f"bm25 ({system})" in out and f"bm25 ({other})" in out, (
        "two systems of one recipe are named by their folders"
    )
    assert "paired randomisation test, Holm" in out and "MRR@10" in out
    assert zoo_command("compare", system, other, "--data", data, "--markdown")[1].startswith(
        "| system |"
    )
    assert zoo_command("compare", system, "--data", data)[0] == 0


def test_compare_refuses_other_collections_unknown_measures_and_duplicates(
    data, system, zoo_command, refused, tmp_path
):
    fewer = write_collection(
        tmp_path / "fewer", {name: DOCUMENTS[name] for name in list(DOCUMENTS)[:4]}
    )
    assert zoo_command("fit", "bm25", "--data", fewer, "--out", tmp_path / "other")[0] == 0
    assert "of this system, those of" in refused(
        "compare", system, tmp_path / "other", "--data", data
    )
    assert "of this system, those of" in refused(
        "compare", system, tmp_path / "other", "--data", fewer
    )
    assert "has no nDCG@7" in refused("compare", system, "--data", data, "--measure", "nDCG@7")
    assert "different names" in refused("compare", system, system, "--data", data)


def test_no_command_and_an_unknown_one_are_refused(refused):
    assert "required: COMMAND" in refused()
    assert "required: COMMAND" in refused("data")
    assert "invalid choice: 'fti'" in refused("fti")


def test_an_interrupt_prints_no_traceback(system, zoo_command, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(stored, "load", interrupt)
    assert zoo_command("retrieve", system, "--query", "egg") == (130, "", "zoo: interrupted\n")


def process(*arguments, **options):
    command = [sys.executable, "-m", "zoo", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options
    )


def test_the_module_runs():
    running = process("list")
    out, err = running.communicate()
    assert running.returncode == 0 and err == "" and "bm25" in out


def test_a_closed_pipe_is_not_an_error(data, system):
    running = process("retrieve", system, "--queries", data / "queries.jsonl")
    running.stdout.close()
    with running.stderr as err:
        assert err.read() == ""
    assert running.wait() == 0


def test_an_interrupt_during_compilation_ends_like_any_other(data, tmp_path):
    """Initialisation compiles for about two seconds; an interrupt then used to crash jaxlib."""
    one_device = os.environ | {"XLA_FLAGS": os.environ["XLA_FLAGS"].replace("count=8", "count=1")}
    running = process(
        "fit", "dsi", "--data", data, "--size", "tiny", "--out", tmp_path / "out", env=one_device
    )
    lines = [line for line in iter(running.stderr.readline, "- train\n")]
    time.sleep(1)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate()
    assert lines == ["- tokens and vectors\n", "- identifiers\n"]
    assert (
        running.returncode == 130
        and err.splitlines()[-1].startswith("zoo: ")
        and "Traceback" not in err
    )


def test_an_ascii_terminal_gets_escapes(system):
    running = process(
        "retrieve", system, "--query", "burnt sugar", env=os.environ | {"PYTHONIOENCODING": "ascii"}
    )
    out, err = running.communicate()
    assert running.returncode == 0 and err == "" and "cr\\xe8me-br\\xfbl\\xe9e" in out
