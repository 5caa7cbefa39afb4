"""Systems that read the vectors of a pretrained encoder, here a random BERT of seven words."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from contract import check_ranking, quick
from safetensors import numpy as safetensors
from tokenizers import Tokenizer, models, pre_tokenizers

import zoo
from zoo import records
from zoo.nets import bert
from zoo.records import DataError
from zoo.text import embed
from zoo.train import log as logs

WORDS = ("[PAD]", "[UNK]", "sun", "moon", "sea", "tree", "stone", "bird", "fish")
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 8,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "num_hidden_layers": 1,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
}
LAYER = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "mlp_in": "intermediate.dense",
    "mlp_out": "output.dense",
    "mlp_norm": "output.LayerNorm",
}
TABLES = {"word_embedding": "word_embeddings", "position_embedding": "position_embeddings"}
TABLES |= {"type_embedding": "token_type_embeddings", "embedding_norm": "LayerNorm"}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """The folder of an encoder with different prompts for queries and documents."""
    folder = tmp_path_factory.mktemp("encoder")
    shape = bert.Shape(len(WORDS), 8, 2, 12, 1, 16)
    params = bert.Bert(shape).init(jax.random.key(0), np.zeros((1, 1), np.int32))["params"]
    tensors = {}
    for (place, *rest), value in _flat(params):
        leaf = "bias" if rest[-1] == "bias" else "weight"
        if place == "layer_0":
            name = f"encoder.layer.0.{LAYER[rest[0]]}.{leaf}"
        else:
            name = f"embeddings.{TABLES[place]}.{leaf}"
        value = np.asarray(value) * (3.0 if rest[-1] == "embedding" else 1.0)
        tensors[name] = np.ascontiguousarray(value.T if rest[-1] == "kernel" else value)
    safetensors.save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(SIZES))
    prompts = {"prompts": {"query": "sun ", "document": "moon "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    return str(folder)


def _flat(params):
    paths = jax.tree.leaves_with_path(params)
    return [([step.key for step in path], value) for path, value in paths]


@pytest.fixture(scope="module")
def collection():
    texts = [f"{a} {b}" for a in WORDS[2:] for b in WORDS[2:] if a != b]
    ids = tuple(f"d{row}" for row in range(len(texts)))
    corpus = records.Corpus(ids, ("",) * len(texts), tuple(texts))
    names = tuple(f"q{row}" for row in range(8))
    queries = records.Queries(names, tuple(texts[5 * row] for row in range(8)))
    qrels = records.Qrels({name: {f"d{5 * row}": 1} for row, name in enumerate(names)})
    return records.Collection("words", corpus, queries, {"train": qrels})


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))


def test_an_untrained_dual_encoder_ranks_as_its_encoder_does(encoder, collection):
    options = {"encoder": encoder, "rate": 0.0, "towers": "two", "temperature": 1.0}
    fitted = quick("dpr", collection, **options)
    log = logs.Log(quiet=True)
    documents = embed.encode(collection.corpus.contents(), encoder, log)
    queries = embed.encode(collection.queries.texts, encoder, log, side=embed.QUERY)
    # prompts differ
    assert (
        np.abs(documents[:1] - embed.encode(["sun moon"], encoder, log, side="query")).max() > 0.1
    )
    ranking = zoo.retrieve(fitted, collection.queries, 5)
    expected = np.sort(queries @ documents.T, axis=1)[:, ::-1][:, :5]
    np.testing.assert_allclose(ranking.scores, expected, atol=1e-5)
    found = np.take_along_axis(queries @ documents.T, ranking.documents, axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["dpr-hn", "dsi", "nci", "genret"])
def test_systems_read_vectors_of_an_encoder(encoder, collection, tmp_path, name):
    # each compiles for seconds; GenRet four stages a level
    fitted = quick(name, collection, encoder=encoder, **({"levels": 1} if name == "genret" else {}))
    zoo.save(fitted, tmp_path / "fit")
    fitted = zoo.load(tmp_path / "fit")
    # words that the encoder does not have are one to it: only its vectors are read
    queries = records.Queries(("a", "b", "c"), ("sun qwertz", "sun asdf", "sea tree fish"))
    ranking = zoo.retrieve(fitted, queries, 5)
    check_ranking(ranking, queries, collection.corpus, 5)
    np.testing.assert_array_equal(ranking.documents[0], ranking.documents[1])
    np.testing.assert_allclose(ranking.scores[0], ranking.scores[1], atol=1e-6)
    more = zoo.add(fitted, records.Corpus(("new",), ("",), ("fish fish fish",)))
    assert "new" in zoo.retrieve(more, queries, 43).corpus_ids


def test_another_encoder_and_a_missing_one_are_refused(encoder, collection, tmp_path):
    fitted = quick("dpr", collection, encoder=encoder)
    state = dict(fitted.state)
    state["encoder"] = {**state["encoder"], "digest": "0" * 64}
    with pytest.raises(DataError, match="the encoder is another than that of the fit"):
        zoo.retrieve(dataclasses.replace(fitted, state=state), "sun", 3)
    with pytest.raises(DataError, match="dpr: option encoder expects minilm, or the folder"):
        quick("dpr", collection, encoder=str(tmp_path / "none"))
