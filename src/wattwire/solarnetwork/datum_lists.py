"""`datum/list` and `datum/mostRecent`: readings, or what they add up to, by the page.

A page is ordered by node, source and time, or by time first when the first sort says so. Between
streams and in time every order can be turned around.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from wattwire.rollups.buckets import zone_of
from wattwire.solarnetwork.access import Signed
from wattwire.solarnetwork.aggregations import Aggregation, restrain
from wattwire.solarnetwork.dates import FIRST, LAST, in_zone
from wattwire.solarnetwork.datum_results import columns_of, reading_result, rollup_result
from wattwire.solarnetwork.derived_aggregates import derive
from wattwire.solarnetwork.paging import page, slices_of
from wattwire.solarnetwork.query_parameters import Query, refuse
from wattwire.solarnetwork.query_sources import find_streams
from wattwire.store import solarnetwork_data as data
from wattwire.store.solarnetwork_data import (
    Cut,
    FoundReading,
    FoundRollup,
    SourceStream,
    StreamSpan,
    Window,
)

#: How far back the most recent reading is looked for when no start is given.
RECENT: Final = timedelta(days=90)

Found = FoundReading | FoundRollup
#: Makes a result of what was found in one of the streams.
Show = Callable[[SourceStream, Any, Any], dict[str, Any]]


class Ordered(NamedTuple):
    """Streams in the order of a page."""

    streams: Sequence[SourceStream]
    spans: Sequence[StreamSpan]
    by_time: bool  #: time first, streams only among equal times
    newest_first: bool


class Items(NamedTuple):
    """What a page shows, each of the stream at its place, and how many there are in all."""

    found: Sequence[Found]
    total: int


async def list_datum(db: Any, who: Signed, query: Query) -> dict[str, Any]:
    """Return `data` of the answer. Raises RefusedError."""
    streams = await find_streams(db, who, query)
    if query.most_recent:
        return await _most_recent(db, streams, query)
    kind = aggregation_of(query)
    ordered = order_streams(streams, query)
    items = await find_items(db, kind, ordered, query)
    show = reading_result if kind is Aggregation.NONE else rollup_result
    return show_page(ordered.streams, items, query, show)


async def find_items(db: Any, kind: Aggregation, ordered: Ordered, query: Query) -> Items:
    """Return the readings or aggregates of a page. Raises RefusedError 422 for too much."""
    if kind is not Aggregation.NONE and kind.bucket is None:
        return _cut(await derive(db, kind, ordered.spans), ordered, query)
    counts = await data.count_items(db, ordered.spans, kind.bucket)
    if query.offset >= sum(counts):
        return Items([], sum(counts))
    if ordered.by_time:
        return Items(await _read_by_time(db, kind.bucket, ordered, query), sum(counts))
    return Items(await _read_cuts(db, kind.bucket, ordered, counts, query), sum(counts))


def show_page(
    streams: Sequence[SourceStream], items: Items, query: Query, show: Show
) -> dict[str, Any]:
    """Return a page of results."""
    columns = {place: columns_of(streams[place], query) for place in {f.place for f in items.found}}
    results = [
        show(
            streams[found.place],
            columns[found.place],
            found.rollup if isinstance(found, FoundRollup) else found,
        )
        for found in items.found
    ]
    return page(results, offset=query.offset, total=items.total if query.counted else None)


def aggregation_of(query: Query) -> Aggregation:
    """Return the aggregation that a query is answered with: coarser for a long time."""
    asked = query.aggregation or Aggregation.NONE
    now = datetime.now(UTC)
    if query.local_start is not None:
        return restrain(asked, query.local_start, query.local_end, now.replace(tzinfo=None))
    return restrain(asked, query.start, query.end, now)


def span_of(stream: SourceStream, query: Query) -> StreamSpan:
    """Return what of a stream a query is about: local dates are in its node's zone."""
    start, end = query.start, query.end
    if query.local_start is not None or query.local_end is not None:
        zone = zone_of(stream.time_zone)
        start = None if query.local_start is None else in_zone(query.local_start, zone)
        end = None if query.local_end is None else in_zone(query.local_end, zone)
    return StreamSpan(stream.id, start or FIRST, end or LAST)


def order_streams(streams: Sequence[SourceStream], query: Query) -> Ordered:
    """Return streams and spans in the order that a query's sorts say."""
    ordered = sorted(streams, key=lambda stream: (stream.node_id, stream.path))
    for sort in reversed([sort for sort in query.sorts if sort.key != "time"]):
        ordered.sort(key=_KEYS[sort.key], reverse=sort.descending)
    by_time = bool(query.sorts) and query.sorts[0].key == "time" and len(streams) > 1
    newest_first = next((s.descending for s in query.sorts if s.key == "time"), False)
    spans = [span_of(stream, query) for stream in ordered]
    return Ordered(ordered, spans, by_time, newest_first)


_KEYS: Final[dict[str, Callable[[SourceStream], Any]]] = {
    "node": lambda stream: stream.node_id,
    "source": lambda stream: stream.path,
}


async def _most_recent(db: Any, streams: Sequence[SourceStream], query: Query) -> dict[str, Any]:
    kind = query.aggregation or Aggregation.NONE
    if kind is not Aggregation.NONE and kind.bucket is None:
        refuse("aggregation", f"mostRecent is not supported for the aggregation {kind.title}")
    ordered = order_streams(streams, _since(query))
    found: Sequence[Found]
    if kind.bucket is None:
        found = await data.newest_readings(db, ordered.spans)
    else:
        found = await data.newest_rollups(db, kind.bucket, ordered.spans)
    items = _cut(found, ordered, query)
    show = reading_result if kind.bucket is None else rollup_result
    return show_page(ordered.streams, items, query, show)


def _since(query: Query) -> Query:
    """Return the query with the start that is meant when none is given."""
    if query.start is not None or query.local_start is not None:
        return query
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return replace(query, start=today - RECENT, aggregation=None)


def _cut(found: Sequence[Found], ordered: Ordered, query: Query) -> Items:
    """Return the page of items that are all there already, in the order of the streams."""
    turned = sorted(found, key=_time_of, reverse=ordered.newest_first)
    if not ordered.by_time:
        turned.sort(key=lambda item: item.place)
    return Items(turned[query.offset : query.offset + query.limit], len(found))


def _time_of(found: Found) -> datetime:
    return found.rollup.start if isinstance(found, FoundRollup) else found.time


async def _read_by_time(
    db: Any, bucket: str | None, ordered: Ordered, query: Query
) -> Sequence[Found]:
    window = Window(query.offset, query.limit, ordered.newest_first)
    if bucket is None:
        return await data.read_readings_by_time(db, ordered.spans, window)
    return await data.read_rollups_by_time(db, bucket, ordered.spans, window)


async def _read_cuts(
    db: Any, bucket: str | None, ordered: Ordered, counts: Sequence[int], query: Query
) -> Sequence[Found]:
    slices = slices_of(counts, query.offset, query.limit, newest_first=ordered.newest_first)
    cuts = [Cut(ordered.spans[some.place], some.offset, some.limit) for some in slices]
    found: Sequence[Found]
    if bucket is None:
        found = await data.read_readings(db, cuts)
    else:
        found = await data.read_rollups(db, bucket, cuts)
    placed = [item._replace(place=slices[item.place].place) for item in found]
    if not ordered.newest_first:
        return placed
    turned = sorted(placed, key=_time_of, reverse=True)
    turned.sort(key=lambda item: item.place)
    return turned
