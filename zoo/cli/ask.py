"""The command `zoo retrieve`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from zoo import records
from zoo.api import answer, fitted as stored, inputs
from zoo.cli import flags
from zoo.report import answers


def retrieve_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "retrieve",
        "ask a fitted system",
        'zoo retrieve runs/dsi --query "join two paths" -k 5',
        retrieve,
    )
    flags.folder(added)
    asked = added.add_mutually_exclusive_group(required=True)
    asked.add_argument("--query", metavar="TEXT", help="one query")
    asked.add_argument("--queries", metavar="FILE.jsonl", help='lines {"_id": ..., "text": ...}')
    asked.add_argument(
        "--history",
        metavar="ITEM,ITEM,...",
        help="item ids, oldest first, for a recommender; ids with commas in quotes, as in CSV",
    )
    asked.add_argument(
        "--user", metavar="ID", help="a user of the data; all of their events are the history"
    )
    asked.add_argument(
        "--histories",
        "--history-file",
        metavar="FILE.jsonl",
        help='a list of item ids per line, or {"user": ..., "items": [...]}',
    )
    flags.fitted_data(added)
    added.add_argument("-k", type=int, default=10, help="answers per query (default: 10)")
    flags.answering(added)
    added.add_argument(
        "--run", dest="run_file", metavar="FILE.trec", help="write a TREC run instead of printing"
    )


def retrieve(parsed: argparse.Namespace) -> None:
    """Answers queries or a history; prints the answers or writes them as a TREC run."""
    from zoo.data import files, histories, streams, trec

    flags.refuse_unwritable(parsed.run_file)
    if parsed.data is not None and parsed.user is None:
        raise records.DataError("retrieve: --data is where --user is looked up; name a user")
    queries = files.read_queries(parsed.queries) if parsed.queries is not None else parsed.query
    fitted = load(parsed)
    if parsed.history is not None:
        queries = records.Histories.of(fitted.documents, histories.parse_ids(parsed.history))
    if parsed.histories is not None:
        queries, users = histories.read_asked(parsed.histories, fitted.documents)
        _say_unknown(fitted, users)
    if parsed.user is not None:
        queries = inputs.history_of(fitted, parsed.folder, parsed.data, parsed.user)
        _say_unknown(fitted, [parsed.user])
    queries = inputs.as_queries(fitted, queries)
    if parsed.run_file:
        trec.refuse_ids(parsed.run_file, fitted.name, queries.ids, fitted.documents.ids)
    ranking = answer.retrieve(fitted, queries, parsed.k)
    if parsed.run_file:
        said = sys.stderr if streams.is_stdout(parsed.run_file) else sys.stdout
        trec.write(ranking, parsed.run_file, tag=fitted.name)
        print(f"{parsed.run_file}: answers to {len(ranking)} queries", file=said)
        return
    asked = queries.texts if isinstance(queries, records.Queries) else queries.ids
    if parsed.history is not None:
        asked = (parsed.history,)
    rows = fitted.documents.rows()
    for number, query in enumerate(asked):
        lines = answers.format_answers(fitted, rows, ranking.answers(number))
        print(("\n" if number else "") + records.printable(query))
        print("\n".join(lines) or "  no answer")


def _say_unknown(fitted: stored.Fitted, users: Sequence[str]) -> None:
    """Prints which of the users are not among those that the system learned from."""
    if unknown := stored.unknown_users(fitted, users):
        shown = ", ".join(unknown[:3]) + (", ..." if len(unknown) > 3 else "")
        print(
            f"zoo: {len(unknown)} of {len(users)} users are not among those that the system "
            f"learned from ({records.printable(shown)}); only their histories are used",
            file=sys.stderr,
        )


def load(parsed: argparse.Namespace) -> stored.Fitted:
    """The system of a folder, with the options of `--set`."""
    return answer.with_options(stored.load(parsed.folder), flags.options_of(parsed))
