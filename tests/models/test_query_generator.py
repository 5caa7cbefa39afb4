"""A query generator trains on train pairs only, and its queries match their document."""

import dataclasses
import json

import numpy as np
import pytest

import zoo
from zoo import records
from zoo.cli import main
from zoo.data import files, toy
from zoo.models import query_folder, query_generator
from zoo.text import rules as generate
from zoo.train import log as logs, loop

QUICK = {
    "vocabulary": 700,
    "document_length": 40,
    "query_length": 16,
    "width": 64,
    "heads": 2,
    "head_width": 32,
    "encoder_hidden": 64,
    "decoder_hidden": 64,
    "batch": 32,
    "steps": 400,
    "rate": 5e-3,
    "dropout": 0.0,
    "smoothing": 0.0,
}
COLLECTION = toy.build(60)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("queries") / "made"
    # half a minute: 400 steps
    query_folder.write(COLLECTION, out, count=4, options=QUICK, seed=0, quiet=True)
    return out


@pytest.mark.slow
def test_queries_ask_for_their_document_more_than_for_another(made):
    """Words shared with unseen dev and test queries, of the same and of the next document."""
    found = files.read_beir(made)
    texts = dict(zip(found.queries.ids, found.queries.texts))
    words, asked = {}, {}
    for query, document in found.qrels["train"].pairs():
        words.setdefault(document, set()).update(texts[query].split())
    real = dict(zip(COLLECTION.queries.ids, COLLECTION.queries.texts))
    for split in ("dev", "test"):
        for query, document in COLLECTION.qrels[split].pairs():
            asked.setdefault(document, set()).update(real[query].split())
    ids = [name for name in COLLECTION.corpus.ids if name in words]
    assert len(ids) > 50
    own = [len(words[name] & asked[name]) for name in ids]
    other = [len(words[name] & asked[after]) for name, after in zip(ids, ids[1:] + ids[:1])]
    assert np.mean(own) > 2 * np.mean(other)


@pytest.mark.slow
def test_queries_are_different_and_belong_to_documents(made):
    found = files.read_beir(made)
    assert found.corpus == COLLECTION.corpus and set(found.qrels) == {"train"}
    texts = dict(zip(found.queries.ids, found.queries.texts))
    of = {}
    for query, document in found.qrels["train"].pairs():
        of.setdefault(document, []).append(texts[query])
    assert max(map(len, of.values())) == 4
    assert all(len(set(own)) == len(own) and all(own) for own in of.values())
    assert not made.with_name("made.unfinished").exists()


@pytest.mark.slow
def test_other_splits_are_not_read_and_an_interrupted_command_resumes(made, tmp_path, monkeypatch):
    train = {query for query, _ in COLLECTION.qrels["train"].pairs()}
    poisoned = tuple(
        text if query in train else "poison in the well"
        for query, text in zip(COLLECTION.queries.ids, COLLECTION.queries.texts)
    )
    other = dataclasses.replace(
        COLLECTION, queries=records.Queries(COLLECTION.queries.ids, poisoned)
    )
    drawn, batches = query_generator._draw, []

    def stopped(*given, **options):
        batches.append(1)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return drawn(*given, **options)

    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.5)
    monkeypatch.setattr(query_generator, "_draw", stopped)
    write = lambda: query_folder.write(
        other, tmp_path / "made", count=4, options=QUICK, seed=0, quiet=True
    )
    with pytest.raises(KeyboardInterrupt):
        write()
    assert not (tmp_path / "made").exists()
    write()
    assert len(batches) == 3  # two batches of documents; the resumed run reuses the first
    for name in ("queries.jsonl", "qrels/train.tsv"):
        assert (tmp_path / "made" / name).read_bytes() == (made / name).read_bytes()


