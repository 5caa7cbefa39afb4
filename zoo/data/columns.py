"""Which column of a table is which: usual names are recognised, others are named by the user.

Names are compared without case and punctuation, so `userId`, `user_id` and `User-ID` are one.
Where a table has several columns for one role, the name that comes first below wins, and the
others are reported. A column that may be the time, but has no usual name, is an error rather than
a guess: reading a log in the order of the file reverses every history if the newest event comes
first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zoo import records
from zoo.data import jsonl

USER, ITEM, TIME = "user", "item", "time"
_NAMES: Mapping[str, tuple[str, ...]] = {
    "user": (
        *("user", "userid", "uid", "usr", "reviewerid", "customerid", "customer", "visitorid"),
        *("memberid", "accountid", "readerid", "listenerid", "playerid", "studentid", "authorid"),
        *("sessionid", "session", "reviewer"),
    ),
    "item": (
        *("item", "itemid", "iid", "movieid", "filmid", "parentasin", "asin", "productid"),
        *("product", "articleid", "newsid", "bookid", "isbn", "trackid", "songid", "artistid"),
        *("videoid", "gameid", "appid", "poiid", "venueid", "businessid", "gmapid", "recipeid"),
        *("courseid", "courseid", "jobid", "animeid", "beerid", "stockcode", "sku", "movie"),
    ),
    "time": (
        *("timestamp", "time", "unixreviewtime", "unixtime", "unixtimestamp", "datetime"),
        *("eventtime", "eventtimestamp", "timestampms", "timems", "ts", "date", "createdat"),
        *("created", "ratingtimestamp", "utctimestamp", "ratedat", "visitedat", "clickedat"),
        *("purchasedate", "orderdate", "reviewdate", "invoicedate", "eventdate", "ratingdate"),
        *("reviewtime", "visittime", "clicktime", "purchasetime", "ordertime", "ratingtime"),
    ),
    "id": ("id", "docid", "documentid", "passageid", "pid", "key", "uuid", "doi", "url", "link"),
    "title": ("title", "movietitle", "booktitle", "producttitle", "name", "productname", "subject")
    + ("headline", "heading"),
    "text": ("text", "body", "content", "contents", "abstract", "passage", "document", "article")
    + ("description", "message", "answer", "summary"),
}
_MAY_BE_TIME = re.compile(r"time|date|stamp|when$", re.IGNORECASE)


class Choice(NamedTuple):
    """The column of each role, and what a reader should know about the choice."""

    of: Mapping[str, str]  # role -> column; a role without a column is missing
    notes: tuple[str, ...] = ()


def parse(text: str, roles: Sequence[str] = (USER, ITEM, TIME)) -> dict[str, str]:
    """Role -> column of `user=uid,item=sku,time=when`; `time=` says that there is no time.

    Raises DataError for a role that is none of `roles`.
    """
    chosen = {}
    for part in text.split(","):
        role, equals, column = (cell.strip() for cell in part.partition("="))
        if not equals or role not in roles or role in chosen:
            raise records.DataError(
                f"--columns expects {','.join(f'{role}=NAME' for role in roles)} or some of them, "
                f"got {jsonl.short(text)}"
            )
        chosen[role] = column
    return chosen


def choose_events(header: Sequence[str], named: Mapping[str, str], where: str) -> Choice:
    """The columns of a log with this header. `named`: role -> column, as the user says.

    Raises DataError if there is no user, no item, or a column that may or may not be the time.
    """
    of, notes = {}, []
    for role in (USER, ITEM, TIME):
        column, others = _column(role, header, named, where, taken=of.values())
        if column is not None:
            of[role] = column
        if column and others:
            notes.append(f"column {column!r} is the {role}, not {_quoted(others)}")
    for role in (USER, ITEM):
        if role not in of:
            raise records.DataError(
                f"{where}: expected a header with the column {role} or {role}_id, got "
                f"{jsonl.short(', '.join(header))}; rename one, or name it: --columns {role}=NAME"
            )
    if TIME not in of and TIME not in named:
        others = [column for column in header if column not in of.values()]
        doubtful = [column for column in others if _MAY_BE_TIME.search(column)]
        if doubtful:
            raise records.DataError(
                f"{where}: is {_quoted(doubtful, ' or ')} the time of an event? say "
                f"--columns time={doubtful[0]}, or --columns time= to keep the order of the file"
            )
        if others:
            notes.append(
                f"no time column among {_quoted(others)}; events keep the order of the file"
            )
    usual = {"user", "user_id", "item", "item_id", "time", "timestamp"}
    if unusual := [
        f"{column!r} as the {role}" for role, column in of.items() if column not in usual
    ]:
        notes.insert(0, f"read column {', '.join(unusual)}")
    return Choice(of, tuple(notes))


def is_log(header: Sequence[str]) -> bool:
    """Whether a header names a user and an item."""
    return all(_usual(role, header) for role in (USER, ITEM))


def item_of(header: Sequence[str]) -> str | None:
    """The column that names items, in a table of items; None if there is none."""
    for column in ("_id", "id", "item", "item_id"):
        if column in header:
            return column
    found = _usual(ITEM, header) or _usual("id", header)
    return found[0] if found else None


def choose_documents(header: Sequence[str], named: Mapping[str, str], where: str) -> Choice:
    """The columns of a table of documents: id, title and text, each of which may be missing.

    named: role -> column; several columns of `text` are joined by `+`.
    Raises DataError if a named column does not exist.
    """
    of = {}
    for role in ("id", "title", "text"):
        if role in named:
            for column in filter(None, named[role].split("+") if role == "text" else [named[role]]):
                _refuse_unknown(role, column, header, where)
            if named[role]:
                of[role] = named[role]
            continue
        found = _usual(role, [column for column in header if column not in of.values()])
        if role == "id":
            found = [item_of(header)] if item_of(header) else found
        if found:
            of[role] = found[0]
    return Choice(of)


def _column(
    role: str, header: Sequence[str], named: Mapping[str, str], where: str, taken
) -> tuple[str | None, list[str]]:
    """(column of a role, others that it might have been)."""
    if role in named:
        if not named[role]:
            return None, []
        _refuse_unknown(role, named[role], header, where)
        return named[role], []
    found = _usual(role, [column for column in header if column not in (*taken, *named.values())])
    if len(found) > 1 and _key(found[0]) == _key(found[1]):
        raise records.DataError(
            f"{where}: {_quoted(found[:2], ' and ')} may both be the {role}; say which: "
            f"--columns {role}={found[0]}"
        )
    return (found[0], found[1:]) if found else (None, [])


def _usual(role: str, header: Sequence[str]) -> list[str]:
    """Columns with a usual name for a role, the best first."""
    order = {name: place for place, name in enumerate(_NAMES[role])}
    found = [column for column in header if _key(column) in order]
    return sorted(found, key=lambda column: order[_key(column)])


def _refuse_unknown(role: str, column: str, header: Sequence[str], where: str) -> None:
    if column not in header:
        raise records.DataError(
            f"{where}: --columns names {column!r} as the {role}, but the columns are "
            f"{jsonl.short(', '.join(header), 200)}"
        )


def _key(column: str) -> str:
    return re.sub(r"[\W_]+", "", column).lower()


def _quoted(names: Sequence[str], between: str = ", ") -> str:
    return between.join(map(repr, names))
