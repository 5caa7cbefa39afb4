"""The documentation collection has no leaks and no duplicates, and is deterministic."""

import collections
import json
import os
import subprocess
import sys

import pytest

from zoo import records
from zoo.data import pydocs, stdlib


@pytest.fixture(scope="module")
def collection() -> records.Collection:
    return pydocs.build()


def test_it_has_a_few_thousand_documents_and_one_test_query_each(collection):
    assert 1500 <= len(collection.corpus) <= 4000
    queries, qrels = collection.split("test")
    assert [document for _, document in qrels.pairs()] == list(collection.corpus.ids)
    assert len(queries) == len(collection.corpus)


def test_most_documents_have_train_queries_and_all_splits_are_disjoint(collection):
    trained = {document for _, document in collection.qrels["train"].pairs()}
    assert len(trained) >= 0.6 * len(collection.corpus)
    judged = [query for qrels in collection.qrels.values() for query in qrels.grades]
    assert sorted(judged) == sorted(collection.queries.ids)  # each query in exactly one split
    assert 50 <= len(collection.qrels["dev"]) <= 200


def test_no_query_occurs_in_its_document_or_another_query_of_it(collection):
    texts = dict(zip(collection.queries.ids, collection.queries.texts))
    contents = dict(zip(collection.corpus.ids, collection.corpus.contents()))
    of_document = collections.defaultdict(list)
    for qrels in collection.qrels.values():
        for query, document in qrels.pairs():
            assert pydocs.normalised(texts[query]) not in pydocs.normalised(contents[document]), (
                query,
                texts[query],
            )
            of_document[document].append(pydocs.normalised(texts[query]))
    for document, queries in of_document.items():
        for row, query in enumerate(queries):
            assert not any(query in other for other in queries[:row] + queries[row + 1 :]), (
                document,
                query,
            )


def test_the_leak_check_sees_a_planted_leak():
    assert pydocs.normalised("Join two\n  `path` names!") in pydocs.normalised(
        "os.path.join\nIt will JOIN two path-names."
    )
    assert pydocs.normalised("join two") not in pydocs.normalised("rejoin two")  # whole words only


def test_no_query_occurs_in_a_document_or_has_two_documents(collection):
    keys = [pydocs.normalised(text) for text in collection.queries.texts]
    assert len(set(keys)) == len(keys)
    everything = "\0".join(pydocs.normalised(text) for text in collection.corpus.contents())
    # 300 of about 4,700 substring searches in 700 kB; all would take 10 s
    sample = keys[:: len(keys) // 300]
    found = [key for key in sample if key in everything]
    assert not found


def test_queries_are_sentences_of_words(collection):
    for text in collection.queries.texts:
        assert pydocs.FEWEST_WORDS <= len(text.split()) <= pydocs.MOST_WORDS
        assert ">>>" not in text and "\n" not in text and "  " not in text


def test_objects_are_documented_once_and_under_the_names_their_users_write(collection):
    names = set(collection.corpus.ids)
    assert len(names) == len(collection.corpus)
    assert len(set(collection.corpus.texts)) == len(collection.corpus.texts)
    assert {"os.path.join", "asyncio.gather", "json.dumps", "str.join"} & names
    assert not {
        name
        for name in names
        if name.startswith(("posix", "_", "builtins", "test.")) or "._" in name
    }


def test_known_objects_follow_the_protocol(collection):
    texts = dict(zip(collection.queries.ids, collection.queries.texts))
    assert (
        texts["str.strip#0"]
        == "Return a copy of the string with leading and trailing whitespace removed."
    )
    row = collection.corpus.rows()["str.strip"]
    assert collection.corpus.texts[row].startswith("str strip (")


def test_a_fresh_process_with_another_hash_seed_builds_the_same(collection):
    script = (
        "import json; from zoo.data import pydocs; found = pydocs.build();"
        "print(json.dumps([found.corpus.fingerprint(), found.queries.texts]))"
    )
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, check=True, cwd="/"
    )
    assert done.stderr == b""
    fingerprint, queries = json.loads(done.stdout)
    assert fingerprint == collection.corpus.fingerprint()
    assert tuple(queries) == collection.queries.texts


def test_patches_in_this_process_do_not_change_the_collection(collection, monkeypatch):
    import string

    def newcomer():
        """Replace every vowel of the given word by a star."""

    newcomer.__module__ = "string"
    monkeypatch.setattr(string, "newcomer", newcomer, raising=False)
    assert pydocs.build().corpus.fingerprint() == collection.corpus.fingerprint()


def test_max_documents_takes_an_even_sample_of_whole_documents(collection):
    part = pydocs.build(max_documents=100)
    assert len(part.corpus) == 100 and len(part.qrels["test"]) == 100
    assert set(part.corpus.ids) <= set(collection.corpus.ids)
    assert part.corpus.ids[0] == collection.corpus.ids[0]
    full = dict(zip(collection.corpus.ids, collection.corpus.texts))
    assert all(full[name] == text for name, text in zip(part.corpus.ids, part.corpus.texts))
    with pytest.raises(records.DataError, match="at least 1"):
        pydocs.build(max_documents=0)


def test_listing_neither_prints_nor_hooks_the_terminal_nor_leaves_threads():
    script = (
        "import runpy, sys, threading, io, contextlib, json\n"
        "out = io.StringIO()\n"
        f"with contextlib.redirect_stdout(out): runpy.run_path({stdlib.__file__!r}, "
        "run_name='__main__')\n"
        "json.loads(out.getvalue())\n"
        "assert threading.active_count() == 1\n"
        "hooking = ('readline', 'curses', 'tkinter', 'antigravity', 'this', 'idlelib', 'turtle')\n"
        "hooked = [name for name in hooking if sys.modules.get(name)]\n"
        "assert not hooked, hooked\n"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-B", "-c", script], capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_failing_interpreter_is_named_in_one_line(monkeypatch, tmp_path):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    with pytest.raises(records.DataError, match="no such thing") as caught:
        pydocs.build()
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    with pytest.raises(records.DataError, match="cannot list the standard library"):
        pydocs.build()
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(records.DataError, match="sys.executable is empty"):
        pydocs.build()


@pytest.mark.parametrize(
    ("documentation", "parts"),
    [
        (
            "One two three four. Five six seven eight.",
            [(True, "One two three four."), (True, "Five six seven eight.")],
        ),
        ("Words, e.g. A and more of them.", [(True, "Words, e.g. A and more of them.")]),
        (
            "f(x) -> y\n\nDo the named thing now.",
            [(False, "f(x) -> y"), (True, "Do the named thing now.")],
        ),
        (
            "Do the named thing\nnow and here.\n\n>>> f(1)\n2",
            [(True, "Do the named thing now and here."), (False, ">>> f(1) 2")],
        ),
        ("Too short.", [(False, "Too short.")]),
        ("x = y[3] + z(4) ** 2 for all", [(False, "x = y[3] + z(4) ** 2 for all")]),
    ],
)
def test_docstrings_are_cut_into_sentences_and_the_rest(documentation, parts):
    assert pydocs._cut(documentation) == parts
