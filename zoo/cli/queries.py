"""The command `zoo queries generate`."""

from __future__ import annotations

import argparse
from typing import Any

from zoo import records
from zoo.cli import flags, help as help_


class _Help(help_.ConfigHelp):
    def config(self) -> Any:
        from zoo.models import query_generator

        return query_generator.Config()


def generate_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "generate",
        "train a generator on the train pairs and write its queries; if interrupted, repeat the "
        "command to resume",
        "zoo queries generate --data pydocs --out runs/queries --count 5",
        generate,
        help_action=_Help,
    )
    flags.data(added)
    added.add_argument(
        "--count", type=int, default=5, help="maximal queries per document (default: 5)"
    )
    added.add_argument(
        "--top-k", type=int, help="sample from this many most likely tokens, 0 = all (default: 10)"
    )
    added.add_argument(
        "--top-p", type=float, help="sample from tokens of this probability mass (default: 1)"
    )
    added.add_argument("--temperature", type=float, help="sampling temperature (default: 1)")
    added.add_argument(
        "--init-from",
        metavar="DIR",
        help="initial T5 weights: a folder with safetensors or a t5x checkpoint, and its tokenizer",
    )
    flags.settings(added, "change an option of training (minutes, steps, ...); repeatable")
    flags.seed(added)
    flags.out(added, "a new folder in the BEIR layout, for --data or --set queries=DIR")


def generate(parsed: argparse.Namespace) -> None:
    """Trains a generator and writes its queries."""
    from zoo.data import load
    from zoo.models import query_folder, warm_start

    flagged = {name: getattr(parsed, name) for name in ("top_k", "top_p", "temperature")}
    options: dict[str, Any] = {
        **flags.options_of(parsed),
        **{name: value for name, value in flagged.items() if value is not None},
    }
    start = None if parsed.init_from is None else warm_start.of_weights(parsed.init_from)
    collection = load.load(parsed.data)
    if isinstance(collection, records.Interactions):
        raise records.DataError(
            f"{parsed.data}: has histories, and queries are generated for documents; "
            "name data with corpus.jsonl"
        )
    written = query_folder.write(
        collection, parsed.out, count=parsed.count, options=options, seed=parsed.seed, start=start
    )
    print(f"{parsed.out}: {len(written.queries)} queries for {len(written.corpus)} documents")
    print(*written.notes, sep="\n")
