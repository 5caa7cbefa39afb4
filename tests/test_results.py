"""Tables of search systems: intervals worked by hand, rows of stored runs, runs measured once."""

import importlib.util
import json
import pathlib

import numpy as np
import pytest

from zoo.data import load, toy

ROOT = pathlib.Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("results", ROOT / "benchmarks" / "results.py")
results = importlib.util.module_from_spec(spec)
spec.loader.exec_module(results)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "RESULTS", tmp_path / "search")
    return tmp_path / "search"


def store(folder, system, seed, ranks):
    gains = [round(1 / np.log2(rank + 1), 3) if rank else 0.0 for rank in ranks]
    run = {
        "system": system,
        "seed": seed,
        "ranks": ranks,
        "nDCG@10": gains,
        "seconds": 60.0,
        "parameters": 1000,
        "device": "cpu",
        "jax": "1",
        "cores": 2,
    }
    (folder / f"{results.slug(system)}.{seed}.json").write_text(json.dumps(run))


def about(overlap):
    return {
        "documents": 9,
        "corpus": "x",
        "test": len(overlap),
        "train": 5,
        "taught": 0.5,
        "overlap": overlap,
    }


def test_the_interval_is_the_one_worked_by_hand():
    # means over seeds .5, 1, 0, .5: variance 1/6 over 4 queries; the seeds' means .75 and .25:
    # variance 1/8 over 2
    mean, half = results.estimate(np.array([[1.0, 1, 0, 1], [0, 1, 0, 0]]))
    assert mean == 0.5 and half == pytest.approx(1.96 * np.sqrt(1 / 24 + 1 / 16))
    assert results.estimate(np.array([[1.0, 1, 0, 1]]))[1] == pytest.approx(
        1.96 * np.sqrt(0.25 / 4)
    )


def test_rows_hold_the_numbers_of_the_runs_best_first(folder):
    (folder / "toy").mkdir(parents=True)
    (folder / "toy" / "collection.json").write_text(json.dumps(about([0.0, 0.0, 1.0, 1.0])))
    store(folder / "toy", "BM25", 0, [0, 0, 1, 2])
    store(folder / "toy", "DPR", 0, [1, 4, 1, 1])
    store(folder / "toy", "DPR", 1, [1, 1, 1, 0])
    text = results.block()
    rows = [
        line.split("|")[1:]
        for line in text.splitlines()
        if line.startswith("| DPR") or line.startswith("| BM25")
    ]
    assert [row[0].strip() for row in rows] == ["DPR", "BM25"]
    means = [[float(cell.split("±")[0]) for cell in row[1:5]] for row in rows]
    expected = [[6 / 8, 7 / 8, 6.25 / 8, 6.431 / 8], [1 / 4, 2 / 4, 1.5 / 4, 1.631 / 4]]
    np.testing.assert_allclose(means, expected, atol=5e-4)
    assert [row[-2].strip() for row in rows] == ["2", "1"]
    assert "**DPR** and **BM25** lead, nDCG@10 0.804 and 0.408; their intervals overlap" in text
    assert "50% of a query's words stand in its document" in text
    assert (
        "at most 50%), BM25 has nDCG@10 0.000, behind DPR's 0.858; "
        "on the other queries 0.816, ahead of 0.750" in text
    )


@pytest.mark.parametrize(
    ("half", "said"),
    [
        (0.01, "**DPR** wins, 0.100 ahead of BM25 and beyond both intervals."),
        (0.06, "**DPR** and **BM25** lead, nDCG@10 0.500 and 0.400; their intervals overlap"),
    ],
)
def test_a_system_wins_only_beyond_both_intervals(half, said):
    cells = {"DPR": {"nDCG@10": (0.5, half)}, "BM25": {"nDCG@10": (0.4, half)}}
    assert results._winner(cells, ["DPR", "BM25"]).startswith(said)


def test_describe_measures_the_word_overlap_of_queries():
    collection = toy.build(20)
    found = results.describe(collection)
    assert (
        found["documents"] == found["test"] == 20
        and found["train"] == 60
        and found["taught"] == 1.0
    )
    # three of a query's four words are the document's own; the fourth, a common one, may or may not
    # be in it or is a stop word
    assert min(found["overlap"]) >= 0.75


def test_a_run_is_measured_once_and_of_the_same_kind(folder, tmp_path, capsys, monkeypatch):
    options = dict(
        minutes=1.0, work=tmp_path / "work", size="tiny", systems=["BM25", "GenRet"], seeds=(0, 1)
    )
    monkeypatch.setitem(results.SYSTEMS, "GenRet", results.System("no-such-recipe"))
    results.measure("toy", **options)
    assert sorted(path.name for path in (folder / "toy").iterdir()) == [
        "bm25.0.json",
        "collection.json",
    ]
    assert "no recipe no-such-recipe in this checkout" in capsys.readouterr().out
    run = json.loads((folder / "toy" / "bm25.0.json").read_text())
    assert len(run["ranks"]) == 200 and run["corpus"] == load.load("toy").corpus.fingerprint()
    before = (folder / "toy" / "bm25.0.json").stat().st_mtime_ns
    results.measure("toy", **options)
    assert (folder / "toy" / "bm25.0.json").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="a run with another size"):
        results.measure("toy", **options | {"size": "small"})
