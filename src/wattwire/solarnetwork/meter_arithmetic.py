"""Pure: between which values of a register a rise is counted, and how large it is.

Values come as entries in order: what was read, and where a register was reset, first what it ended
at, then what it began again with.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from wattwire.model import to_instant, to_micros
from wattwire.rollups.registers import RAW, START, Entry
from wattwire.solarnetwork.query_parameters import ReadingQuery


def ends(
    entries: Sequence[Entry], start: int, end: int, asked: ReadingQuery
) -> tuple[Entry | None, Entry | None]:
    """Return between which entries a rise is counted."""
    match asked.type:
        case "CalculatedAtDifference":
            return value_at(entries, start, asked), value_at(entries, end, asked)
        case "DifferenceWithin":
            first = _first_after(entries, start)
        case "NearestDifference":
            first = _begin(entries, start, asked)
        case _:
            # A meter that began later is counted from its first value.
            first = _begin(entries, start, asked) or _first_after(entries, start)
    return first, _finish(entries, end, asked)


def _begin(entries: Sequence[Entry], date: int, asked: ReadingQuery) -> Entry | None:
    """Return the last value at or before a date; of a reset at the date, what it began with."""
    return _near(entries, bisect_left(entries, (date, START + 1)) - 1, date, asked)


def _finish(entries: Sequence[Entry], date: int, asked: ReadingQuery) -> Entry | None:
    """Return the last value at or before a date; of a reset at the date, what it ended at."""
    return _near(entries, bisect_left(entries, (date, START)) - 1, date, asked)


def _near(entries: Sequence[Entry], index: int, date: int, asked: ReadingQuery) -> Entry | None:
    """Return the entry at an index, unless there is none or it is beyond a tolerance that holds."""
    if index < 0:
        return None
    if asked.type != "NearestDifference":
        return entries[index]
    earliest = to_micros(asked.tolerance.before(to_instant(date)))
    return entries[index] if entries[index].time >= earliest else None


def _first_after(entries: Sequence[Entry], date: int) -> Entry | None:
    index = bisect_left(entries, (date, RAW))
    return entries[index] if index < len(entries) else None


def value_at(entries: Sequence[Entry], date: int, asked: ReadingQuery) -> Entry | None:
    """Return the value at a date, in proportion to time between its neighbours; None without.

    Neighbours are no further away than the tolerance. A reset between them is a neighbour, too.
    """
    index = bisect_right(entries, (date, START, float("inf")))
    if not index:
        return None
    before = entries[index - 1]
    if before.time == date:
        return before
    earliest = to_micros(asked.tolerance.before(to_instant(date)))
    latest = to_micros(asked.tolerance.after(to_instant(date)))
    if index == len(entries) or before.time < earliest or entries[index].time > latest:
        return None
    after = entries[index]
    share = (date - before.time) / (after.time - before.time)
    return Entry(date, RAW, before.value + (after.value - before.value) * share)


def rise_between(
    entries: Sequence[Entry], first: Entry, last: Entry, *, detect_resets: bool
) -> float:
    """Return by how much a register rose from one entry to another, over resets between them."""
    between = entries[bisect_right(entries, first) : bisect_left(entries, last)]
    rise = 0.0
    for earlier, later in pairwise([first, *between, last]):
        step = later.value - earlier.value
        if later.type == START:
            step = 0.0
        elif detect_resets and step < 0:
            step = later.value
        rise += step
    return rise
