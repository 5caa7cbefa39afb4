"""The verbs: fit, retrieve, evaluate, save and load.

Also covers fitting into folders and the imports of `import zoo`.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.api import evaluate, fit as fitting
from zoo.data import toy
from zoo.index import lexical
from zoo.train import execution

ROOT = pathlib.Path(__file__).parents[1]


def files_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def collection():
    return toy.build(30)


@pytest.fixture(scope="module")
def fitted(collection):
    return zoo.fit("bm25", collection, quiet=True)


def python(*arguments, **options):
    """A process of this interpreter in the repository; one CPU device, fast compilation."""
    environment = os.environ | {"XLA_FLAGS": os.environ["XLA_FLAGS"].replace("count=8", "count=1")}
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **options,
    )


def modules_after(statement):
    process = python("-c", f"import sys; {statement}; print(*sys.modules)")
    out, err = process.communicate()
    assert process.returncode == 0, err
    return {name.split(".")[0] for name in out.split()}


def test_import_zoo_imports_no_heavy_package():
    heavy = {
        "tensorflow",
        "torch",
        "t5x",
        "seqio",
        "gin",
        "jax",
        "orbax",
        "flax",
        "sklearn",
        "matplotlib",
        "bm25s",
        "grain",
    }
    assert not modules_after("import zoo") & heavy
    assert not modules_after("import zoo.cli") & heavy
    assert modules_after("import zoo; zoo.beam_search") & heavy == {"jax"}, (
        "the control: this one needs jax"
    )


def test_every_public_name_exists():
    assert len(set(zoo.__all__)) == len(zoo.__all__)
    for name in zoo.__all__:
        value = getattr(zoo, name)
        assert value.__name__ == name and value.__doc__
        assert name in dir(zoo)
    with pytest.raises(AttributeError, match="'zoo' has no attribute 'fti'"):
        _ = zoo.fti


def test_no_verb_shares_its_name_with_a_package():
    """`import zoo.x.y` sets zoo.x to the package and would hide a verb x."""
    root = pathlib.Path(zoo.__file__).parent
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    assert "metrics" in packages and not packages & set(zoo.__all__)
    modules_after("import zoo; import zoo.metrics.measures as m; assert m.DEFAULT; zoo.evaluate")


def test_metrics_equal_counts_over_the_answers(collection, fitted):
    """Hit@1 and RR@10 of `evaluate` equal counts over the answers of `retrieve`."""
    queries, qrels = collection.split("test")
    result = evaluate.evaluate(fitted, collection)
    ranking = zoo.retrieve(fitted, queries, 10)
    ranks = []
    for row, query in enumerate(queries.ids):
        answers = [document for document, _ in ranking.answers(row)]
        (right,) = qrels.grades[query]
        ranks.append(1 / (1 + answers.index(right)) if right in answers else 0.0)
    assert result.measures["RR@10"] == pytest.approx(np.mean(ranks))
    assert (
        result.measures["Success@1"]
        == np.mean([rank == 1 for rank in ranks])
        == result.hit_curve[0]
    )
    assert result.queries_per_second > 0 and len(result.ranking) == len(queries)


def test_a_system_records_its_training_data(collection, fitted):
    assert (
        fitted.about["corpus"] == collection.corpus.fingerprint()
        and fitted.about["num_documents"] == 30
    )
    assert fitted.documents.ids == collection.corpus.ids and fitted.name == "bm25"


def test_a_name_a_folder_and_a_collection_give_the_same_system(tmp_path):
    from zoo.data import files

    files.write_beir(toy.build(), tmp_path / "toy")
    first, *others = (
        zoo.fit("bm25", data, quiet=True) for data in ("toy", tmp_path / "toy", toy.build())
    )
    for other in others:
        assert other.about["corpus"] == first.about["corpus"]
        assert other.state["index"]["words"] == first.state["index"]["words"]


def test_a_fitted_folder_is_complete_and_not_overwritten(collection, tmp_path):
    out = tmp_path / "deep" / "system"
    zoo.fit("bm25", collection, out=out, quiet=True)
    before = files_of(out)
    assert not [path for path in before if "part" in path.name]
    with pytest.raises(records.DataError, match="holds a fitted system already"):
        zoo.fit("bm25", collection, out=out, options={"b": "0.5"}, quiet=True)
    with pytest.raises(records.DataError, match="holds a fitted system already"):
        zoo.save(zoo.load(out), out)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("work of years")
    with pytest.raises(records.DataError, match="found thesis.tex in it"):
        zoo.fit("bm25", collection, out=tmp_path / "mine", quiet=True)
    with pytest.raises(records.DataError, match="got a file"):
        zoo.fit("bm25", collection, out=tmp_path / "mine" / "thesis.tex", quiet=True)
    assert files_of(out) == before and files_of(tmp_path / "mine") == {
        pathlib.Path("thesis.tex"): b"work of years"
    }


@pytest.mark.parametrize(
    "arguments",
    (
        {"recipe": "bm26"},
        {"size": "huge"},
        {"options": {"k1": "-1"}},
        {"options": {"k2": "1"}},
        {"seed": -1},
        {"seed": 2**32},
        {"data": "no-such-collection"},
    ),
)
def test_a_refused_fit_leaves_no_trace(arguments, collection, tmp_path):
    arguments = {"recipe": "bm25", "data": collection, "quiet": True} | arguments
    (tmp_path / "empty").mkdir()
    for folder in ("absent", "empty"):
        with pytest.raises(records.DataError):
            zoo.fit(out=tmp_path / folder, **arguments)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["empty"]


def test_an_interrupted_fit_resumes_and_refuses_another_configuration(
    collection, tmp_path, monkeypatch
):
    out = tmp_path / "system"

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lexical, "build", interrupt)
        with pytest.raises(KeyboardInterrupt):
            zoo.fit("bm25", collection, out=out, quiet=True)
    with pytest.raises(records.DataError, match="the fit was not finished; repeat its command"):
        zoo.load(out)
    other = dataclasses.replace(
        collection,
        corpus=dataclasses.replace(collection.corpus, texts=("x", *collection.corpus.texts[1:])),
    )
    before = files_of(out)
    for what, arguments in (
        ("config", {"options": {"b": "0.5"}}),
        ("seed", {"seed": 1}),
        ("data", {"data": other}),
        ("size", {"size": "tiny"}),
    ):
        with pytest.raises(records.DataError, match=f"unfinished fit with another .*{what}"):
            zoo.fit("bm25", **{"data": collection, "out": out, "quiet": True} | arguments)
    assert files_of(out) == before
    zoo.fit("bm25", collection, out=out, quiet=True)
    assert zoo.load(out).about["num_documents"] == 30


def test_bad_input_found_while_resuming_keeps_the_folder(collection, tmp_path, monkeypatch):
    out = tmp_path / "system"
    for error in (KeyboardInterrupt, records.DataError):

        def fail(*arguments, **options):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(lexical, "build", fail)
            with pytest.raises(error):
                zoo.fit("bm25", collection, out=out, quiet=True)
    assert (out / "run.json").exists()


def test_saving_again_completes_an_interrupted_save(fitted, tmp_path):
    out = tmp_path / "system"
    zoo.save(fitted, out)
    (out / "fit.json").unlink()
    (out / "run.json").write_text("{}")
    (out / "state.part").mkdir()
    zoo.save(fitted, out)
    assert zoo.load(out).documents == fitted.documents and not (out / "state.part").exists()


def test_load_refuses_folders_without_a_system(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, message in (("absent", "no such folder"), ("empty", "holds no fitted system")):
        with pytest.raises(records.DataError, match=message):
            zoo.load(tmp_path / folder)


def test_a_system_of_an_unknown_recipe_or_a_changed_option_is_refused(fitted, tmp_path):
    zoo.save(fitted, tmp_path / "system")
    path = tmp_path / "system" / "fit.json"
    head = json.loads(path.read_text())
    for changed in (
        head | {"recipe": "dpr"},
        head | {"config": {"k1": 3.0}},
        {},
        [],
        {"sha256": ""},
    ):
        path.write_text(json.dumps(changed))
        with pytest.raises(records.DataError, match="fit.json: "):
            zoo.load(tmp_path / "system")


def test_retrieve_refuses_bad_queries(fitted):
    for queries, k, message in (
        ("", 1, "the query is empty"),
        (["a", " \n"], 1, "query '1' is empty"),
        ("a", 0, "k of at least 1"),
        ([], 1, "at least one query"),
        ("half \ud83d", 1, "half a character"),
    ):
        with pytest.raises(records.DataError, match=message):
            zoo.retrieve(fitted, queries, k)


def test_evaluate_refuses_another_corpus(collection, fitted):
    texts = ("other", *collection.corpus.texts[1:])  # under the same ids
    other = dataclasses.replace(
        collection, corpus=dataclasses.replace(collection.corpus, texts=texts)
    )
    for data in (other, toy.build(31)):
        with pytest.raises(records.DataError, match="of this system, those of"):
            evaluate.evaluate(fitted, data)
    with pytest.raises(records.DataError, match="no split 'validation'; it has: dev, test, train"):
        evaluate.evaluate(fitted, collection, split="validation")


@pytest.mark.slow  # three processes train
def test_ctrl_c_during_training_loses_nothing(tmp_path):
    """The same command resumes; the system equals that of an uninterrupted fit bit for bit."""
    options = (
        "steps=120 batch=8 document_length=8 query_length=8 decoder_hidden=32 generated=1".split()
    )
    command = ["-m", "zoo", "fit", "dsi", "--data", "toy", "--size", "tiny"]
    command += [part for option in options for part in ("--set", option)]
    whole = python(*command, "--out", tmp_path / "whole")
    _, err = whole.communicate()
    assert whole.returncode == 0, err
    out = tmp_path / "cut"
    cut = python(*command, "--out", out)
    while cut.poll() is None and not logged_steps(out):
        time.sleep(0.01)
    cut.send_signal(signal.SIGINT)
    _, err = cut.communicate()
    assert cut.returncode == 130, err
    assert "the same command goes on from there" in err.splitlines()[-1] and "Traceback" not in err
    assert not (out / "fit.json").exists() and 0 < logged_steps(out) < 120
    goes_on = python(*command, "--out", out)
    _, err = goes_on.communicate()
    assert goes_on.returncode == 0, err
    one, other = (files_of(tmp_path / name / "state") for name in ("whole", "cut"))
    first, second = (zoo.load(tmp_path / name) for name in ("whole", "cut"))
    assert first.state["tokenizer"] == second.state["tokenizer"]
    import jax

    jax.tree.map(np.testing.assert_array_equal, first.state, second.state)
    assert [row["step"] for row in first.history] == [row["step"] for row in second.history]
    assert not (out / "training").exists()


def logged_steps(folder):
    with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
        return max(
            (json.loads(line)["step"] for line in (folder / "log.jsonl").read_text().splitlines()),
            default=0,
        )
    return 0


def test_keywords_of_training_equal_the_fields_of_execution():
    fields = {field.name for field in dataclasses.fields(execution.Execution)}
    assert execution.Flags.__annotations__.keys() == fields
    with pytest.raises(TypeError, match="no parameter 'mseh'; those of training are: learn, mesh"):
        zoo.fit("bm25", toy.build(5), mseh="data=2", quiet=True)
    with pytest.raises(records.DataError, match="accumulate: expected 1 or more"):
        zoo.fit("bm25", toy.build(5), accumulate=0, quiet=True)
    with pytest.raises(records.DataError, match="expected inputs with the role weights, got 'cf'"):
        zoo.fit("bm25", toy.build(5), inputs={"cf": "runs/x"}, quiet=True)


def test_empty_options_are_not_files(tmp_path, monkeypatch):
    """The empty path means the working directory; a fit must not read or depend on it."""
    (tmp_path / "large").write_bytes(bytes(99))
    monkeypatch.chdir(tmp_path)
    for name in ("bm25", "markov", "semanticknn"):
        assert fitting._files(recipes.get(name).presets["tiny"]) == {}
