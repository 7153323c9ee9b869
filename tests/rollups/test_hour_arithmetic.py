"""Hours, days and months, against the worked examples of SolarNetwork's own tests."""

import math
import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from wattwire.model import to_micros
from wattwire.rollups.arithmetic import Rows, hour_rollups, period_rollup, same_values
from wattwire.rollups.buckets import HOUR, buckets_over
from wattwire.rollups.registers import FINAL, RAW, START, Entry
from wattwire.store.rollups import Series

NOON = to_micros(datetime(2020, 6, 1, 12, tzinfo=UTC))
XYW = ("instantaneous", "instantaneous", "accumulating")
NAN = math.nan


def at(text):
    """Microseconds of HH:MM on 2020-06-01."""
    hour, minute = text.split(":")
    return NOON + (int(hour) - 12) * HOUR + int(minute) * 60_000_000


def series(*kinds, end_stamped=False, interval_seconds=None, detect_resets=False):
    return Series(1, "UTC", end_stamped, interval_seconds, detect_resets, kinds)


def rows(*items, entries=None, texts=()):
    """Rows from ("HH:MM" or µs, value, value, …)."""
    times = [at(some[0]) if isinstance(some[0], str) else some[0] for some in items]
    values = np.array([some[1:] for some in items], dtype=float).reshape(len(items), -1)
    return Rows(np.array(times, dtype=np.int64), values, texts, entries or {})


def reset(place, *records):
    return {
        place: [
            entry
            for time, final, start in records
            for entry in (Entry(at(time), FINAL, final), Entry(at(time), START, start))
        ]
    }


def hour(given, *, what=None, start=NOON):
    (rollup,) = hour_rollups(what or series(*XYW), [start, start + HOUR], given)
    return rollup


def every_ten_minutes(first, last, *, w, w_step=5.0, x=1.1, y=1.1):
    """Rows as the examples have them: x rises by 0.1, y by 1, w by 5."""
    first, last = at(first), at(last)
    count = (last - first) // 600_000_000 + 1
    return [
        (first + i * 600_000_000, round(x + i / 10, 1), round(y + i, 1), w + i * w_step)
        for i in range(count)
    ]


VECTORS = {
    "01": (
        [
            ("12:00", 1.2, 2.1, 100),
            ("12:10", 1.3, 3.1, 105),
            ("12:20", 1.4, 4.1, 110),
            ("12:30", 1.5, 5.1, 105),
            ("12:40", 1.6, 6.1, 115),
            ("12:50", 1.7, 7.1, 120),
            ("13:00", 1.8, 8.1, 125),
        ],
        (25, (25, 100, 125), (1.45, 6, 1.2, 1.7), (4.6, 6, 2.1, 7.1)),
    ),
    "02": (
        every_ten_minutes("11:59", "13:09", w=100),
        (30, (30, 100, 130), (1.45, 6, 1.2, 1.7), (4.6, 6, 2.1, 7.1)),
    ),
    "03": (
        every_ten_minutes("11:59", "12:39", w=100),
        (19.5, (20, 100, 120), (1.35, 4, 1.2, 1.5), (3.6, 4, 2.1, 5.1)),
    ),
    "04": (
        every_ten_minutes("12:19", "13:09", w=110, x=1.3, y=3.1),
        (20.5, (20, 110, 130), (1.5, 5, 1.3, 1.7), (5.1, 5, 3.1, 7.1)),
    ),
    "05": (
        every_ten_minutes("12:19", "12:49", w=110, x=1.3, y=3.1),
        (15, (15, 110, 125), (1.45, 4, 1.3, 1.6), (4.6, 4, 3.1, 6.1)),
    ),
    "06": ([("12:19", 1.3, 3.1, 110)], (0, (0, 110, 110), (1.3, 1, 1.3, 1.3), (3.1, 1, 3.1, 3.1))),
}


