"""Recommenders: fit, retrieve and evaluate, in Python and on the command line."""

import json

import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.cli import main
from zoo.data import histories, toy
from zoo.metrics import exposure, recommend


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """(folder of data, folder of a fitted Markov chain)."""
    place = tmp_path_factory.mktemp("recommending")
    assert main.main(["data", "get", "toy-walks", "--out", str(place / "data")]) == 0
    with open(place / "data" / "sequences.jsonl", "a") as out:
        out.write('{"user": "short", "items": ["d1", "d2"]}\n')
    assert (
        main.main(["fit", "markov", "--data", str(place / "data"), "--out", str(place / "markov")])
        == 0
    )
    return place / "data", place / "markov"


def test_evaluate_prints_the_values_of_the_python_verb(folders, capsys, tmp_path):
    data, system = folders
    assert (
        main.main(
            [
                "evaluate",
                str(system),
                "--data",
                str(data),
                "--json",
                str(tmp_path / "out.json"),
                "--run",
                str(tmp_path / "out.trec"),
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    walks = histories.read(data)
    fitted = zoo.load(system)
    asked, qrels = walks.split("test")
    targets = recommend.targets(qrels, asked.ids, walks.corpus)
    # all 40 items: no tie is cut
    places = recommend.places_in(zoo.retrieve(fitted, asked, 40), targets)
    wanted = {name: values.mean() for name, values in recommend.per_query(places).items()}
    stored = json.loads((tmp_path / "out.json").read_text())
    assert stored["measures"] == pytest.approx(stored["measures"] | wanted)
    assert all(f"{value:.4f}" in printed for value in wanted.values())
    assert f"coverage@10 {exposure.coverage(zoo.retrieve(fitted, asked, 10)):.3f}" in printed
    assert stored["about"]["num_users"] == 200 and stored["about"]["users_left_out"] == 1
    assert len((tmp_path / "out.trec").read_text().splitlines()) == 200 * 40


def test_fit_reports_the_number_of_dropped_users(folders, capsys, tmp_path):
    assert (
        main.main(["fit", "popularity", "--data", str(folders[0]), "--out", str(tmp_path / "new")])
        == 0
    )
    said = capsys.readouterr().out
    assert (
        "200 users (1 left out for fewer than 3 events)" in said
        and "at the time of another" not in said
    )


def test_fit_counts_tied_and_repeated_events(capsys, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "interactions.csv").write_text(
        "user_id,item_id,timestamp,rating\nu,a,1,5\nu,b,2,1\nu,a,2,3\nv,c,9,4\nv,b,8,4\nv,c,7,2\n"
    )
    assert (
        main.main(["fit", "popularity", "--data", str(data), "--out", str(tmp_path / "new")]) == 0
    )
    said = capsys.readouterr().out
    assert (
        "2 users, 6 events; 2 (33.3%) at the same time as another of their user, in file order; "
        "2 (33.3%) with an item that their user had before" in said
    )


def test_data_with_cold_items_is_written(folders, capsys, tmp_path):
    assert (
        main.main(
            ["data", "cold", str(folders[0]), "--share", "0.2", "--out", str(tmp_path / "cold")]
        )
        == 0
    )
    assert "40 items" in capsys.readouterr().out
    found = histories.read(tmp_path / "cold")
    learned = np.bincount(found.without("test").histories.items, minlength=40)
    assert (
        found.corpus.ids == histories.read(folders[0]).corpus.ids and 0 < (learned == 0).sum() <= 8
    )
    assert main.main(["data", "cold", "toy", "--out", str(tmp_path / "other")]) == 2
    assert "has queries" in capsys.readouterr().err and not (tmp_path / "other").exists()


def test_answering_options_change_without_a_new_fit(folders, capsys, tmp_path):
    data, system = folders
    printed = []
    for options in ([], ["--set", "filter=true"]):
        assert main.main(["retrieve", str(system), "--history", "d3,d5", "-k", "40", *options]) == 0
        printed.append(capsys.readouterr().out)
    assert "  d3 " in printed[0] and "  d3 " not in printed[1]
    assert main.main(["evaluate", str(system), "--data", str(data), "--set", "window=3"]) == 2
    assert "settled when the system was fitted" in capsys.readouterr().err
    (tmp_path / "kinds.txt").write_text("".join(f"kind{row % 2}\n" for row in range(40)))
    assert (
        main.main(
            [
                "evaluate",
                str(system),
                "--data",
                str(data),
                "--set",
                "filter=true",
                "--categories",
                str(tmp_path / "kinds.txt"),
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    spread = exposure.entropy(
        zoo.retrieve(
            zoo.with_options(zoo.load(system), {"filter": True}),
            histories.read(data).split("test")[0],
            10,
        ),
        [f"{row % 2}" for row in range(40)],
    )
    assert f"Entropy@10 {spread:.3f}" in said


def test_retrieve_takes_a_history(folders, capsys):
    data, system = folders
    assert main.main(["retrieve", str(system), "--history", "d3, d5", "-k", "2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    fitted = zoo.load(system)
    ranking = zoo.retrieve(fitted, ["d3", "d5"], 2)
    titles = dict(zip(fitted.documents.ids, fitted.documents.titles))
    assert ranking[0] == [(name, score, titles[name]) for name, score in ranking.answers(0)]
    assert all(
        answer.title and answer.title in line for answer, line in zip(ranking[0], printed[1:])
    )
    assert printed[0] == "d3, d5" and len(printed) == 3
    assert [line.split()[2] for line in printed[1:]] == [name for name, _ in ranking.answers(0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    (
        (["--history", "d3,nothing"], "history 0: item 'nothing' is not in the corpus"),
        (["--history", ""], "expected item ids separated by commas"),
        (["--query", "d3"], "markov asks for a history, got a text"),
        (["--history", "d3", "-k", "0"], "expected k of at least 1"),
    ),
)
def test_bad_histories_are_refused_in_one_line(arguments, message, folders, capsys):
    assert main.main(["retrieve", str(folders[1]), *arguments]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1


def test_python_refuses_an_empty_history(folders):
    fitted = zoo.load(folders[1])
    for empty in ([], [[]], [["d1"], []]):
        with pytest.raises(records.DataError, match="expected a history of at least one item"):
            zoo.retrieve(fitted, empty, 3)


def test_compare_pairs_systems_that_recommend(folders, capsys, tmp_path):
    data, system = folders
    assert (
        main.main(["fit", "popularity", "--data", str(data), "--out", str(tmp_path / "popularity")])
        == 0
    )
    assert (
        main.main(
            [
                "compare",
                str(tmp_path / "popularity"),
                str(system),
                "--data",
                str(data),
                "--markdown",
            ]
        )
        == 0
    )
    assert "markov wins: nDCG@10" in capsys.readouterr().out


def test_dev_does_not_depend_on_the_last_event(folders):
    """Changed last events change the metrics of `test` but not of `dev`."""
    walks = toy.interactions()
    items = walks.histories.items.copy()
    items[walks.histories.starts[1:] - 1] = 0
    poisoned = records.Interactions(
        "poisoned",
        walks.corpus,
        records.Histories(walks.histories.ids, items, walks.histories.starts),
    )
    fitted = zoo.fit("markov", walks, quiet=True)
    for split, same in (("dev", True), ("test", False)):
        one, other = (
            zoo.evaluate(fitted, given, split=split).per_query["RR"] for given in (walks, poisoned)
        )
        assert np.array_equal(one, other) == same


def test_a_system_without_scores_is_evaluated_by_its_ranking(monkeypatch):
    """Both see the same ties: counts are exact in float32, and the ranking holds all 40 items."""
    walks = toy.interactions()
    fitted = zoo.fit("popularity", walks, quiet=True)
    by_scores = zoo.evaluate(fitted, walks)
    popularity, ask = recipes.get("popularity"), fitted.opened
    ranked_only = popularity._replace(open=lambda config, state: lambda *asked: ask(*asked))
    monkeypatch.setattr(recipes, "get", lambda name: ranked_only)
    by_ranking = zoo.evaluate(zoo.with_options(fitted, {}), walks)
    for name, values in by_scores.per_query.items():
        np.testing.assert_array_equal(values, by_ranking.per_query[name])
    np.testing.assert_array_equal(by_scores.ranking.documents, by_ranking.ranking.documents)
    assert by_scores.measures == by_ranking.measures
    np.testing.assert_array_equal(by_scores.hit_curve, by_ranking.hit_curve)


def test_popularity_counts_events_before_dev():
    walks = toy.interactions()
    fitted = zoo.fit("popularity", walks, quiet=True)
    counts = np.zeros(40, int)
    for row in range(len(walks.histories)):
        for item in walks.histories.history(row)[:-2]:
            counts[item] += 1
    ranking = zoo.retrieve(fitted, ["d0"], 40)
    np.testing.assert_array_equal(ranking.documents[0], np.argsort(-counts, kind="stable"))
    np.testing.assert_array_equal(ranking.scores[0], np.sort(counts)[::-1])


def test_a_run_differs_if_the_fit_sees_another_event(tmp_path):
    """run.json decides if a fit resumes; it depends on first events but not on last ones."""
    walks, noted = toy.interactions(), {}
    for name, place in (("same", None), ("first", 0), ("last", walks.histories.starts[1] - 1)):
        items = walks.histories.items.copy()
        if place is not None:
            items[place] = (items[place] + 1) % 40
        given = records.Interactions(
            "toy",
            walks.corpus,
            records.Histories(walks.histories.ids, items, walks.histories.starts),
        )
        zoo.fit("popularity", given, out=tmp_path / name, quiet=True)
        noted[name] = json.loads((tmp_path / name / "run.json").read_text())["data"]
    assert noted["same"] == noted["last"] != noted["first"]


@pytest.fixture(scope="module")
def generative(folders):
    """A TIGER after few steps with one level of 4 codes for 40 items, so many items share codes."""
    options = {"levels": 1, "codes": 4, "fewest_steps": 20, "most_steps": 20}
    return zoo.fit(
        "tiger",
        folders[0],
        size="tiny",
        options=options,
        out=folders[0].parent / "tiger",
        quiet=True,
    )


def test_measures_of_items_and_identifiers_are_reported_together(generative, folders, capsys):
    """Equals `identifier_places` of the codes; 4 identifiers are always in the top 5."""
    result = zoo.evaluate(generative, folders[0], split="dev")
    asked, qrels = histories.read(folders[0]).split("dev")
    targets = recommend.targets(qrels, asked.ids, generative.documents)
    codes = np.asarray(generative.state["docids"]["tokens"])[:, :1]
    assert len(np.unique(codes)) == 4
    wanted = recommend.per_query(
        recommend.identifier_places(zoo.retrieve(generative, asked, 100), codes, targets)
    )
    for name, values in result.by_identifier.items():
        np.testing.assert_array_equal(values, wanted[name])
        assert result.measures[f"{name} by identifier"] == values.mean() >= result.measures[name]
    assert result.measures["R@5 by identifier"] == 1 > result.measures["R@5"]
    tiger, markov = str(folders[0].parent / "tiger"), str(folders[1])
    assert main.main(["evaluate", tiger, "--data", str(folders[0]), "--split", "dev"]) == 0
    assert (
        "by identifier, items with the same codes counted as one: R@5 1.0000, "
        f"nDCG@5 {wanted['nDCG@5'].mean():.4f}" in capsys.readouterr().out
    )
    assert main.main(["compare", tiger, markov, "--data", str(folders[0]), "--split", "dev"]) == 0
    table = [line.split() for line in capsys.readouterr().out.split("\n\n")[1].splitlines()]
    assert (
        " ".join(table[0])
        == "system coverage@10 Gini@10 invalid R@10 head R@10 middle R@10 tail R@10 memorised "
        "R@10 generalised R@10 by id nDCG@10 by id"
    )
    shown = dict(zip((row[0] for row in table[2:]), (row[1:] for row in table[2:])))
    names = (
        "coverage@10",
        "gini@10",
        "invalid_share",
        "R@10 head",
        "R@10 middle",
        "R@10 tail",
        "R@10 memorised",
        "R@10 generalised",
        "R@10 by identifier",
        "nDCG@10 by identifier",
    )
    assert shown[generative.name] == [f"{result.measures[name]:.4f}" for name in names]
    assert len(shown["markov"]) == len(names) and shown["markov"][-2:] == ["-", "-"]


def test_a_system_without_identifiers_has_no_identifier_metrics(folders, capsys):
    result = zoo.evaluate(zoo.load(folders[1]), folders[0])
    assert not result.by_identifier and not [
        name for name in result.measures if "identifier" in name
    ]
    assert main.main(["evaluate", str(folders[1]), "--data", str(folders[0])]) == 0
    assert "identifier" not in capsys.readouterr().out


def test_a_system_records_its_data_and_warnings(folders):
    fitted = zoo.load(folders[1])
    assert fitted.about["source"] == str(folders[0].resolve()) and fitted.about["warnings"] == []
    assert zoo.fit("popularity", "toy-walks", quiet=True).about["source"] == "toy-walks"
    assert zoo.fit("popularity", toy.interactions(), quiet=True).about["source"] == ""
