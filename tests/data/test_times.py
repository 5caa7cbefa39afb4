"""Event times stay exact in any unit; an invalid time raises with its position."""

import datetime
import fractions

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from zoo import records
from zoo.data import times


def column(*cells):
    found = times.Times()
    for line, cell in enumerate(cells, start=2):
        found.add(cell, f"log.csv:{line}")
    return found.array("log.csv")


def test_nanoseconds_keep_their_last_digit():
    found = column("1700000000000000001", "1700000000000000002", 1700000000000000003)
    assert found.dtype == np.int64 and np.diff(found).tolist() == [1, 1]
    assert float("1700000000000000001") == float("1700000000000000002")  # floats are equal


def test_numbers_of_any_notation_are_scaled_together():
    assert column("1.5", "2e1", " 3 ", ".25", "-1").tolist() == [150, 2000, 300, 25, -100]
    assert column("8.81250949E+08", "881250948.0").tolist() == [881250949, 881250948]
    assert column(1.25, 3).tolist() == [125, 300]  # of JSON


def test_dates_by_hand():
    day = 86_400 * 10**9
    assert column("1970-01-02", "1970-01-02 00:00", "1970-01-02T00:00:00.000000001").tolist() == [
        day,
        day,
        day + 1,
    ]
    assert column("1970-01-01T01:00:00+01:00", "1970-01-01 00:00:00 UTC", "1969-12-31T19:00-0500")[
        :
    ].tolist() == [0, 0, 0]


@hypothesis.given(
    st.datetimes(datetime.datetime(1700, 1, 1), datetime.datetime(2260, 1, 1)),
    st.sampled_from(["T", " "]),
)
def test_dates_agree_with_the_standard_library(moment, between):
    (found,) = column(moment.isoformat(sep=between))
    utc = moment.replace(tzinfo=datetime.UTC) - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    assert int(found) == (utc // datetime.timedelta(microseconds=1)) * 1000


@hypothesis.given(st.lists(st.decimals(-(10**6), 10**6, places=3), min_size=2, max_size=5))
def test_decimal_numbers_keep_their_order_and_their_ratios(values):
    found = column(*map(str, values))
    ratio = {
        int(a) * fractions.Fraction(1) / fractions.Fraction(b) for a, b in zip(found, values) if b
    }
    assert len(ratio) <= 1
    assert all((a == 0) == (b == 0) for a, b in zip(found, values))


@pytest.mark.parametrize(
    ("cells", "message"),
    (
        (["noon"], "log.csv:2: expected a number or an ISO date .* as time, got 'noon'"),
        (["1", ""], "log.csv:3: expected a number or an ISO date"),
        (["nan"], "log.csv:2: expected a number"),
        (["inf"], "log.csv:2: expected a number"),
        (["1_000"], "log.csv:2: expected a number"),
        (["03/04/2021"], "log.csv:2: expected a number"),
        ([True], "log.csv:2: expected a number"),
        ([None], "log.csv:2: expected a number"),
        (["1", "2021-03-04"], "log.csv:3: expected a number as time, as the rows above"),
        (["2021-03-04", "2021-03-04T00:00Z"], "log.csv:3: expected a date as time, as the rows"),
        (["2021-02-30"], "log.csv:2: expected a date as time, got '2021-02-30': day is out of"),
        (["0001-01-01"], "log.csv:2: expected a date from 1678 to 2261"),
        (["2021-01-01T00:00+99:00"], "log.csv:2: expected a date as time"),
        (["1e300"], "log.csv:2: expected a time that fits 64 bits"),
        (["9223372036854775808"], "log.csv: its times do not fit 64-bit"),
        (["9" * 5000], "log.csv: its times do not fit 64-bit"),
        (["1e18", "1e-18"], "log.csv: its times do not fit 64-bit"),
    ),
)
def test_invalid_times_are_refused_with_their_position(cells, message):
    with pytest.raises(records.DataError, match=message):
        column(*cells)
