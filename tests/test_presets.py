"""Presets and options of every recipe are valid and read back; others are refused."""

import dataclasses
import json

import pytest

from zoo import recipes, records

every_recipe = pytest.mark.parametrize("name", recipes.names())


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
