"""A fitted system, and its folder."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo import recipes, records
from zoo.records import DataError

# of states: 2 keeps what new documents are named and embedded by; 1, of the version before, answers
# the same
LAYOUT = 2
RUN, FIT, STATE, DOCUMENTS = "run.json", "fit.json", "state", "documents.jsonl"
USERS = "users.npy"
MANIFEST = f"{STATE}/manifest.json"  # digests of the other files of the state
SNIPPET = 160  # characters of a document that are kept for display


@dataclasses.dataclass(frozen=True, repr=False)
class Fitted:
    """A fitted system."""

    recipe: str
    size: str
    config: Any  # the recipe's Config
    seed: int
    state: Mapping[str, Any]  # what the recipe's `open` reads
    documents: records.Corpus  # ids, titles and the first SNIPPET characters of texts
    # collection, where it is, fingerprint of its corpus, seconds, parameters, versions, warnings
    about: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]] = ()  # scalars logged while fitting
    digests: tuple[str, ...] = ()  # of each whole document; () if fitted by an earlier version
    # u64, ascending: digests of the users that a recommender learned from; None if not known
    users: np.ndarray | None = None

    def __repr__(self) -> str:
        parameters = self.about.get("parameters")
        trained = f", {parameters:,} parameters" if parameters else ""
        documents = f"{len(self.documents):,} documents of {self.about.get('collection', '?')}"
        return f"<Fitted {self.name} ({self.size}, seed {self.seed}): {documents}{trained}>"

    @functools.cached_property
    def opened(self) -> recipes.Ask:
        """The system ready to answer records; `zoo.open` takes queries of any form."""
        return recipes.get(self.recipe).open(self.config, self.state)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def name(self) -> str:
        """The name in tables."""
        return (
            f"{self.recipe}-{self.config.identifiers}"
            if hasattr(self.config, "identifiers")
            else self.recipe
        )


def save(fitted: Fitted, folder: str | os.PathLike) -> None:
    """Writes a fitted system; `fit.json` is written last, so a folder with it is complete.

    Raises DataError if the folder holds a fitted system or other files than a run's log.
    """
    from zoo.data import atomic

    folder = pathlib.Path(folder)
    if (folder / FIT).exists():
        raise DataError(
            f"{folder}: holds a fitted system already; remove it or name another folder"
        )
    if not (folder / RUN).exists():
        with atomic.folder(folder) as part:
            _write(fitted, part)
        return
    for left in folder.glob(f"{STATE}*"):  # from an interrupted save
        shutil.rmtree(left)
    _write(fitted, folder)


def _write(fitted: Fitted, folder: pathlib.Path) -> None:
    from zoo.train import checkpoint

    remedy = lambda: "nothing was lost; free some space and repeat the command"
    with records.full_disk(folder, remedy):
        part = folder / f"{STATE}.part"
        checkpoint.save_state(dict(fitted.state), part)
        part.rename(folder / STATE)
        _write_about(fitted, folder)


def _write_about(fitted: Fitted, folder: pathlib.Path) -> None:
    from zoo.data import atomic

    with atomic.file(folder / DOCUMENTS) as out:
        shown = fitted.documents
        names = ("_id", "title", "text", *(("digest",) if fitted.digests else ()))
        for row in zip(shown.ids, shown.titles, shown.texts, fitted.digests or shown.ids):
            out.write(json.dumps(dict(zip(names, row)), ensure_ascii=False) + "\n")
    head = {
        "layout": LAYOUT,
        "recipe": fitted.recipe,
        "size": fitted.size,
        "seed": fitted.seed,
        "config": dataclasses.asdict(fitted.config),
    }
    head |= {"about": dict(fitted.about), "history": list(fitted.history)}
    files = [DOCUMENTS, MANIFEST]
    if fitted.users is not None:
        with atomic.file(folder / USERS, "wb") as out:
            np.save(out, fitted.users, allow_pickle=False)
        files.append(USERS)
    head["files"] = {name: _digest((folder / name).read_bytes()) for name in files}
    with atomic.file(folder / FIT) as out:
        json.dump(head | {"sha256": _digest(json.dumps(head).encode())}, out, indent=1)


def load(folder: str | os.PathLike) -> Fitted:
    """The system that `save` or `fit(out=...)` wrote.

    Raises DataError if there is none, if it is not finished, or if a file of it was changed.
    """
    from zoo.train import checkpoint

    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; expected one that `zoo fit --out` wrote")
    if not (folder / FIT).is_file():
        if (folder / RUN).is_file():
            raise DataError(f"{folder}: the fit was not finished; repeat its command to resume it")
        raise DataError(
            f"{folder}: holds no fitted system (no {FIT}); "
            "expected a folder that `zoo fit --out` wrote"
        )
    try:
        head = json.loads((folder / FIT).read_text(encoding="utf-8"))
        if head.pop("sha256") != _digest(json.dumps(head).encode()):
            raise DataError(
                f"{folder / FIT}: changed since it was written; fit again with the options you want"
            )
        for name, digest in head["files"].items():
            if not (folder / name).is_file() or _digest((folder / name).read_bytes()) != digest:
                raise DataError(
                    f"{folder / name}: missing or changed since it was written; "
                    "copy the folder again or fit again"
                )
        config = _config_of(folder, head)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{folder / FIT}: not what `zoo fit` writes ({error}); fit again") from None
    state = checkpoint.load_state(folder / STATE)
    with open(folder / DOCUMENTS, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    documents = records.Corpus(
        *(tuple(row[column] for row in rows) for column in ("_id", "title", "text"))
    )
    return Fitted(
        head["recipe"],
        head["size"],
        config,
        head["seed"],
        state,
        documents,
        head["about"],
        tuple(head["history"]),
        tuple(row["digest"] for row in rows if "digest" in row),
        np.load(folder / USERS, allow_pickle=False) if USERS in head["files"] else None,
    )


def _config_of(folder: pathlib.Path, head: Mapping[str, Any]) -> Any:
    """The config that `save` wrote.

    DataError if this version has other layouts of states, or other options.
    """
    if head.get("layout", 1) > LAYOUT:
        raise DataError(
            f"{folder / FIT}: layout {head['layout']}, this version reads up to {LAYOUT}; update "
            "the "
            "package, or fit again"
        )
    recipe = recipes.get(head["recipe"])
    try:
        return recipes.configure(recipe, head["size"], head["config"])
    except DataError as error:
        raise DataError(
            f"{folder / FIT}: its options are not those of this version ({error}); fit again"
        ) from None


def digests_of(corpus: records.Corpus) -> tuple[str, ...]:
    """First 16 hex digits of the SHA-256 of id, title and text of each document."""
    return tuple(
        _digest("\x00".join(row).encode("utf-8", "surrogatepass"))[:16]
        for row in zip(corpus.ids, corpus.titles, corpus.texts)
    )


def digests_of_users(learned: records.Collection | records.Interactions) -> np.ndarray | None:
    """First 64 bits of the SHA-256 of the ids of users with an event, u64 in ascending order.

    None of a collection without users.
    """
    if isinstance(learned, records.Collection):
        return None
    found = learned.histories
    return np.sort(_user_digests([found.ids[row] for row in np.flatnonzero(found.lengths)]))


def unknown_users(fitted: Fitted, users: Sequence[str]) -> list[str]:
    """Those of the users that the system did not learn from; none if that is not known."""
    if fitted.users is None:
        return []
    known = np.isin(_user_digests(users), fitted.users)
    return [user for user, is_known in zip(users, known) if not is_known]


def _user_digests(users: Sequence[str]) -> np.ndarray:
    first = [hashlib.sha256(user.encode("utf-8", "surrogatepass")).digest()[:8] for user in users]
    return np.frombuffer(b"".join(first), "<u8").astype(np.uint64)


def joined(corpus: records.Corpus, more: records.Corpus) -> records.Corpus:
    """The documents of both."""
    return records.Corpus(
        corpus.ids + more.ids, corpus.titles + more.titles, corpus.texts + more.texts
    )


def for_display(corpus: records.Corpus) -> records.Corpus:
    return records.Corpus(
        corpus.ids,
        corpus.titles,
        tuple(" ".join(text[: 2 * SNIPPET].split())[:SNIPPET] for text in corpus.texts),
    )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
