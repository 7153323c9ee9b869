"""Pure: readings to hours, hours to days, days to months.

The semantics are SolarNetwork's, per kind of channel:

- `instantaneous`: mean, least and greatest of the values in the bucket.
- `accumulating` (a register), by two measures:
  *total*, the clock difference: what the register rose by between start and end of the bucket. The
  rise between two values that lie on both sides of an edge is shared in proportion to time. Values
  more than an hour apart are not interpolated between and count for nothing.
  *difference*, the reading difference: from the last value at or before the start (at most 365 days
  old) to the last value at or before the end, nothing interpolated, nothing left out.
- `interval`: the sum of the values in the bucket.
- `status`: the most frequent text; of equally frequent ones the smallest.

A register that was replaced has a reset: it ended at `final` and began again at `start`. Without
one a falling register counts as a negative rise; with `detect_resets` it counts as having begun
again from zero, so that the rise is its new value.

Days and months are made of their hours and days: sums of sums, the mean weighted by count, least of
least, greatest of greatest, the first start, the last end, the most frequent of the most frequent.

Sums are correctly rounded (math.fsum): the order of the terms does not matter, the same readings
give the same bits, and a day's total is exactly the rounded sum of its hours' totals. What is then
rounded once more (months against hours, means of means) agrees to 1e-9 of the sum of magnitudes.
A sum that exceeds the range of a float is None.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattwire.model import ChannelKind, to_instant
from wattwire.rollups.buckets import Instants
from wattwire.rollups.registers import Entry, RegisterSums, exact_sum, sum_register
from wattwire.store.rollups import Numbers, Rollup, Series

_ACCUMULATING: Final = ChannelKind.ACCUMULATING
_INTERVAL: Final = ChannelKind.INTERVAL
_STATUS: Final = ChannelKind.STATUS


_ITEMS: Final = attrgetter(*(field.name for field in fields(Rollup)))


class Rows(NamedTuple):
    """Readings of one stream, ascending, with the nearest ones around the hours asked for.

    `values` is float64[n, places] with NaN for none; `texts` holds (time, texts in channel order)
    of readings that have any; `entries[place]` further values of registers: resets, and values from
    further off than the nearest reading.
    """

    times: Instants
    values: npt.NDArray[np.float64]
    texts: Sequence[tuple[int, Sequence[str | None]]] = ()
    entries: dict[int, list[Entry]] = {}  # noqa: RUF012 (never written to)


class _Column(NamedTuple):
    """One channel over consecutive buckets: one item per bucket."""

    counts: Sequence[int]
    mean: Sequence[float | None] | None = None
    minimum: Sequence[float | None] | None = None
    maximum: Sequence[float | None] | None = None
    total: Sequence[float | None] | None = None
    register: Sequence[RegisterSums | None] | None = None
    text: Sequence[str | None] | None = None


def completeness_of(series: Series, readings: int, start: datetime, end: datetime) -> float | None:
    """Return the share of the expected readings that are there, at most 1."""
    if series.interval_seconds is None:
        return None
    expected = (end - start).total_seconds() / series.interval_seconds
    return min(1.0, readings / expected)


def hour_rollups(series: Series, bounds: Sequence[int], rows: Rows) -> list[Rollup | None]:
    """Return the rollups of consecutive hours [bounds[i], bounds[i + 1]), µs.

    None for an hour that holds no reading and that no register's rise reaches into. Readings that
    are stamped with the end of their interval belong to (start, end] instead.
    """
    edges = np.array(bounds, dtype=np.int64)
    readings = np.diff(_cuts(rows.times, edges, series)).tolist()
    columns = [_column(series, place, kind, edges, rows) for place, kind in enumerate(series.kinds)]
    return [
        _hour(series, bounds, index, readings[index], columns)
        if readings[index] or any(_reached(column, index) for column in columns)
        else None
        for index in range(len(bounds) - 1)
    ]


def _reached(column: _Column, index: int) -> bool:
    return column.register is not None and column.register[index] is not None


def _hour(
    series: Series, bounds: Sequence[int], index: int, readings: int, columns: Sequence[_Column]
) -> Rollup:
    start, end = to_instant(bounds[index]), to_instant(bounds[index + 1])
    sums = [column.register[index] if column.register else None for column in columns]
    totals = [
        some.total if some else column.total[index] if column.total else None
        for some, column in zip(sums, columns, strict=True)
    ]
    return Rollup(
        series.stream_id,
        "h",
        start,
        end,
        tuple(column.counts[index] for column in columns),
        _pick(columns, index, lambda column: column.mean),
        _pick(columns, index, lambda column: column.minimum),
        _pick(columns, index, lambda column: column.maximum),
        tuple(totals),
        tuple(some and some.difference for some in sums),
        tuple(some and some.first for some in sums),
        tuple(some and some.last for some in sums),
        _pick(columns, index, lambda column: column.text),
        readings,
        completeness_of(series, readings, start, end),
    )


def _pick(
    columns: Sequence[_Column], index: int, statistic: Callable[[_Column], Sequence[Any] | None]
) -> tuple[Any, ...]:
    return tuple(
        some[index] if (some := statistic(column)) is not None else None for column in columns
    )


def _column(series: Series, place: int, kind: str | None, edges: Instants, rows: Rows) -> _Column:
    if kind == _STATUS:
        return _status(series, place, edges, rows)
    if kind is None:
        return _Column([0] * (len(edges) - 1))
    present = np.isfinite(rows.values[:, place])
    times, values = rows.times[present], rows.values[present, place]
    cuts = _cuts(times, edges, series)
    counts = np.diff(cuts).tolist()
    if kind == _ACCUMULATING:
        entries = rows.entries.get(place, [])
        detect = series.detect_resets
        return _Column(
            counts, register=sum_register(times, values, entries, edges, detect_resets=detect)
        )
    chunks = _chunks(values.tolist(), cuts.tolist())
    if kind == _INTERVAL:
        return _Column(counts, total=[exact_sum(chunk) if chunk else None for chunk in chunks])
    return _Column(
        counts,
        mean=[_mean(chunk) for chunk in chunks],
        minimum=[min(chunk, default=None) for chunk in chunks],
        maximum=[max(chunk, default=None) for chunk in chunks],
    )


def _cuts(times: Instants, edges: Instants, series: Series) -> npt.NDArray[np.intp]:
    """Return where each bucket's readings begin; those of the last end where the last cut says."""
    return np.searchsorted(times, edges, "right" if series.end_stamped else "left")


