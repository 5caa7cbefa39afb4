"""`zoo data import`, `split`, `--columns` and `--histories`: from a user's folder to answers."""

import json

import pytest

from zoo.cli import main

ROWS = [
    (f"u{user}", "abcdef"[(user + place) % 6], place) for user in range(6) for place in range(6)
]
LOG = "who;what;when\n" + "".join(f"{user};{item};{10 - place}\n" for user, item, place in ROWS)


def run(*arguments):
    return main.main([str(argument) for argument in arguments])


def test_documents_are_imported_fitted_and_found(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a b, c.md").write_text("# Cherries\n\nred fruit")
    (tmp_path / "in" / "d.txt").write_text("apples and pears")
    assert run("data", "import", tmp_path / "in", "--out", tmp_path / "data") == 0
    said = capsys.readouterr().out
    assert "2 documents, 2 with a title" in said and "read 1 .md, 1 .txt" in said
    assert run("fit", "bm25", "--data", tmp_path / "data", "--out", tmp_path / "run") == 0
    assert run("retrieve", tmp_path / "run", "--query", "red fruit", "-k", 1) == 0
    assert "a b, c.md  Cherries" in capsys.readouterr().out
    path = tmp_path / "run.jsonl"
    assert run("retrieve", tmp_path / "run", "--query", "red", "--run", tmp_path / "x.trec") == 2
    assert "name a file that ends in .jsonl" in capsys.readouterr().err
    assert run("retrieve", tmp_path / "run", "--query", "red", "--run", path) == 0
    assert json.loads(path.read_text())["document"] == "a b, c.md"


def test_columns_given_to_fit_work_for_retrieve_evaluate_and_report(tmp_path, capsys):
    """The file is newest first; in file order, f would follow a."""
    path = tmp_path / "log.csv"
    path.write_text(LOG.replace("when", "watch time"))
    columns = ("--columns", "user=who,item=what,time=watch time")
    assert run("fit", "markov", "--data", path, "--out", tmp_path / "run") == 2
    assert "--columns user=NAME" in capsys.readouterr().err and not (tmp_path / "run").exists()
    assert run("fit", "markov", "--data", path, *columns, "--out", tmp_path / "run") == 0
    capsys.readouterr()
    assert run("retrieve", tmp_path / "run", "--history", "b", "-k", 1) == 0
    assert capsys.readouterr().out.rstrip().endswith("  a")
    assert run("evaluate", tmp_path / "run", "--data", path, *columns) == 0
    assert run("report", tmp_path / "run") == 0  # uses the stored columns
    capsys.readouterr()
    assert run("evaluate", tmp_path / "run", "--data", path, "--columns", "what=who") == 2
    assert "--columns expects user=NAME" in capsys.readouterr().err
    assert run("report", tmp_path / "run", "--columns", "user=who") == 2
    assert "name the data too" in capsys.readouterr().err


def test_a_split_by_time_is_written_fitted_and_evaluated(tmp_path, capsys):
    (tmp_path / "log.csv").write_text(LOG)
    command = ("data", "split", tmp_path / "log.csv", "--columns", "user=who,item=what,time=when")
    options = ("--by", "time", "--test", "0.2", "--dev", "0.2", "--ties", "shuffled")
    assert run(*command, *options, "--out", tmp_path / "data") == 0
    said = capsys.readouterr().out
    assert "dev asks 6 of 6 users, test 6; 0.0% of the events share their time" in said
    assert run("fit", "popularity", "--data", tmp_path / "data", "--out", tmp_path / "run") == 0
    assert run("evaluate", tmp_path / "run", "--data", tmp_path / "data") == 0
    assert run(*command, "--by", "week", "--out", tmp_path / "other") == 2
    assert run("data", "split", "toy", "--by", "ratio", "--out", tmp_path / "other") == 2
    assert run("data", "split", "toy-walks", "--by", "time", "--out", tmp_path / "other") == 2
    assert "has no times" in capsys.readouterr().err and not (tmp_path / "other").exists()


def test_histories_are_read_from_a_file_and_from_quoted_ids(tmp_path, capsys):
    items = ["a,1", "b c", "d"]
    lines = [{"user": f"u{n}", "items": (items * 3)[n : n + 6]} for n in range(3)]
    (tmp_path / "sequences.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    assert run("fit", "markov", "--data", tmp_path, "--out", tmp_path / "run") == 0
    capsys.readouterr()
    assert run("retrieve", tmp_path / "run", "--history", '"a,1"', "-k", 1) == 0
    assert "b c" in capsys.readouterr().out
    asked = tmp_path / "asked.jsonl"
    asked.write_text('["a,1", "b c"]\n{"user": "me", "items": ["d"]}\n')
    for flag in ("--histories", "--history-file"):
        assert run("retrieve", tmp_path / "run", flag, asked, "-k", 1) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[0] == "0" and said[1].endswith("d")
        assert said[3] == "me" and said[4].endswith("a,1")
    asked.write_text('["nothing"]\n')
    assert run("retrieve", tmp_path / "run", "--histories", asked) == 2
    assert "asked.jsonl:1: item 'nothing' is not in the corpus" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "expected"), ((None, 1), ("--leave-out-self", 1), ("--no-leave-out-self", 0))
)
def test_queries_that_are_documents_are_excluded(tmp_path, capsys, flag, expected):
    (tmp_path / "qrels").mkdir()
    corpus = {"a1": "uniforms cost money", "a2": "uniforms save money", "c": "ideas"}
    lines = [json.dumps({"_id": name, "text": text}) + "\n" for name, text in corpus.items()]
    (tmp_path / "corpus.jsonl").write_text("".join(lines))
    (tmp_path / "queries.jsonl").write_text(lines[0])
    (tmp_path / "qrels" / "test.tsv").write_text("a1\ta2\t1\n")
    assert run("fit", "bm25", "--data", tmp_path, "--out", tmp_path / "run") == 0
    capsys.readouterr()
    more = [flag] if flag else []
    path = tmp_path / "out.json"
    assert run("evaluate", tmp_path / "run", "--data", tmp_path, "--json", path, *more) == 0
    measured = json.loads(path.read_text())
    assert measured["measures"]["Success@1"] == expected
    assert measured["self_left_out"] == bool(expected)
    assert ("left out of its answers" in capsys.readouterr().out) == bool(expected)
    assert run("compare", tmp_path / "run", "--data", tmp_path, *more) == 0