@pytest.mark.parametrize("number", VECTORS)
def test_examples_without_resets(number):
    """Mean, count, least, greatest, clock difference and reading difference are SolarNetwork's."""
    given, (clock, reading, x, y) = VECTORS[number]

    rollup = hour(rows(*given))

    assert clock == pytest.approx(rollup.total[2], rel=1e-12)
    assert reading == (rollup.difference[2], rollup.first_value[2], rollup.last_value[2])
    for place, expected in enumerate((x, y)):
        got = (rollup.mean, rollup.count, rollup.minimum, rollup.maximum)
        assert expected == pytest.approx(tuple(some[place] for some in got), rel=1e-12)


RESETS = {
    "15": ("11:59", [("12:00", 100, 10)], 30.5, (30, 10, 40)),
    "16": ("11:59", [("12:20", 115, 5)], 35, (35, 100, 25)),
    "17": ("11:59", [("13:00", 41, 100)], 30.5, (31, 10, 41)),
    "20": ("11:59", [("12:20", 115, 5), ("12:40", 16, 200)], 36, (36, 100, 210)),
    "24": ("11:59", [("12:20", 115, 5)], 0, (0, 115, 5)),
}
RESET_VALUES = {
    "15": [100, 15, 20, 25, 30, 35, 40, 45],
    "16": [100, 105, 110, 10, 15, 20, 25, 30],
    "17": [10, 15, 20, 25, 30, 35, 40, 105],
    "20": [100, 105, 110, 10, 15, 205, 210, 215],
    "24": [],
}


@pytest.mark.parametrize("number", RESETS)
def test_examples_with_resets(number):
    """A reset ends one run of a register and begins the next; nothing is counted between."""
    first, records, clock, reading = RESETS[number]
    given = [(at(first) + i * 600_000_000, w) for i, w in enumerate(RESET_VALUES[number])]
    data = (
        rows(*given, entries=reset(0, *records))
        if given
        else Rows(np.array([], dtype=np.int64), np.empty((0, 1)), (), reset(0, *records))
    )

    rollup = hour(data, what=series("accumulating"))

    assert clock == pytest.approx(rollup.total[0], rel=1e-12)
    assert reading == (rollup.difference[0], rollup.first_value[0], rollup.last_value[0])


def test_example_14_sparse_channels():
    """Each register goes by its own values; readings without one are passed over."""
    given = rows(
        ("12:09", 105, NAN),
        ("12:19", 110, 1100),
        ("12:29", NAN, NAN),
        ("12:39", 120, NAN),
        ("12:49", 125, NAN),
        ("12:59", NAN, 1300),
    )

    rollup = hour(given, what=series("accumulating", "accumulating"))

    assert (20, 200) == rollup.total
    assert (20, 200) == rollup.difference
    assert (105, 1100) == rollup.first_value
    assert (125, 1300) == rollup.last_value
    assert (4, 2) == rollup.count
    assert 6 == rollup.readings


@pytest.mark.parametrize(("day", "expected"), [((2019, 3, 10), 2300), ((2018, 11, 4), 2500)])
def test_days_with_a_clock_change(day, expected):
    """At 100 Wh an hour a local day of 23 hours has 2300 Wh, one of 25 hours 2500 Wh."""
    zone = ZoneInfo("America/New_York")
    midnight = datetime(*day, tzinfo=zone)
    start, end = to_micros(midnight), to_micros(midnight + timedelta(days=1))
    bounds = [bucket[0] for bucket in buckets_over("h", start, end, zone)] + [end]
    given = rows(*[(start + (i - 2) * HOUR, 100.0 * i) for i in range(30)])

    hours = hour_rollups(series("accumulating"), bounds, given)
    rollup = period_rollup(series("accumulating"), "d", start, end, hours)

    assert expected == rollup.difference[0] == rollup.total[0]
    assert expected // 100 == len(hours) == rollup.count[0]


def test_a_reading_on_the_hour_ends_the_hour_before():
    """Hourly readings on the full hour: each hour rises by what lies between its own edges."""
    given = rows(*[(NOON + i * HOUR, 100.0 * i) for i in range(4)])
    bounds = [NOON + i * HOUR for i in range(4)]

    rollups = hour_rollups(series("accumulating"), bounds, given)

    assert [100, 100, 100] == [rollup.difference[0] for rollup in rollups]
    assert [(0, 100), (100, 200), (200, 300)] == [
        (rollup.first_value[0], rollup.last_value[0]) for rollup in rollups
    ]


