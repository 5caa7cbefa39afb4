"""The parser of the command line; each command is declared beside the function that runs it."""

from __future__ import annotations

import argparse

import zoo
from zoo.cli import (
    ask,
    compiling,
    data,
    docids,
    docids_report,
    dynamic,
    evaluation,
    exchange,
    explain,
    flags,
    queries,
    serve,
    systems,
)


def parser() -> argparse.ArgumentParser:
    """The parser of every command; what it parses has the function to run in `run`."""
    top = flags.Parser(
        prog="zoo", description="Generative retrieval: fit a system, ask it, evaluate it."
    )
    top.add_argument("--version", action="version", version=f"zoo {zoo.__version__}")
    commands = top.add_subparsers(title="commands", required=True, metavar="COMMAND")
    systems.list_command(commands)
    datasets = flags.group(commands, "data", "collections by name")
    data.list_command(datasets)
    data.get_command(datasets)
    data.prepare_command(datasets)
    data.import_command(datasets)
    data.split_command(datasets)
    data.cold_command(datasets)
    identifiers = flags.group(commands, "docids", "identifiers without a system")
    docids.fit_command(identifiers)
    docids.stats_command(identifiers)
    docids_report.report_command(identifiers)
    generated = flags.group(commands, "queries", "generated queries")
    queries.generate_command(generated)
    systems.fit_command(commands)
    compiling.compile_command(commands)
    systems.add_command(commands)
    systems.remove_command(commands)
    ask.retrieve_command(commands)
    explain.explain_command(commands)
    evaluation.evaluate_command(commands)
    evaluation.compare_command(commands)
    dynamic.dynamic_command(commands)
    serve.serve_command(commands)
    exchange.report_command(commands)
    exchange.export_command(commands)
    exchange.import_command(commands)
    exchange.demo_command(commands)
    return top
