"""Collections by registered name or folder."""

from __future__ import annotations

import difflib
import os
import pathlib
import sys

from zoo import records
from zoo.data import catalog, files, histories


def load(name_or_path: str | os.PathLike) -> records.Collection | records.Interactions:
    """The collection of a registered name, else of a folder; `./toy` is the folder, `toy` the name.

    A folder is in the BEIR layout, or holds interactions as `zoo.data.histories` reads them, or a TFDS dataset of either.
    Of a collection that others made, a line on stderr tells the licence before anything is downloaded.

    Raises DataError listing the names if there is neither, and whatever the loader finds wrong.
    """
    name = os.fspath(name_or_path)
    if name in catalog.CATALOG:
        entry = catalog.CATALOG[name]
        if entry.address:
            print(f"{name}: licence {entry.licence}; from {entry.address}", file=sys.stderr)
        return entry.load()
    if pathlib.Path(name).is_dir() and histories.holds_interactions(pathlib.Path(name)):
        return histories.read(name)
    if holds_dataset(pathlib.Path(name)):
        from zoo.data import tfds_read  # needs TFDS

        return tfds_read.read(name)
    if pathlib.Path(name).exists():
        return files.read_beir(name)
    close = difflib.get_close_matches(name, catalog.CATALOG, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise records.DataError(
        f"no folder and no collection {name!r}; {hint}names: {', '.join(catalog.CATALOG)}; a folder needs corpus.jsonl, or interactions.csv"
    )


def holds_dataset(folder: pathlib.Path) -> bool:
    """Whether a folder is what TFDS keeps of a dataset: table/version/dataset_info.json."""
    return any(folder.glob("*/*/dataset_info.json"))
