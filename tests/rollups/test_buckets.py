"""Hours, days and months in zones of every kind, against the local clock by the minute."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from wattwire.model import to_instant, to_micros
from wattwire.rollups.buckets import (
    HOUR,
    bucket_of,
    buckets_over,
    hours_of,
    parent_of,
    zone_of,
)

MINUTE = 60_000_000
#: Zone, and a day on which its clock does something.
CASES = [
    ("UTC", (2018, 3, 25)),
    ("Europe/Berlin", (2018, 3, 25)),
    ("Europe/Berlin", (2018, 10, 28)),
    ("Europe/London", (2018, 12, 31)),
    ("America/New_York", (2018, 3, 11)),
    ("America/New_York", (2018, 11, 4)),
    ("Australia/Lord_Howe", (2018, 4, 1)),
    ("Australia/Lord_Howe", (2018, 10, 7)),
    ("America/Sao_Paulo", (2018, 2, 18)),  # back at midnight: 23:00 comes twice
    ("America/Sao_Paulo", (2018, 11, 4)),  # forward at midnight: there is no 00:00
    ("Africa/Cairo", (2014, 5, 16)),
    ("Africa/Cairo", (2023, 4, 28)),
    ("Asia/Beirut", (2018, 3, 25)),
    ("Pacific/Apia", (2011, 12, 30)),  # a date that does not exist
    ("America/St_Johns", (2006, 10, 29)),  # back at 00:01: a date begins twice
    ("America/St_Johns", (2006, 4, 2)),
    ("Asia/Kathmandu", (2018, 6, 1)),
    ("Asia/Kathmandu", (1986, 1, 1)),  # from +05:30 to +05:45
    ("Pacific/Chatham", (2018, 9, 30)),
    ("Africa/Casablanca", (2018, 6, 17)),
    ("Asia/Pyongyang", (2018, 5, 5)),
    ("Antarctica/Troll", (2018, 3, 25)),  # two hours at once
]


def watch(zone, first, minutes):
    """Yield (µs, hour id, day id, month id) by the minute; an id counts what has begun so far."""
    hour = 0
    before = (first - timedelta(minutes=1)).astimezone(zone)
    latest = before.date()
    for i in range(minutes):
        instant = first + timedelta(minutes=i)
        local = instant.astimezone(zone)
        if local.minute == 0 or local.utcoffset() != before.utcoffset():
            hour += 1
        latest = max(latest, local.date())
        yield to_micros(instant), hour, latest, (latest.year, latest.month)
        before = local


@pytest.mark.parametrize(("name", "day"), CASES)
def test_buckets_follow_the_local_clock(name, day):
    """For each minute of five days the bucket begins and ends when the local clock says so."""
    zone = ZoneInfo(name)
    seen = list(watch(zone, datetime(*day, tzinfo=UTC) - timedelta(days=2, minutes=1), 5 * 1440))

    for column, kind in ((1, "h"), (2, "d")):
        begins = [now[0] for before, now in pairwise(seen) if now[column] != before[column]]
        for start, end in pairwise(begins):
            for instant in (*range(start, end, 17 * MINUTE), end - 1):
                assert (start, end) == bucket_of(kind, instant, zone), to_instant(instant)


@pytest.mark.parametrize(("name", "day"), CASES)
def test_hours_of_many_instants_are_those_of_each(name, day):
    """The hours of an array, over several decades, are what bucket_of says one by one."""
    zone = ZoneInfo(name)
    middle = to_micros(datetime(*day, tzinfo=UTC))
    near = np.arange(middle - 40 * HOUR, middle + 40 * HOUR, 7 * MINUTE + 13, dtype=np.int64)
    far = np.arange(-12, 60, dtype=np.int64) * (365 * 24 * HOUR + 12345)
    times = np.concatenate((near, far))

    assert [bucket_of("h", t, zone)[0] for t in times.tolist()] == hours_of(times, zone).tolist()


@pytest.mark.parametrize("name", sorted({name for name, _ in CASES}))
def test_hours_partition_days_and_days_partition_months(name):
    """Over three years nothing is left out and nothing counted twice."""
    zone = ZoneInfo(name)
    start = bucket_of("M", to_micros(datetime(2010, 12, 15, tzinfo=UTC)), zone)[0]
    end = bucket_of("M", to_micros(datetime(2013, 12, 15, tzinfo=UTC)), zone)[0]

    months = list(buckets_over("M", start, end, zone))
    days = list(buckets_over("d", start, end, zone))
    hours = list(buckets_over("h", start, end, zone))

    assert 36 == len(months)
    for parents, children, kind in ((months, days, "d"), (days, hours, "h")):
        assert {p[0] for p in parents} <= {c[0] for c in children}
        assert all(p[1] == n[0] for p, n in pairwise(children))
        for child in children:
            parent = parent_of(kind, child[0], zone)
            assert parent[0] <= child[0] < child[1] <= parent[1]
    assert [hour[0] for hour in hours] == sorted(
        set(hours_of(np.array([hour[0] for hour in hours]), zone).tolist())
    )


def test_whole_hour_offsets_truncate_like_utc():
    """Where offsets are whole hours the hours are those of UTC, as SolarNetwork has them."""
    zone = ZoneInfo("America/New_York")
    times = np.arange(0, 60 * 365 * 24, 7, dtype=np.int64) * HOUR + 1_234_567

    assert (times - times % HOUR).tolist() == hours_of(times, zone).tolist()


def lengths(name, *day):
    zone = ZoneInfo(name)
    start = to_micros(datetime(*day, 12, tzinfo=zone))
    bucket = bucket_of("d", start, zone)
    return [(end - begin) // MINUTE for begin, end in buckets_over("h", *bucket, zone)], to_instant(
        bucket[0]
    ).astimezone(zone)


def test_days_of_unusual_length():
    """23 and 25 hours; half hours on Lord Howe; a day that begins at 01:00; one that is missing."""
    assert [60] * 23 == lengths("America/New_York", 2019, 3, 10)[0]
    assert [60] * 25 == lengths("America/New_York", 2018, 11, 4)[0]
    assert [60, 60, 30] + [60] * 21 == lengths("Australia/Lord_Howe", 2018, 10, 7)[0]
    assert [60, 60, 30] + [60] * 22 == lengths("Australia/Lord_Howe", 2018, 4, 1)[0]
    assert 1 == lengths("America/Sao_Paulo", 2018, 11, 4)[1].hour
    assert [60] * 23 == lengths("America/Sao_Paulo", 2018, 11, 4)[0]
    assert [60] * 24 == lengths("Pacific/Apia", 2011, 12, 29)[0]
    assert date(2011, 12, 31) == lengths("Pacific/Apia", 2011, 12, 31)[1].date()
    assert 25 * 60 == sum(lengths("America/St_Johns", 2006, 10, 29)[0])


@pytest.mark.parametrize("name", ["Nowhere/Land", "", "../../etc/passwd", "Europe", "x\0y"])
def test_an_unknown_zone_is_utc(name):
    """A zone that this machine does not know stops nobody."""
    assert zone_of(name) is UTC
    assert (0, 24 * HOUR) == bucket_of("d", 5, zone_of(name))
