"""The tree starts as exact dense search, and its beam with BM25 finds what the sum ranks first."""

import dataclasses

import jax
import numpy as np
import pytest

import zoo
from zoo import records
from zoo.data import toy
from zoo.docids import table
from zoo.index import dense, lexical
from zoo.models import development, lexical_plan, text_vectors
from zoo.schemes import scheme as schemes

WHOLE = {"beam": 1000}  # every cluster


@pytest.fixture(scope="module")
def collection():
    return toy.build(90)


@pytest.fixture(scope="module")
def untrained(collection):
    """A tree whose training changes nothing."""
    options = {"steps": 1, "rate": 0.0, "batch": 8, "encoder_width": 24, "lexical_rank": 16}
    return zoo.fit("tree", collection, size="tiny", options=options, quiet=True)


@pytest.fixture(scope="module")
def queries(collection):
    return collection.split("test")[0]


def with_options(fitted, **options):
    return zoo.with_options(fitted, options)


def start_of(fitted, queries):
    """Vectors of the documents as they are at the start, and of the queries."""
    space = text_vectors.Space(**fitted.state["space"])
    return np.asarray(fitted.state["params"]["document"]), space.queries(queries.texts)


def test_before_training_the_whole_tree_is_exact_dense_search(untrained, collection, queries):
    documents, asked = start_of(untrained, queries)
    space = text_vectors.Space(**untrained.state["space"])
    terms = text_vectors.lexical_part(space.index, space.components)
    encoded = text_vectors.of_documents(space.embedder, collection.corpus.contents())
    # the rows are the vectors; one is embedded with its tokens counted by another program
    np.testing.assert_allclose(documents, space.join(encoded, terms), atol=1e-5)
    found = zoo.retrieve(with_options(untrained, lexical=0, **WHOLE), queries, 10)
    wanted, scores = dense.search(dense.build(documents), asked, 10)
    np.testing.assert_array_equal(found.documents, wanted)
    np.testing.assert_allclose(found.scores, 20 * scores, rtol=1e-4)


def test_a_beam_over_all_clusters_ranks_by_the_sum_of_sequence_and_bm25(untrained, queries):
    documents, asked = start_of(untrained, queries)
    plan = untrained.state["lexical"]
    for weight in (0.05, 2.0):
        scale = lexical_plan.Scale(plan["kind"], weight)
        sums = asked @ documents.T + scale(lexical_plan.scores(plan["index"], queries.texts))
        found = zoo.retrieve(with_options(untrained, lexical=weight, **WHOLE), queries, 5)
        best = -np.sort(-sums, axis=1)[:, :5]
        np.testing.assert_allclose(found.scores, 20 * best, rtol=1e-4)
    narrow = zoo.retrieve(with_options(untrained, lexical=2.0, beam=1), queries, 5)
    blind = zoo.retrieve(with_options(untrained, lexical=0, beam=1), queries, 5)
    right = np.arange(90)[:, None]
    assert (narrow.documents == right).any(axis=1).mean() > (blind.documents == right).any(
        axis=1
    ).mean()


def test_an_added_document_has_its_vector_as_row_and_is_found(untrained):
    more = records.Corpus(("new",), ("",), (toy.build(90).corpus.texts[7],))
    grown = zoo.add(untrained, more)
    space = text_vectors.Space(**untrained.state["space"])
    row = np.asarray(grown.state["params"]["document"])[-1]
    np.testing.assert_array_equal(row, space.new_documents(more)[0])
    answers = zoo.retrieve(with_options(grown, **WHOLE), [more.texts[0]], 2).answers(0)
    assert "new" in [name for name, _ in answers]


def test_cells_are_bounded_numbered_in_row_order_and_grow():
    vectors = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    naming = schemes.position_specific(schemes.scheme("cells"))
    state, ids = naming.fit(toy.build(100).corpus, vectors, jax.random.key(0), None)
    table.build(ids.tokens, ids.alphabet)
    clusters, sizes = np.unique(ids.tokens[:, 0], return_counts=True)
    assert len(clusters) <= 10 and sizes.max() <= 16
    fresh = naming.assign(state, toy.build(1).corpus, vectors[:1], ids)
    both = table.join(ids, fresh)
    table.build(both.tokens, both.alphabet)
    nearest = np.square(state["centroids"] - vectors[:1]).sum(axis=1).argmin()
    assert fresh.tokens[0, 0] == 1 + nearest


def test_sparse_products_are_the_scores_of_bm25(collection, queries):
    index = lexical.build(collection.corpus.contents())
    rows, scores = lexical.search(index, queries.texts, 90)
    products = lexical_plan.scores(index, queries.texts)
    found = np.take_along_axis(products, np.maximum(rows, 0), axis=1)
    # another order of the sums
    np.testing.assert_allclose(found[rows >= 0], scores[rows >= 0], rtol=1e-5)
    assert (products > 0).sum() == (rows >= 0).sum()


def test_held_out_queries_leave_as_many_documents_without_any_as_the_corpus_has(collection):
    train = collection.qrels["train"]
    rows = collection.corpus.rows()
    half = {q: grades for q, grades in train.grades.items() if rows[next(iter(grades))] < 45}
    without = dataclasses.replace(collection, qrels={"train": records.Qrels(half)})
    given = development.split(without)
    assert given.kind == "held out" and len(given.dev) == round(len(half) / 10)
    assert given.weights[given.unseen()].sum() == pytest.approx(0.5)
    assert not set(given.dev) & set(given.queries)
    assert (given.gains(np.eye(90)[[min(judged) for judged in given.judged]]) == 1.0).all()
    # a dev split for seen documents alone says nothing about the others: train queries join it
    few = dict(list(half.items())[:9])
    both = dataclasses.replace(without, qrels=without.qrels | {"dev": records.Qrels(few)})
    joined = development.split(both)
    assert joined.kind == "dev split and held out" and joined.unseen().any()
    # no document lacks train queries: none loses all of them on purpose, the dev split is enough
    whole = dataclasses.replace(collection, qrels={"train": train, "dev": records.Qrels(few)})
    assert development.split(whole).kind == "dev split" and len(development.split(whole).dev) == 9


def test_a_choice_that_loses_unseen_documents_costs_more_than_it_gains():
    judged = [{0: 1}] * 30 + [{1: 1}] * 10
    given = development.Development(
        ["a"], np.array([0]), ["q"] * 40, judged, "held out", np.full(40, 1 / 40)
    )
    floor = np.r_[np.full(30, 0.5), np.full(10, 0.8)]
    kept = np.r_[np.full(30, 0.6), np.full(10, 0.8)]
    lost = np.r_[np.full(30, 0.9), np.full(10, 0.5)]
    assert given.value(kept, floor) == pytest.approx(0.65)
    # .8 on average, and a force of 5 * 10 / (10 + 10) for .985 * .8 - .5
    assert given.value(lost, floor) == pytest.approx(0.8 - 2.5 * 0.288)
    assert given.value(lost, None) > given.value(kept, None)


def test_the_encoder_of_english_is_left_out_for_other_scripts(monkeypatch):
    monkeypatch.setattr(text_vectors.pretrained, "minilm_available", lambda: True)
    assert text_vectors.resolve("auto", ["Füße, 10 %", "the cat 猫"]) == "minilm"
    assert text_vectors.resolve("auto", ["北京是中国的首都 (BJ)"]) == "tfidf"
    assert text_vectors.resolve("minilm", ["北京是中国的首都"]) == "minilm"
    assert text_vectors.resolve("auto", ["1 + 1"]) == "minilm"