def test_an_hour_without_readings_that_one_at_its_end_closes():
    """A gap's rise is in the hour that its last reading ends, though nothing was read within it."""
    given = rows(("09:30", 100.0), ("12:00", 150.0))
    bounds = [at("10:00"), at("11:00"), at("12:00"), at("13:00")]

    ten, eleven, twelve = hour_rollups(series("accumulating"), bounds, given)

    assert ten is None
    assert (50, 0, 100, 150, 0) == (
        eleven.difference[0],
        eleven.total[0],
        eleven.first_value[0],
        eleven.last_value[0],
        eleven.readings,
    )
    assert 0 == twelve.difference[0]


def test_a_first_reading_on_the_hour_says_nothing_about_the_hour_before():
    """Without an earlier value there is nothing to count from."""
    given = rows(("12:00", 150.0))

    before, after = hour_rollups(
        series("accumulating"), [at("11:00"), at("12:00"), at("13:00")], given
    )

    assert before is None
    assert 1 == after.readings


def test_values_more_than_an_hour_apart_are_not_interpolated():
    """The clock difference leaves out a gap of more than an hour, the reading difference not."""
    exact = hour(rows(("11:30", 10.0), ("12:30", 20.0)), what=series("accumulating"))
    longer = hour(rows(("11:29", 10.0), ("12:30", 20.0)), what=series("accumulating"))

    assert (5, 10) == (exact.total[0], exact.difference[0])
    assert (0, 10) == (longer.total[0], longer.difference[0])


def test_a_value_older_than_a_year_is_not_counted_from():
    """365 days back is near enough, a microsecond more is not."""
    year = 365 * 24 * HOUR
    near = hour(rows((NOON - year, 10.0), ("12:30", 20.0)), what=series("accumulating"))
    far = hour(rows((NOON - year - 1, 10.0), ("12:30", 20.0)), what=series("accumulating"))

    assert (10, 10) == (near.difference[0], near.first_value[0])
    assert (0, 20) == (far.difference[0], far.first_value[0])


@pytest.mark.parametrize(("detect", "clock"), [(False, -75), (True, 25)])
def test_a_falling_register(detect, clock):
    """Counted as it is, or, when resets are detected, as having begun again from zero."""
    given = rows(("12:00", 90.0), ("12:10", 100.0), ("12:20", 5.0), ("12:30", 15.0))

    rollup = hour(given, what=series("accumulating", detect_resets=detect))

    assert clock == rollup.total[0]
    assert rollup.total == rollup.difference
    assert (90, 15) == (rollup.first_value[0], rollup.last_value[0])


def test_intervals_are_summed_in_the_hour_they_are_stamped_for():
    """On the full hour, an interval's start belongs to the next hour, its end to the last."""
    given = rows(*[(at("12:00") + i * 900_000_000, 1.0 + i) for i in range(-1, 6)])

    starts = hour(given, what=series("interval", interval_seconds=900))
    ends = hour(given, what=series("interval", interval_seconds=900, end_stamped=True))

    assert (10, 4, 1.0) == (starts.total[0], starts.readings, starts.completeness)
    assert (14, 4, 1.0) == (ends.total[0], ends.readings, ends.completeness)


def test_completeness_is_the_share_of_the_expected_readings():
    """Half of four quarter hours; never more than all; unknown without an interval."""
    two = rows(("12:00", 1.0), ("12:15", 1.0))
    many = rows(*[(NOON + i * 60_000_000, 1.0) for i in range(60)])

    assert 0.5 == hour(two, what=series("interval", interval_seconds=900)).completeness
    assert 1.0 == hour(many, what=series("interval", interval_seconds=900)).completeness
    assert hour(two, what=series("interval")).completeness is None


def test_status_is_the_most_frequent_text():
    """Ties go to the smallest; readings without a text do not vote."""
    said = ["run", "idle", None, "idle", "run", "off"]
    given = rows(
        *[(NOON + i, NAN) for i in range(6)], texts=[(NOON + i, [t]) for i, t in enumerate(said)]
    )

    rollup = hour(given, what=series("status"))

    assert ("idle",) == rollup.texts
    assert (5,) == rollup.count
    assert 6 == rollup.readings


