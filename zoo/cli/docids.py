"""The commands `zoo docids fit` and `zoo docids stats`."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from zoo.cli import flags, help as help_


class _Help(help_.ConfigHelp):
    def config(self) -> Any:
        from zoo.schemes import rqvae

        return rqvae.Config()


def fit_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "fit",
        "make identifiers of documents or vectors; if interrupted, repeat the command to resume",
        "zoo docids fit rqvae --data pydocs --out runs/codes",
        fit,
        help_action=_Help,
    )
    added.add_argument("kind", metavar="KIND", help="rqvae, rqkmeans, pq, lsh, random or atomic")
    source = added.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--data", metavar="NAME|PATH", help="documents: a name of `zoo data list`, or a folder"
    )
    source.add_argument("--vectors", metavar="FILE.npy", help="vectors, floats [N, D]")
    added.add_argument(
        "--embed",
        default="tfidf",
        choices=("tfidf", "minilm"),
        help="vectors of documents (default: tfidf)",
    )
    added.add_argument("--levels", type=int, default=3, help="codes per identifier (default: 3)")
    added.add_argument("--codes", type=int, default=256, help="codes per level (default: 256)")
    added.add_argument(
        "--collisions",
        default="counter",
        choices=("counter", "sinkhorn", "refuse"),
        help="what happens to documents with equal codes (default: counter)",
    )
    flags.settings(added, "change an option of rqvae; repeatable")
    flags.seed(added)
    flags.out(added, "a new folder, or the folder of the same command, interrupted")


def fit(parsed: argparse.Namespace) -> None:
    """Makes identifiers of documents or of vectors."""
    from zoo.data import categories, load, npy
    from zoo.schemes import codes, folder, quantisers, rqvae
    from zoo.text import embed
    from zoo.train import log as logs

    training = rqvae.configured(flags.options_of(parsed))
    config = quantisers.Config(
        parsed.kind, parsed.levels, parsed.codes, parsed.collisions, training
    )
    if parsed.vectors is not None:
        vectors = npy.read_vectors(parsed.vectors)
        names, labels = [str(row) for row in range(len(vectors))], ()
    else:
        corpus = load.load(parsed.data).corpus
        names, vectors, labels = (
            corpus.ids,
            embed.embed(corpus, parsed.embed, logs.Log()),
            categories.of(corpus)[0],
        )
    state = folder.make(names, vectors, config, parsed.out, seed=parsed.seed, labels=labels)
    error = quantisers.relative_error(state, vectors, state["codes"])
    print(codes.report(state))
    if error is not None:
        print(f"relative error {error:.3f}")
    print(f"{parsed.out}: {config.kind} identifiers")


def stats_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "stats",
        "how well codes are used, and a plot of their tree",
        "zoo docids stats runs/codes --plot codes.png",
        stats,
    )
    added.add_argument("folder", metavar="DIR", help="a folder that `zoo docids fit` wrote")
    added.add_argument(
        "--categories",
        metavar="FILE",
        help="a category per line, in the order of the documents, for the plot's colours "
        "(default: read from the documents)",
    )
    added.add_argument("--plot", metavar="FILE.png", help="the plot (default: DIR/codes.png)")


def stats(parsed: argparse.Namespace) -> None:
    """Prints how well codes are used, and plots their tree."""
    from zoo.schemes import codes, folder as folders

    state, about = folders.load(parsed.folder)
    error = about["relative_error"]
    measured = "" if error is None else f", relative error {error:.3f}"
    print(f"{about['kind']}, collisions by {about['collisions']}{measured}")
    print(codes.report(state))
    kept = pathlib.Path(parsed.folder) / folders.LABELS
    if parsed.categories or kept.exists():
        from zoo.report import code_tree

        labels = folders.read_labels(parsed.categories or kept, len(state["codes"]))
        plot = parsed.plot or pathlib.Path(parsed.folder) / "codes.png"
        print(code_tree.code_tree(state["codes"], labels, plot))
