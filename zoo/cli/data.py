"""The commands `zoo data list`, `get`, `prepare`, `import`, `split` and `cold`."""

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
        print(f"{name:<13} {entry.description} [{entry.splits}]")
        print(f"{'':<13} {entry.licence}; {entry.address or 'generated on this machine'}")


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
    files = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    print(f"{folder}: {', '.join(files)}; zoo fit ... --data {folder}")
    if parsed.name in catalog.CATALOG:
        print(f"licence: {catalog.CATALOG[parsed.name].licence}")


def import_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "import",
        "write documents or a log of events as a folder that --data takes",
        "zoo data import my-docs --out collection",
        import_files,
    )
    added.add_argument(
        "path",
        metavar="PATH",
        help="a folder of .txt, .md, .rst, .html or .eml files, a mailbox, or one .csv, .tsv, "
        ".jsonl, .json or .parquet file of documents or events",
    )
    flags.out(added)
    added.add_argument(
        "--columns",
        dest="named",
        metavar="ROLE=NAME,...",
        help="columns with unusual names: id, title and text of documents (several texts as a+b), "
        "or user, item and time of events",
    )
    added.add_argument(
        "--encoding", metavar="NAME", help="of text files that are not UTF-8, such as latin-1"
    )


def import_files(parsed: argparse.Namespace) -> None:
    """Writes a folder and prints what was taken for what."""
    from zoo.data import importing

    for line in importing.convert(
        parsed.path, parsed.out, named=parsed.named, encoding=parsed.encoding
    ):
        print(f"{parsed.out}: {line}")


def split_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "split",
        "write interactions with other splits than leave-one-out",
        "zoo data split ml-100k --by time --out ml-100k-time",
        split,
    )
    added.add_argument("name", metavar="NAME|PATH", help="the interactions")
    flags.columns(added)
    added.add_argument(
        "--by",
        required=True,
        metavar="KIND",
        help="leave-one-out, time (two moments for all users) or ratio (of each user's events)",
    )
    for name in ("dev", "test"):
        added.add_argument(
            f"--{name}",
            type=float,
            default=0.1,
            help=f"fraction of events in {name} (default: 0.1)",
        )
    added.add_argument(
        "--ties",
        default="file",
        metavar="ORDER",
        help="order of a user's events of equal time: file, or shuffled by --seed (default: file)",
    )
    flags.seed(added)
    flags.out(added)


def split(parsed: argparse.Namespace) -> None:
    """Writes interactions whose splits are others, and prints what they ask."""
    from zoo.data import atomic, load, splits

    atomic.refuse_occupied(parsed.out)
    collection = load.load(flags.with_columns(parsed.name, parsed.columns))
    if not isinstance(collection, records.Interactions):
        raise records.DataError(
            f"{parsed.name}: has queries, and their splits are the files of qrels/; name data with "
            "interactions.csv"
        )
    options = {name: getattr(parsed, name) for name in ("dev", "test", "ties", "seed")}
    made = splits.split(collection, parsed.by, **options)
    print(f"{_written(made, parsed.out)}; {splits.describe(made)}")


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
    """Writes interactions in which some of the target items are new."""
    from zoo.data import atomic, cold as cold_items, load

    atomic.refuse_occupied(parsed.out)
    collection = load.load(parsed.name)
    if not isinstance(collection, records.Interactions):
        raise records.DataError(
            f"{parsed.name}: has queries, and cold items need histories; "
            "name data with interactions.csv"
        )
    hidden = cold_items.hide(collection, parsed.share, parsed.seed)
    print(f"{_written(hidden, parsed.out)}; {hidden.left_out - collection.left_out} users left out")


def _written(collection: records.Interactions, out: str) -> str:
    from zoo.data import histories

    histories.write(collection, out)
    return (
        f"{out}: {len(collection.corpus)} items, {len(collection.histories)} users, "
        f"{len(collection.histories.items)} events"
    )
