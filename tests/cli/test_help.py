"""Help: every command has an example, and every option of every system is listed."""

import shlex

import pytest

import zoo
from zoo import recipes
from zoo.cli import main, parser


@pytest.fixture
def zoo_command(capsys):
    """Runs a command; returns its exit code, stdout and stderr."""

    def command(*arguments):
        try:
            code = main.main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = stopped.code
        return code, *capsys.readouterr()

    return command


COMMANDS = (
    *("list", "data list", "data get", "data prepare", "data cold", "docids fit"),
    *("docids stats", "docids report"),
    *("queries generate", "fit", "add", "retrieve", "evaluate", "compare", "report", "export"),
    *("import", "serve", "demo", "dynamic"),
)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_that_parses(name, zoo_command):
    code, out, err = zoo_command(*name.split(), "--help")
    assert code == 0 and err == ""
    (example,) = out.partition("example:\n")[2].partition("\n\n")[0].strip().splitlines()
    assert example.startswith(f"zoo {name}")
    parser.parser().parse_args(shlex.split(example)[1:])


def test_help_names_every_command(zoo_command):
    _, out, _ = zoo_command("--help")
    for name in COMMANDS:
        assert f"    {name.split()[0]} " in out


def test_list_shows_every_recipe_and_option(zoo_command):
    code, out, _ = zoo_command("list", "--options")
    assert code == 0
    for name in recipes.names():
        assert name in out and recipes.get(name).paper in out
    assert "  index_ratio (float, 0 or more)\n" in out
    assert "tiny: 0.3, small: 0.3, base: 0.3, paper: 32.0" in " ".join(out.split())
    assert "optimizer (str, one of adamw, adafactor, adagrad)" in out
    short = zoo_command("list")[1]
    assert "index_ratio" not in short
    assert "dsi (search)\n" in short and "tiger (recommendation)\n" in short


def test_the_version_equals_that_of_the_package(zoo_command):
    assert zoo_command("--version") == (0, f"zoo {zoo.__version__}\n", "")


def test_help_after_a_recipe_lists_its_options(zoo_command):
    code, out, err = zoo_command("fit", "markov", "--help")
    assert code == 0 and err == "" and "example:" in out
    listed = out.partition("options of markov")[2]
    for option in recipes.option_names(recipes.get("markov")):
        assert f"  {option} (" in listed
    assert "default: 1\n" in listed and "1 or more" in listed
    assert "options of" not in zoo_command("fit", "--help")[1]
    assert "options of" not in zoo_command("fit", "markow", "--help")[1]


@pytest.mark.parametrize(
    ("command", "option"), (("docids fit", "commitment"), ("queries generate", "top_p"))
)
def test_help_of_a_command_with_a_config_lists_its_options(command, option, zoo_command):
    code, out, _ = zoo_command(*command.split(), "--help")
    assert code == 0 and f"  {option} (float, " in out.partition("options for --set")[2]
