"""Training starts from pretrained weights: copies rows of known words, others are random."""

import dataclasses
import functools
import json
import string

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import numpy as safetensors

import zoo
from zoo.cli import main
from zoo.data import toy
from zoo.models import warm_start
from zoo.nets import heads, network, t5_weights, transformer

WORDS = 60  # rows of the tables; the tokenizer has fewer pieces
SHAPE = transformer.Shape(
    source_vocab=WORDS,
    target_vocab=WORDS,
    target_length=4,
    width=16,
    heads=2,
    head_width=8,
    encoder_hidden=24,
    decoder_hidden=24,
    encoder_layers=1,
    decoder_layers=1,
    mlp="relu",
    tied=True,
    shared=True,
)
# parameters stay where they start
QUICK = {"steps": "1", "rate": "0.0", "generated": "1", "batch": "8", "beam": "4"}


def drawn(shape, seed=0):
    blank = jnp.zeros((1, 1), jnp.int32)
    wanted = jax.eval_shape(shape.net().init, jax.random.key(0), blank, blank)
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: random.normal(0.5, 2.0, leaf.shape).astype(np.float32), wanted)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder in the layout of published T5 weights, with one letter per piece."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("t5")
    tensors = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(drawn(SHAPE)):
        path = tuple(step.key for step in path[1:])
        name = t5_weights.HUGGING_FACE.name(path, SHAPE)
        matrix = leaf.reshape(t5_weights._matrix(path, leaf.shape))
        tensors[name] = np.ascontiguousarray(
            matrix.T if t5_weights.HUGGING_FACE.turned(name) else matrix
        )
    safetensors.save_file(tensors, folder / "model.safetensors")
    sizes = {
        "vocab_size": WORDS,
        "d_model": 16,
        "num_heads": 2,
        "d_kv": 8,
        "d_ff": 24,
        "num_layers": 1,
        "num_decoder_layers": 1,
    }
    (folder / "config.json").write_text(
        json.dumps({"model_type": "t5", "feed_forward_proj": "relu"} | sizes)
    )
    letters = [(letter, -3.0) for letter in string.ascii_lowercase + string.digits]
    made = Tokenizer(
        models.Unigram(
            [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *letters], 2, False
        )
    )
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    made.save(str(folder / "tokenizer.json"))
    return folder


@functools.cache
def corpus():
    return toy.build(60)


@pytest.fixture(scope="module")
def fitted(weights, tmp_path_factory):
    out = tmp_path_factory.mktemp("fits") / "dsi"
    return zoo.fit(
        "dsi",
        corpus(),
        size="tiny",
        options=QUICK,
        inputs={"weights": weights},
        out=out,
        quiet=True,
    ), out


def test_a_system_copies_layers_and_words_and_adds_its_own_rows(weights, fitted):
    tree, published = (np.asarray, t5_weights.load(weights).params["params"])
    tree = jax.tree.map(np.asarray, fitted[0].state["params"]["params"])
    for part in set(published) - {"source_embedding"}:
        jax.tree.map(np.testing.assert_array_equal, tree[part], published[part])
    table = np.asarray(published["source_embedding"]["embedding"])
    np.testing.assert_array_equal(tree["source_embedding"]["embedding"][:WORDS], table)
    rows = tree["target_embedding"]["embedding"]
    assert len(rows) > 20 and "head" not in tree  # tied, like the weights
    deviation = table.std(axis=0)
    # standard normal: means of len(rows) draws of 16 dimensions
    score = (rows - table.mean(axis=0)) / deviation
    assert np.abs(score.mean(axis=0)).max() < 5 / np.sqrt(len(rows)) and 0.8 < score.std() < 1.2
    # control: a shifted mean is rejected
    assert np.abs(table.mean(axis=0) / deviation).max() > 5 / np.sqrt(len(rows)) / 2
    shape = network.of(fitted[0].state).spec
    assert (shape.mlp, shape.tied, shape.shared, shape.width) == ("relu", True, False, 16)


def test_the_choice_is_recorded_and_answers_come(weights, fitted):
    system, out = fitted
    assert (system.config.width, system.config.encoder_layers, system.config.stem) == (16, 1, False)
    about = json.loads((out / "fit.json").read_text())["about"]["init_from"]
    assert about == {"path": str(weights), "sha256": t5_weights.load(weights).digest}
    ranking = zoo.retrieve(zoo.load(out), "red fox", k=3)
    assert len(ranking.answers(0)) == 3


def test_an_earlier_fit_continues_from_its_parameters(fitted):
    system, out = fitted
    # equal identifiers: keeps all parameters
    again = zoo.fit(
        "dsi", corpus(), size="tiny", options=QUICK, inputs={"weights": out}, quiet=True
    )
    jax.tree.map(np.testing.assert_array_equal, again.state["params"], system.state["params"])
    other = zoo.fit(
        "dsi",
        corpus(),
        size="tiny",
        options=QUICK | {"identifiers": "naive"},
        inputs={"weights": out},
        quiet=True,
    )
    one, two = (x.state["params"]["params"] for x in (other, system))
    np.testing.assert_array_equal(
        one["source_embedding"]["embedding"], two["source_embedding"]["embedding"]
    )
    jax.tree.map(np.testing.assert_array_equal, one["decoder_0"], two["decoder_0"])
    shared = min(
        len(one["target_embedding"]["embedding"]), len(two["target_embedding"]["embedding"])
    )
    # other identifiers
    assert (
        one["target_embedding"]["embedding"][:shared]
        != two["target_embedding"]["embedding"][:shared]
    ).all()


