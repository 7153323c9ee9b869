"""Pure: which hour, local day or calendar month an instant belongs to, in which zone.

Instants are whole microseconds since 1970-01-01T00:00Z; buckets are half-open, [start, end).

- An hour lies between two neighbours of: every full hour on the local clock, and every instant at
  which the zone's offset from UTC changes. With offsets of whole hours that is the UTC hour. With
  others (Asia/Kathmandu +05:45) it is not; where an offset changes by half an hour (Australia/
  Lord_Howe) single hours are 30 minutes long.
- A day lasts from the first instant of a local date to the first instant of the next date that
  exists. A date that begins twice begins the first time; zones that skip midnight begin their day
  at the first instant there is.
- A month likewise, from the first instant of its first date.

So hours partition days and days partition months, without rest, in every zone.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import structlog

from wattwire.model import EPOCH, MICROSECOND

HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
#: What a bucket adds up to, and what it is made of.
PARENTS: Final = {"h": "d", "d": "M"}
CHILDREN: Final = {"d": "h", "M": "d"}

_SECOND: Final = 1_000_000
_ERA: Final = 3652 * DAY  # offsets are remembered for about ten years at a time
_MARGIN: Final = 400 * DAY
_BEGINNING: Final = -(1 << 62)
_ORDINAL_OF_EPOCH: Final = EPOCH.toordinal()

Instants = npt.NDArray[np.int64]
Bucket = tuple[int, int]

log = structlog.get_logger()


class _Offsets(NamedTuple):
    """From `instants[i]` on, a zone is `offsets[i]` ahead of UTC, until `instants[i + 1]`."""

    instants: list[int]
    offsets: list[int]


@lru_cache(maxsize=2048)
def zone_of(name: str) -> tzinfo:
    """Return the zone of that IANA name; UTC for a name that is not known here."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        log.warning("rollups.zone_refused", zone=name, error=str(error))
        return UTC


def _offset_at(zone: tzinfo, second: int) -> int:
    """Return how far the zone is ahead of UTC, in microseconds."""
    offset = (EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return offset // MICROSECOND if offset is not None else 0


def _find_change(zone: tzinfo, low: int, high: int) -> int:
    """Return the first second in (low, high] with the offset that holds at `high`."""
    new = _offset_at(zone, high)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(zone, middle) == new:
            high = middle
        else:
            low = middle
    return high


@lru_cache(maxsize=4096)
def _offsets(zone: tzinfo, era: int) -> _Offsets:
    """Find an era's changes by looking at each day, a year around included; zoneinfo lists none."""
    step = DAY // _SECOND
    low = (era * _ERA - _MARGIN) // _SECOND
    high = ((era + 1) * _ERA + _MARGIN) // _SECOND
    found = _Offsets([_BEGINNING], [_offset_at(zone, low)])
    for second in range(low + step, high + step, step):
        offset = _offset_at(zone, second)
        if offset != found.offsets[-1]:
            found.instants.append(_find_change(zone, second - step, second) * _SECOND)
            found.offsets.append(offset)
    return found


def bucket_of(kind: str, instant: int, zone: tzinfo) -> Bucket:
    """Return [start, end) of the bucket of `kind` ("h", "d" or "M") that holds an instant."""
    if kind == "h":
        return _hour_of(instant, zone)
    day = _day_number(instant, zone)
    if kind == "d":
        return _span(zone, day, day + 1)
    return _span(zone, *_month_days(day))


def parent_of(kind: str, start: int, zone: tzinfo) -> Bucket:
    """Return the day of an hour, or the month of a day, that starts at `start`."""
    return bucket_of(PARENTS[kind], start, zone)


def buckets_over(kind: str, start: int, end: int, zone: tzinfo) -> Iterator[Bucket]:
    """Yield, in order, the buckets that share an instant with [start, end)."""
    while start < end:
        bucket = bucket_of(kind, start, zone)
        yield bucket
        start = bucket[1]


def hours_of(times: Instants, zone: tzinfo) -> Instants:
    """Return the start of each instant's hour; what `bucket_of("h", …)` says, for many at once."""
    if zone is UTC:
        return times - times % HOUR
    eras = times // _ERA
    starts = np.empty_like(times)
    for era in np.unique(eras).tolist():
        chosen = eras == era
        starts[chosen] = _hours_of_era(times[chosen], _offsets(zone, era))
    return starts


def _hours_of_era(times: Instants, known: _Offsets) -> Instants:
    changes = np.array(known.instants, dtype=np.int64)
    index = np.searchsorted(changes, times, side="right") - 1
    local = times + np.array(known.offsets, dtype=np.int64)[index]
    return np.maximum(times - local % HOUR, changes[index])


def _hour_of(instant: int, zone: tzinfo) -> Bucket:
    known = _offsets(zone, instant // _ERA)
    index = bisect_right(known.instants, instant) - 1
    start = instant - (instant + known.offsets[index]) % HOUR
    end = start + HOUR
    if index + 1 < len(known.instants):
        end = min(end, known.instants[index + 1])
    return max(start, known.instants[index]), end


def _day_number(instant: int, zone: tzinfo) -> int:
    """Return the latest local date, as days since 1970-01-01, that has begun at an instant.

    A clock that is set back over midnight shows the old date again; the new day goes on.
    """
    known = _offsets(zone, instant // _ERA)
    index = bisect_right(known.instants, instant) - 1
    local = instant + known.offsets[index]
    if index:
        local = max(local, known.instants[index] - 1 + known.offsets[index - 1])
    return local // DAY


def _month_days(day: int) -> tuple[int, int]:
    """Return the first day of a day's month and of the month after it."""
    inside = date.fromordinal(day + _ORDINAL_OF_EPOCH)
    first = inside.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return first.toordinal() - _ORDINAL_OF_EPOCH, following.toordinal() - _ORDINAL_OF_EPOCH


@lru_cache(maxsize=65536)
def _span(zone: tzinfo, day: int, following: int) -> Bucket:
    return _first_at(zone, day * DAY), _first_at(zone, following * DAY)


def _first_at(zone: tzinfo, local: int) -> int:
    """Return the first instant at which the local clock shows `local` or later."""
    known = _offsets(zone, local // _ERA)
    last = len(known.instants) - 1
    # No offset reaches a day, so nothing before that can show `local`.
    index = bisect_right(known.instants, local - 2 * DAY) - 1
    while True:
        instant = max(known.instants[index], local - known.offsets[index])
        if index == last or instant < known.instants[index + 1]:
            return instant
        index += 1
