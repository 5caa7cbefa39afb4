"""Identifiers of every kind, and the commands that make them.

Identifiers are valid, new documents rename no old one, and collapsed codes raise an error.
"""

import json
import signal

import jax
import numpy as np
import pytest

from zoo import records
from zoo.cli import main
from zoo.data import files
from zoo.docids import quantize, table
from zoo.records import DataError
from zoo.schemes import codes, folder, quantisers, rqvae, scheme as schemes
from zoo.text import embed
from zoo.train import log as logs

TRAINING = rqvae.Config(
    hidden=(8,), code_width=6, batch=32, steps=6, evaluate_every=3, restart_every=2, warmup=1
)
VECTORS = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
VECTORS[50:] = VECTORS[:10]  # ten pairs that only a collision policy separates
CODES, LEVELS = 8, 2


def config(kind, policy="counter", codes=CODES):
    return quantisers.Config(kind, LEVELS, codes, policy, TRAINING)


def fitted(kind, policy="counter", vectors=VECTORS, codes=CODES):
    """State of codes and how they name documents."""
    made = config(kind, policy, codes)
    return folder.fit(vectors, made, jax.random.key(0), logs.Log(quiet=True)), schemes.of_codes(
        made
    )


def corpus_of(count):
    return records.Corpus(*(tuple(f"new{row}" for row in range(count)),) * 3)


@pytest.mark.parametrize("kind", quantisers.KINDS)
def test_every_kind_names_every_document(kind):
    state, naming = fitted(kind)
    ids = table.unpack(state)
    table.build(ids.tokens, ids.alphabet)  # checks them
    assert naming.needs_vectors == (kind not in quantisers.WITHOUT_VECTORS)
    if kind in quantisers.WITHOUT_VECTORS:
        with pytest.raises(DataError, match=f"{kind} codes do not follow from vectors"):
            quantisers.encode(state, VECTORS)
        assert quantisers.relative_error(state, VECTORS, state["codes"]) is None
    if kind == "atomic":
        np.testing.assert_array_equal(ids.tokens, np.arange(1, 61)[:, None])
        assert codes.stats(state).usage.tolist() == [1.0] and codes.stats(state).colliding == 0
    else:
        assert ids.tokens.shape == (60, LEVELS + 1)
        np.testing.assert_array_equal(ids.tokens[:, :-1] - 1, state["codes"])
    more = naming.assign(state, corpus_of(5), VECTORS[:5], ids)
    table.join(ids, more)  # unique, and none begins another
    if naming.needs_vectors:
        np.testing.assert_array_equal(quantisers.encode(state, VECTORS), state["codes"])
        np.testing.assert_array_equal(ids.tokens[50:, :-1], ids.tokens[:10, :-1])
        np.testing.assert_array_equal(more.tokens[:, :-1], ids.tokens[:5, :-1])


@pytest.mark.parametrize("kind", quantisers.KINDS)
def test_documents_added_one_by_one_get_the_names_of_one_batch(kind):
    state, naming = fitted(kind)
    ids = table.unpack(state)
    together = naming.assign(state, corpus_of(6), VECTORS[:6], ids)
    parts = ids
    for row in range(6):
        one = records.Corpus(*((f"new{row}",),) * 3)
        fresh = naming.assign(state, one, VECTORS[row : row + 1], parts)
        parts = table.join(parts, fresh)
    np.testing.assert_array_equal(parts.tokens[60:], together.tokens)


@pytest.mark.parametrize("kind", ["rqvae", "rqkmeans", "pq"])
def test_last_codes_are_shared_out_at_the_distances_of_the_quantiser(kind):
    # room for a first code of a third of the documents
    made = quantisers.Config(kind, LEVELS, 20, "sinkhorn", TRAINING)
    corpus = corpus_of(60)
    state, ids = schemes.of_codes(made).fit(
        corpus, VECTORS, jax.random.key(0), logs.Log(quiet=True)
    )
    found = quantisers.encode(state, VECTORS)
    assert ids.tokens.shape == (60, LEVELS) and ids.alphabet == 21
    np.testing.assert_array_equal(ids.tokens[:, :-1] - 1, found[:, :-1])
    moved = (ids.tokens[:, -1] - 1 != found[:, -1]).mean()
    assert 0 < moved < 0.7
    costs = quantisers._costs(kind, state["fitted"], VECTORS)(np.arange(60), found)
    # the nearest was chosen
    np.testing.assert_array_equal(costs.argmin(axis=1), found[:, -1])
    chosen = costs[np.arange(60), ids.tokens[:, -1] - 1].mean()
    assert chosen < costs.mean()