def test_items_start_from_layers_alone(weights):
    system = zoo.fit(
        "tiger",
        toy.interactions(),
        size="tiny",
        options={"steps": 1, "rate": 0.0},
        inputs={"weights": weights},
        quiet=True,
    )
    tree, published = system.state["params"]["params"], t5_weights.load(weights).params["params"]
    jax.tree.map(np.testing.assert_array_equal, tree["encoder_0"], published["encoder_0"])
    rows = len(tree["source_embedding"]["embedding"])
    assert (
        np.asarray(tree["source_embedding"]["embedding"])
        != published["source_embedding"]["embedding"][:rows]
    ).all()


def test_both_towers_of_a_dual_encoder_start_from_the_pretrained_encoder(weights):
    options = QUICK | {"towers": "two", "temperature": "0"}
    del options["beam"]
    system = zoo.fit(
        "dpr", corpus(), size="tiny", options=options, inputs={"weights": weights}, quiet=True
    )
    published = t5_weights.load(weights).params["params"]
    for tower in ("tower", "document_tower"):
        tree = jax.tree.map(np.asarray, system.state["params"]["params"][tower]["encoder"])
        for part in ("encoder_0", "encoder_bias", "encoder_norm"):
            jax.tree.map(np.testing.assert_array_equal, tree[part], published[part])
        np.testing.assert_array_equal(
            tree["source_embedding"]["embedding"][:WORDS],
            published["source_embedding"]["embedding"],
        )
    assert len(zoo.retrieve(system, "red fox", k=3).answers(0)) == 3


def test_unusable_weights_are_refused_in_one_line(weights, fitted, tmp_path, capsys):
    toy_folder = tmp_path / "toy"
    from zoo.data import files

    files.write_beir(corpus(), toy_folder)

    def refused(recipe, where, *more):
        arguments = [
            "fit",
            recipe,
            "--data",
            str(toy_folder),
            "--size",
            "tiny",
            "--out",
            str(tmp_path / "out"),
            "--init-from",
            str(where),
            *more,
        ]
        assert main.main(arguments) == main.BAD_INPUT
        assert not (tmp_path / "out").exists()
        return capsys.readouterr().err

    assert "option width has to be 16 to start from" in refused("dsi", weights, "--set", "width=32")
    assert "bm25: has no encoder-decoder" in refused("bm25", weights)
    assert "no such folder" in refused("dsi", tmp_path / "none")
    zoo.fit("bm25", corpus(), out=tmp_path / "bm25", quiet=True)
    assert "bm25 has no plain encoder-decoder to start from" in refused("dsi", tmp_path / "bm25")
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((weights / name).read_bytes())
    assert "no tokenizer to read text with" in refused("dsi", bare)


def test_mismatched_parameters_are_named_and_missing_ones_stay_random():
    start = warm_start.Start("there", "", SHAPE, drawn(SHAPE), "")
    wide = dataclasses.replace(SHAPE, encoder_hidden=32)
    with pytest.raises(
        zoo.DataError,
        match=r"there: parameter encoder_0/mlp/out/kernel expected shape \[32, 16\], got \[24, "
        r"16\]",
    ):
        warm_start.copy_weights(drawn(wide, 1), start, jax.random.key(0))
    deep = dataclasses.replace(SHAPE, decoder_layers=2)
    fresh = drawn(deep, 1)
    got = warm_start.copy_weights(fresh, start, jax.random.key(0))["params"]
    jax.tree.map(np.testing.assert_array_equal, got["decoder_1"], fresh["params"]["decoder_1"])
    jax.tree.map(
        np.testing.assert_array_equal, got["decoder_0"], start.params["params"]["decoder_0"]
    )


def test_a_separate_head_starts_at_the_scale_of_the_tied_table():
    start = warm_start.Start("there", "", SHAPE, drawn(SHAPE), "")
    fresh = drawn(dataclasses.replace(SHAPE, target_vocab=400, tied=False, shared=False), 1)
    got = warm_start.copy_weights(fresh, start, jax.random.key(0))["params"]
    head, rows = (
        np.asarray(got["head"]["kernel"]).T,
        np.asarray(got["target_embedding"]["embedding"]),
    )
    assert head.std() * 16**0.5 == pytest.approx(rows.std(), rel=0.05)  # draws of 6400


def test_another_head_keeps_its_own_parameters(weights):
    """NCI: the layers come from the weights; the prefix decoder stays random."""
    start = warm_start.of_weights(weights)
    shape = warm_start.match_shape(
        heads.PrefixShape(
            **dataclasses.asdict(SHAPE)
            | {"target_vocab": 9, "target_length": 2, "last_tokens": (4, 8), "shared": False}
        ),
        start,
    )
    fresh = drawn(shape, seed=1)
    tree = warm_start.copy_weights(fresh, start, jax.random.key(0))["params"]
    for part in tree:
        same_as = (
            start.params["params"]
            if part.split("_")[0] in ("encoder", "decoder")
            else fresh["params"]
        )
        if not part.endswith("embedding"):
            jax.tree.map(np.testing.assert_array_equal, tree[part], same_as[part])
    assert {part.split("_")[0] for part in tree} == {
        "encoder",
        "decoder",
        "adaptor",
        "source",
        "target",
    }
