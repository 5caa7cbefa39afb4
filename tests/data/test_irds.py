"""Names of ir_datasets load, from a small stand-in and, if installed, from the package itself."""

import collections
import sys
import types

import pytest

from zoo import records
from zoo.data import irds, load

Doc = collections.namedtuple("Doc", "doc_id title text")
Query = collections.namedtuple("Query", "query_id text")
Qrel = collections.namedtuple("Qrel", "query_id doc_id relevance")
DOCS = [Doc("d1", "One", "first"), Doc("d2", "", "second"), Doc("d3", "", " ")]
QUERIES = [Query("q1", "what is first"), Query("q2", "what is second"), Query("q3", "unjudged")]
QRELS = [Qrel("q1", "d1", 1), Qrel("q1", "d3", 1), Qrel("q2", "d2", 2), Qrel("q2", "d9", 1)]


class Dataset:
    """Stand-in for a dataset of ir_datasets."""

    def __init__(self, docs=(), queries=(), qrels=()):
        self._parts = {"docs": docs, "queries": queries, "qrels": qrels}

    def __getattr__(self, name):
        has, _, part = name.rpartition("_")
        if has == "has":
            return lambda: bool(self._parts[part])
        return lambda: iter(self._parts[has])


@pytest.fixture
def package(monkeypatch):
    known = {
        "mine": Dataset(DOCS),
        "mine/train": Dataset(DOCS, QUERIES, QRELS[:2]),
        "mine/test": Dataset(DOCS, QUERIES, QRELS),
        "alone": Dataset(DOCS),
        "nothing": Dataset(),
    }
    module = types.ModuleType("ir_datasets")
    module.load = known.__getitem__
    monkeypatch.setitem(sys.modules, "ir_datasets", module)
    return known


def test_a_name_is_one_split(package, capsys):
    found = load.load("ir:mine/test")
    assert found.corpus == records.Corpus(("d1", "d2"), ("One", ""), ("first", "second"))
    assert found.queries == records.Queries(("q1", "q2"), ("what is first", "what is second"))
    assert found.qrels["test"].grades == {"q1": {"d1": 1}, "q2": {"d2": 2, "d9": 1}}
    assert list(found.qrels) == ["test"] and found.name == "mine-test"
    said = capsys.readouterr().err
    assert "1 documents without text are left out" in said and "1 judged documents are not" in said
    assert load.exists("ir:mine/test") and load.locate("ir:mine/test") == "ir:mine/test"


def test_a_parent_name_has_all_splits(package):
    found = irds.load("ir:mine")
    assert {split: list(qrels.grades) for split, qrels in found.qrels.items()} == {
        "train": ["q1"],
        "test": ["q1", "q2"],
    }
    assert irds.load("ir:alone").qrels == {}


def test_unavailable_names_are_refused_in_one_line(package, monkeypatch):
    for name, message in (
        ("ir:other", "knows no such dataset"),
        ("ir:nothing", "has no documents"),
    ):
        with pytest.raises(records.DataError, match=message):
            irds.load(name)

    def fails():
        raise RuntimeError("no\nnetwork")

    monkeypatch.setattr(package["mine"], "docs_iter", fails, raising=False)
    with pytest.raises(records.DataError, match=r"cannot read it \(RuntimeError: no network\)"):
        irds.load("ir:mine")
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(records.DataError, match=r"pip install 'generative-retrieval-zoo\[ir\]'"):
        irds.load("ir:mine/test")


def test_the_package_itself_is_read(tmp_path):
    package = pytest.importorskip("ir_datasets", reason="pip install ir_datasets to run this test")
    (tmp_path / "docs.tsv").write_text("d1\tfirst\nd2\tsecond\n")
    (tmp_path / "queries.tsv").write_text("q1\twhat is first\n")
    (tmp_path / "qrels").write_text("q1 0 d1 1\n")
    made = package.create_dataset(
        docs_tsv=str(tmp_path / "docs.tsv"),
        queries_tsv=str(tmp_path / "queries.tsv"),
        qrels_trec=str(tmp_path / "qrels"),
    )
    package.registry.register("zoo-own/test", made)
    found = irds.load("ir:zoo-own/test")
    assert found.corpus.texts == ("first", "second")
    assert found.qrels["test"].grades == {"q1": {"d1": 1}}
