"""Options that systems share: a config checks itself, the nearest limits count, and a system's own options are listed first."""

import dataclasses
import math

import pytest

import zoo
from zoo import options, recipes, records
from zoo.data import toy
from zoo.recipes import dsi_qg


@dataclasses.dataclass(frozen=True)
class Config(options.Writing, options.Reading, options.Answering):
    codes: int = 32
    dropout: float = 0.1
    flavour: str = "plain"

    SYSTEM = "mine"
    ONE_OF = {"flavour": ("plain", "rich")}
    LIMITS = {"codes": (2, math.inf), "encoder_layers": (0, 3)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"codes": 1}, "mine: option codes expects 2 to inf, got 1"),
        ({"encoder_layers": 4}, "mine: option encoder_layers expects 0 to 3, got 4"),
        ({"batch": 0}, "mine: option batch expects 1 to inf, got 0"),
        ({"generated_share": 1.5}, "mine: option generated_share expects 0.0 to 1.0, got 1.5"),
        ({"rate": math.nan}, "mine: option rate expects 0.0 to inf, got nan"),
        ({"flavour": "sour"}, "mine: option flavour expects one of plain, rich, got 'sour'"),
        ({"decoding": "guess"}, "mine: option decoding expects one of trie, .*, got 'guess'"),
    ],
)
def test_a_config_refuses_what_means_nothing(given, message):
    with pytest.raises(records.DataError, match=message):
        Config(**given)


def test_own_defaults_and_wider_limits_count():
    assert (Config().dropout, Config(encoder_layers=0).encoder_layers) == (0.1, 0)
    with pytest.raises(
        records.DataError, match="dsi-qg: option document_length expects 2 to inf, got 1"
    ):
        dsi_qg.Config(document_length=1)


def test_dsi_qg_without_generated_queries_is_refused():
    with pytest.raises(
        records.DataError,
        match="dsi-qg: learns from generated queries, got generated=0; raise it, or use dsi",
    ):
        zoo.fit("dsi-qg", toy.build(20), size="tiny", options={"generated": 0}, quiet=True)


def test_own_options_are_listed_first():
    recipe = recipes.Recipe("mine", "", {"small": Config()}, None, None, ())
    names = recipes.option_names(recipe)
    assert names[:2] == ["codes", "flavour"] and set(names) == {
        field.name for field in dataclasses.fields(Config)
    }
