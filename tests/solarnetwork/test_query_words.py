"""The pure parts of SolarQuery: dates, numbers, periods, pages, aggregations."""

import itertools
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.rollups.registers import FINAL, RAW, START, Entry
from wattwire.solarnetwork.aggregations import Aggregation, parse_aggregation, restrain
from wattwire.solarnetwork.dates import (
    Period,
    in_zone,
    local_parts,
    local_text,
    parse_local,
    parse_period,
    parse_utc,
    utc_text,
)
from wattwire.solarnetwork.meter_arithmetic import ends, rise_between, value_at
from wattwire.solarnetwork.numbers import as_computed, as_read
from wattwire.solarnetwork.paging import slices_of
from wattwire.solarnetwork.query_parameters import ReadingQuery


def naive(*parts):
    """A local date, which has no zone of its own."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)


INSTANTS = st.datetimes(naive(2000, 1, 1), naive(2100, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2020-06-01", datetime(2020, 6, 1, tzinfo=UTC)),
        ("2020-06-01T12:30", datetime(2020, 6, 1, 12, 30, tzinfo=UTC)),
        ("2020-06-01 12:30", datetime(2020, 6, 1, 12, 30, tzinfo=UTC)),
        ("2020-06-01T12:30:15Z", datetime(2020, 6, 1, 12, 30, 15, tzinfo=UTC)),
        ("2020-06-01 12:30:15.25Z", datetime(2020, 6, 1, 12, 30, 15, 250000, tzinfo=UTC)),
        ("2020-06-01 12:30:15.123456789", datetime(2020, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)),
    ],
)
def test_dates_of_requests(text, instant):
    """Every way to write a date that the contract lists."""
    assert parse_utc(text) == instant


@pytest.mark.parametrize(
    "text", ["", "2020", "2020-13-01", "2020-02-30", "2020-06-01T24:00", "2020-06-01T12",
             "20200601", "2020-06-01T12:30+02:00", "2020-06-01\n", "1e9",
             "\u0662\u0660\u0662\u0660-06-01"],
)  # fmt: skip
def test_what_is_no_date_is_named(text):
    """The reason is SolarNetwork's, and shows no more than the beginning."""
    with pytest.raises(ValueError, match="Malformed date string: "):
        parse_utc(text)
    with pytest.raises(ValueError, match="Malformed date string: "):
        parse_local(text)


@given(INSTANTS)
def test_a_date_that_was_shown_can_be_asked_for(instant):
    """What results say is understood by requests, to the microsecond."""
    assert parse_utc(utc_text(instant)) == instant


def test_dates_of_results():
    """The fraction only where there is one; local time to the minute, local dates in full."""
    auckland = ZoneInfo("Pacific/Auckland")
    instant = datetime(2020, 6, 1, 12, 30, 15, 250000, tzinfo=UTC)

    assert utc_text(instant) == "2020-06-01 12:30:15.25Z"
    assert utc_text(instant.replace(microsecond=0)) == "2020-06-01 12:30:15Z"
    assert utc_text(datetime(2020, 6, 10, 12, 30, tzinfo=UTC)) == "2020-06-10 12:30:00Z"
    assert local_text(instant, auckland) == "2020-06-02 00:30:15.25"
    assert local_parts(instant, auckland) == ("2020-06-02", "00:30")


@pytest.mark.parametrize(
    ("zone", "local", "instant"),
    [
        ("America/New_York", naive(2019, 3, 10), datetime(2019, 3, 10, 5, tzinfo=UTC)),
        ("America/New_York", naive(2019, 3, 11), datetime(2019, 3, 11, 4, tzinfo=UTC)),
        # 01:30 comes twice: the first is meant.
        (
            "America/New_York",
            naive(2018, 11, 4, 1, 30),
            datetime(2018, 11, 4, 5, 30, tzinfo=UTC),
        ),
        # 02:30 is skipped.
        (
            "America/New_York",
            naive(2019, 3, 10, 2, 30),
            datetime(2019, 3, 10, 7, 30, tzinfo=UTC),
        ),
        ("Asia/Kathmandu", naive(2020, 6, 1), datetime(2020, 5, 31, 18, 15, tzinfo=UTC)),
    ],
)
def test_local_dates_have_an_instant_in_every_zone(zone, local, instant):
    """Days of 23 and 25 hours begin when their clock says so."""
    assert in_zone(local, ZoneInfo(zone)) == instant


@pytest.mark.parametrize(
    ("value", "shown"),
    [(231.0, "231"), (1234.5, "1234.5"), (-0.0, "0"), (0.1, "0.1"), (2.0**53, "9007199254740992"),
     (1e300, "1e300"), (float("nan"), "null"), (None, "null"), (0.1 + 0.2, "0.30000000000000004")],
)  # fmt: skip
def test_numbers_that_were_read(value, shown):
    """Whole numbers without a point, the rest as short as it can be, nothing that JSON lacks."""
    assert msgspec.json.encode(as_read(value)).decode() == shown


