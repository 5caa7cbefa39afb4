"""What is learned under each `learn`, worked by hand, and what users and pages are shown of it."""

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.api import evaluate, fitted as stored
from zoo.cli import main
from zoo.data import histories, learning


@pytest.fixture
def log(tmp_path):
    (tmp_path / "log").mkdir()
    rows = [f"{user},{item},{n}" for user in "uv" for n, item in enumerate("abcd")]
    (tmp_path / "log" / "interactions.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    return tmp_path / "log"


@pytest.mark.parametrize(
    ("learn", "followed"), [("train", "a"), ("train+dev", "ab"), ("all", "abc")]
)
def test_a_chain_learns_the_events_of_its_splits(log, learn, followed):
    """Of a b c d, test is d and dev is c: two pairs of 'a b', then of 'b c', then of 'c d'."""
    fitted = zoo.fit("markov", str(log), quiet=True, learn=learn)
    top = {item: zoo.retrieve(fitted, [item], 1)[0][0] for item in "abc"}
    found = {item: (best.document, round(best.score)) for item, best in top.items()}
    successors = {"a": ("b", 2), "b": ("c", 2), "c": ("d", 2)}
    for item in "abc":
        assert (found[item] == successors[item]) == (item in followed)
    assert fitted.about["learn"] == learn


def test_judgements_of_all_splits_become_train():
    corpus = records.Corpus(("d", "e"), ("", ""), ("x", "y"))
    queries = records.Queries(("p", "q", "r"), ("1", "2", "3"))
    grades = {"train": {"p": {"d": 1}}, "dev": {"p": {"d": 2, "e": 0}}, "test": {"r": {"e": 1}}}
    qrels = {split: records.Qrels(found) for split, found in grades.items()}
    collection = records.Collection("c", corpus, queries, qrels)
    dev = learning.select(collection, "train+dev")
    assert dev.queries.ids == ("p", "q")
    assert dict(dev.qrels) == {"train": records.Qrels({"p": {"d": 2, "e": 0}})}
    everything = learning.select(collection, "all")
    assert everything.queries.ids == queries.ids
    assert everything.qrels["train"].grades["r"] == {"e": 1}
    assert learning.select(collection, "train").qrels.keys() == {"train", "dev"}


def test_measures_of_a_learned_split_say_so(log):
    fitted = {learn: zoo.fit("markov", str(log), quiet=True, learn=learn) for learn in ("all",)}
    assert "learned the answers of test" in evaluate.sentence_if_learned(fitted["all"], "test")
    assert not learning.includes("train+dev", "test") and learning.includes("train+dev", "dev")
    assert not learning.includes("train", "dev")


def test_an_unknown_learn_is_refused(log):
    with pytest.raises(records.DataError, match="learn: expected train, train\\+dev, all"):
        zoo.fit("markov", str(log), quiet=True, learn="everything")


def test_users_of_the_data_are_answered_and_unknown_ones_reported(log, tmp_path, capsys):
    run = str(tmp_path / "run")
    assert main.main(["fit", "markov", "--data", str(log), "--out", run, "--learn", "all"]) == 0
    capsys.readouterr()
    assert main.main(["retrieve", run, "--user", "u", "-k", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("u\n  1.") and not printed.err
    assert main.main(["retrieve", run, "--user", "new", "-k", "1"]) == 2
    assert "user 'new' is not among the 2 users of log" in capsys.readouterr().err
    asked = tmp_path / "asked.jsonl"
    asked.write_text('{"user": "new", "items": ["a"]}\n{"user": "v", "items": ["a"]}\n["b"]\n')
    assert main.main(["retrieve", run, "--histories", str(asked), "-k", "1"]) == 0
    printed = capsys.readouterr()
    assert "1 of 2 users are not among those that the system learned from (new)" in printed.err
    assert printed.out.count("  1.") == 3


def test_users_are_kept_as_digests(log, tmp_path):
    fitted = zoo.fit("popularity", str(log), quiet=True, out=tmp_path / "run")
    again = stored.load(tmp_path / "run")
    np.testing.assert_array_equal(again.users, fitted.users)
    assert stored.unknown_users(again, ["u", "w", "v"]) == ["w"]
    assert histories.read(log).histories.ids == ("u", "v")


def test_users_with_few_events_are_learned_by_all_alone(tmp_path, capsys):
    """a: x y; b: x; c: z x y z. Popularity under all: x 3, y 2, z 2; under train+dev z x y."""
    rows = ("c,z,1", "a,y,9", "a,x,8", "b,x,1", "c,x,2", "c,y,3", "c,z,4")
    (tmp_path / "events.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    for data in (tmp_path / "events.csv", tmp_path / "copy"):
        if data.name == "copy":
            histories.write(histories.read(tmp_path / "events.csv"), data)
        found = histories.read(data)
        assert found.left_out == 2 and len(found.histories) == 1
        learned = learning.select(found, "all")
        assert learned.histories.ids == ("c", "a", "b") and learned.left_out == 0
        taken = [
            [learned.corpus.ids[i] for i in learned.histories.history(row)] for row in (0, 1, 2)
        ]
        assert taken == [["z", "x", "y", "z"], ["x", "y"], ["x"]]
        assert learning.select(found, "train+dev").histories.ids == ("c",)
    run = str(tmp_path / "run")
    assert (
        main.main(["fit", "popularity", "--data", str(data), "--out", run, "--learn", "all"]) == 0
    )
    fitted = zoo.load(run)
    assert fitted.about["num_users"] == 3 and fitted.about["users_left_out"] == 0
    assert zoo.retrieve(fitted, [["y"]], 1)[0][0].document == "x"
    assert main.main(["retrieve", run, "--user", "b", "-k", "2"]) == 0
    assert "not among" not in capsys.readouterr().err
