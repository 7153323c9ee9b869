"""Which hours are marked when readings change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from wattwire.model import to_micros
from wattwire.rollups.marking import stale_hours

LORD_HOWE = ZoneInfo("Australia/Lord_Howe")


def at(text):
    hour, minute = map(int, text.split(":"))
    return to_micros(datetime(2020, 6, 1, hour, minute, tzinfo=UTC))


def marked(*times, zone=UTC, **around):
    array = np.array([at(time) for time in times], dtype=np.int64)
    around = {name: at(v) if isinstance(v, str) else v for name, v in around.items()}
    return {
        datetime.fromtimestamp(hour / 1e6, UTC).strftime("%H:%M")
        for hour in stale_hours(array, zone, **around)
    }


def test_a_reading_marks_its_hour():
    """The first reading of a stream touches its hour only."""
    assert {"12:00"} == marked("12:10")


def test_going_on_marks_the_hours_gone_on_from_and_to():
    """What lies between two readings, within an hour, is shared by their hours."""
    assert {"12:00"} == marked("12:10", previous="12:00")
    assert {"11:00", "12:00"} == marked("12:10", previous="11:10")
    assert {"12:00"} == marked("12:10", previous="11:09")


def test_a_reading_on_the_full_hour_ends_the_hour_before():
    """Also when the one before it is long ago."""
    assert {"11:00", "12:00"} == marked("12:00", previous="08:30")


def test_the_next_reading_is_marked_in_the_hour_it_ends():
    """A reading at the full hour ends the hour before; any other lies in its hour."""
    assert {"12:00", "15:00"} == marked("12:10", following="15:20", previous="12:01")
    assert {"12:00", "14:00"} == marked("12:10", following="15:00")


def test_late_readings_mark_the_hour_before_each():
    """Without looking for what lies between them."""
    assert {"09:00", "10:00", "14:00", "15:00"} == marked("10:10", "15:30", late=True)


def test_many_readings_mark_each_hour_once():
    """A day of quarter hours is 24 hours, and the one that its first reading ends."""
    times = np.arange(at("00:00"), at("23:59"), 900_000_000, dtype=np.int64)

    assert 25 == len(stale_hours(times, UTC))


def test_hours_are_local():
    """In a zone of half hours they begin at half past, UTC; cut ones are all marked."""
    assert {"12:30"} == marked("12:40", zone=LORD_HOWE)
    change = to_micros(datetime(2018, 10, 6, 15, 30, tzinfo=UTC))  # 02:00 becomes 02:30
    minute = 60_000_000
    times = np.array([change + 35 * minute], dtype=np.int64)

    expected = {change - 60 * minute, change, change + 30 * minute}
    assert expected == stale_hours(times, LORD_HOWE, previous=change - 20 * minute)
    assert expected == stale_hours(times, LORD_HOWE, late=True)