def test_numbers_that_were_computed():
    """The noise of binary fractions is rounded away."""
    assert as_computed(0.1 + 0.2) == 0.3
    assert as_computed(8.7 / 6) == 1.45
    assert as_computed(float("inf")) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_that_was_read_is_the_number_that_is_shown(value):
    """Showing loses nothing."""
    assert float(json.loads(msgspec.json.encode(as_read(value)))) == value


def test_periods_follow_the_calendar():
    """A month before the end of March is the end of February."""
    march = datetime(2020, 3, 31, 12, tzinfo=UTC)

    assert parse_period("P1M").before(march) == datetime(2020, 2, 29, 12, tzinfo=UTC)
    assert parse_period("P1Y2M1W3D") == Period(14, 10)
    assert parse_period("P7D").after(march) == datetime(2020, 4, 7, 12, tzinfo=UTC)
    for far in (Period(12 * 9999, 0), Period(0, 99999)):
        assert far.before(march) < march < far.after(march)
    for wrong in ("", "P", "1M", "PT1H", "P1.5M", "P99999Y"):
        with pytest.raises(ValueError, match="not a period"):
            parse_period(wrong)


def test_every_aggregation_has_a_name_and_a_key():
    """Both are understood."""
    for some in Aggregation:
        assert parse_aggregation(some.title) is parse_aggregation(some.key) is some


def test_without_dates_nothing_finer_than_days_is_given():
    """As SolarNetwork does; raw readings stay raw."""
    now = datetime(2020, 6, 1, tzinfo=UTC)

    assert restrain(Aggregation.HOUR, None, None, now) is Aggregation.DAY
    assert restrain(Aggregation.MONTH, None, None, now) is Aggregation.MONTH
    assert restrain(Aggregation.NONE, None, None, now) is Aggregation.NONE
    assert restrain(Aggregation.HOUR, None, now, now) is Aggregation.MONTH
    assert restrain(Aggregation.HOUR, now - timedelta(days=32), None, now) is Aggregation.HOUR


@given(
    st.lists(st.integers(0, 6), max_size=6), st.integers(0, 40), st.integers(1, 12), st.booleans()
)
def test_slices_are_the_page_of_everything(counts, offset, limit, newest_first):
    """Slices of streams, put together, are what cutting the whole would give."""
    everything = [
        (place, n)
        for place, count in enumerate(counts)
        for n in (reversed(range(count)) if newest_first else range(count))
    ]

    shown = [
        (cut.place, n)
        for cut in slices_of(counts, offset, limit, newest_first=newest_first)
        for n in sorted(range(cut.offset, cut.offset + cut.limit), reverse=newest_first)
    ]

    assert shown == everything[offset : offset + limit]


ENTRIES = st.lists(
    st.tuples(st.integers(0, 100), st.sampled_from([RAW, FINAL, START]), st.integers(0, 50)),
    unique_by=lambda e: e[:2],
    max_size=12,
).map(lambda some: sorted(Entry(t, k, float(v)) for t, k, v in some))
TYPES = ("Difference", "NearestDifference", "DifferenceWithin", "CalculatedAtDifference")


@given(ENTRIES, st.integers(0, 100), st.integers(0, 100), st.sampled_from(TYPES))
def test_a_rise_is_what_the_steps_on_the_way_add_up_to(entries, start, end, kind):
    """Whatever lies between: each step counts once, none that begins a count anew."""
    first, last = ends(entries, start, end, ReadingQuery(kind, Period(1, 0)))
    if first is None or last is None or last < first:
        return
    way = [first, *(e for e in entries if first < e < last), last]

    rise = rise_between(entries, first, last, detect_resets=False)

    expected = sum(b.value - a.value for a, b in itertools.pairwise(way) if b.type != START)
    assert rise == pytest.approx(expected)


@given(ENTRIES, st.integers(0, 100))
def test_a_calculated_value_lies_between_its_neighbours(entries, date):
    """And at a neighbour it is the neighbour."""
    found = value_at(entries, date, ReadingQuery("CalculatedAt", Period(1, 0)))
    before = [e for e in entries if e.time <= date]
    after = [e for e in entries if e.time > date]

    if found is None:
        assert not before or (before[-1].time < date and not after)
    elif before[-1].time == date:
        assert found == before[-1]
    else:
        low, high = sorted((before[-1].value, after[0].value))
        assert low - 1e-9 <= found.value <= high + 1e-9
