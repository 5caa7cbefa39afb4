"""What `zoo data`, `zoo docids` and `zoo queries` do with their arguments."""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping

from zoo import records


def data_list(parsed: argparse.Namespace) -> None:
    """Prints names, contents and licences of collections."""
    from zoo.data import catalog

    for name, entry in catalog.CATALOG.items():
        print(
            f"{name:<13} {entry.description} [{entry.splits}]\n{'':<13} {entry.licence}; {entry.address or 'made on this machine'}"
        )


def data_get(parsed: argparse.Namespace) -> None:
    """Writes a collection as a folder."""
    from zoo.data import atomic, files, load

    atomic.refuse_occupied(parsed.out)
    collection = load.load(parsed.name)
    if isinstance(collection, records.Interactions):
        print(_written(collection, parsed.out))
        return
    files.write_beir(collection, parsed.out)
    splits = ", ".join(f"{len(qrels)} {split}" for split, qrels in collection.qrels.items())
    print(f"{parsed.out}: {len(collection.corpus)} documents; queries: {splits}")


def data_prepare(parsed: argparse.Namespace) -> None:
    """Writes a collection as a TFDS dataset."""
    from zoo.data import catalog, tfds

    folder = tfds.prepare(parsed.name, parsed.out, file_format=parsed.format, beam=parsed.beam)
    print(
        f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.name[0] != '.'))}; zoo fit ... --data {folder}"
    )
    if parsed.name in catalog.CATALOG:
        print(f"licence: {catalog.CATALOG[parsed.name].licence}")


def data_cold(parsed: argparse.Namespace) -> None:
    """Writes interactions in which some of the items to be predicted are new."""
    from zoo.data import atomic, cold, load

    atomic.refuse_occupied(parsed.out)
    collection = load.load(parsed.name)
    if not isinstance(collection, records.Interactions):
        raise records.DataError(
            f"{parsed.name}: has queries, and cold items are for data with histories; name data with interactions.csv"
        )
    hidden = cold.hide(collection, parsed.share, parsed.seed)
    print(f"{_written(hidden, parsed.out)}; {hidden.left_out - collection.left_out} users left out")


def docids_fit(parsed: argparse.Namespace, options: Mapping[str, str]) -> None:
    """Makes identifiers of documents or vectors; options of rqvae."""
    from zoo.data import categories, load, npy
    from zoo.schemes import codes, folder, rqvae
    from zoo.text import embed
    from zoo.train import log as logs

    training = rqvae.configured(options)
    config = codes.Config(parsed.kind, parsed.levels, parsed.codes, parsed.collisions, training)
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
    error = codes.relative_error(state, vectors)
    print(
        codes.report(state)
        + ("" if error is None else f"\nrelative error {error:.3f}")
        + f"\n{parsed.out}: {config.kind} identifiers"
    )


def docids_stats(parsed: argparse.Namespace) -> None:
    """Prints how well codes are used, and draws their tree."""
    from zoo.schemes import codes, folder as folder_

    state, about = folder_.load(parsed.folder)
    error = about["relative_error"]
    print(
        f"{about['kind']}, collisions by {about['collisions']}"
        + ("" if error is None else f", relative error {error:.3f}")
    )
    print(codes.report(state))
    kept = pathlib.Path(parsed.folder) / folder_.LABELS
    if parsed.categories or kept.exists():
        from zoo.report import plots

        labels = folder_.read_labels(parsed.categories or kept, len(state["codes"]))
        print(
            plots.code_tree(
                state["codes"], labels, parsed.plot or pathlib.Path(parsed.folder) / "codes.png"
            )
        )


def queries_generate(parsed: argparse.Namespace, options: dict[str, str]) -> None:
    """Trains a generator and writes its queries."""
    from zoo.data import load
    from zoo.models import query_generator, warm_start

    given = {"top_k": parsed.top_k, "top_p": parsed.top_p, "temperature": parsed.temperature}
    options |= {name: value for name, value in given.items() if value is not None}
    start = None if parsed.init_from is None else warm_start.of_weights(parsed.init_from)
    collection = load.load(parsed.data)
    if isinstance(collection, records.Interactions):
        raise records.DataError(
            f"{parsed.data}: has histories, and queries are for documents; name data with corpus.jsonl"
        )
    made = query_generator.write(
        collection, parsed.out, count=parsed.count, options=options, seed=parsed.seed, start=start
    )
    print(f"{parsed.out}: {len(made.queries)} queries for {len(made.corpus)} documents")


def _written(collection: records.Interactions, out: str) -> str:
    from zoo.data import histories

    histories.write(collection, out)
    return f"{out}: {len(collection.corpus)} items, {len(collection.histories)} users, {len(collection.histories.items)} events"
