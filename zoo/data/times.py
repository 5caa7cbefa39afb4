"""Times of events as exact 64-bit integers: numbers of any unit, or ISO 8601 dates.

Integers are kept digit for digit, so that nanoseconds do not lose their last digits in a float.
Decimal numbers are scaled by the power of ten that makes all of them whole. Dates become
nanoseconds since 1970; one without an offset is UTC.
"""

from __future__ import annotations

import datetime
import decimal
import re
from typing import Any

import numpy as np

from zoo import records
from zoo.data import jsonl

_LARGEST = 2**63 - 1
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_DATE = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})"
    r"(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r"\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?",
    re.ASCII,
)
_EPOCH = datetime.datetime(1970, 1, 1)
_NANO = 10**9


class Times:
    """A column of times, all numbers or all dates."""

    def __init__(self) -> None:
        self._values: list[int | decimal.Decimal] = []
        self._kind = ""  # of the first: "number", "date", "date with an offset"
        self._decimals = 0  # digits after the point, at most

    def add(self, value: Any, where: str) -> None:
        """Appends a cell: text, or a number of JSON.

        Raises DataError, naming `where`, for anything that is no time or not of the kind of the
        first one.
        """
        if type(value) is float:
            value = repr(value)
        kind, time = _parse(value, where)
        if kind != (self._kind or kind):
            raise records.DataError(
                f"{where}: expected a {self._kind} as time, as the rows above have, got "
                f"{jsonl.short(str(value))}"
            )
        self._kind = kind
        if isinstance(time, decimal.Decimal):
            time = time.normalize()
            self._decimals = max(self._decimals, -int(time.as_tuple().exponent))
        self._values.append(time)

    def array(self, path: Any) -> np.ndarray:
        """The times, i64[E]; DataError if they need more than 64 bits."""
        scale = 10**self._decimals if self._decimals <= 18 else 0
        whole = [int(value * scale) if scale > 1 else int(value) for value in self._values]
        if not scale or any(not -_LARGEST <= value <= _LARGEST for value in whole):
            raise records.DataError(
                f"{path}: its times do not fit 64-bit integers; round them, or leave out the column"
            )
        return np.array(whole, np.int64)


def _parse(value: Any, where: str) -> tuple[str, int | decimal.Decimal]:
    """(kind, time) of a cell."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "number", value
    text = value.strip() if isinstance(value, str) else ""
    if text.isdecimal() and text.isascii():
        return "number", int(text[:30])
    if _NUMBER.fullmatch(text):
        with decimal.localcontext(prec=60):
            return "number", _plain(decimal.Decimal(text), text, where)
    date = _DATE.fullmatch(text)
    if date is not None:
        return _date(date, text, where)
    raise records.DataError(
        f"{where}: expected a number or an ISO date (2024-05-31T08:00:00Z) as time, got "
        f"{jsonl.short(value if isinstance(value, str) else repr(value))}; convert the column, or "
        "drop it to use the order of the file"
    )


def _plain(number: decimal.Decimal, text: str, where: str) -> decimal.Decimal:
    if number and not -20 <= number.adjusted() <= 18:
        raise records.DataError(
            f"{where}: expected a time that fits 64 bits, got {jsonl.short(text)}"
        )
    return number


def _date(match: re.Match, text: str, where: str) -> tuple[str, int]:
    """(kind, nanoseconds since 1970) of a date."""
    *parts, fraction, zone = match.groups()
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in parts)
        moment = datetime.datetime(year, month, day, hour, minute, second)
        shift = _offset(zone)
    except ValueError as error:
        raise records.DataError(
            f"{where}: expected a date as time, got {jsonl.short(text)}: {error}"
        ) from None
    seconds = (moment - _EPOCH) // datetime.timedelta(seconds=1) - shift
    time = seconds * _NANO + int((fraction or "").ljust(9, "0"))
    if not -_LARGEST <= time <= _LARGEST:
        raise records.DataError(
            f"{where}: expected a date from 1678 to 2261, got {jsonl.short(text)}"
        )
    return "date with an offset" if zone else "date", time


def _offset(zone: str | None) -> int:
    """Seconds east of Greenwich."""
    if zone is None or zone in ("Z", "UTC", "GMT"):
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    if hours > 23 or minutes > 59:
        raise ValueError(f"no offset {zone}")
    return (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)
