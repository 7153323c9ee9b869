"""The short way to stale hours says what the long way says."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattwire.model import to_instant, to_micros
from wattwire.pipeline import marks
from wattwire.pipeline.marks import stale_hours
from wattwire.rollups.marking import stale_hours as the_long_way

ZONES = [
    UTC,
    ZoneInfo("Europe/Berlin"),
    ZoneInfo("Asia/Kathmandu"),
    ZoneInfo("Australia/Lord_Howe"),
]
#: Around changes of the clock in Berlin and on Lord Howe Island.
BEGINNINGS = [
    datetime(2025, 3, 30, 0, tzinfo=UTC),
    datetime(2025, 10, 26, 0, tzinfo=UTC),
    datetime(2025, 4, 5, 14, tzinfo=UTC),
    datetime(2025, 6, 1, 12, tzinfo=UTC),
]


@given(
    zone=st.sampled_from(ZONES),
    begin=st.sampled_from(BEGINNINGS),
    steps=st.lists(
        st.lists(st.sampled_from([0.5, 5, 15, 30, 45, 60, 61, 180]), min_size=1, max_size=3),
        max_size=12,
    ),
)
def test_a_stream_that_goes_on(zone, begin, steps):
    """Slice by slice, whatever the steps in minutes: the same hours as without any memory."""
    marks._LAST_HOURS.clear()
    stream = SimpleNamespace(zone=zone, hour=None, last_time=None)
    time = begin
    for minutes in steps:
        times = []
        for step in minutes:
            time += timedelta(minutes=step)
            times.append(time)
        found = stale_hours({1: stream}, [(1, t) for t in times], ())
        expected = the_long_way(
            np.array([to_micros(t) for t in times], dtype=np.int64),
            zone,
            previous=None if stream.last_time is None else to_micros(stream.last_time),
        )
        assert sorted(map(to_instant, expected)) == sorted(found)
        stream.last_time = times[-1]


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_many_streams_share_an_hour(zone):
    """One entry for the hour, with all of its streams."""
    streams = {n: SimpleNamespace(zone=zone, hour=None, last_time=None) for n in range(5)}
    time = datetime(2025, 6, 1, 12, 20, tzinfo=UTC)
    found = stale_hours(streams, [(n, time) for n in streams], ())

    assert [[0, 1, 2, 3, 4]] == list(found.values())


def test_a_piece_of_an_hour_between_two_readings_is_not_left_out():
    """On Lord Howe the clock goes back by half an hour: the half between is stale, too."""
    change = datetime(2025, 4, 5, 15, tzinfo=UTC)
    stream = SimpleNamespace(zone=ZONES[3], hour=None, last_time=None)
    before, after = change - timedelta(minutes=20), change + timedelta(minutes=35)
    stale_hours({1: stream}, [(1, before)], ())
    stream.last_time = before
    found = stale_hours({1: stream}, [(1, after)], ())

    assert [timedelta(hours=-1), timedelta(0), timedelta(minutes=30)] == [
        hour - change for hour in sorted(found)
    ]
