"""Fitted systems as a server holds them: by name, each with the version before it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import pathlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from zoo import recipes, records
from zoo.api import answer, fitted as stored, restrict
from zoo.models import generate
from zoo.ranking import seen
from zoo.records import DataError
from zoo.report import walks

SIZES = generate.QUERY_BATCHES  # batches that are warmed up: other sizes are padded to these
PLAIN, EXCLUDED, ALLOWED = "plain", "excluded", "allowed"  # restrictions that share a program
DEPTHS = 10, 100  # k that answers are computed for; fewer are cut from them


@dataclasses.dataclass(frozen=True, eq=False)
class Version:
    """A fitted system that is ready to answer, under the name of its version."""

    name: str  # of the system
    version: str  # number of the load and digest of the fit, such as "2-1f0e4c9a77b2"
    folder: pathlib.Path
    fitted: stored.Fitted
    loaded: float  # time.time()

    @property
    def asks(self) -> str:
        """ "text" or "history"."""
        return recipes.get(self.fitted.recipe).asks

    @property
    def opened(self) -> answer.Opened:
        """The system as `zoo.open` returns it."""
        return answer.open(self.fitted)

    @functools.cached_property
    def rows(self) -> Mapping[str, int]:
        return self.fitted.documents.rows()

    @functools.cached_property
    def walker(self) -> walks.Walker | None:
        """Shows searches; None if the system generates no identifiers."""
        opened = self.fitted.opened
        if not isinstance(opened, generate.Opened) or opened.fixed or opened.plan is not None:
            return None
        return walks.Walker(self.opened)

    @property
    def filters(self) -> bool:
        """Whether a query may restrict its answers."""
        opened = self.fitted.opened
        return not isinstance(opened, generate.Opened) or opened.decode.filters

    def widths(self, most: int) -> tuple[int, ...]:
        """Beams that are warmed up: the system's own, and one for up to `most` answers.

        (0,) if it has none, or one that the number of answers does not change.
        """
        opened = self.fitted.opened
        if not isinstance(opened, generate.Opened) or opened.fixed:
            return (0,)
        own = opened.width(min(DEPTHS[0], most))
        return tuple(sorted({own, max(own, opened.width(most))}))

    def ask(
        self,
        queries: records.Queries | records.Histories,
        k: int,
        *,
        beam: int,
        allowed: np.ndarray | None = None,
        excluded: np.ndarray | None = None,
    ) -> records.Ranking:
        """The k best documents per query by a beam of this width, 0 = the system's own.

        allowed: bool[B, N]; excluded: i32[B, E] rows, -1 = none.
        """
        opened = self.fitted.opened
        if beam and isinstance(opened, generate.Opened):
            opened = dataclasses.replace(opened, beam=beam)
        k = min(k, len(self.fitted.documents))
        return restrict.ask(opened, queries, k, allowed=allowed, excluded=excluded)

    def warm_up(self, depths: Sequence[int], *, excluded: int, longest: int) -> None:
        """Compiles every program that a request can need.

        depths: k of answers. excluded: most documents that a query excludes; longest: most items
        of a history.
        """
        for width, size, depth in itertools.product(self.widths(depths[-1]), SIZES, depths):
            for length in _lengths(longest) if self.asks == "history" else (1,):
                queries = self._sample(size, length)
                self.ask(queries, depth, beam=width)
                if self.filters:
                    everything = np.ones((size, len(self.fitted.documents)), bool)
                    nothing = np.full((size, seen.width_class(excluded)), -1, np.int32)
                    self.ask(queries, depth, beam=width, allowed=everything)
                    self.ask(queries, depth, beam=width, excluded=nothing)
        if self.walker is not None:
            first = self.fitted.documents.ids[0]
            self.walker.warm_up([first] if self.asks == "history" else "warm up")

    def _sample(self, size: int, length: int) -> records.Queries | records.Histories:
        names = tuple(map(str, range(size)))
        if self.asks == "text":
            return records.Queries(names, ("warm up",) * size)
        starts = np.arange(size + 1, dtype=np.int64) * length
        items = np.arange(size * length) % len(self.fitted.documents)
        return records.Histories(names, items.astype(np.int32), starts)


def _lengths(longest: int) -> list[int]:
    """Lengths of histories, one of each class that the items seen are padded to."""
    classes = [seen.width_class(1)]
    while classes[-1] < longest:
        classes.append(seen.width_class(classes[-1] + 1))
    return [min(each, longest) for each in classes]


class Catalogue:
    """The systems of a server: name -> versions, the last of which answers."""

    def __init__(self, folders: Sequence[str], prepare: Callable[[Version], None]):
        """Loads the folders, which are named by their last part. prepare: called on each version.

        Raises DataError for two folders of one name, and as `zoo.load`.
        """
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._prepare = prepare
        self._versions: dict[str, tuple[Version, ...]] = {}
        for folder in folders:
            name = pathlib.Path(folder).resolve().name
            if name in self._versions:
                raise DataError(f"serve: two folders are called {name}; rename one")
            self._versions[name] = (self._load(name, pathlib.Path(folder)),)

    def prepare_all(self) -> None:
        """Prepares the versions of the start."""
        for version in self.current().values():
            self._prepare(version)

    def current(self) -> dict[str, Version]:
        """The version of each system that answers."""
        with self._lock:
            return {name: versions[-1] for name, versions in self._versions.items()}

    def history(self, name: str) -> tuple[Version, ...]:
        """The versions of a system that are held, the one that answers last."""
        with self._lock:
            return self._versions[name]

    def reload(self, name: str, folder: str | None = None) -> Version:
        """Loads a system anew, from the same folder or one beside it; it answers when it is ready.

        Requests that wait are answered by the version that accepted them. The version before is
        held for `roll_back`. Raises DataError for a folder elsewhere or without a fitted system of
        the same kind.
        """
        old = self.history(name)[-1]
        path = old.folder
        if folder is not None:
            path = old.folder.parent / pathlib.PurePath(folder).name
        fresh = self._load(name, path)
        if fresh.asks != old.asks:
            raise DataError(f"serve: {path.name} asks for a {fresh.asks}, {name} for a {old.asks}")
        self._prepare(fresh)
        with self._lock:
            self._versions[name] = (self._versions[name][-1], fresh)
        return fresh

    def roll_back(self, name: str) -> Version:
        """The version before answers again. Raises DataError if none is held."""
        with self._lock:
            versions = self._versions[name]
            *before, last = versions
            if not before:
                raise DataError(f"serve: no version of {name} before {last.version}")
            self._versions[name] = tuple(before)
            return before[-1]

    def _load(self, name: str, folder: pathlib.Path) -> Version:
        fitted = answer.open(stored.load(folder)).fitted
        digest = hashlib.sha256((folder / stored.FIT).read_bytes()).hexdigest()[:12]
        version = f"{next(self._numbers)}-{digest}"
        return Version(name, version, folder.resolve(), fitted, time.time())
