"""Which rollup buckets a stored slice makes stale."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import numpy as np

from wattwire.model import to_instant, to_micros
from wattwire.pipeline.recall import Stream
from wattwire.pipeline.slices import Key
from wattwire.rollups.buckets import bucket_of
from wattwire.rollups.marking import stale_hours as hours_touched


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
    if not late and (hour := _same_hour(stream, times)):
        return [hour]
    previous = None if late else stream.last_time
    marked = hours_touched(
        np.array([to_micros(time) for time in times], dtype=np.int64),
        stream.zone,
        previous=None if previous is None else to_micros(previous),
        late=late,
    )
    start, end = bucket_of("h", to_micros(times[-1]), stream.zone)
    stream.hour = (to_instant(start), to_instant(end))
    return [to_instant(hour) for hour in sorted(marked)]


def _same_hour(stream: Stream, times: list[datetime]) -> datetime | None:
    """Return the hour that holds these readings and the one before them, if one does.

    The common case of a device that goes on reporting, answered without any arithmetic.
    """
    if stream.hour is None or stream.last_time is None:
        return None
    start, end = stream.hour
    if start <= stream.last_time and start < times[0] and times[-1] < end:
        return start
    return None
