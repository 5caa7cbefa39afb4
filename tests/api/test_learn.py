"""New documents that a small DSI learns by an edit and by continued training."""

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.api import dynamic as api, inputs
from zoo.cli import main
from zoo.data import dynamic, toy
from zoo.models import behaviour
from zoo.nets import network
from zoo.report import dynamic as report


@pytest.fixture(scope="module")
def growing():
    return dynamic.split(toy.build(60), steps=1, initial=0.9, seed=1)


@pytest.fixture(scope="module")
def dsi(growing):
    options = {"steps": 80, "decoder_hidden": 256, "branching": 4, "leaf_size": 5, "batch": 64}
    return zoo.fit("dsi", growing.initial(), size="tiny", options=options, quiet=True)


@pytest.mark.parametrize("by", ("edit", "continue"))
def test_new_documents_are_found_once_they_are_learned(by, dsi, growing):
    options = {"visits": 100} if by == "continue" else {"lam": 10, "protected": 200}
    queries, qrels = growing.queries(1, "test")
    known = growing.collection.queries
    texts = known.ids, known.texts
    hits = lambda system: [
        float(answers[0].document in qrels.grades[query])
        for query, answers in zip(queries.ids, zoo.retrieve(system, queries, k=1))
    ]
    asked = {}
    for query, name in growing.queries(1, "train")[1].pairs():
        asked.setdefault(name, []).append(dict(zip(*texts))[query])
    found = zoo.learn(
        dsi, growing.corpus(1), by=by, data=growing.initial(), queries=asked, options=options,
        quiet=True,
    )  # fmt: skip
    named = zoo.add(dsi, growing.corpus(1))
    assert found.documents.ids == named.documents.ids
    np.testing.assert_array_equal(found.state["docids"]["tokens"], named.state["docids"]["tokens"])
    assert np.mean(hits(found)) > np.mean(hits(named))
    change = found.about["changes"][-1]
    assert change["by"] == by and change["added"] == 6 and change["seconds_a_document"] > 0
    assert 0 <= change["changed"] <= 1 and change["asked"] == 200


def test_the_decoder_is_observed_on_new_documents(dsi, growing):
    named = zoo.add(dsi, growing.corpus(1))
    cell = api._ask(named, growing, 1, "test", 1.0)
    length = named.state["docids"]["tokens"].shape[1]
    assert len(cell.behaviour["accuracy"]) == len(cell.behaviour["entropy"]) == length
    # an untrained name is not generated in place of an old one
    assert cell.behaviour["old_share"] > 0.5
    row = report.text([api.Grown("dsi", (api._ask(dsi, growing, 0, "test", 1.0), cell))])
    assert "dsi, new documents: token accuracy by position" in row


def test_what_cannot_be_learned_is_refused(dsi, growing, tmp_path, capsys):
    bm25 = zoo.fit("bm25", growing.initial(), quiet=True)
    with pytest.raises(records.DataError, match="bm25: has no decoder of identifiers to change"):
        zoo.learn(bm25, growing.corpus(1), data=growing.initial())
    with pytest.raises(records.DataError, match="name the data of the known documents"):
        zoo.learn(dsi, growing.corpus(1))
    with pytest.raises(records.DataError, match="edit: no option 'visits'"):
        zoo.learn(dsi, growing.corpus(1), data=growing.initial(), options={"visits": 1})
    zoo.save(bm25, tmp_path / "bm25")
    arguments = ["add", str(tmp_path / "bm25"), "toy", "--by", "edit", "--out", str(tmp_path / "x")]
    assert main.main(arguments) == 2 and not (tmp_path / "x").exists()


def test_a_recommender_learns_a_cold_item_from_histories():
    walks = toy.interactions()
    tiger = zoo.fit("tiger", walks, size="tiny", options={"steps": 60}, quiet=True)
    item = records.Corpus(("cold",), ("a new thing",), ("that nobody has seen",))
    histories = [[*map(walks.corpus.ids.__getitem__, row)] for row in ([3, 7], [7, 9], [9, 11, 2])]
    found = zoo.learn(
        tiger, item, data=walks, queries={"cold": histories},
        options={"lam": 1, "protected": 100}, quiet=True,
    )  # fmt: skip
    # the item may be generated for its histories, and was not before
    ids, rows = found.state["docids"]["tokens"], found.documents.rows()
    hits = lambda system: behaviour.by_position(
        network.of(system.state), system.state["params"],
        zoo.open(system).ask.read(inputs.as_queries(system, histories)),
        np.repeat(ids[rows["cold"]][None], 3, axis=0),
    ).accuracy.mean()  # fmt: skip
    assert hits(found) > hits(zoo.add(tiger, item))
    assert found.about["changes"][-1]["by"] == "edit"
    with pytest.raises(records.DataError, match="learns new items from histories; pass queries"):
        zoo.learn(tiger, item, data=walks)
