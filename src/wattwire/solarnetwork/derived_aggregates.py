"""Aggregates that the hub does not store: minutes from readings, weeks and years from rollups.

Each is computed when it is asked for, within bounds on what it may cost.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final

from wattwire.model import to_micros
from wattwire.rollups.arithmetic import hour_rollups, period_rollup
from wattwire.rollups.buckets import zone_of
from wattwire.rollups.loading import Loaded, Run, load_runs
from wattwire.solarnetwork.aggregations import Aggregation
from wattwire.solarnetwork.dates import in_zone
from wattwire.solarnetwork.query_parameters import refuse
from wattwire.store import rollups as store
from wattwire.store.rollups import Rollup, Series, Span
from wattwire.store.solarnetwork_data import FoundRollup, StreamSpan, count_items

MAX_SLOTS: Final = 25_000  #: two minutely weeks
MAX_VALUES: Final = 1_000_000
MAX_PARTS: Final = 25_000
_SECOND: Final = 1_000_000


async def derive(
    db: Any, aggregation: Aggregation, spans: Sequence[StreamSpan]
) -> list[FoundRollup]:
    """Return the aggregates of each span, by its place and time. Raises RefusedError 422."""
    if aggregation.level < Aggregation.HOUR.level:
        return await _derive_minutes(db, aggregation.level * _SECOND, spans)
    return await _derive_periods(db, aggregation, spans)


async def _derive_minutes(db: Any, step: int, spans: Sequence[StreamSpan]) -> list[FoundRollup]:
    now = datetime.now(UTC)  # where no end is given
    spans = [span._replace(end=min(span.end, max(now, span.start))) for span in spans]
    bounds = [_bounds(span, step) for span in spans]
    if sum(map(len, bounds)) > MAX_SLOTS:
        refuse("aggregation", f"more than {MAX_SLOTS} results; ask for a shorter time or fewer")
    series = await store.find_series(db, [span.stream_id for span in spans])
    await _check_weight(db, spans, series)
    asked = [
        (place, Run(series[span.stream_id], bounds[place]))
        for place, span in enumerate(spans)
        if len(bounds[place]) > 1 and span.stream_id in series
    ]
    loaded = await load_runs(db, [run for _, run in asked])
    places = [place for place, _ in asked]
    return await asyncio.to_thread(_compute, places, loaded)


def _compute(places: Sequence[int], loaded: Sequence[Loaded]) -> list[FoundRollup]:
    """Do the arithmetic of many slots, beside the loop that serves others."""
    return [
        FoundRollup(place, rollup)
        for place, one in zip(places, loaded, strict=True)
        for rollup in hour_rollups(one.run.series, one.run.bounds, one.rows)
        if rollup is not None and rollup.readings
    ]


async def _check_weight(db: Any, spans: Sequence[StreamSpan], series: Mapping[int, Series]) -> None:
    asked = [Span(s.stream_id, to_micros(s.start), to_micros(s.end)) for s in spans]
    weights = await store.weigh_spans(db, asked, MAX_VALUES)
    widths = [
        len(series[span.stream_id].kinds) if span.stream_id in series else 0 for span in spans
    ]
    if sum(w * max(1, width) for w, width in zip(weights, widths, strict=True)) > MAX_VALUES:
        refuse("aggregation", "too many readings; ask for a shorter time or fewer sources")


def _bounds(span: StreamSpan, step: int) -> list[int]:
    """Return the edges of the slots that share an instant with a span, at most a few too many."""
    first, last = to_micros(span.start), to_micros(span.end)
    if last <= first:
        return []
    first -= first % step
    last = min(last + -last % step, first + step * (MAX_SLOTS + 1))
    return list(range(first, last + 1, step))


async def _derive_periods(
    db: Any, aggregation: Aggregation, spans: Sequence[StreamSpan]
) -> list[FoundRollup]:
    kind = aggregation.parts
    if sum(await count_items(db, spans, kind)) > MAX_PARTS:
        refuse("aggregation", "too many days or months; ask for a shorter time or fewer sources")
    series = await store.find_series(db, [span.stream_id for span in spans])
    asked = [Span(s.stream_id, to_micros(s.start), to_micros(s.end)) for s in spans]
    parts = await store.read_children(db, kind, asked)
    return [
        FoundRollup(place, rollup)
        for place, some in enumerate(parts)
        for rollup in _periods(aggregation, some, series)
    ]


def _periods(
    aggregation: Aggregation, parts: Sequence[Rollup], series: Mapping[int, Series]
) -> Iterator[Rollup]:
    known = series.get(parts[0].stream_id) if parts else None
    if known is None:
        return
    zone = zone_of(known.time_zone)

    def first_day(part: Rollup) -> datetime:
        # A day may begin after midnight, where the clock skips it: half a day on is the same date.
        local = (part.start + timedelta(hours=12)).astimezone(zone).replace(tzinfo=None)
        return _first_day(aggregation, local)

    for first, some in groupby(parts, key=first_day):
        start, end = (in_zone(day, zone) for day in (first, _following(aggregation, first)))
        rollup = period_rollup(known, aggregation.key, to_micros(start), to_micros(end), list(some))
        if rollup is not None:
            yield rollup


def _first_day(aggregation: Aggregation, local: datetime) -> datetime:
    day = local.replace(hour=0, minute=0, second=0, microsecond=0)
    if aggregation is Aggregation.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(month=1, day=1)


def _following(aggregation: Aggregation, first: datetime) -> datetime:
    if aggregation is Aggregation.WEEK:
        return first + timedelta(days=7)
    return first.replace(year=first.year + 1)
