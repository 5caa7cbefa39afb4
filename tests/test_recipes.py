"""The contract of every recipe: a new system is tested by being listed."""

import contextlib
import dataclasses
import hashlib
import json
import logging

import jax
import numpy as np
import pytest
from contract import check_ranking, quick

import zoo
from zoo import recipes, records
from zoo.data import toy
from zoo.metrics import measures

SPREAD = 65  # queries: more than a generative recipe answers at a time

ODD = {  # by what a system asks for
    "text": ("qwertz", "?", "Übergrößenträger 東京 🙂", "bab " * 500),
    "history": (["d0"], ["d39", "d39"], [f"d{row}" for row in range(40)], ["d3", "d17"] * 250),
}
# Success@1 on held-out walks, that words tell nothing of; of all others .6, where the best possible
# is about .8
LEARNED = {"popularity": 0.05, "semanticknn": 0.0}

every_recipe = pytest.mark.parametrize("name", recipes.names())


def fingerprint(fitted):
    """SHA-256 of every leaf of the state, by path."""
    leaves = jax.tree.leaves_with_path(dict(fitted.state))
    content = lambda leaf: leaf.encode() if isinstance(leaf, str) else np.asarray(leaf).tobytes()
    return {
        jax.tree_util.keystr(path): hashlib.sha256(content(leaf)).hexdigest()
        for path, leaf in leaves
    }


@contextlib.contextmanager
def compilations():
    """Names of what JAX compiles while the block runs."""
    names = []

    class Listener(logging.Handler):
        def emit(self, record):
            if "Compiling" in record.getMessage():
                names.append(record.getMessage().split()[1])

    logger, listener = logging.getLogger("jax"), Listener(logging.DEBUG)
    logger.addHandler(listener)
    try:
        with jax.log_compiles():
            yield names
    finally:
        logger.removeHandler(listener)


@pytest.fixture(scope="module")
def collection():
    return toy.build(200)


@pytest.fixture(scope="module")
def walks():
    return toy.interactions()


@pytest.fixture(scope="module")
def data(collection, walks):
    """name -> what that recipe learns from."""
    return lambda name: walks if recipes.get(name).asks == "history" else collection


@pytest.fixture(scope="module")
def memorised(data):
    """name -> the tiny preset fitted in full; each once in this module (DSI: half a minute)."""
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = zoo.fit(name, data(name), size="tiny", quiet=True)
        return kept[name]

    return get


def learnt(given):
    """(queries, judgements) that training teaches: of documents the train split, of histories what they go on with."""
    return given.split("test" if isinstance(given, records.Interactions) else "train")


@pytest.fixture(scope="module")
def hurried(data):
    """name -> a quick fit; each once in this module."""
    kept = {}

    def get(name):
        if name not in kept:
            kept[name] = quick(name, data(name))
        return kept[name]

    return get


@pytest.mark.slow
@pytest.mark.trains  # the tiny preset
@every_recipe
def test_it_memorises_200_documents_or_learns_the_walks(name, data, memorised):
    queries, qrels = learnt(data(name))
    found = measures.evaluate(zoo.retrieve(memorised(name), queries, 10), qrels, ("Success@1",))
    assert found["Success@1"] >= (
        0.95 if recipes.get(name).asks == "text" else LEARNED.get(name, 0.6)
    )


@every_recipe
def test_a_hurried_fit_has_not_memorised_what_only_training_can_teach(name, data, hurried):
    """The negative control of the test above: it is training that memorises."""
    if not hasattr(hurried(name).config, "steps"):
        pytest.skip(f"{name} does not train")
    queries, qrels = learnt(data(name))
    found = measures.evaluate(zoo.retrieve(hurried(name), queries, 10), qrels, ("Success@1",))
    assert found["Success@1"] < 0.5


@every_recipe
@pytest.mark.parametrize("k", (1, 10, 250))
def test_answers_are_valid_unique_and_sorted(name, k, data, hurried):
    asked = learnt(data(name))[0].take(range(SPREAD))
    check_ranking(zoo.retrieve(hurried(name), asked, k), asked, data(name).corpus, k)


@every_recipe
@pytest.mark.parametrize("number", range(4))
def test_one_odd_query_gets_valid_answers_or_none(name, number, data, hurried):
    odd = ODD[recipes.get(name).asks][number]
    check_ranking(
        zoo.retrieve(hurried(name), odd, 10),
        records.Queries.of("numbered 0"),
        data(name).corpus,
        10,
    )


