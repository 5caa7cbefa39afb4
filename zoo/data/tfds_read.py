"""Reading of TFDS datasets that `zoo data prepare` wrote."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from zoo import records
from zoo.data import tables

try:
    import tensorflow_datasets
except ImportError as error:
    raise records.DataError(
        f"TFDS datasets need the package {error.name}; pip install 'generative-retrieval-zoo[tfds]'"
    ) from None

_BLOCK = 1024  # examples read at a time


METADATA_KEY = "zoo"  # of what `tables.about` says, within a dataset's metadata


def read(folder: str | os.PathLike) -> records.Collection | records.Interactions:
    """The collection that a dataset was prepared from; `folder` holds its tables.

    Raises DataError if the dataset is not of `prepare`, lacks a table, or does not match its
    fingerprint.
    """
    folder = pathlib.Path(folder)
    builders = {
        path.name: _opened(folder, path.name)
        for path in sorted(folder.iterdir())
        if any(path.glob("*/dataset_info.json"))
    }
    known = next(iter(builders.values())).info.metadata.get(METADATA_KEY)
    return tables.collection(
        lambda table, split: _examples(builders[table], split), known, str(folder), builders
    )


def data_source(folder: str | os.PathLike, table: str, split: str):
    """Examples of a split by number, of a dataset in array_record: what `grain.MapDataset.source`
    takes; text is bytes.

    Raises DataError if there is no such table or split, or the dataset is of another format.
    """
    builder = _opened(pathlib.Path(folder), table)
    if split not in builder.info.splits:
        raise records.DataError(
            f"{folder}: {table} has no split {split!r}; it has: {', '.join(builder.info.splits)}"
        )
    if builder.info.file_format.value != "array_record":
        raise records.DataError(
            f"{folder}: expected array_record, got {builder.info.file_format.value}; prepare it "
            "again with --format array_record"
        )
    return builder.as_data_source(split)


def seqio_source(folder: str | os.PathLike, table: str, splits: Mapping[str, str] | None = None):
    """A `seqio.TfdsDataSource` of a table, of a dataset in tfrecord, for the tasks that t5x trains
    on.

    splits: SeqIO's name -> split of the table (default: the table's own; SeqIO's `validation` is
    `dev` where there is one).
    """
    import seqio  # pyright: ignore[reportMissingImports]

    folder = pathlib.Path(folder)
    builder = _opened(folder, table)
    if builder.info.file_format.value != "tfrecord":
        raise records.DataError(
            f"{folder}: expected tfrecord, got {builder.info.file_format.value}; prepare it again "
            "with --format tfrecord"
        )
    named = {"validation" if split == "dev" else split: split for split in builder.info.splits}
    return seqio.TfdsDataSource(
        f"{folder.name}/{table}:{builder.info.version}",
        tfds_data_dir=os.fspath(folder.parent.resolve()),
        splits=splits or named,
    )


def _opened(folder: pathlib.Path, table: str) -> Any:
    """A TFDS builder that reads a table of a dataset."""
    found = sorted((folder / table).glob("*/dataset_info.json"))
    if len(found) != 1:
        have = (
            ", ".join(sorted({path.parts[-3] for path in folder.glob("*/*/dataset_info.json")}))
            or "none"
        )
        what = f"{len(found)} versions of {table}" if found else f"no table {table!r}, but: {have}"
        raise records.DataError(
            f"{folder}: expected one version of {table}, found {what}; name the folder that `zoo "
            "data prepare` wrote"
        )
    with _named(found[0].parent):
        builder = tensorflow_datasets.builder_from_directory(os.fspath(found[0].parent))
        metadata = dict(builder.info.metadata or {})
    if METADATA_KEY not in metadata:
        raise records.DataError(
            f"{found[0].parent}: expected a dataset that `zoo data prepare` wrote, got another; "
            "it says nothing of zoo"
        )
    return builder


def _examples(builder, split: str) -> Iterator[tables.Example]:
    """The examples of a split in order, with text as str."""
    with _named(builder.data_dir):
        if builder.info.file_format.value == "array_record":
            source = builder.as_data_source(split)
            blocks = (
                source.__getitems__(range(first, min(first + _BLOCK, len(source))))
                for first in range(0, len(source), _BLOCK)
            )
            rows = (row for block in blocks for row in block)
        else:
            options = tensorflow_datasets.ReadConfig(interleave_cycle_length=1)
            rows = tensorflow_datasets.as_numpy(
                builder.as_dataset(split, read_config=options, shuffle_files=False)
            )
        for row in rows:
            yield {
                name: value.decode() if isinstance(value, bytes) else value
                for name, value in row.items()
            }


@contextlib.contextmanager
def _named(folder: str | os.PathLike) -> Iterator[None]:
    """Names the folder of a dataset that TFDS cannot read, for which it raises errors of many
    types.
    """
    try:
        yield
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise records.DataError(
            f"{folder}: the dataset cannot be read ({reason}); prepare it again in a new folder"
        ) from error