def test_sums_do_not_depend_on_order_and_hours_add_up_to_the_day_exactly():
    """The same numbers in any order give the same bits; a day is the rounded sum of its hours."""
    dice = random.Random(7)
    values = [dice.uniform(-1, 1) * 10 ** dice.randint(-12, 12) for _ in range(24 * 60)]
    shuffled = [v for h in range(24) for v in dice.sample(values[h * 60 : h * 60 + 60], 60)]
    bounds = [NOON + i * HOUR for i in range(25)]
    what = series("interval", "instantaneous")

    one, other = (
        hour_rollups(what, bounds, rows(*[(NOON + i * 60_000_000, v, v) for i, v in enumerate(vs)]))
        for vs in (values, shuffled)
    )
    day = period_rollup(what, "d", bounds[0], bounds[-1], one)

    assert one == other
    assert math.fsum(hour.total[0] for hour in one) == day.total[0]
    assert day.total[0] == pytest.approx(math.fsum(values), rel=1e-9)
    assert day.mean[1] == pytest.approx(math.fsum(values) / len(values), rel=1e-9)


def test_numbers_near_the_limit_of_a_float_stop_nobody():
    """A sum out of range is not known; the mean still is; nothing raises."""
    given = rows(("12:00", 1.7e308, 1.7e308, -1.7e308), ("12:10", 1.7e308, 1.7e308, 1.7e308))
    what = series("instantaneous", "interval", "accumulating")

    rollup = hour(given, what=what)
    day = period_rollup(what, "d", NOON, NOON + 24 * HOUR, [rollup, rollup])

    assert (1.7e308, None, None) == (rollup.mean[0], rollup.total[1], rollup.difference[2])
    assert None is day.total[1]


def test_days_and_months_fold_their_children():
    """Weighted mean, least, greatest, sums, first start, last end, most frequent text."""
    what = series("instantaneous", "accumulating", "status")
    bounds = [NOON, NOON + HOUR, NOON + 2 * HOUR]
    given = rows(
        ("12:00", 1, 10, NAN),
        ("12:20", 3, 30, NAN),
        ("12:40", 2, 40, NAN),
        ("13:00", 8, 60, NAN),
        texts=[(at("12:00"), [None, None, "a"]), (at("13:00"), [None, None, "b"])],
    )

    hours = hour_rollups(what, bounds, given)
    day = period_rollup(what, "d", NOON, NOON + 24 * HOUR, hours)

    assert (4, 4, 2) == day.count
    assert (3.5, 1, 8) == (day.mean[0], day.minimum[0], day.maximum[0])
    assert (50, 50, 10, 60) == (
        day.total[1],
        day.difference[1],
        day.first_value[1],
        day.last_value[1],
    )
    assert "a" == day.texts[2]
    assert 4 == day.readings


def test_a_new_channel_without_values_changes_nothing():
    """A rollup from before a channel was added says the same as one with nothing in it."""
    old = hour(rows(("12:00", 1.0)), what=series("instantaneous"))
    new = hour(rows(("12:00", 1.0, NAN)), what=series("instantaneous", "accumulating"))
    valued = hour(rows(("12:00", 1.0, 0.0)), what=series("instantaneous", "accumulating"))

    assert same_values(old, new)
    assert not same_values(old, valued)


def test_entries_of_one_instant_come_in_their_order():
    """A reading at the instant of a reset belongs to the register that ended."""
    given = rows(
        ("12:00", 90.0),
        ("12:20", 100.0),
        ("12:40", 20.0),
        entries={0: [Entry(at("12:20"), START, 10.0), Entry(at("12:20"), FINAL, 101.0)]},
    )
    far = rows(("12:30", 7.0), entries={0: [Entry(at("11:30"), RAW, 5.0)]})

    assert 21 == hour(given, what=series("accumulating")).difference[0]
    assert (2, 1) == tuple(
        getattr(hour(far, what=series("accumulating")), name)[0] for name in ("difference", "total")
    )
