"""Pure: which hours have to be computed again because readings changed.

What one reading at T can change, and who sees to it:

- the hour of T: marked here;
- the hour that ends at T, when T is the start of one (a register read on the full hour closes the
  hour before): marked here;
- the hour of the reading before T, when the two are at most an hour apart (the difference between
  them is shared between their hours): marked here;
- the hour of the next reading of each register, however far off (its difference starts from T):
  found when the hour of T is computed, because only there it is known which registers have a value.
"""

from datetime import tzinfo
from typing import Final

import numpy as np

from wattwire.rollups.buckets import HOUR, Instants, bucket_of, buckets_over, hours_of

#: Readings of a register further apart than this are not interpolated between.
CLOCK_TOLERANCE: Final = HOUR


def stale_hours(
    times: Instants,
    zone: tzinfo,
    *,
    previous: int | None = None,
    following: int | None = None,
    late: bool = False,
) -> set[int]:
    """Return the starts of the hours to mark after readings at `times` changed.

    `times` (µs, ascending, not empty) are the readings of one stream that were stored, replaced
    or deleted; `previous` and `following` the stream's nearest reading before the first and after
    the last of them, if any. `late` says that other readings of the stream may lie between them:
    then, without looking for those, the hour before each is marked too. Never needed for readings
    that go on after the stream's last one, given that one as `previous`.
    """
    hours = hours_of(times, zone)
    marked = {*np.unique(hours).tolist()}
    marked.update(hours_of(times[hours == times] - 1, zone).tolist())
    first = int(times[0])
    if late:
        marked.update(_before(hours, zone))
    elif previous is not None and first - previous <= CLOCK_TOLERANCE:
        marked.update(start for start, _ in buckets_over("h", previous, first, zone))
    if following is not None:
        marked.add(bucket_of("h", following - 1, zone)[0])
    return marked


def _before(hours: Instants, zone: tzinfo) -> set[int]:
    """Return the hours before each hour that a reading within the tolerance may lie in.

    Almost always one; more where a change of the offset cuts an hour in pieces.
    """
    return {
        start
        for hour in np.unique(hours).tolist()
        for start, _ in buckets_over("h", hour - CLOCK_TOLERANCE, hour, zone)
    }
