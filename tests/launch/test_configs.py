"""The gin files: they parse, names, arguments and includes exist, and sizes equal the presets.

gin's parser reads them statement by statement; nothing of t5x is imported.
"""

import dataclasses
import importlib
import inspect
import pathlib
import re

import pytest
from gin import config_parser

from zoo import recipes
from zoo.launch import module, tasks
from zoo.models import generate
from zoo.nets import transformer

ROOT = pathlib.Path(__file__).parents[2]
FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "configs").rglob("*.gin"))
EXPERIMENTS = [name for name in FILES if name.count("/") == 1]
RUNS_OF_T5X = {f"t5x/configs/runs/{name}.gin" for name in ("pretrain", "finetune", "eval", "infer")}
EXTERNAL = {"__gin__", "__main__", "seqio", "optax", "t5x"}  # allowed imports besides ours


class Reference(str):
    """@scope/name or @scope/name()."""


class Macro(str):
    """%NAME."""


class Delegate(config_parser.ParserDelegate):
    def configurable_reference(self, scoped_configurable_name, evaluate):
        return Reference(scoped_configurable_name)

    def macro(self, macro_name):
        return Macro(macro_name)


def statements(text, seen=()):
    """(imports, includes, bindings (selector, argument, value)) of one gin file's text."""
    imports, includes, bindings = {}, [], []
    for one in config_parser.ConfigParser(text, Delegate()):
        if isinstance(one, config_parser.ImportStatement):
            imports[one.bound_name().split(".")[0] if not one.alias else one.alias] = one.module
        elif isinstance(one, config_parser.IncludeStatement):
            includes.append(one.filename)
        elif isinstance(one, config_parser.BindingStatement):
            bindings.append(
                ("/".join(filter(None, (one.scope, one.selector))), one.arg_name, one.value)
            )
    return imports, includes, bindings


def inside(value):
    """All references and macros in a value."""
    if isinstance(value, (Reference, Macro)):
        return [value]
    return (
        [found for part in value for found in inside(part)]
        if isinstance(value, (list, tuple))
        else []
    )


def arguments_of(function):
    """Names valid in bindings, including the sizes of `module.shape`."""
    named = {
        name
        for name, kind in inspect.signature(function).parameters.items()
        if kind.kind is not inspect.Parameter.VAR_KEYWORD
    }
    return named | (
        {field.name for field in dataclasses.fields(transformer.Shape)}
        if function is module.shape
        else set()
    )


def check(text):
    """Raises AssertionError for a name, an argument or an include that does not exist."""
    imports, includes, bindings = statements(text)
    for include in includes:
        assert (ROOT / include).is_file() or include in RUNS_OF_T5X, (
            f"include {include!r}: no such file"
        )
    for module_name in imports.values():
        root = module_name.split(".")[0]
        assert root in EXTERNAL or root == "zoo", (
            f"import {module_name}: neither ours nor one of {sorted(EXTERNAL)}"
        )
        if root == "zoo":
            importlib.import_module(module_name)
    selectors = [
        (selector, argument)
        for selector, argument, _ in bindings
        if argument and argument != "gin.REQUIRED"
    ]
    for _, _, value in bindings:
        selectors += [
            (reference.split("/")[-1], None)
            for reference in inside(value)
            if isinstance(reference, Reference)
        ]
    for selector, argument in selectors:
        head, *rest = selector.split("/")[-1].split(".")
        assert head in imports, f"{selector}: its file does not import {head}"
        if imports[head].split(".")[0] != "zoo":
            continue
        found = importlib.import_module(imports[head])
        for name in rest:
            assert hasattr(found, name), f"{selector}: {imports[head]} has no {name}"
            found = getattr(found, name)
        if argument:
            assert argument in arguments_of(found), (
                f"{selector}.{argument}: it takes {sorted(arguments_of(found))}"
            )


@pytest.mark.parametrize("name", FILES)
def test_a_file_refers_to_existing_names(name):
    text = (ROOT / name).read_text()
    assert "from __gin__ import dynamic_registration" in text
    check(text)


HEAD = "from __gin__ import dynamic_registration\nfrom zoo.launch import tasks\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    (
        (HEAD + "tasks.mixture.folders = 'x'", "it takes"),
        (HEAD + "X = @tasks.mixtures()", "has no mixtures"),
        ("X = @tasks.mixture()", "does not import tasks"),
        ("include 'configs/models/none.gin'", "no such file"),
        ("include 't5x/configs/runs/pretrian.gin'", "no such file"),
        ("from tensorflow import data", "neither ours"),
    ),
)
def test_missing_names_are_found(text, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check(text)


def macros(name, seen=None):
    """(NAME -> value of an experiment, bindings of the shape); later values win, like in gin."""
    values, sizes = {}, {}
    if not (ROOT / name).is_file():
        return values, sizes
    imports, includes, bindings = statements((ROOT / name).read_text())
    for include in includes:  # includes precede the bindings in every file
        for mine, theirs in zip((values, sizes), macros(include)):
            mine.update(theirs)
    for selector, argument, value in bindings:
        if not argument:
            values[selector] = value
        elif selector == "module.shape":
            sizes[argument] = value
    return values, sizes


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_has_the_sizes_of_its_preset_and_is_short(name):
    recipe, size = re.fullmatch(r"configs/(\w+)_(small|base)\.gin", name).groups()
    preset = recipes.get(recipe).presets[size]
    values, sizes = macros(name)
    assert {field: sizes[field] for field in sizes if field not in ("folder", "dropout")} == {
        field: getattr(preset, field)
        for field in (
            "width",
            "heads",
            "head_width",
            "encoder_hidden",
            "decoder_hidden",
            "encoder_layers",
            "decoder_layers",
            "dtype",
        )
    }
    assert sizes["dropout"] == "DROPOUT_RATE"
    expected = {  # no smoothing over the heads of positions, see zoo.exchange.transfer
        "DROPOUT_RATE": preset.dropout,
        "BATCH_SIZE": preset.batch,
        "BEAM": preset.beam or generate.WIDE,
        "LABEL_SMOOTHING": preset.smoothing if recipe == "dsi" else 0.0,
        "WORD_DROPOUT": preset.word_dropout,
    }
    assert {macro: values[macro] for macro in expected} == expected
    if "LEARNING_RATE" in values:
        assert (values["LEARNING_RATE"], values["WARMUP_STEPS"], values["WEIGHT_DECAY"]) == (
            preset.rate,
            preset.warmup,
            preset.weight_decay,
        )
    lines = (ROOT / name).read_text().splitlines()
    assert 10 <= len(lines) <= 25 and f"--gin_file={name}" in "\n".join(lines), "says how it is run"


def test_every_system_that_is_exported_has_its_experiments():
    able = [name for name in recipes.names() if recipes.get(name).examples is not None]
    assert EXPERIMENTS == sorted(
        f"configs/{name}_{size}.gin" for name in able for size in ("base", "small")
    )


def test_every_dataset_is_unpacked():
    """Every `DatasetConfig` of t5x's runs has pack = False: the network refuses packed examples."""
    values = {}
    for selector, argument, value in statements((ROOT / "configs/runs/train.gin").read_text())[2]:
        if argument == "pack":
            values[selector] = value
    assert values == {
        f"{scope}/utils.DatasetConfig": False for scope in ("train", "train_eval", "infer_eval")
    }


def test_tasks_can_be_read_without_seqio():
    assert tasks.CUTS[0] == 1  # the import above works without it
    assert "seqio" not in vars(tasks)
