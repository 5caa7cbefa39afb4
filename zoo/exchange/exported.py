"""The folder of `zoo export`: everything a launcher needs to train, evaluate and ask the network.

about.json          recipe, configuration, network, lengths, kinds of examples, differences
docids.npy          i32[N, L] identifiers; row n names document n
trie/               of the identifiers that may be answered, as `zoo.index.store` writes it
examples/KIND/      training examples: inputs.npy i32[n, S], targets.npy i32[n, L]
questions/SPLIT/    inputs.npy, targets.npy, queries.jsonl and relevant.npy, i32[B, R] rows of
                    documents, -1 = none
documents.jsonl     {"_id", "title", "text"} per document
state/              the system's state without parameters and identifiers
parameters/         checkpoint_0: the parameters in the layout of t5x
manifest.json       SHA-256 of every other file
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from zoo.docids import table
from zoo.index import store, trie
from zoo.nets import network, transformer
from zoo.records import DataError

FORMAT = 2
MANIFEST, ABOUT, DOCIDS, TRIE, EXAMPLES, QUESTIONS = (
    "manifest.json",
    "about.json",
    "docids.npy",
    "trie",
    "examples",
    "questions",
)
DOCUMENTS, STATE, PARAMETERS = "documents.jsonl", "state", "parameters"
SPLITS = {"dev": "validation", "test": "test"}  # of a collection -> SeqIO's name


class Questions(NamedTuple):
    """B queries of a split as encoder inputs, and their relevant documents."""

    inputs: np.ndarray  # i32[B, S]
    targets: np.ndarray  # i32[B, L] identifier of a relevant document
    relevant: np.ndarray  # i32[B, R] rows of all relevant documents, -1 = none
    ids: tuple[str, ...]  # B
    texts: tuple[str, ...]  # B; of histories, the ids of their items


@dataclasses.dataclass(frozen=True)
class Export:
    """An exported system. Every file is checked against the manifest before it is read."""

    folder: pathlib.Path
    about: Mapping[str, Any]
    digests: Mapping[str, str]  # file -> SHA-256

    @property
    def shape(self) -> transformer.Shape:
        """Shape of the network with the exported parameters."""
        return network.parse(self.about["network"])

    @property
    def lengths(self) -> dict[str, int]:
        """{"inputs": S, "targets": L}, to which every example is padded."""
        return dict(self.about["lengths"])

    def docids(self) -> table.Docids:
        """The identifiers of all documents."""
        return table.Docids(self.array(DOCIDS), self.shape.target_vocab)

    def trie(self) -> trie.Trie:
        """The trie of the identifiers that may be answered, on the host."""
        for name in self.digests:
            if name.startswith(f"{TRIE}/"):
                self.checked(name)
        return store.load(self.folder / TRIE, mapped=True)

    def examples(self, kind: str) -> dict[str, np.ndarray]:
        """{"inputs": i32[n, S], "targets": i32[n, L]} of one kind of `about["examples"]`."""
        return {name: self.array(f"{EXAMPLES}/{kind}/{name}.npy") for name in ("inputs", "targets")}

    def questions(self, split: str) -> Questions:
        """The queries of one split of `about["questions"]`."""
        inputs, targets, relevant = (
            self.array(f"{QUESTIONS}/{split}/{name}.npy")
            for name in ("inputs", "targets", "relevant")
        )
        rows = self.lines(f"{QUESTIONS}/{split}/queries.jsonl")
        ids, texts = (tuple(row[column] for row in rows) for column in ("_id", "text"))
        return Questions(inputs, targets, relevant, ids, texts)

    def array(self, name: str) -> np.ndarray:
        """The array of a file."""
        return np.load(self.checked(name), allow_pickle=False)

    def lines(self, name: str) -> list[dict]:
        """The objects of a JSON-lines file."""
        return [
            json.loads(line) for line in self.checked(name).read_text(encoding="utf-8").splitlines()
        ]

    def checked(self, name: str) -> pathlib.Path:
        """Path of a file. Raises DataError if it is missing or was changed."""
        path = self.folder / name
        if name not in self.digests or not path.is_file():
            raise DataError(f"{path}: missing; export the system again or copy the folder whole")
        if digest(path) != self.digests[name]:
            raise DataError(
                f"{path}: changed since it was written (SHA-256 differs); "
                "export the system again or copy the folder again"
            )
        return path


def read(folder: str | os.PathLike) -> Export:
    """The export in a folder. Raises DataError if there is none or its format is another."""
    folder = pathlib.Path(folder)
    try:
        digests = dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise DataError(
            f"{folder}: holds no exported system (no {MANIFEST}); "
            "expected a folder that `zoo export` wrote"
        ) from None
    except (ValueError, TypeError, OSError, RecursionError) as error:
        raise DataError(
            f"{folder / MANIFEST}: not a manifest ({error}); export the system again"
        ) from None
    export = Export(folder, {}, digests)
    about = json.loads(export.checked(ABOUT).read_text(encoding="utf-8"))
    if about["format"] != FORMAT:
        raise DataError(
            f"{folder}: has format {about['format']}, expected {FORMAT}; export the system again"
        )
    return dataclasses.replace(export, about=about)


def seal(folder: pathlib.Path) -> None:
    """Writes the manifest of a folder; call it last."""
    names = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )
    digests = {name: digest(folder / name) for name in names}
    (folder / MANIFEST).write_text(json.dumps(digests, indent=1), encoding="utf-8")


def digest(path: pathlib.Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