@pytest.mark.slow
def test_rules_and_folders_give_queries_alike(made):
    log = logs.Log(quiet=True)
    texts, rows = query_generator.make_queries("rules", COLLECTION, per_document=3, seed=0, log=log)
    kept, ruled = (
        set(zip(texts, rows)),
        generate.by_rules(COLLECTION.corpus, per_document=3, seed=0),
    )
    # but for repetitions; every document has some
    assert kept <= set(zip(*ruled)) and len(kept) == len(texts) < len(ruled[0])
    assert set(rows) == set(range(len(COLLECTION.corpus)))
    texts, rows = query_generator.make_queries(
        str(made), COLLECTION, per_document=2, seed=0, log=log
    )
    assert rows == sorted(rows) and max(np.bincount(rows)) == 2
    found = files.read_beir(made)
    first = dict(zip(found.queries.ids, found.queries.texts))
    query, document = next(iter(found.qrels["train"].pairs()))
    assert (texts[0], COLLECTION.corpus.ids[rows[0]]) == (first[query], document)
    with pytest.raises(records.DataError, match="expected rules, seq2seq, or a folder"):
        query_generator.make_queries("nope", COLLECTION, per_document=2, seed=0, log=log)
    strangers = dataclasses.replace(
        COLLECTION,
        corpus=dataclasses.replace(COLLECTION.corpus, ids=tuple(f"x{n}" for n in range(60))),
        qrels={},
    )
    with pytest.raises(records.DataError, match="of no document of this collection"):
        query_generator.make_queries(str(made), strangers, per_document=2, seed=0, log=log)
    with pytest.raises(records.DataError, match="learns from train queries, found none"):
        query_generator.make_queries("seq2seq", strangers, per_document=2, seed=0, log=log)


@pytest.mark.slow
def test_dsi_learns_from_a_generator(monkeypatch):
    small = query_generator.Config(**QUICK | {"steps": 2})
    monkeypatch.setattr(query_generator, "Config", lambda: small)
    options = {"steps": 2, "generated": 2, "queries": "seq2seq"}
    fitted = zoo.fit("dsi", COLLECTION, size="tiny", options=options, quiet=True)
    assert {row["phase"] for row in fitted.history} == {"query generator", "train"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 2.0}, "dropout expects 0 to 0.99, got 2.0"),
        ({"steps": -3}, "steps expects 0"),
        ({"decoder_layers": 0}, "decoder_layers expects 1"),
        ({"encoder_layers": -1}, "encoder_layers expects 0"),
        ({"decay": "step"}, "decay expects one of"),
        ({"minutes": -1.0}, "minutes expects 0 or more"),
    ],
)
def test_invalid_options_are_refused_by_name(options, message):
    with pytest.raises(records.DataError, match=f"queries: option {message}"):
        query_generator.Config(**options)


@pytest.mark.slow
def test_the_command_writes_a_folder_and_refuses_invalid_options(tmp_path, capsys):
    files.write_beir(COLLECTION, tmp_path / "toy")
    base = ["queries", "generate", "--data", str(tmp_path / "toy"), "--out", str(tmp_path / "out")]
    for more, message in (
        (["--top-p", "0"], "top_p expects"),
        (["--temperature", "0"], "temperature expects"),
        (["--count", "0"], "count of at least 1"),
        (["--set", "beam=3"], "no option 'beam'"),
        (["--init-from", str(tmp_path / "none")], "no such folder"),
    ):
        assert main.main([*base, *more]) == main.BAD_INPUT
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.unfinished").exists()
    quick = [
        word
        for key, value in (QUICK | {"steps": 2}).items()
        for word in ("--set", f"{key}={value}")
    ]
    assert main.main([*base, "--count", "2", "--top-k", "0", "--temperature", "1.5", *quick]) == 0
    assert f"queries for {len(COLLECTION.corpus)} documents" in capsys.readouterr().out
    lines = (tmp_path / "out" / "queries.jsonl").read_text().splitlines()
    assert lines and set(json.loads(lines[0])) >= {"_id", "text"}