@every_recipe
def test_an_answer_does_not_depend_on_the_other_queries(name, data, hurried):
    asked = learnt(data(name))[0].take(range(SPREAD))
    together = zoo.retrieve(hurried(name), asked, 5)
    for row in (0, SPREAD - 2, SPREAD - 1):
        alone = zoo.retrieve(hurried(name), asked.take([row]), 5)
        np.testing.assert_array_equal(alone.documents[0], together.documents[row])
        # rounding of sums in another order
        np.testing.assert_allclose(alone.scores[0], together.scores[row], rtol=1e-5)


@every_recipe
def test_fewer_answers_are_the_first_of_more(name, data, hurried):
    asked = learnt(data(name))[0].take(range(5))
    ten, three = (zoo.retrieve(hurried(name), asked, k) for k in (10, 3))
    np.testing.assert_array_equal(ten.documents[:, :3], three.documents)
    np.testing.assert_array_equal(ten.scores[:, :3], three.scores)


@every_recipe
def test_other_queries_compile_nothing_new(name, data, hurried):
    queries, _ = learnt(data(name))
    zoo.retrieve(hurried(name), queries.take(range(3)), 10)
    with compilations() as compiled:
        zoo.retrieve(hurried(name), queries.take(range(3, 5)), 10)
        zoo.retrieve(hurried(name), queries.take(range(5, 5 + SPREAD)), 10)
    assert compiled == []


def test_compilations_are_seen():
    with compilations() as compiled:
        jax.jit(lambda x: x + 1)(np.arange(7))
    assert len(compiled) == 1


def poisoned(given):
    """The same, but for the test split: there other queries and other judgements, or another last event of everyone."""
    if isinstance(given, records.Interactions):
        items = given.histories.items.copy()
        items[given.histories.starts[1:] - 1] = 0
        return dataclasses.replace(
            given, histories=dataclasses.replace(given.histories, items=items)
        )
    grades = {f"x{row}": {f"d{row}": 1} for row in range(200)}
    texts = tuple(given.queries.texts) + tuple(f"poison{row}" for row in range(200))
    return dataclasses.replace(
        given,
        queries=records.Queries((*given.queries.ids, *grades), texts),
        qrels={
            **given.qrels,
            "test": records.Qrels(
                grades | {query: {"d0": 1} for query in given.qrels["test"].grades}
            ),
        },
    )


def changed(given):
    """The same but for one document and, where there are histories, the first event."""
    texts = (given.corpus.texts[0] + " poison", *given.corpus.texts[1:])
    given = dataclasses.replace(given, corpus=dataclasses.replace(given.corpus, texts=texts))
    if not isinstance(given, records.Interactions):
        return given
    items = given.histories.items.copy()
    items[0] = (items[0] + 1) % len(given.corpus)
    return dataclasses.replace(given, histories=dataclasses.replace(given.histories, items=items))


@every_recipe
def test_the_same_seed_gives_the_same_system_whatever_the_test_split_holds(name, data, hurried):
    """The poison: what the test split holds must change nothing."""
    again = quick(name, poisoned(data(name)))
    assert fingerprint(again) == fingerprint(hurried(name))
    queries, _ = data(name).split("dev")
    one, other = (zoo.retrieve(fitted, queries, 10) for fitted in (hurried(name), again))
    np.testing.assert_array_equal(one.documents, other.documents)
    np.testing.assert_array_equal(one.scores, other.scores)


@every_recipe
def test_other_documents_or_another_seed_give_another_system(name, data, hurried):
    """The negative control of the test above."""
    trains = hasattr(hurried(name).config, "steps")
    other = quick(name, data(name), seed=1) if trains else quick(name, changed(data(name)))
    assert fingerprint(other) != fingerprint(hurried(name))


