"""From the body of a request to queries that can be answered; Refused says what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo import records
from zoo.api import inputs
from zoo.ranking import seen
from zoo.records import DataError
from zoo.serve import batching, limits as limits_, schemas, versions
from zoo.serve.limits import Refused


def version_of(catalogue: versions.Catalogue, name: str | None, asks: str) -> versions.Version:
    """The version that answers for a name, or for the only system of its kind.

    asks: "text", "history" or "" for both.
    """
    current = catalogue.current()
    fitting = {key: each for key, each in current.items() if asks in ("", each.asks)}
    if name is None and len(fitting) == 1:
        return next(iter(fitting.values()))
    known = ", ".join(sorted(fitting)) or "none"
    if name is None:
        raise Refused(422, "which_system", f"name a system, one of: {known}")
    if name not in current:
        raise Refused(404, "no_system", f"no system {name[:80]!r}; there are: {known}")
    if name not in fitting:
        raise Refused(422, "other_kind", f"{name} does not ask for a {asks}; these do: {known}")
    return current[name]


def asked(
    version: versions.Version,
    queries: Sequence[Any],
    options: schemas.Options,
    limits: limits_.Limits,
    *,
    leave_out: bool = False,
) -> list[batching.Asked]:
    """The queries of a request: texts, or lists of item ids.

    leave_out: exclude the items of each history.
    """
    if not 1 <= len(queries) <= limits.batch:
        raise Refused(
            422, "batch", f"expected 1 to {limits.batch} queries a request, got {len(queries)}"
        )
    if options.k > limits.k:
        raise Refused(422, "k", f"expected k of at most {limits.k}, got {options.k}")
    depth = next(each for each in depths(limits) if each >= options.k)
    texts = [_query(version, each, limits) for each in queries]
    allowed = _rows(version, options.allowed, len(version.rows), "allowed")
    excluded = _rows(version, options.excluded, limits.excluded, "excluded")
    if (allowed is not None or excluded is not None or leave_out) and not version.filters:
        decoding = version.fitted.config.decoding
        raise Refused(422, "no_filter", f"decoding {decoding} cannot restrict answers")
    beam = _beam(version, options, limits)
    return [
        batching.Asked(
            version,
            query,
            options.k,
            depth,
            beam,
            allowed,
            _padded(excluded, query if leave_out else None, limits),
        )
        for query in texts
    ]


def depths(limits: limits_.Limits) -> tuple[int, ...]:
    """k that are computed."""
    return tuple(sorted({min(versions.DEPTHS[0], limits.k), limits.k}))


def _beam(version: versions.Version, options: schemas.Options, limits: limits_.Limits) -> int:
    """The width that is used: the least that is compiled and as wide as asked for."""
    widths = version.widths(limits.k)
    if options.beam is not None and not widths[-1]:
        raise Refused(422, "no_beam", f"{version.name} has no beam")
    wide = max(options.beam or 0, options.k if widths[-1] else 0)
    wide = min(wide, len(version.rows)) if options.beam is None else wide
    if wide > widths[-1]:
        raise Refused(422, "beam", f"expected a beam of at most {widths[-1]}, got {wide}")
    return next(each for each in widths if each >= wide)


def _query(version: versions.Version, query: Any, limits: limits_.Limits) -> Any:
    if version.asks == "text" and len(query) > limits.text:
        raise Refused(422, "text", f"expected at most {limits.text} characters, got {len(query)}")
    if version.asks == "history":
        query = list(query)[-limits.history :]
    try:
        found = inputs.as_queries(version.fitted, [query])
    except DataError as error:
        raise Refused(422, "query", str(error)) from None
    return found.texts[0] if isinstance(found, records.Queries) else found.items


def _rows(
    version: versions.Version, ids: Sequence[str] | None, most: int, what: str
) -> np.ndarray | None:
    if ids is None:
        return None
    if len(set(ids)) > most:
        raise Refused(422, what, f"expected at most {most} {what} ids, got {len(set(ids))}")
    missing = next((name for name in ids if name not in version.rows), None)
    if missing is not None:
        raise Refused(422, what, f"no document {missing[:80]!r} in {version.name}")
    return np.unique(np.array([version.rows[name] for name in ids], np.int32))


def _padded(
    excluded: np.ndarray | None, history: np.ndarray | None, limits: limits_.Limits
) -> np.ndarray | None:
    """i32[E] rows that are excluded, -1 = none, E one size for all requests."""
    if excluded is None and history is None:
        return None
    both = [part for part in (excluded, history) if part is not None]
    rows = np.unique(np.concatenate(both))
    if len(rows) > limits.excluded:
        raise Refused(
            422, "excluded", f"expected at most {limits.excluded} excluded, got {len(rows)}"
        )
    padded = np.full(seen.width_class(limits.excluded), -1, np.int32)
    padded[: len(rows)] = rows
    return padded
