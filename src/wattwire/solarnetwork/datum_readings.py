"""`datum/reading`: what meters say at a date, or by how much they rose between two.

- `Difference`: from the last value at or before the start (without one, the first after it) to the
  last at or before the end;
- `NearestDifference`: likewise, both not further off than the tolerance;
- `DifferenceWithin`: from the first value at or after the start to the last at or before the end;
- `CalculatedAtDifference`: between the values at both dates, calculated from their neighbours;
- `CalculatedAt`: the value at the start, calculated likewise.

Neighbours are at most the tolerance away; no value is looked for beyond 365 days. A reset of a
register on the way ends one count and begins another. With an aggregation (hours, days, months, and
only for `Difference`) the hub's rollups are shown instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import numpy as np

from wattwire.model import ChannelKind, to_instant, to_micros
from wattwire.rollups.buckets import zone_of
from wattwire.rollups.loading import Loaded, Run, load_runs, places_of
from wattwire.rollups.registers import FINAL, RAW, START, Entry
from wattwire.solarnetwork.access import Signed
from wattwire.solarnetwork.aggregations import Aggregation
from wattwire.solarnetwork.dates import local_text, utc_text
from wattwire.solarnetwork.datum_lists import (
    aggregation_of,
    find_items,
    order_streams,
    show_page,
)
from wattwire.solarnetwork.datum_results import columns_of, fill, head, rollup_reading
from wattwire.solarnetwork.meter_arithmetic import ends, rise_between, value_at
from wattwire.solarnetwork.numbers import as_computed
from wattwire.solarnetwork.paging import page
from wattwire.solarnetwork.query_parameters import Query, ReadingQuery, refuse
from wattwire.solarnetwork.query_sources import find_streams
from wattwire.store import rollups as store
from wattwire.store.rollups import Series, Span
from wattwire.store.solarnetwork_data import SourceStream, StreamSpan

MAX_REGISTERS: Final = 5000  #: of one answer
MAX_VALUES: Final = 500_000  #: looked through for registers that are reset by falling


async def list_readings(db: Any, who: Signed, query: Query, asked: ReadingQuery) -> dict[str, Any]:
    """Return `data` of the answer. Raises RefusedError."""
    _check(query, asked)
    streams = await find_streams(db, who, query)
    kind = query.aggregation or Aggregation.NONE
    if kind is Aggregation.NONE:
        return await _at_dates(db, streams, query, asked)
    ordered = order_streams(streams, query)
    items = await find_items(db, aggregation_of(query), ordered, query)
    return show_page(ordered.streams, items, query, rollup_reading)


def _check(query: Query, asked: ReadingQuery) -> None:
    kind = query.aggregation or Aggregation.NONE
    if query.most_recent:
        refuse("mostRecent", "The mostRecent mode is not supported for reading queries.")
    if kind is not Aggregation.NONE:
        if kind.bucket is None:
            refuse(
                "aggregation",
                "Only Hour/Day/Month aggregation is supported for reading queries.",
                kind.title,
            )
        if asked.type != "Difference":
            refuse(
                "readingType",
                "Only the Difference reading type is supported for aggregate queries.",
                asked.type,
            )
    utc = query.start is not None and query.end is not None
    local = query.local_start is not None and query.local_end is not None
    if not utc and not local:
        refuse("startDate", "A date range is required.")


async def _at_dates(
    db: Any, streams: Sequence[SourceStream], query: Query, asked: ReadingQuery
) -> dict[str, Any]:
    ordered = order_streams(streams, query)
    registers = sum(kind == "accumulating" for s in ordered.streams for kind in s.kinds)
    if registers > MAX_REGISTERS:
        refuse("nodeIds", f"more than {MAX_REGISTERS} registers; ask for fewer nodes at a time")
    histories = await _load(db, ordered.spans)
    results = []
    for stream, span in zip(ordered.streams, ordered.spans, strict=True):
        history = histories.get(stream.id)
        result = history and _result(stream, span, query, asked, history)
        if result:
            results.append(result)
    shown = results[query.offset : query.offset + query.limit]
    return page(shown, offset=query.offset, total=len(results) if query.counted else None)


@dataclass(frozen=True, slots=True)
class _History:
    """The values of a stream's registers that matter, by place, in order of time."""

    series: Series
    entries: Mapping[int, list[Entry]]


