"""Presets and options of every recipe are valid and read back; others are refused."""

import dataclasses
import json

import pytest

from zoo import recipes, records
from zoo.schemes import rqvae

every_recipe = pytest.mark.parametrize("name", recipes.names())


# What the papers state, by system; see the deviations of each for what ours cannot have. T5 base is
# 12 layers of width 768, 12 heads of 64, plain ReLU MLPs of 3,072.
T5_BASE = {
    "width": 768,
    "heads": 12,
    "head_width": 64,
    "encoder_layers": 12,
    "encoder_hidden": 3072,
    "mlp": "relu",
    "dropout": 0.1,
    "stem": False,
    "word_dropout": 0.0,
    "vector_start": False,
    "encoder": "",
}
T5_PAIR = {**T5_BASE, "decoder_layers": 12, "decoder_hidden": 3072}
PAPERS = {
    # arXiv 2202.06991, sec. 3 and 4.2: direct indexing of 32 tokens, 32:1, k = 10, c = 100, T5X
    "dsi": {
        **T5_PAIR,
        "identifiers": "semantic",
        "branching": 10,
        "leaf_size": 100,
        "document_length": 32,
        "index_ratio": 32.0,
        "generated": 0,
        "smoothing": 0.0,
        "optimizer": "adafactor",
        "rate": 1e-3,
        "warmup": 100_000,
        "decay": "rsqrt",
        "batch": 128,
        "steps": 1_000_000,
        "decoding": "free",
    },
    # arXiv 2206.10128, sec. 4: 100 queries a document, queries of 32 tokens, beam 20
    "dsi-qg": {
        **T5_PAIR,
        "identifiers": "naive",
        "index_ratio": 0.0,
        "generated_share": 1.0,
        "generated": 100,
        "queries": "seq2seq",
        "query_length": 32,
        "smoothing": 0.0,
        "optimizer": "adamw",
        "weight_decay": 0.0,
        "rate": 5e-4,
        "warmup": 100_000,
        "decay": "linear",
        "steps": 1_000_000,
        "beam": 20,
        "decoding": "free",
    },
    # arXiv 2206.02743, sec. 4.1, with k = c = 30, the batch and the penalty of the public script
    "nci": {
        **T5_BASE,
        "decoder_layers": 6,
        "decoder_hidden": 3072,
        "adaptor_layers": 4,
        "branching": 30,
        "leaf_size": 30,
        "generated": 15,
        "queries": "seq2seq",
        "document_length": 64,
        "spans": 10,
        "consistency": 0.15,
        "smoothing": 0.0,
        "optimizer": "adamw",
        "weight_decay": 1e-4,
        "rate": 2e-4,
        "decay": "linear",
        "batch": 512,
        "visits": 500.0,
        "beam": 100,
        "length_penalty": 0.8,
        "decoding": "trie",
    },
    # arXiv 2304.04171, sec. 4: M = 3, K = 512, 500,000 steps a position
    "genret": {
        **T5_PAIR,
        "levels": 3,
        "codes": 512,
        "document_length": 128,
        "query_length": 32,
        "generated": 5,
        "queries": "seq2seq",
        "contrast": 0.5,
        "retrieval": 0.5,
        "commitment": 0.5,
        "reconstruction": 0.1,
        "epsilon": 1.0,
        "smoothing": 0.0,
        "optimizer": "adamw",
        "rate": 5e-4,
        "warmup": 5000,
        "decay": "constant",
        "batch": 256,
        "steps": 1_500_000,
        "beam": 100,
        "decoding": "trie",
    },
    # arXiv 2004.04906, sec. 3 and 5: BERT base, two towers, [CLS], inner product, Adam
    "dpr": {
        **T5_BASE,
        "pooling": "first",
        "towers": "two",
        "temperature": 0.0,
        "document_length": 256,
        "generated": 0,
        "optimizer": "adamw",
        "weight_decay": 0.0,
        "rate": 1e-5,
        "decay": "linear",
        "batch": 128,
        "visits": 40.0,
    },
    # arXiv 2305.05065, sec. 4: 4 + 4 layers, 3 x 256 codes and a counter, 2,000 user tokens
    "tiger": {
        "identifiers": "rqvae",
        "levels": 3,
        "codes": 256,
        "collisions": "counter",
        "neighbours": 0.0,
        "user_tokens": 2000,
        "history": 20,
        "recency": False,
        "width": 128,
        "heads": 6,
        "head_width": 64,
        "encoder_layers": 4,
        "decoder_layers": 4,
        "encoder_hidden": 1024,
        "decoder_hidden": 1024,
        "mlp": "relu",
        "dropout": 0.1,
        "smoothing": 0.0,
        "rate": 0.01,
        "warmup": 10_000,
        "decay": "rsqrt",
        "weight_decay": 0.0,
        "batch": 256,
        "steps": 200_000,
        "first_beam": 0,
        "decoding": "free",
        "filter": "no",
    },
    # arXiv 1808.09781, sec. 4.3: two blocks, one head of 50, one negative, Adam
    "sasrec": {
        "loss": "bce",
        "negatives": 1,
        "width": 50,
        "layers": 2,
        "heads": 1,
        "history": 50,
        "dropout": 0.5,
        "rate": 1e-3,
        "batch": 128,
        "decay": "constant",
        "weight_decay": 0.0,
    },
}
PAPERS["dpr-hn"] = {**PAPERS["dpr"], "negatives": 1, "depth": 100, "own_share": 0.0}
# sec. 3.1 of arXiv 2305.05065, and its 20,000 epochs of Beauty; the rest is in TIGER's deviations
TIGERS_RQVAE = {
    "hidden": (512, 256, 128),
    "code_width": 32,
    "linear": False,
    "batch": 1024,
    "steps": 240_000,
    "commitment": 0.25,
    "reduction": "sum",
}


@pytest.mark.parametrize("name", PAPERS)
def test_a_paper_preset_is_the_papers(name):
    preset = dataclasses.asdict(recipes.get(name).presets["paper"])
    assert {option: preset[option] for option in PAPERS[name]} == PAPERS[name]


def test_tigers_rqvae_is_the_papers_and_can_be_set():
    paper = dataclasses.asdict(rqvae.parse(recipes.get("tiger").presets["paper"].rqvae))
    assert {option: paper[option] for option in TIGERS_RQVAE} == TIGERS_RQVAE
    tiger = recipes.get("tiger")
    own = recipes.configure(tiger, "tiny", {"rqvae": "hidden=16x8,rate=0.01", "levels": "2"})
    assert tiger_quantiser(own) == (2, (16, 8), 0.01)
    for bad, message in (
        ("colour=red", "rqvae: no option 'colour'"),
        ("levels=3", "rqvae: levels is an option of the system itself"),
        ("steps", "rqvae: option steps expects int"),
    ):
        with pytest.raises(records.DataError, match=message):
            recipes.configure(tiger, "tiny", {"rqvae": bad})


def tiger_quantiser(config):
    training = rqvae.parse(config.rqvae)
    return config.levels, training.hidden, training.rate


@every_recipe
def test_every_size_exists_and_has_a_description(name):
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
def test_unknown_and_invalid_options_are_refused(name):
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


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(
        records.DataError, match="no recipe 'dsl'; expected one of: " + ", ".join(recipes.names())
    ):
        recipes.get("dsl")
