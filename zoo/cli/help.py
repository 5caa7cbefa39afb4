"""Options as text, for `zoo list --options` and `--help`."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoo import options as options_, recipes

WIDTH = 96  # columns


class SystemHelp(argparse.Action):
    """`--help` of a command with a RECIPE: after a name, the options of that system follow."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        about = "show this help; after a RECIPE, its options too"
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help=about)

    def __call__(self, parser, namespace, values, option_string=None):
        print(parser.format_help())
        if (name := namespace.recipe) in recipes.names():
            recipe = recipes.get(name)
            print(f"options of {name}, for --set KEY=VALUE:")
            print("\n".join(recipe_options(recipe)))
        parser.exit()


class ConfigHelp(argparse.Action):
    """`--help` of a command whose `--set` takes the options of one config."""

    def __init__(self, option_strings: Sequence[str], dest: str, **settings: Any) -> None:
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0, help="show this help")

    def config(self) -> Any:
        """The config; a method, so that a module is imported only if help is asked for."""
        raise NotImplementedError

    def __call__(self, parser, namespace, values, option_string=None):
        print(parser.format_help())
        print("options for --set KEY=VALUE:")
        for each in options_.describe(self.config()):
            print("\n".join(_option(each, by_size({"": each.default}))))
        parser.exit()


def recipe_options(recipe: recipes.Recipe) -> Iterator[str]:
    """Lines on every option of a system: name, type, values, help, and the value in each size."""
    for each, sizes in recipes.options_of(recipe):
        yield from _option(each, by_size(sizes))


def by_size(sizes: Mapping[str, Any]) -> str:
    """The values of an option in words: "default: 4", or "tiny: 2, small: 4, ..."."""
    if len({repr(each) for each in sizes.values()}) == 1:
        return f"default: {value(next(iter(sizes.values())))}"
    return ", ".join(f"{size}: {value(each)}" for size, each in sizes.items())


def value(of: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(of, tuple):
        return ",".join(map(str, of))
    return str(of).lower() if isinstance(of, bool) else str(of)


def _option(each: options_.Option, values: str) -> list[str]:
    kind = f"{each.kind}, {each.accepts}" if each.accepts else each.kind
    wrapped = {"width": WIDTH, "subsequent_indent": "      ", "break_on_hyphens": False}
    head = textwrap.wrap(f"  {each.name} ({kind})", **wrapped)
    about = textwrap.wrap(f"{each.about}. {values}", initial_indent="      ", **wrapped)
    return head + about
