"""Pure: what a register rose by in consecutive hours. See `arithmetic` for what is meant."""

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattwire.rollups.buckets import DAY, Instants
from wattwire.rollups.marking import CLOCK_TOLERANCE

#: A value older than this is not what a later one is counted from.
READING_TOLERANCE: Final = 365 * DAY
#: Entries of one instant come in this order.
RAW, FINAL, START = 0, 1, 2


def exact_sum(terms: Iterable[float]) -> float | None:
    """Return the correctly rounded sum; None when it exceeds the range of a float."""
    try:
        total = math.fsum(terms)
    except (OverflowError, ValueError):  # ValueError: inf - inf
        return None
    return total if math.isfinite(total) else None


class Entry(NamedTuple):
    """A value of a register: read, or the end or beginning that a reset states."""

    time: int  #: µs
    type: int  #: RAW, FINAL or START
    value: float


class RegisterSums(NamedTuple):
    """What a register did in a bucket; None where a result exceeds the range of a float."""

    total: float | None
    difference: float | None
    first: float
    last: float


class _Steps(NamedTuple):
    """Entries in order; `rises[i]` leads from entry i - 1 to entry i, `gaps[i]` µs after it."""

    times: list[int]
    values: list[float]
    types: list[int]
    rises: list[float]
    counted: list[float]  #: the rises between entries that are near enough to interpolate
    gaps: list[int]


class _Part(NamedTuple):
    """The entries that count for one bucket: `low` to `high`, with or without what came before."""

    start: int
    end: int
    low: int
    high: int


def sum_register(
    times: Instants,
    values: npt.NDArray[np.float64],
    entries: Sequence[Entry],
    edges: Instants,
    *,
    detect_resets: bool,
) -> list[RegisterSums | None]:
    """Return what a register rose by in each of the buckets between consecutive edges.

    `times` (ascending, µs) and `values` (finite) are what was read, `entries` resets and more
    values. None where nothing was read in the bucket, none at its end, and no rise reaches into it.
    """
    steps, moments, keys = _order(times, values, entries, detect_resets=detect_resets)
    bounds = edges.tolist()
    # For the reading difference an entry at the very edge ends the bucket before it, unless a reset
    # begins there.
    reading = np.searchsorted(keys, 2 * edges, "right").tolist()
    clock = np.searchsorted(moments, edges, "right").tolist()
    inside = np.diff(np.searchsorted(moments, edges, "left")).tolist()
    result: list[RegisterSums | None] = []
    for i in range(len(bounds) - 1):
        span = bounds[i], bounds[i + 1]
        clocked = _Part(*span, clock[i], clock[i + 1])
        part = _Part(*span, reading[i], reading[i + 1])
        closed = part.high > part.low and _has_base(steps, part)
        known = inside[i] or closed or _crosses_end(steps, clocked)
        result.append(_sums(steps, part, _shares(steps, clocked)) if known else None)
    return result


def _order(
    times: Instants,
    values: npt.NDArray[np.float64],
    entries: Sequence[Entry],
    *,
    detect_resets: bool,
) -> tuple[_Steps, Instants, Instants]:
    """Return all entries in order, their times, and keys that put a START behind its instant."""
    types = np.zeros(len(times), dtype=np.int64)
    if entries:
        further = np.array([(entry.time, entry.type) for entry in entries], dtype=np.int64)
        times = np.concatenate((times, further[:, 0]))
        types = np.concatenate((types, further[:, 1]))
        values = np.concatenate((values, np.array([entry.value for entry in entries])))
        order = np.lexsort((types, times))
        times, types, values = times[order], types[order], values[order]
    with np.errstate(over="ignore", invalid="ignore"):
        rises = np.diff(values, prepend=values[:1])
    if detect_resets:
        rises = np.where(rises < 0, values, rises)
    rises[types == START] = 0.0
    gaps = np.diff(times, prepend=times[:1])
    counted = np.where((gaps > 0) & (gaps <= CLOCK_TOLERANCE), rises, 0.0)
    steps = _Steps(*(some.tolist() for some in (times, values, types, rises, counted, gaps)))
    return steps, times, 2 * times + (types == START)


def _has_base(steps: _Steps, part: _Part) -> bool:
    return part.low > 0 and part.start - steps.times[part.low - 1] <= READING_TOLERANCE


def _shares(steps: _Steps, part: _Part) -> list[float]:
    """Return the rises within (start, end], those that cross an edge in proportion to time."""
    shares = steps.counted[part.low : part.high]
    if shares and steps.times[part.low] - steps.gaps[part.low] < part.start:
        shares[0] *= _share(steps, part.low, part)
    if _crosses_end(steps, part):
        shares.append(steps.counted[part.high] * _share(steps, part.high, part))
    return shares


def _crosses_end(steps: _Steps, part: _Part) -> bool:
    """Tell whether the rise to the first entry after the bucket begins before its end."""
    i = part.high
    return (
        i < len(steps.times)
        and 0 < steps.gaps[i] <= CLOCK_TOLERANCE
        and steps.times[i] - steps.gaps[i] < part.end
    )


def _share(steps: _Steps, i: int, part: _Part) -> float:
    """Return how much of the way from entry i - 1 to entry i lies within the bucket."""
    time, gap = steps.times[i], steps.gaps[i]
    return (min(time, part.end) - max(time - gap, part.start)) / gap if gap else 0.0


def _sums(steps: _Steps, part: _Part, shares: list[float]) -> RegisterSums:
    low, high = part.low, part.high
    based = _has_base(steps, part)
    begun = low < high and steps.types[low] == START and steps.times[low] == part.start
    first = steps.values[low - 1] if based and not begun else steps.values[low]
    last = steps.values[high - 1] if low < high or based else first
    rises = steps.rises[low if based else low + 1 : high]
    return RegisterSums(exact_sum(shares), exact_sum(rises), first, last)
