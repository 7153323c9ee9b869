"""Which rollup buckets a stored slice makes stale."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

import numpy as np

from wattwire.model import to_instant, to_micros
from wattwire.pipeline.recall import Stream
from wattwire.pipeline.slices import Key
from wattwire.rollups.buckets import bucket_of
from wattwire.rollups.marking import CLOCK_TOLERANCE
from wattwire.rollups.marking import stale_hours as hours_touched

_TOLERANCE: Final = timedelta(microseconds=CLOCK_TOLERANCE)
_ZONES: Final = 1000
_LAST_HOURS: Final[dict[tzinfo, tuple[datetime, datetime]]] = {}


def stale_hours(
    streams: Mapping[int, Stream], changed: Sequence[Key], late: Collection[int]
) -> dict[datetime, list[int]]:
    """Return the starts of hours, and of each the streams for which it is to be computed again.

    `late` names the streams whose readings did not simply go on after the last one.
    """
    times: dict[int, list[datetime]] = {}
    for stream_id, time in changed:
        times.setdefault(stream_id, []).append(time)
    found: dict[datetime, list[int]] = {}
    for stream_id, some in times.items():
        for hour in _hours(streams[stream_id], some, late=stream_id in late):
            found.setdefault(hour, []).append(stream_id)
    return found


def _hours(stream: Stream, times: list[datetime], *, late: bool) -> list[datetime]:
    times.sort()
    if not late and (hours := _hours_of_one_that_goes_on(stream, times)):
        return hours
    previous = None if late else stream.last_time
    marked = hours_touched(
        np.array([to_micros(time) for time in times], dtype=np.int64),
        stream.zone,
        previous=None if previous is None else to_micros(previous),
        late=late,
    )
    stream.hour = _hour_of(times[-1], stream.zone)
    return [to_instant(hour) for hour in sorted(marked)]


def _hours_of_one_that_goes_on(stream: Stream, times: list[datetime]) -> list[datetime]:
    """Return the hours of readings inside of one hour, of the one before them too if it is near.

    The common case of a device that goes on reporting, answered almost without arithmetic; what it
    cannot answer is empty.
    """
    hour = stream.hour
    if hour is None or not hour[0] < times[0] < hour[1]:
        hour = _hour_of(times[0], stream.zone)
    start, end = hour
    if not start < times[0] or not times[-1] < end:
        return []
    last, known, stream.hour = stream.last_time, stream.hour, hour
    if last is None or last >= start or times[0] - last > _TOLERANCE:
        return [start]
    if known is not None and known[0] <= last and known[1] == start:
        return [known[0], start]
    return []


def _hour_of(time: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
    """Return the hour that holds an instant; that of the last answer, most of the time."""
    known = _LAST_HOURS.get(zone)
    if known is None or not known[0] <= time < known[1]:
        start, end = bucket_of("h", to_micros(time), zone)
        known = to_instant(start), to_instant(end)
        if len(_LAST_HOURS) >= _ZONES:
            _LAST_HOURS.clear()
        _LAST_HOURS[zone] = known
    return known
