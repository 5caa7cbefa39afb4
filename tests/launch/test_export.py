"""Exports, and import of t5x checkpoints as fitted systems."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.data import toy
from zoo.exchange import exported
from zoo.nets import network
from zoo.recipes import dsi, genret, tiger
from zoo.text import languages, tokens
from zoo.train import t5x_layout


@pytest.fixture(scope="module")
def source(export):
    return exported.read(export)


@pytest.fixture(scope="module")
def back(export, tmp_path_factory):
    """The system, imported with its own parameters."""
    return zoo.import_checkpoint(
        export, export / "parameters", tmp_path_factory.mktemp("back") / "run"
    )


def test_every_file_is_in_the_manifest_and_nothing_else(export, source):
    files = {path.relative_to(export).as_posix() for path in export.rglob("*") if path.is_file()}
    assert files - {exported.MANIFEST} == set(source.digests)
    for name in source.digests:
        source.checked(name)


def test_exported_examples_equal_the_training_examples(source, run, collection):
    fitted = zoo.load(run)
    learned = dsi.examples(collection.without("test"), fitted.config, fitted.state)
    assert set(source.about["examples"]) == set(learned) == {"index", "retrieve", "made"}
    for kind, expected in learned.items():
        arrays = source.examples(kind)
        np.testing.assert_array_equal(arrays["inputs"], expected.rows["source"])
        np.testing.assert_array_equal(arrays["targets"], expected.rows["target"])
        assert source.about["examples"][kind] == {
            "weight": expected.weight,
            "count": len(arrays["inputs"]),
        }


def test_test_queries_are_evaluated_and_not_trained_on(source, collection):
    asked, (queries, qrels) = source.questions("test"), collection.split("test")
    assert (asked.ids, asked.texts) == (queries.ids, queries.texts)
    for row, name in enumerate(asked.ids):
        found = {
            collection.corpus.ids[document] for document in asked.relevant[row] if document >= 0
        }
        assert found == {document for document, grade in qrels.grades[name].items() if grade > 0}
    np.testing.assert_array_equal(asked.targets, source.docids().tokens[asked.relevant[:, 0]])
    learned = {tuple(row) for row in source.examples("retrieve")["inputs"].tolist()}
    assert not learned & {tuple(row) for row in asked.inputs.tolist()}


def test_the_trie_contains_the_identifiers(source):
    ids = source.docids()
    index = jax.tree.map(jnp.asarray, source.trie())
    leaf = index.walk(jnp.asarray(ids.tokens))[:, -1]
    assert index.documents_of(leaf)[:, 0].tolist() == list(range(len(ids)))


def test_export_and_import_keep_the_answers(back, run, source):
    fitted, asked = zoo.load(run), source.questions("test")
    assert back.config == fitted.config and back.documents == fitted.documents
    queries = records.Queries(asked.ids[:8], asked.texts[:8])
    ours, theirs = (zoo.retrieve(system, queries, k=5) for system in (fitted, back))
    np.testing.assert_array_equal(ours.documents, theirs.documents)
    np.testing.assert_array_equal(ours.scores, theirs.scores)


def test_an_imported_system_loads(back, tmp_path, export):
    folder = tmp_path / "again"
    zoo.import_checkpoint(export, export / "parameters" / "checkpoint_0", folder)
    leaves = [
        jax.tree.leaves(zoo.load(folder).state["params"]),
        jax.tree.leaves(back.state["params"]),
    ]
    assert all(np.array_equal(*pair) for pair in zip(*leaves, strict=True))


def test_the_shape_of_a_wider_network_is_read_from_its_parameters(export, source, tmp_path):
    shape = dataclasses.replace(
        source.shape,
        width=24,
        heads=3,
        head_width=4,
        decoder_hidden=20,
        decoder_layers=2,
        mlp="relu",
        tied=True,
    )
    blank = np.zeros((1, 1), np.int32), np.zeros((1, shape.target_length), np.int32)
    made = jax.tree.map(
        lambda leaf: np.zeros(leaf.shape, leaf.dtype),
        jax.eval_shape(shape.net().init, jax.random.key(0), *blank),
    )
    t5x_layout.save(made["params"], tmp_path / "wide", step=7)
    found = zoo.import_checkpoint(export, tmp_path / "wide", tmp_path / "run")
    assert network.of(found.state).spec == shape
    assert (found.config.width, found.config.decoder_layers, found.about["step"]) == (24, 2, 7)


def test_a_checkpoint_over_another_vocabulary_is_refused_by_parameter(export, source, tmp_path):
    params, *_ = t5x_layout.load(export / "parameters")
    params["source_embedding"]["embedding"] = params["source_embedding"]["embedding"][:-1]
    t5x_layout.save(params, tmp_path / "other", step=1)
    with pytest.raises(
        zoo.DataError,
        match="parameter source_embedding/embedding is .* was it trained on the export in",
    ):
        zoo.import_checkpoint(export, tmp_path / "other", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    t5x_layout.save({"token_embedder": {"embedding": np.zeros((3, 2))}}, tmp_path / "t5", step=1)
    with pytest.raises(
        zoo.DataError,
        match="has no parameter 'decoder_0/self_attention/query/kernel'; expected a checkpoint of "
        "zoo.launch",
    ):
        zoo.import_checkpoint(export, tmp_path / "t5", tmp_path / "run")


def test_folders_without_a_checkpoint_are_refused(export, tmp_path):
    with pytest.raises(zoo.DataError, match="holds no checkpoint_STEP"):
        t5x_layout.load(tmp_path)
    (tmp_path / "checkpoint_3").mkdir()
    with pytest.raises(zoo.DataError, match="holds no Orbax checkpoint .*use_orbax = True"):
        t5x_layout.load(tmp_path)
    shutil.copytree(export / "parameters", tmp_path / "damaged")
    for file in (tmp_path / "damaged").rglob("manifest.ocdbt"):
        file.write_bytes(b"?")
    with pytest.raises(zoo.DataError, match="damaged or foreign checkpoint"):
        t5x_layout.load(tmp_path / "damaged")


@pytest.mark.parametrize(
    "name",
    (
        "docids.npy",
        "examples/index/inputs.npy",
        "documents.jsonl",
        "about.json",
        "trie/documents.npy",
    ),
)
def test_a_changed_file_is_named(export, tmp_path, name):
    shutil.copytree(export, tmp_path / "copy")
    content = bytearray((tmp_path / "copy" / name).read_bytes())
    content[-2] ^= 1
    (tmp_path / "copy" / name).write_bytes(content)

    def read_all():
        source = exported.read(tmp_path / "copy")
        return (
            source.docids(),
            source.examples("index"),
            source.lines("documents.jsonl"),
            source.trie(),
        )

    with pytest.raises(zoo.DataError, match=f"{name}: changed since it was written"):
        read_all()


def test_a_refused_export_leaves_nothing(tmp_path, collection, run, export):
    zoo.fit("bm25", collection, out=tmp_path / "bm25", quiet=True)
    with pytest.raises(
        zoo.DataError,
        match="bm25 has no encoder-decoder that a launcher could train; expected one of: dsi, "
        "genret, tiger",
    ):
        zoo.export(tmp_path / "bm25", tmp_path / "out", collection)
    with pytest.raises(zoo.DataError, match="of this system, those of"):
        zoo.export(
            run,
            tmp_path / "out",
            zoo.Collection("other", zoo.Corpus(("a",), ("",), ("text",)), zoo.Queries((), ()), {}),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["bm25"]
    with pytest.raises(zoo.DataError, match="expected no folder or an empty one"):
        zoo.export(run, export, collection)
    with pytest.raises(zoo.DataError, match="holds no exported system"):
        exported.read(tmp_path)


def test_examples_of_tiger_predict_every_event_from_earlier_ones():
    """From events 4, 1, 2, 0, 3, dev and test hold out 0 and 3; the targets are 1 and 2."""
    tokens = np.arange(1, 11, dtype=np.int32).reshape(5, 2)
    corpus = records.Corpus(tuple("abcde"), ("",) * 5, ("",) * 5)
    walks = records.Interactions(
        "walks",
        corpus,
        records.Histories(("u",), np.array([4, 1, 2, 0, 3], np.int32), np.array([0, 5])),
    )
    config = recipes.configure(tiger.RECIPE, "tiny", {})
    state = {"docids": {"tokens": tokens, "alphabet": np.asarray(11)}}
    (learned,) = tiger.examples(walks.without("test"), config, state).values()
    assert learned.rows["source"].tolist() == [[9, 10, 0, 0], [9, 10, 3, 4]] and learned.rows[
        "target"
    ].tolist() == [[3, 4], [5, 6]]


def test_a_removed_item_is_exported_for_histories_and_never_answered(tmp_path):
    walks = toy.interactions()
    options = {"steps": 2, "identifiers": "random"}
    zoo.fit("tiger", walks, size="tiny", options=options, out=tmp_path / "tiger", quiet=True)
    zoo.save(zoo.remove(zoo.load(tmp_path / "tiger"), "d3"), tmp_path / "less")
    source = exported.read(zoo.export(tmp_path / "less", tmp_path / "out", walks))
    assert len(source.docids()) == 40  # rows do not move
    assert set(source.trie().documents.tolist()) == set(range(40)) - {3}
    held = [dict(grades) for grades in walks.split("test")[1].grades.values()]
    assert {"d3": 1} in held  # the control
    questions = source.questions("test")
    assert len(questions.ids) == len(held) - held.count({"d3": 1})
    assert 3 not in questions.relevant


def test_examples_of_genret_name_documents_and_their_queries(collection):
    """Each row has a document or one of its queries as input and its identifier as target."""
    config = recipes.configure(
        genret.RECIPE, "tiny", {"document_length": 8, "query_length": 8, "generated": 1}
    )
    contents = languages.stem_texts(collection.corpus.contents(), languages.ENGLISH)
    tokenizer = tokens.train(contents, size=config.vocabulary)
    names = np.arange(1, 1 + 2 * len(collection.corpus), dtype=np.int32).reshape(-1, 2)
    state = {
        "tokenizer": tokenizer,
        "docids": {"tokens": names, "alphabet": np.asarray(names.max() + 1)},
    }
    learned = genret.examples(collection.without("test"), config, state)
    np.testing.assert_array_equal(learned["index"].rows["target"], names)
    np.testing.assert_array_equal(
        learned["index"].rows["source"], tokens.encode(tokenizer, contents, length=8)
    )
    rows = collection.corpus.rows()
    expected = [names[rows[document]].tolist() for _, document in collection.qrels["train"].pairs()]
    assert sorted(learned["retrieve"].rows["target"].tolist()) == sorted(expected)
    assert {kind: source.weight for kind, source in learned.items()} == {
        "index": 0.5,
        "retrieve": 0.5,
        "made": 0.5,
    }


def test_only_systems_that_generate_identifiers_have_examples():
    for name in recipes.names():
        recipe = recipes.get(name)
        assert recipe.examples is None or "decoding" in recipe.answering
