"""The commands `zoo data list`, `get`, `prepare` and `cold`."""

from __future__ import annotations

import argparse
from typing import Any

from zoo import records
from zoo.cli import flags


def list_command(commands: Any) -> None:
    flags.command(
        commands, "list", "names, contents, licences and addresses", "zoo data list", list_names
    )


def list_names(parsed: argparse.Namespace) -> None:
    """Prints names, contents and licences of collections."""
    from zoo.data import catalog

    for name, entry in catalog.CATALOG.items():
        print(
            f"{name:<13} {entry.description} [{entry.splits}]\n{'':<13} {entry.licence}; {entry.address or 'made on this machine'}"
        )


def get_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "get",
        "write a collection as a folder in the BEIR layout",
        "zoo data get pydocs --out pydocs",
        get,
    )
    added.add_argument("name", metavar="NAME", help="a name of `zoo data list`")
    flags.out(added)


def get(parsed: argparse.Namespace) -> None:
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


def prepare_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "prepare",
        "write a collection as a TFDS dataset, which --data takes too",
        "zoo data prepare ml-100k --out tfds",
        prepare,
    )
    added.add_argument("name", metavar="NAME|PATH", help="the collection")
    flags.out(added, "TFDS's data_dir; the dataset is a new folder in it")
    added.add_argument(
        "--format",
        default="array_record",
        choices=("array_record", "tfrecord"),
        help="file format (default: array_record); tfrecord, for t5x, needs TensorFlow",
    )
    added.add_argument(
        "--beam",
        nargs="?",
        const="",
        metavar="OPTIONS",
        help="build the corpus of a folder with Apache Beam; its options are one word: "
        '--beam="--runner=..."',
    )


def prepare(parsed: argparse.Namespace) -> None:
    """Writes a collection as a TFDS dataset."""
    from zoo.data import catalog, tfds

    folder = tfds.prepare(parsed.name, parsed.out, file_format=parsed.format, beam=parsed.beam)
    print(
        f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.name[0] != '.'))}; zoo fit ... --data {folder}"
    )
    if parsed.name in catalog.CATALOG:
        print(f"licence: {catalog.CATALOG[parsed.name].licence}")


def cold_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "cold",
        "write interactions in which some of the target items are new",
        "zoo data cold ml-100k --out ml-100k-cold",
        cold,
    )
    added.add_argument("name", metavar="NAME|PATH", help="the collection")
    added.add_argument(
        "--share",
        type=float,
        default=0.05,
        help="fraction of the test split's target items (default: 0.05)",
    )
    flags.seed(added)
    flags.out(added)


def cold(parsed: argparse.Namespace) -> None:
    """Writes interactions in which some of the items to be predicted are new."""
    from zoo.data import atomic, cold as cold_items, load

    atomic.refuse_occupied(parsed.out)
    collection = load.load(parsed.name)
    if not isinstance(collection, records.Interactions):
        raise records.DataError(
            f"{parsed.name}: has queries, and cold items are for data with histories; name data with interactions.csv"
        )
    hidden = cold_items.hide(collection, parsed.share, parsed.seed)
    print(f"{_written(hidden, parsed.out)}; {hidden.left_out - collection.left_out} users left out")


def _written(collection: records.Interactions, out: str) -> str:
    from zoo.data import histories

    histories.write(collection, out)
    return f"{out}: {len(collection.corpus)} items, {len(collection.histories)} users, {len(collection.histories.items)} events"