@every_recipe
def test_the_way_of_a_beam_ends_in_the_answers(name, data, hurried):
    fitted = hurried(name)
    queries, _ = data(name).split("dev")
    first = {
        "text": queries.texts[0] if hasattr(queries, "texts") else "",
        "history": ["d3", "d17"],
    }[recipes.get(name).asks]
    if "decoding" not in recipes.get(name).answering:
        with pytest.raises(records.DataError, match="generates no identifiers"):
            zoo.path(fitted, first)
        return
    way = zoo.path(fitted, first, width=4)
    options = {"beam": 4} | {
        option: value
        for option, value in {"filter": "no", "first_beam": 0}.items()
        if option in recipes.get(name).answering
    }
    answers = zoo.retrieve(zoo.with_options(fitted, options), [first], 4)
    np.testing.assert_array_equal(way.documents, answers.documents[0])
    # another program, so sums in another order
    np.testing.assert_allclose(way.levels[-1].score, answers.scores[0], rtol=1e-5)
    for shallow, deep in zip(way.levels, way.levels[1:]):
        assert {tuple(row[:-1]) for row in deep.token.tolist()} <= {
            tuple(row) for row in shallow.token.tolist()
        }


@every_recipe
def test_it_survives_being_saved_and_loaded(name, data, hurried, tmp_path):
    zoo.save(hurried(name), tmp_path / "system")
    loaded = zoo.load(tmp_path / "system")
    assert fingerprint(loaded) == fingerprint(hurried(name))
    for field in ("recipe", "size", "config", "seed"):
        assert getattr(loaded, field) == getattr(hurried(name), field)
    assert loaded.documents.ids == data(name).corpus.ids
    queries, _ = data(name).split("dev")
    one, other = (zoo.retrieve(fitted, queries, 10) for fitted in (hurried(name), loaded))
    np.testing.assert_array_equal(one.documents, other.documents)
    np.testing.assert_array_equal(one.scores, other.scores)


@every_recipe
def test_it_refuses_the_other_kind_of_data_and_of_query(name, collection, walks, hurried):
    other, query = (
        (collection, "a text")
        if recipes.get(name).asks == "history"
        else (walks, records.Histories.of(walks.corpus, ["d0"]))
    )
    with pytest.raises(records.DataError, match=f"{name} learns from"):
        quick(name, other)
    with pytest.raises(records.DataError, match=f"{name} learns from"):
        zoo.evaluate(hurried(name), other)
    with pytest.raises(records.DataError, match=f"{name} asks for a"):
        zoo.retrieve(hurried(name), query, 3)


@every_recipe
def test_a_damaged_file_is_refused(name, hurried, tmp_path):
    system = tmp_path / "system"
    zoo.save(hurried(name), system)
    for path in [path for path in system.rglob("*") if path.is_file()]:
        whole = path.read_bytes()
        for damaged in (
            whole[: len(whole) // 2],
            whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:] if len(whole) > 1 else b"xx",
            None,
        ):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            with pytest.raises(records.DataError) as refused:
                zoo.load(system)
            assert str(system) in str(refused.value) and "\n" not in str(refused.value)
        path.write_bytes(whole)
    zoo.load(system)


@every_recipe
def test_every_size_is_there_and_says_what_it_is(name):
    recipe = recipes.get(name)
    assert recipe.name == name and tuple(recipe.presets) == recipes.SIZES
    for size, preset in recipe.presets.items():
        assert dataclasses.is_dataclass(preset) and preset.__dataclass_params__.frozen
        assert recipes.configure(recipe, size, {}) == preset
        stored = json.loads(json.dumps(dataclasses.asdict(preset)))
        assert recipes.configure(recipe, size, stored) == preset
        text = {option: str(value) for option, value in stored.items()}
        assert recipes.configure(recipe, size, text) == preset
    assert any(year in recipe.paper for year in map(str, range(1970, 2100)))
    assert recipe.deviations and all(
        isinstance(line, str) and len(line) > 20 for line in recipe.deviations
    )


@every_recipe
def test_options_that_do_not_exist_or_do_not_fit_are_refused(name):
    recipe = recipes.get(name)
    with pytest.raises(records.DataError, match="no option 'colour'; expected one of: .*"):
        recipes.configure(recipe, "tiny", {"colour": "red"})
    with pytest.raises(
        records.DataError, match="no size 'huge'; expected one of: tiny, small, base, paper"
    ):
        recipes.configure(recipe, "huge", {})
    for option, value in dataclasses.asdict(recipe.presets["tiny"]).items():
        if not isinstance(value, str):
            for bad in ("red", "", None, [1], "nan"):
                with pytest.raises(records.DataError, match=f"option {option} expects"):
                    recipes.configure(recipe, "tiny", {option: bad})


def test_a_recipe_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(
        records.DataError, match="no recipe 'dsl'; expected one of: " + ", ".join(recipes.names())
    ):
        recipes.get("dsl")
