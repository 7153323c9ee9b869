"""When a calendar day begins and ends in a zone: pure arithmetic, remembered per zone and date."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from wattwire.model import EPOCH

MINUTE_SECONDS: Final = 60
ONE_DAY: Final = timedelta(days=1)
ONE_SECOND: Final = timedelta(seconds=1)


@lru_cache(maxsize=4096)
def day_start(day: date, zone: ZoneInfo) -> int:
    """Return the first instant of a local day, in whole seconds since the epoch.

    That is the first midnight where the clock shows it twice, and the instant of the change where
    the clock skips it. A day that the zone skips altogether begins where the next one does.
    """
    midnight = datetime.combine(day, time(), tzinfo=zone)
    start = midnight.astimezone(UTC)
    if start.astimezone(zone).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return (start - EPOCH) // ONE_SECOND
    # Midnight is skipped. Read with the offset of before the change (fold 0) it lies at or behind
    # the change, with the offset of after it (fold 1) before the change: the change is between.
    low = (midnight.replace(fold=1).astimezone(UTC) - EPOCH) // ONE_SECOND
    return _first_second_of(day, zone, low, (start - EPOCH) // ONE_SECOND)


@lru_cache(maxsize=4096)
def day_intervals(day: date, minutes: int, zone: ZoneInfo) -> range:
    """Return the starts, in epoch seconds, of a local day's intervals of `minutes`.

    They begin with the day and follow each other as long as one starts inside it: 96, 92 or 100
    quarters of an hour. Where the day is no multiple of the interval (23.5 or 24.5 hours at Lord
    Howe, by the hour), the last interval is cut short by the day's end, so that no energy falls
    between two days: 24 or 25 of them. A day that the zone skips has none.
    """
    return range(day_start(day, zone), day_start(day + ONE_DAY, zone), minutes * MINUTE_SECONDS)


def _first_second_of(day: date, zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first second between `low` and `high` whose local date is `day` or later."""
    while low < high:
        middle = (low + high) // 2
        if (EPOCH + timedelta(seconds=middle)).astimezone(zone).date() >= day:
            high = middle
        else:
            low = middle + 1
    return low