def test_user_vectors_are_read_one_row_per_document(tmp_path):
    corpus = records.Corpus(*(tuple(map(str, range(60))),) * 3)
    np.save(tmp_path / "own.npy", VECTORS.astype(np.float64))
    np.testing.assert_array_equal(
        embed.embed(corpus, str(tmp_path / "own.npy"), logs.Log(quiet=True)), VECTORS
    )
    few = records.Corpus(*(("a", "b"),) * 3)
    with pytest.raises(
        DataError,
        match="own.npy: expected 2 rows, a vector for each document in their order, got 60",
    ):
        embed.embed(few, str(tmp_path / "own.npy"), logs.Log(quiet=True))
    with pytest.raises(
        DataError,
        match="tiger: option vectors expects one of tfidf, minilm, the folder of an encoder, or "
        "FILE.npy with a row an "
        "item, got 'bert'",
    ):
        embed.refuse_embedding("tiger", "bert")


def test_a_constant_tokenizer_and_constant_vectors_are_refused():
    with pytest.raises(DataError, match="identifiers: rq_kmeans: all 60 vectors are equal"):
        fitted("rqkmeans", vectors=np.ones((60, 6)))
    with pytest.raises(DataError, match="the tokenizer has collapsed"):
        folder.fit(
            VECTORS, quantisers.Config("rqkmeans", 1, 1), jax.random.key(0), logs.Log(quiet=True)
        )


@pytest.mark.parametrize(
    ("options", "message"),
    (
        (
            dict(kind="vq"),
            "option kind expects one of rqvae, rqkmeans, pq, lsh, random, atomic, got 'vq'",
        ),
        (dict(collisions="ignore"), "option collisions expects one of counter, sinkhorn, refuse"),
        (dict(kind="lsh", codes=100), "lsh has a power of two codes, got 100; choose 128"),
        (dict(kind="random", collisions="sinkhorn"), "random has no distances"),
    ),
)
def test_incompatible_options_are_refused(options, message):
    with pytest.raises(DataError, match=message):
        quantisers.Config(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"reduction": "max"}, "option reduction expects one of sum, mean"),
        ({"steps": "0"}, "option steps expects 1 or more"),
        ({"rate": "-1"}, "option rate expects 0 or more"),
        ({"hidden": "8,x"}, "expects widths with commas"),
        ({"depth": "8"}, "rqvae: no option 'depth'"),
    ),
)
def test_options_of_the_training_are_checked(options, message):
    with pytest.raises(DataError, match=message):
        rqvae.configured(options)
    assert rqvae.configured({"hidden": "8,4", "linear": "false", "steps": "7"}) == rqvae.Config(
        hidden=(8, 4), linear=False, steps=7
    )


def test_the_report_shows_the_statistics():
    state = {
        "about": json.dumps({"kind": "rqkmeans", "codes": 4}),
        "codes": np.array([[0, 1], [0, 1], [0, 2], [3, 0]]),
    }
    lines = codes.report(state).splitlines()
    assert lines[1].split() == ["1", "0.500", "1.8", "2", "0.81"] and lines[2].split() == [
        "2",
        "0.750",
        "2.8",
        "3",
        "1.50",
    ]
    assert (
        lines[3]
        == "4 documents (2.00 bits), 50.0% share their codes with another, at most 2 the same"
    )
    state["codes"] = np.repeat([[0, 1], [0, 2]], 50, axis=0)
    assert codes.report(state | {"about": json.dumps({"kind": "pq", "codes": 32})}).endswith(
        "collapsed: level 1, 2"
    )


@pytest.fixture
def vectors_file(tmp_path):
    np.save(tmp_path / "vectors.npy", VECTORS)
    return tmp_path / "vectors.npy"


def run(*arguments):
    return main.main(["docids", *map(str, arguments)])


