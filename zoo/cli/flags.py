"""Flags that several commands share, and the parser class of all of them."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from zoo import records

BAD_INPUT = 2  # exit code
Run = Callable[[argparse.Namespace], None]
Name = TypeVar("Name", str, None)  # of data


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


def data(parser: Parser, *, required: bool = True) -> None:
    parser.add_argument(
        "--data",
        required=required,
        metavar="NAME|PATH",
        help="a name of `zoo data list`, ir:NAME of ir_datasets, or a path: a folder in the BEIR "
        "layout, a log of events, a TFDS dataset",
    )
    columns(parser)


def columns(parser: Parser) -> None:
    """`--columns`; `with_columns` makes it a part of the name of the data."""
    parser.add_argument(
        "--columns",
        metavar="user=NAME,item=NAME,time=NAME",
        help="columns of a log whose names are unusual; numbers if it has no header, time= if it "
        "has no time",
    )


def fitted_data(parser: Parser) -> None:
    parser.add_argument(
        "--data",
        metavar="NAME|PATH",
        help="the collection that the system was fitted to (default: where it was then)",
    )
    columns(parser)


def with_columns(name: Name, columns: str | None) -> Name:
    """The name of the data, with its columns as `zoo.data.load` reads them.

    Raises DataError for columns that are no roles, or without data.
    """
    from zoo.data import load

    if columns is None:
        return name
    if name is None:
        raise records.DataError("--columns names columns of --data; name the data too")
    return load.with_columns(name, columns)


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
