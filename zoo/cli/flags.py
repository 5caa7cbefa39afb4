"""Flags that several commands share, and the parser class of all of them."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from typing import Any, NoReturn

from zoo import records

BAD_INPUT = 2  # exit code
Run = Callable[[argparse.Namespace], None]


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def command(
    commands: Any,
    name: str,
    about: str,
    example: str,
    run: Run,
    *,
    help_action: type[argparse.Action] | None = None,
) -> Parser:
    """Adds a command to `commands` (the result of `add_subparsers`); `run` executes it.

    help_action: what `--help` does, by default argparse's.
    """
    added = commands.add_parser(
        name,
        help=about,
        description=about,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=help_action is None,
    )
    if help_action is not None:
        added.add_argument("-h", "--help", action=help_action)
    added.set_defaults(run=run)
    return added


def group(commands: Any, name: str, about: str) -> Any:
    """Adds a group of commands, such as `zoo data`; returns what `command` takes."""
    return commands.add_parser(name, help=about, description=about).add_subparsers(
        required=True, metavar="COMMAND"
    )


def data(parser: Parser) -> None:
    parser.add_argument(
        "--data",
        required=True,
        metavar="NAME|PATH",
        help="a name of `zoo data list`, or a path: a folder in the BEIR layout, a log of events, "
        "a TFDS dataset",
    )


def fitted_data(parser: Parser) -> None:
    parser.add_argument(
        "--data",
        metavar="NAME|PATH",
        help="the collection that the system was fitted to (default: where it was then)",
    )


def folder(parser: Parser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a folder that `zoo fit --out` wrote")


def out(parser: Parser, about: str = "a new folder") -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help=about)


def seed(parser: Parser) -> None:
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")


def settings(parser: Parser, about: str) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=about)


def answering(parser: Parser) -> None:
    settings(
        parser, "change an option that is read when answering (beam, temperature, ...); repeatable"
    )


def split(parser: Parser) -> None:
    parser.add_argument(
        "--split", default="test", help="split to evaluate, qrels/SPLIT.tsv (default: test)"
    )


def options_of(parsed: argparse.Namespace) -> dict[str, str]:
    """The options of `--set`. Raises DataError for one without an equals sign."""
    options = {}
    for text in parsed.set:
        key, equals, value = text.partition("=")
        if not equals:
            raise records.DataError(
                f"--set expects key=value, got {text!r}; `zoo list --options` lists the keys"
            )
        options[key] = value
    return options


def refuse_unwritable(*paths: str | None) -> None:
    """Raises DataError for a path that no file can be written to; for a check before long work."""
    for path in filter(None, paths):
        parent = pathlib.Path(path).parent
        if not parent.is_dir():
            raise records.DataError(
                f"{path}: expected the folder {parent} to exist; create it or name another place"
            )
        if pathlib.Path(path).is_dir():
            raise records.DataError(
                f"{path}: expected the name of a file, got a folder; add a file name"
            )