async def _load(db: Any, spans: Sequence[StreamSpan]) -> dict[int, _History]:
    """Read the values around both dates, and resets; whole spans where a fall is a reset."""
    series = await store.find_series(db, [span.stream_id for span in spans])
    known = [span for span in spans if span.stream_id in series and span.start < span.end]
    edges = [_micros(span) for span in known]
    await _check_weight(db, [e for e in edges if series[e.stream_id].detect_resets])
    runs: list[Run] = []
    for edge in edges:
        some = series[edge.stream_id]
        if some.detect_resets:
            runs.append(Run(some, [edge.start, edge.end]))
        else:
            runs += [Run(some, [edge.start, edge.start]), Run(some, [edge.end, edge.end])]
    loaded = await load_runs(db, runs)
    resets = await store.read_resets(db, edges)
    found: dict[int, dict[int, set[Entry]]] = {}
    for one in loaded:
        _collect(found.setdefault(one.run.series.stream_id, {}), one)
    for edge, some_resets in zip(edges, resets, strict=True):
        for instant, place, final, start in some_resets:
            time = to_micros(instant)
            found[edge.stream_id].setdefault(place, set()).update(
                (Entry(time, FINAL, final), Entry(time, START, start))
            )
    return {
        stream_id: _History(series[stream_id], {p: sorted(some) for p, some in by_place.items()})
        for stream_id, by_place in found.items()
    }


def _micros(span: StreamSpan) -> Span:
    return Span(span.stream_id, to_micros(span.start), to_micros(span.end))


async def _check_weight(db: Any, spans: Sequence[Span]) -> None:
    if spans and sum(await store.weigh_spans(db, spans, MAX_VALUES)) > MAX_VALUES:
        refuse("startDate", "too many readings; ask for a shorter time or fewer sources")


def _collect(found: dict[int, set[Entry]], loaded: Loaded) -> None:
    rows = loaded.rows
    for place in places_of(loaded.run.series, ChannelKind.ACCUMULATING):
        entries = found.setdefault(place, set())
        present = np.isfinite(rows.values[:, place])
        times, values = rows.times[present].tolist(), rows.values[present, place].tolist()
        entries.update(Entry(t, RAW, v) for t, v in zip(times, values, strict=True))
        entries.update(rows.entries.get(place, ()))


class _Figure(NamedTuple):
    """What one register says: a value at an instant, or the rise between two."""

    first: Entry
    last: Entry | None
    rise: float | None


def _result(
    stream: SourceStream, span: StreamSpan, query: Query, asked: ReadingQuery, history: _History
) -> dict[str, Any] | None:
    columns = [column for column in columns_of(stream, query) if column[2] == "accumulating"]
    figures = [
        (name, figure)
        for place, name, _ in columns
        if (figure := _figure(history, place, span, asked)) is not None
    ]
    if not figures:
        return None
    created = to_instant(min(figure.first.time for _, figure in figures))
    result = fill(head(stream, created), _properties(figures))
    ends = [figure.last.time for _, figure in figures if figure.last is not None]
    return {**result, **_end(stream, to_instant(max(ends)))} if ends else result


def _properties(figures: Sequence[tuple[str, _Figure]]) -> Iterator[tuple[str, Any]]:
    for name, figure in figures:
        if figure.last is None:
            yield name, as_computed(figure.first.value)
            continue
        yield name, as_computed(figure.rise)
        yield f"{name}_start", as_computed(figure.first.value)
        yield f"{name}_end", as_computed(figure.last.value)


def _end(stream: SourceStream, end: datetime) -> dict[str, str]:
    zone = zone_of(stream.time_zone)
    return {
        "endDate": utc_text(end),
        "timeZone": stream.time_zone,
        "localEndDate": local_text(end, zone),
    }


def _figure(history: _History, place: int, span: StreamSpan, asked: ReadingQuery) -> _Figure | None:
    entries = history.entries.get(place, [])
    start, end = to_micros(span.start), to_micros(span.end)
    if asked.type == "CalculatedAt":
        found = value_at(entries, start, asked)
        return found and _Figure(found, None, None)
    first, last = ends(entries, start, end, asked)
    if first is None or last is None or last < first:
        return None
    rise = rise_between(entries, first, last, detect_resets=history.series.detect_resets)
    return _Figure(first, last, rise)