def test_commands_make_identifiers_of_vectors_and_show_them(vectors_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert (
        run("fit", "rqkmeans", "--vectors", vectors_file, "--levels", 2, "--codes", 8, "--out", out)
        == 0
    )
    assert "60 documents" in capsys.readouterr().out
    rows = [line.split("\t") for line in (out / "docids.tsv").read_text().splitlines()]
    state, about = folder.load(out)
    assert [name for name, _ in rows] == [str(row) for row in range(60)]
    assert [[int(token) for token in ids.split()] for _, ids in rows] == state["tokens"].tolist()
    assert about["relative_error"] == pytest.approx(
        quantize.relative_error(
            VECTORS, quantize.decode(state["codes"], state["fitted"]["codebooks"])
        )
    )
    (tmp_path / "labels.txt").write_text(
        "".join(f"{'hot' if code else 'cold'}\n" for code in state["codes"][:, 0] % 2)
    )
    assert run("stats", out, "--categories", tmp_path / "labels.txt") == 0
    printed = capsys.readouterr().out
    assert (
        printed.startswith("rqkmeans, collisions by counter, relative error 0.")
        and "codes.png" in printed
    )
    assert (out / "codes.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("kind", "capped"), (("rqkmeans", 15), ("lsh", 8)))
def test_codes_are_capped_for_few_documents(kind, capped, vectors_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("fit", kind, "--vectors", vectors_file, "--out", out) == 0
    warned = f"codes=256 is more than 60 documents fill, 4 to a code; each level has {capped}"
    assert warned in capsys.readouterr().err
    assert folder.load(out)[1]["codes"] == capped


def test_commands_make_identifiers_of_documents(tmp_path, capsys):
    words = "apple pear plum fig bread rice corn oats".split()
    texts = tuple(f"{a} {b}" for a in words for b in words)
    corpus = records.Corpus(tuple(f"d{row}" for row in range(64)), ("",) * 64, texts)
    files.write_beir(
        records.Collection("food", corpus, records.Queries((), ()), {}), tmp_path / "food"
    )
    assert (
        run("fit", "lsh", "--data", tmp_path / "food", "--codes", 4, "--out", tmp_path / "out") == 0
    )
    assert (tmp_path / "out" / "docids.tsv").read_text().startswith("d0\t")
    assert folder.read_labels(tmp_path / "out" / folder.LABELS, 64) == [
        text.split()[0] for text in texts
    ]
    assert run("stats", tmp_path / "out", "--plot", tmp_path / "tree.png") == 0
    assert str(tmp_path / "tree.png") in capsys.readouterr().out and (
        tmp_path / "tree.png"
    ).read_bytes().startswith(b"\x89PNG")


def test_commands_refuse_in_one_line_and_leave_nothing(vectors_file, tmp_path, capsys):
    out = tmp_path / "out"
    np.save(tmp_path / "flat.npy", np.zeros(5))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "labels.txt").write_text("one\n")
    small = ("--levels", 2, "--codes", 8)
    for arguments, message in (
        (("fit", "vq", "--vectors", vectors_file, "--out", out), "got 'vq'"),
        (
            ("fit", "pq", "--vectors", tmp_path / "flat.npy", "--out", out),
            r"expected floats [N, D]",
        ),
        (
            ("fit", "pq", "--vectors", tmp_path / "text.npy", "--out", out),
            "not an array of numbers",
        ),
        (
            ("fit", "pq", "--vectors", vectors_file, "--levels", 9, "--out", out),
            "9 levels have no column each of 6",
        ),
        (
            (
                "fit",
                "pq",
                "--vectors",
                vectors_file,
                *small,
                "--collisions",
                "refuse",
                "--out",
                out,
            ),
            "documents collide",
        ),
        (("stats", out), "expected identifiers with docids.json"),
    ):
        assert run(*arguments) == main.BAD_INPUT
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("zoo: ") and message in error
        assert not out.exists()
    assert run("fit", "pq", "--vectors", vectors_file, *small, "--out", out) == 0
    assert run("fit", "pq", "--vectors", vectors_file, *small, "--out", out) == main.BAD_INPUT
    assert "holds identifiers already" in capsys.readouterr().err
    assert run("stats", out, "--categories", tmp_path / "labels.txt") == main.BAD_INPUT
    assert "expected 60 lines, a category for each document" in capsys.readouterr().err


def test_a_fit_killed_before_training_resumes(tmp_path, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(folder, "fit", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
        folder.make(["x"] * 60, VECTORS, config("random"), tmp_path / "ids", quiet=True)
    assert (tmp_path / "ids" / "log.jsonl").exists()
    with pytest.raises(DataError, match="another configuration or of other data"):
        folder.make(["x"] * 60, VECTORS, config("lsh"), tmp_path / "ids", quiet=True)
    folder.make(
        ["x"] * 60, VECTORS, config("random"), tmp_path / "ids", labels=["a  b"] * 60, quiet=True
    )
    assert (
        folder.load(tmp_path / "ids")[1]["kind"] == "random"
        and not (tmp_path / "ids" / folder.UNFINISHED).exists()
    )
    assert folder.read_labels(tmp_path / "ids" / folder.LABELS, 60) == ["a b"] * 60


def test_an_interrupted_fit_of_a_folder_resumes_to_the_same_identifiers(tmp_path, monkeypatch):
    whole = folder.make(["x"] * 60, VECTORS, config("rqvae"), tmp_path / "whole", quiet=True)
    report = rqvae._report

    def interrupting(*arguments, **options):
        signal.raise_signal(signal.SIGINT)
        return report(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(rqvae, "_report", interrupting)
        with pytest.raises(KeyboardInterrupt, match="stopped at step 3 of 6"):
            folder.make(["x"] * 60, VECTORS, config("rqvae"), tmp_path / "parts", quiet=True)
    with pytest.raises(DataError, match="another configuration or of other data"):
        folder.make(["x"] * 60, VECTORS, config("rqvae"), tmp_path / "parts", seed=1, quiet=True)
    again = folder.make(["x"] * 60, VECTORS, config("rqvae"), tmp_path / "parts", quiet=True)
    np.testing.assert_array_equal(again["tokens"], whole["tokens"])
    assert not (tmp_path / "parts" / logs.CHECKPOINTS).exists()
    loaded, _ = folder.load(tmp_path / "parts")
    np.testing.assert_array_equal(quantisers.encode(loaded, VECTORS), whole["codes"])
