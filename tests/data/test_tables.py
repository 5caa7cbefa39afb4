"""Collections survive a round trip through tables of examples."""

import dataclasses

import numpy as np
import pytest

from zoo import records
from zoo.data import catalog, cold, histories, load, tables, toy


def returned(collection, changed=lambda rows: rows):
    """A collection rebuilt from its tables, after `changed` is applied to the first table."""
    made, first = tables.of(collection), next(iter(tables.of(collection)))
    read = lambda table, split: (
        changed(list(made[table][split]())) if table == first else made[table][split]()
    )
    return tables.collection(read, tables.about(collection), "here", list(made))


def same(first, second):
    """True if two collections are equal in every field, dtype and order."""
    if isinstance(first, records.Interactions):
        arrays = [(one.histories.items, one.histories.starts) for one in (first, second)]
        equal = all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(*arrays))
        fields = [
            (one.name, one.corpus, one.histories.ids, dict(one.held), one.left_out, one.tied)
            for one in (first, second)
        ]
        return equal and fields[0] == fields[1]
    order = [
        [(split, list(qrels.grades.items())) for split, qrels in one.qrels.items()]
        for one in (first, second)
    ]
    return first == second and order[0] == order[1]


@pytest.mark.parametrize(
    "collection",
    (toy.build(9), toy.interactions(5, 7), cold.hide(toy.interactions(), 0.2)),
    ids=("search", "walks", "cold"),
)
def test_a_collection_survives_conversion_to_tables(collection):
    assert same(returned(collection), collection)


def test_documents_without_queries_are_one_table():
    bare = dataclasses.replace(toy.build(3), queries=records.Queries((), ()), qrels={})
    assert list(tables.of(bare)) == ["corpus"] and same(returned(bare), bare)


def test_a_sequence_ends_in_its_target(tmp_path):
    (tmp_path / "sequences.txt").write_text("u a b c d\nv b a c\n")
    made = tables.of(histories.read(tmp_path))["sequences"]
    rows = {
        split: [(row["user"], row["history"].tolist(), int(row["target"])) for row in made[split]()]
        for split in made
    }
    assert rows == {  # by hand; a, b, c, d are rows 0 to 3
        "train": [("u", [0], 1), ("v", [], 1)],
        "dev": [("u", [0, 1], 2), ("v", [1], 0)],
        "test": [("u", [0, 1, 2], 3), ("v", [1, 0], 2)],
    }


def test_a_qrel_contains_the_text_of_its_query():
    collection = toy.build(2)
    (first, *_) = tables.of(collection)["qrels"]["dev"]()
    assert first == {
        "query": "q0.3",
        "text": dict(zip(collection.queries.ids, collection.queries.texts))["q0.3"],
        "document": "d0",
        "grade": 1,
    }


def test_changed_examples_are_refused():
    for collection, table in ((toy.build(4), "corpus"), (toy.interactions(5, 7), "items")):
        with pytest.raises(
            records.DataError, match=f"here: expected {table} of fingerprint .*prepare it again"
        ):
            returned(collection, lambda rows: [*rows[:-1], {**rows[-1], "text": "other"}])
        with pytest.raises(records.DataError, match=f"found no {table}"):
            tables.collection(lambda *_: (), tables.about(collection), "here", ["queries"])


def test_splits_get_valid_tfds_names():
    assert tables.split_names(["train", "dev-small", "all", "tést"]) == {
        "train": "train",
        "dev_small": "dev-small",
        "all_": "all",
        "t_st": "tést",
    }
    with pytest.raises(records.DataError, match="'a-b' and 'a.b' are both 'a_b'"):
        tables.split_names(["a-b", "a.b"])


def test_the_catalog_knows_the_kind_of_each_entry():
    for name in ("toy", "toy-walks"):
        assert isinstance(load.load(name), records.Interactions) == (
            catalog.CATALOG[name].asks == "history"
        )
    assert {name for name, entry in catalog.CATALOG.items() if entry.asks == "history"} == {
        name for name, entry in catalog.CATALOG.items() if entry.splits == "dev, test"
    }
