"""Dual encoders: vectors by hand, loss against a loop, mined negatives, new documents."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.cli import main
from zoo.data import files, toy
from zoo.models import corpus_text, dual_encoder
from zoo.nets import dual, transformer
from zoo.recipes import dpr, dpr_hn

SOURCE = np.array([[1, 2, 3, 0], [4, 0, 0, 0], [2, 2, 0, 0]], np.int32)
CONFIG = dpr.Config(
    vocabulary=200,
    document_length=8,
    query_length=8,
    width=8,
    heads=2,
    head_width=4,
    encoder_hidden=8,
    batch=4,
    steps=2,
    word_dropout=0.0,
)


def vectors_of(pooling, normalised, **changes):
    shape = dual.Shape(
        dual_encoder.shape_of(5, CONFIG).encoder, pooling, normalised=normalised, **changes
    )
    net = dual.DualEncoder(shape)
    params = net.init(jax.random.key(0), SOURCE, SOURCE)
    if pooling == "weighted":
        params["params"]["tower"]["weight"] = jnp.arange(5.0)
    states = np.asarray(
        transformer.EncoderDecoder(shape.encoder).apply(
            {"params": params["params"]["tower"]["encoder"]}, SOURCE, method="encode"
        )
    )
    return np.asarray(net.apply(params, SOURCE, side=dual.DOCUMENT, method="vectors")), states


@pytest.mark.parametrize(
    ("pooling", "expected"),
    (
        ("first", lambda h: [h[0, 0], h[1, 0], h[2, 0]]),
        ("mean", lambda h: [(h[0, 0] + h[0, 1] + h[0, 2]) / 3, h[1, 0], (h[2, 0] + h[2, 1]) / 2]),
        (
            "weighted",
            lambda h: [
                (1 * h[0, 0] + 2 * h[0, 1] + 3 * h[0, 2]) / 3,
                4 * h[1, 0],
                (2 * h[2, 0] + 2 * h[2, 1]) / 2,
            ],
        ),
    ),
)
def test_a_vector_is_its_pooling_worked_by_hand(pooling, expected):
    plain, states = vectors_of(pooling, normalised=False)
    # float32 sums in another order
    np.testing.assert_allclose(plain, expected(states), rtol=1e-5, atol=1e-6)
    scaled, _ = vectors_of(pooling, normalised=True)
    np.testing.assert_allclose(
        scaled, plain / np.linalg.norm(plain, axis=1, keepdims=True), rtol=1e-5, atol=1e-6
    )


def given(**changes):
    """Four documents; the positives of queries 0 and 1 are documents 0 and 2.

    Document 1 also answers query 0, and query 2 repeats query 0.
    """
    numbers = np.array([0, 1, 0])
    fields = dict(
        texts=["a", "b", "a"],
        queries=SOURCE,
        answers=np.array([0, 2, 1]),
        weights=np.ones(3),
        documents=np.arange(1, 5, dtype=np.int32)[:, None],
        known=np.array([0 * 4 + 0, 0 * 4 + 1, 1 * 4 + 2]),
        numbers=numbers,
        num_train=3,
    )
    return dual_encoder.Examples(**fields | changes)


def test_no_known_positive_is_a_negative():
    batch = {
        "source": SOURCE,
        "right": np.array([0, 2, 1]),
        "number": np.array([0, 1, 0]),
        "wrong": np.array([[3], [-1], [0]]),
    }
    made = next(dual_encoder.WithDocuments(iter([batch]), given()))
    # positives, then mined negatives; none is a copy of document 0
    np.testing.assert_array_equal(made["document"][:, 0], [1, 3, 2, 4, 1, 1])
    np.testing.assert_array_equal(
        made["allowed"],
        # documents 1 and the mined 0 also answer query 0
        [
            [True, True, False, True, False, False],
            [True, True, True, True, False, True],
            [False, True, True, True, False, False],
        ],
    )


def test_the_loss_is_the_softmax_over_allowed_documents():
    shape = dual_encoder.shape_of(5, CONFIG)
    params = dual.DualEncoder(shape).init(jax.random.key(0), SOURCE, SOURCE)
    document = np.array([[1, 2], [4, 3], [2, 0], [3, 3]], np.int32)
    allowed = np.array([[1, 1, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]], bool)
    loss, metrics = dual_encoder.contrast(shape, CONFIG)(
        params, {"source": SOURCE, "document": document, "allowed": allowed}, jax.random.key(1)
    )
    scores = np.asarray(dual.DualEncoder(shape).apply(params, SOURCE, document), np.float64) / 0.05
    terms = [-np.log(np.exp(scores[i, i]) / np.exp(scores[i][allowed[i]]).sum()) for i in range(3)]
    np.testing.assert_allclose(loss, np.mean(terms), rtol=1e-4)  # cosines of float32 over .05
    assert metrics["first_in_batch"] == np.mean(
        [np.argmax(np.where(allowed[i], scores[i], -9e9)) == i for i in range(3)]
    )


def test_negatives_are_not_positives_copies_or_preferred_documents():
    texts = corpus_text.Texts(["p", "q", "r", "r"], [], [], [], [], "", {})
    ranked = np.array([[0, 1, 2, 3], [3, 2, 1, -1], [1, 0, 2, 3]])
    rows, every = np.arange(3), np.ones((3, 4), bool)
    found = dpr_hn.draw_negatives(ranked, every, texts, given(), rows, 3, seed=0)
    # 3 has the text of 2, which answers query 1
    assert [set(row) - {-1} for row in found] == [{2, 3}, {1}, {2, 3}]
    assert (found[0] == -1).sum() == 1  # one negative is missing, no other replaces it
    doubtful = every.copy()
    doubtful[0, 3] = doubtful[2] = False
    found = dpr_hn.draw_negatives(ranked, doubtful, texts, given(), rows, 3, seed=0)
    assert [set(row) - {-1} for row in found] == [{2}, {1}, set()]
    drawn = {
        tuple(dpr_hn.draw_negatives(ranked, every, texts, given(), rows, 1, seed=seed)[:, 0])
        for seed in range(20)
    }
    assert {row[0] for row in drawn} == {2, 3}  # the draw decides which


@pytest.fixture(scope="module")
def fitted():
    return zoo.fit(
        "dpr",
        toy.build(20),
        size="tiny",
        options={"steps": 2, "batch": 8, "towers": "shared"},
        quiet=True,
    )


def test_added_documents_are_found_and_the_others_stay(fitted, tmp_path):
    whole, first = toy.build(30), toy.build(20).corpus
    columns = [
        (*getattr(first, name), *getattr(whole.corpus, name)[20:])
        for name in ("ids", "titles", "texts")
    ]
    whole = dataclasses.replace(whole, corpus=records.Corpus(*columns))
    later = [
        records.Corpus(*(column[rows] for column in columns))
        for rows in (slice(20, 24), slice(24, 30))
    ]
    grown = zoo.add(zoo.add(fitted, later[0]), later[1])
    np.testing.assert_array_equal(grown.state["vectors"][:20], fitted.state["vectors"])
    assert zoo.retrieve(grown, [later[1].contents()[0]], 3).answers(0)[0][0] == "d24"
    for path, leaf in jax.tree.leaves_with_path(grown.state["params"]):
        assert leaf is dict(jax.tree.leaves_with_path(fitted.state["params"]))[path]
    with pytest.raises(records.DataError, match="document 'd20' is in the system already"):
        zoo.add(grown, later[0])

    # adding equals encoding all documents at once with what was fitted
    none = fitted.state | {"corpus_ids": "[]", "vectors": fitted.state["vectors"][:0]}
    once = dataclasses.replace(grown, state=dpr.add(fitted.config, none, whole.corpus))
    other = dataclasses.replace(
        grown, state=once.state | {"vectors": once.state["vectors"][::-1].copy()}
    )
    rankings = [
        zoo.retrieve(system, whole.queries, 30).documents for system in (grown, once, other)
    ]
    np.testing.assert_array_equal(rankings[0], rankings[1])
    assert (rankings[0] != rankings[2]).any(axis=1).all()  # the control

    zoo.save(grown, tmp_path / "grown")
    again = zoo.load(tmp_path / "grown")
    assert (
        again.documents == grown.documents
        and len(again.documents) == again.about["num_documents"] == 30
    )
    backwards = dataclasses.replace(
        whole, corpus=records.Corpus(*(column[::-1] for column in columns))
    )
    for collection in (whole, backwards):  # the order of the documents does not matter
        assert len(zoo.evaluate(again, collection).ranking.corpus_ids) == 30
    altered = dataclasses.replace(
        whole, corpus=dataclasses.replace(whole.corpus, texts=(*whole.corpus.texts[:-1], "other"))
    )
    for collection in (toy.build(20), altered):
        with pytest.raises(records.DataError, match="not the 30 of this system"):
            zoo.evaluate(again, collection)


def test_the_command_that_adds_documents(fitted, tmp_path, capsys):
    zoo.save(fitted, tmp_path / "dpr")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "corpus.jsonl").write_text(
        '{"_id": "new", "title": "", "text": "a word of its own"}\n', encoding="utf-8"
    )
    assert (
        main.main(["add", f"{tmp_path}/dpr", f"{tmp_path}/more", "--out", f"{tmp_path}/dpr-more"])
        == 0
    )
    assert "with 1 documents more" in capsys.readouterr().out
    assert (
        zoo.retrieve(zoo.load(tmp_path / "dpr-more"), "a word of its own", 21).answers(0)[0][0]
        == "new"
    )
    files.write_beir(toy.build(30), tmp_path / "known")
    assert (
        main.main(["add", f"{tmp_path}/dpr", f"{tmp_path}/known", "--out", f"{tmp_path}/none"])
        == main.BAD_INPUT
    )
    assert (
        "is in the system already" in capsys.readouterr().err and not (tmp_path / "none").exists()
    )
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "run.json").write_text("{}", encoding="utf-8")  # an unfinished fit
    assert (
        main.main(["add", f"{tmp_path}/dpr", f"{tmp_path}/more", "--out", f"{tmp_path}/begun"])
        == main.BAD_INPUT
    )
    with pytest.raises(records.DataError, match="dpr learns from queries, toy-walks has histories"):
        zoo.add(fitted, "toy-walks")


def test_an_interrupted_second_round_resumes_from_the_first_round(tmp_path, monkeypatch):
    """Resuming repeats no step of the first round and gives the result of an uninterrupted run."""
    options = {"steps": 4, "batch": 8, "towers": "shared"}
    whole = zoo.fit("dpr-hn", toy.build(20), size="tiny", options=options, quiet=True)
    contrast, losses = dual_encoder.contrast, []

    def until_the_second(shape, config, **options):
        losses.append(contrast(shape, config, **options))
        if len(losses) == 2:
            raise KeyboardInterrupt
        return losses[-1]

    monkeypatch.setattr(dual_encoder, "contrast", until_the_second)
    again = lambda: zoo.fit(
        "dpr-hn", toy.build(20), size="tiny", options=options, quiet=True, out=tmp_path / "run"
    )
    with pytest.raises(KeyboardInterrupt):
        again()
    resumed = again()
    steps = [(row["phase"], row["step"]) for row in resumed.history if "loss" in row]
    assert steps == [(phase, step) for phase in dpr_hn.ROUNDS.values() for step in (1, 2)]
    np.testing.assert_array_equal(resumed.state["vectors"], whole.state["vectors"])


def test_meaningless_values_are_refused():
    for name, options, message in (
        ("dpr", {"pooling": "max"}, "dpr: option pooling expects one of first, mean, weighted"),
        ("dpr", {"batch": 1}, "dpr: option batch expects 2"),
        ("dpr-hn", {"ceiling": 1.5}, "dpr-hn: option ceiling expects 0 to 1"),
    ):
        with pytest.raises(records.DataError, match=message):
            recipes.configure(recipes.get(name), "tiny", options)


def test_no_training_data_is_refused():
    alone = dataclasses.replace(toy.build(3), queries=records.Queries((), ()), qrels={})
    with pytest.raises(records.DataError, match="nothing to learn from"):
        zoo.fit("dpr", alone, size="tiny", options={"generated": 0}, quiet=True)


def test_splitting_a_batch_is_refused():
    """Parts of a batch would contrast a query with fewer documents."""
    with pytest.raises(
        records.DataError, match="cannot be split; train with one process and without --accumulate"
    ):
        zoo.fit(
            "dpr",
            toy.build(20),
            size="tiny",
            options={"steps": 1, "batch": 8},
            accumulate=2,
            quiet=True,
        )


def test_a_folder_without_the_spec_of_its_network_is_refused_in_one_line(tmp_path):
    """Earlier versions recorded the shape of the encoders in another form."""
    fitted = zoo.fit("dpr", {"a": "tea leaves", "b": "rice"}, options=dataclasses.asdict(CONFIG))
    old = {name: value for name, value in fitted.state.items() if name != "network"}
    zoo.save(dataclasses.replace(fitted, state=old | {"shape": "{}"}), tmp_path / "old")
    with pytest.raises(records.DataError, match="earlier version, .*; fit again") as refused:
        zoo.retrieve(zoo.load(tmp_path / "old"), ["tea"], 1)
    assert "\n" not in str(refused.value)
