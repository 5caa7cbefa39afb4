"""Options: a config validates itself, the most derived limits win, and every option has help."""

import dataclasses
import math

import pytest

import zoo
from zoo import options, recipes, records
from zoo.data import toy
from zoo.models import query_generator
from zoo.recipes import dsi_qg
from zoo.schemes import quantisers, rqvae
from zoo.train import execution


@dataclasses.dataclass(frozen=True)
class Config(options.Writing, options.Reading, options.Answering):
    codes: int = options.option(32, "codes per level", limits=(2, math.inf))
    dropout: float = 0.1
    encoder_layers: int = options.option(0, limits=(0, 3))
    flavour: str = options.option("plain", "how it tastes", one_of=("plain", "rich"))
    generated: int = options.option(4, "made queries")
    widths: tuple[int, ...] = options.option((3, 2), "widths", limits=options.SIZE)

    SYSTEM = "mine"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"codes": 1}, "mine: option codes expects 2 or more, got 1"),
        ({"encoder_layers": 4}, "mine: option encoder_layers expects 0 to 3, got 4"),
        ({"batch": 0}, "mine: option batch expects 1 to 1,048,576, got 0"),
        ({"generated_share": 1.5}, "mine: option generated_share expects 0 to 1, got 1.5"),
        ({"rate": math.nan}, "mine: option rate expects 0 or more, got nan"),
        ({"rate": math.inf}, "mine: option rate expects 0 or more, got inf"),
        ({"widths": (4, 0)}, "mine: option widths expects 1 or more, got 0"),
        ({"flavour": "sour"}, "mine: option flavour expects one of plain, rich, got 'sour'"),
        ({"decoding": "guess"}, "mine: option decoding expects one of trie, .*, got 'guess'"),
    ],
)
def test_a_config_refuses_meaningless_values(given, message):
    with pytest.raises(records.DataError, match=message):
        Config(**given)


def test_the_most_derived_default_help_and_limits_win():
    described = {each.name: each for each in options.describe(Config)}
    base = {each.name: each for each in options.describe(options.Writing)}
    assert described["dropout"] == base["dropout"]._replace(default=0.1)
    assert described["encoder_layers"] == base["encoder_layers"]._replace(limits=(0, 3))
    assert described["generated"].about == "made queries"
    assert described["generated"].limits == options.COUNT
    assert {each.name: each.default for each in options.describe(Config(codes=7))}["codes"] == 7
    with pytest.raises(
        records.DataError, match="dsi-qg: option document_length expects 2 or more, got 1"
    ):
        dsi_qg.Config(document_length=1)


@pytest.mark.parametrize(
    ("name", "accepts"),
    [
        ("codes", "2 or more"),
        ("encoder_layers", "0 to 3"),
        ("smoothing", "0 to 0.99"),
        ("flavour", "one of plain, rich"),
        ("stem", ""),
    ],
)
def test_accepted_values_are_described_in_words(name, accepts):
    (found,) = [each for each in options.describe(Config) if each.name == name]
    assert found.accepts == accepts


def configs():
    systems = [recipes.get(name).presets["small"] for name in recipes.names()]
    return [*systems, query_generator.Config(), rqvae.Config(), quantisers.Config()]


def without_help(config):
    return [each.name for each in options.describe(config) if not each.about]


def test_every_option_has_help():
    for config in configs():
        assert without_help(config) == [], type(config)


def test_every_flag_of_execution_has_help():
    for field in dataclasses.fields(execution.Execution):
        assert field.metadata["about"], field.name


def test_an_option_without_help_is_found():
    @dataclasses.dataclass(frozen=True)
    class Silent(options.Answering):
        beam: int = 3
        mystery: float = 0.5

    assert without_help(Silent()) == ["mystery"]


def test_dsi_qg_without_generated_queries_is_refused():
    with pytest.raises(
        records.DataError,
        match="dsi-qg: learns from generated queries, got generated=0; raise it, or use dsi",
    ):
        zoo.fit("dsi-qg", toy.build(20), size="tiny", options={"generated": 0}, quiet=True)


def test_own_options_are_listed_first():
    recipe = recipes.Recipe("mine", "", {"small": Config()}, None, None, ())
    names = recipes.option_names(recipe)
    assert names[:3] == ["codes", "flavour", "widths"] and set(names) == {
        field.name for field in dataclasses.fields(Config)
    }
