"""What the calls of SolarQuery read: streams by node and path, readings and rollups by the page.

Each function is one query, however many streams it is asked about. A *span* is [start, end) of one
stream; results name the span they belong to by its place.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from wattwire.store.queries import load
from wattwire.store.rollups import Rollup

_SQL: Final = load("solarnetwork_data")


class Node(NamedTuple):
    """A device, as SolarNetwork sees it."""

    id: int
    key: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class SourceStream:
    """A stream of a node; `kinds[i]` is of the channel `names[i]`, in the order of the values."""

    id: int
    uuid: UUID
    node_id: int
    key: str  #: of the device
    time_zone: str
    path: str
    names: Sequence[str]
    kinds: Sequence[str]


class StreamSpan(NamedTuple):
    """[start, end) of one stream."""

    stream_id: int
    start: datetime
    end: datetime


class Cut(NamedTuple):
    """Items [offset, offset + limit) of a span, counted from the oldest."""

    span: StreamSpan
    offset: int
    limit: int


class FoundReading(NamedTuple):
    """A reading of the span at `place`."""

    place: int
    time: datetime
    values: Sequence[float | None]
    texts: Sequence[str | None] | None


class FoundRollup(NamedTuple):
    """A rollup of the span at `place`."""

    place: int
    rollup: Rollup


class Window(NamedTuple):
    """Items [offset, offset + limit) of all spans together, by time."""

    offset: int
    limit: int
    newest_first: bool


async def list_nodes(
    db: Any, organization_id: UUID, node_ids: Sequence[int] | None = None
) -> list[Node]:
    """Return the organization's devices, or those of the ids that are its own, by id."""
    rows = await db.fetch(_SQL.list_nodes, organization_id, _listed(node_ids))
    return [Node(*row) for row in rows]


async def list_sources(
    db: Any,
    organization_id: UUID,
    node_ids: Sequence[int] | None,
    within: tuple[datetime, datetime] | None,
    *,
    limit: int,
) -> list[tuple[int, str]]:
    """Return (node, path) of streams, by both; with `within` of those that have readings there."""
    start, end = within or (None, None)
    rows = await db.fetch(_SQL.list_sources, organization_id, _listed(node_ids), start, end, limit)
    return [(row[0], row[1]) for row in rows]


async def list_streams(
    db: Any,
    organization_id: UUID,
    *,
    node_ids: Sequence[int] | None,
    uuids: Sequence[UUID] | None,
    limit: int,
) -> list[SourceStream]:
    """Return the organization's streams of these devices and these ids; None means any."""
    rows = await db.fetch(
        _SQL.list_streams, organization_id, _listed(node_ids), _listed(uuids), limit
    )
    return [SourceStream(*row) for row in rows]


async def find_interval(
    db: Any, stream_ids: Sequence[int], start: datetime, end: datetime
) -> tuple[datetime, datetime] | None:
    """Return when the first and the last reading in [start, end) were taken, or None."""
    row = await db.fetchrow(_SQL.find_interval, list(stream_ids), start, end)
    return None if row["first"] is None else (row["first"], row["last"])


async def count_items(db: Any, spans: Sequence[StreamSpan], bucket: str | None) -> list[int]:
    """Return how many readings, or rollups of a kind, there are in each span."""
    if bucket is None:
        rows = await db.fetch(_SQL.count_readings, *_columns(spans))
    else:
        rows = await db.fetch(_SQL.count_rollups, *_columns(spans), bucket)
    return [row["items"] for row in rows]


async def read_readings(db: Any, cuts: Sequence[Cut]) -> list[FoundReading]:
    """Return the readings of each cut, oldest first; `place` is the cut's."""
    rows = await db.fetch(_SQL.read_readings, *_cut_columns(cuts))
    return [FoundReading(*row) for row in rows]


async def read_readings_by_time(
    db: Any, spans: Sequence[StreamSpan], window: Window
) -> list[FoundReading]:
    """Return the readings of all spans in a window, by time, then by place."""
    rows = await db.fetch(_SQL.read_readings_by_time, *_columns(spans), *_window(window))
    return [FoundReading(*row) for row in rows]


async def newest_readings(db: Any, spans: Sequence[StreamSpan]) -> list[FoundReading]:
    """Return the last reading of each span that has one, by place."""
    return [FoundReading(*row) for row in await db.fetch(_SQL.newest_readings, *_columns(spans))]


async def read_rollups(db: Any, bucket: str, cuts: Sequence[Cut]) -> list[FoundRollup]:
    """Return the rollups of each cut, oldest first; `place` is the cut's."""
    return _rollups(await db.fetch(_SQL.read_rollups, *_cut_columns(cuts), bucket))


async def read_rollups_by_time(
    db: Any, bucket: str, spans: Sequence[StreamSpan], window: Window
) -> list[FoundRollup]:
    """Return the rollups of all spans in a window, by time, then by place."""
    return _rollups(
        await db.fetch(_SQL.read_rollups_by_time, *_columns(spans), *_window(window), bucket)
    )


async def newest_rollups(db: Any, bucket: str, spans: Sequence[StreamSpan]) -> list[FoundRollup]:
    """Return the last rollup of each span that has one, by place."""
    return _rollups(await db.fetch(_SQL.newest_rollups, *_columns(spans), bucket))


def _rollups(rows: Sequence[Any]) -> list[FoundRollup]:
    return [FoundRollup(row[0], _rollup(row[1:])) for row in rows]


def _rollup(columns: Sequence[Any]) -> Rollup:
    """Read columns that are in the order of the fields."""
    items: list[Any] = [tuple(item) if isinstance(item, list) else item for item in columns]
    return Rollup(*items)


def _listed(items: Sequence[Any] | None) -> list[Any] | None:
    return None if items is None else list(items)


def _columns(spans: Sequence[StreamSpan]) -> list[list[Any]]:
    return [[span[i] for span in spans] for i in range(3)]


def _cut_columns(cuts: Sequence[Cut]) -> list[list[Any]]:
    return [
        *_columns([cut.span for cut in cuts]),
        [cut.offset for cut in cuts],
        [cut.limit for cut in cuts],
    ]


def _window(window: Window) -> tuple[int, int, int]:
    return -1 if window.newest_first else 1, window.offset, window.limit
