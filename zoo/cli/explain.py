"""The command `zoo explain`."""

from __future__ import annotations

import argparse
from typing import Any

from zoo.cli import ask, flags

SHOWN = 8  # n-grams of a document


def explain_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "explain",
        "which n-grams found a document, and what each contributed",
        'zoo explain runs/seal --query "join two paths" -k 3',
        explain,
    )
    flags.folder(added)
    added.add_argument("--query", metavar="TEXT", required=True, help="one query")
    added.add_argument("-k", type=int, default=3, help="documents (default: 3)")
    added.add_argument(
        "--ngrams", type=int, default=SHOWN, help=f"n-grams per document (default: {SHOWN})"
    )
    flags.answering(added)


def explain(parsed: argparse.Namespace) -> None:
    """Prints the best documents, each with its n-grams by descending contribution."""
    from zoo.api import explain as explaining

    found = explaining.explain(ask.load(parsed), parsed.query, parsed.k)
    for each in found:
        print(f"{each.document}  {each.score:.2f}  {each.title}".rstrip())
        for one in each.evidence[: parsed.ngrams]:
            repeated = "" if one.weight == 1 else f", weight {one.weight:.2f} for repetition"
            print(
                f"  {one.value:8.2f}  {one.text!r} in its {one.part}, token {one.place}{repeated}"
            )
        rest = each.evidence[parsed.ngrams :]
        if rest:
            print(f"  {sum(one.value for one in rest):8.2f}  {len(rest)} more")
    if not found:
        print("  no answer")