def _chunks(values: list[float], cuts: list[int]) -> list[list[float]]:
    return [values[low:high] for low, high in pairwise(cuts)]


def _mean(values: list[float]) -> float | None:
    if not values:
        return None
    total = exact_sum(values)
    # Values near the limit of a float: their sum is out of range, their mean is not.
    return total / len(values) if total is not None else exact_sum(v / len(values) for v in values)


def _status(series: Series, place: int, edges: Instants, rows: Rows) -> _Column:
    said = [
        (time, text)
        for time, texts in rows.texts
        if place < len(texts) and (text := texts[place]) is not None
    ]
    times = np.array([time for time, _ in said], dtype=np.int64)
    cuts = _cuts(times, edges, series).tolist()
    chunks = [said[low:high] for low, high in pairwise(cuts)]
    return _Column(
        [len(chunk) for chunk in chunks],
        text=[_most_frequent(text for _, text in chunk) for chunk in chunks],
    )


def _most_frequent(texts: Iterable[str]) -> str | None:
    counted = Counter(texts)
    return min(counted, key=lambda text: (-counted[text], text), default=None)


def period_rollup(
    series: Series, bucket: str, start: int, end: int, children: Sequence[Rollup]
) -> Rollup | None:
    """Return the day of its hours, or the month of its days, oldest first; None without any."""
    if not children:
        return None
    places = range(max(len(child.count) for child in children))
    readings = sum(child.readings for child in children)
    counts = [_values(children, place, "count") for place in places]
    first, last = to_instant(start), to_instant(end)
    return Rollup(
        series.stream_id,
        bucket,
        first,
        last,
        tuple(sum(count) for count in counts),
        tuple(_weighted_mean(children, place) for place in places),
        _fold(children, places, "minimum", min),
        _fold(children, places, "maximum", max),
        _fold(children, places, "total", exact_sum),
        _fold(children, places, "difference", exact_sum),
        _fold(children, places, "first_value", lambda values: values[0]),
        _fold(children, places, "last_value", lambda values: values[-1]),
        tuple(_most_frequent(_values(children, place, "texts")) for place in places),
        readings,
        completeness_of(series, readings, first, last),
    )


def _values(children: Sequence[Rollup], place: int, statistic: str) -> list[Any]:
    """Return what the children that have it say. Older ones may not know newer channels."""
    found = (getattr(child, statistic) for child in children)
    return [some[place] for some in found if place < len(some) and some[place] is not None]


def _fold(
    children: Sequence[Rollup],
    places: Iterable[int],
    statistic: str,
    fold: Callable[[list[float]], float | None],
) -> Numbers:
    values = [_values(children, place, statistic) for place in places]
    return tuple(fold(some) if some else None for some in values)


def _weighted_mean(children: Sequence[Rollup], place: int) -> float | None:
    known = [
        (child.mean[place], child.count[place])
        for child in children
        if place < len(child.mean) and child.mean[place] is not None
    ]
    count = sum(weight for _, weight in known)
    if not count:
        return None
    total = exact_sum(mean * weight for mean, weight in known if mean is not None)
    return total / count if total is not None else None


def same_values(one: Rollup, other: Rollup) -> bool:
    """Tell whether two rollups say the same; a new channel without a value says nothing."""
    return one == other or all(
        _padded(a, b) == _padded(b, a) for a, b in zip(_ITEMS(one), _ITEMS(other), strict=True)
    )


def _padded(item: Any, other: Any) -> Any:
    """Fill up a shorter tuple with None, which says the same as a count of 0."""
    if not isinstance(item, tuple):
        return item
    said = tuple((value or None) if isinstance(value, int) else value for value in item)
    return said + (None,) * (len(other) - len(item))
