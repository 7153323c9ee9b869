"""Rollups and what is stale: taken, read, written and listed by the hundred.

A bucket is taken and forgotten in one transaction; a reading that is committed meanwhile marks its
bucket again, which `forget_stale` notices, so that no change is lost and no writer ever waits.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from wattwire.model import to_instant
from wattwire.store.queries import load

_SQL: Final = load("rollups")
#: Names the advisory locks of streams whose rollups are being computed.
_STREAM_LOCK: Final = 0x526F6C6C
_POSTGRES_EPOCH: Final = 946_684_800_000_000  # 2000-01-01 in µs since 1970-01-01
_LONGEST: Final = {"h": timedelta(hours=1), "d": timedelta(days=3), "M": timedelta(days=34)}
_FIRST: Final = datetime(1, 1, 2, tzinfo=UTC)
LAST: Final = datetime(9999, 12, 30, tzinfo=UTC)  #: later than anything that is stored

Numbers = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Rollup:
    """What one bucket of one stream adds up to: one tuple per statistic, in channel order.

    What a channel's kind does not have, or what has no value in the bucket, is None.
    """

    stream_id: int
    bucket: str  #: "h", "d" or "M"
    start: datetime
    end: datetime
    count: tuple[int, ...]  #: readings that had a value
    mean: Numbers  #: instantaneous
    minimum: Numbers  #: instantaneous
    maximum: Numbers  #: instantaneous
    total: Numbers  #: accumulating: clock difference; interval: sum
    difference: Numbers  #: accumulating: from first_value to last_value, over resets
    first_value: Numbers  #: accumulating
    last_value: Numbers  #: accumulating
    texts: tuple[str | None, ...]  #: status: the most frequent value
    readings: int  #: rows in the bucket
    completeness: float | None  #: share of the expected readings, 0 to 1; None: not known


_FIELDS: Final = attrgetter(*(field.name for field in fields(Rollup)))


class Series(NamedTuple):
    """What the arithmetic must know about a stream. `kinds[i]` is of the value at place i."""

    stream_id: int
    time_zone: str
    end_stamped: bool
    interval_seconds: int | None
    detect_resets: bool
    kinds: tuple[str | None, ...]


class Stale(NamedTuple):
    """A bucket that was marked; `version` tells whether it has been marked again since."""

    stream_id: int
    start: datetime
    version: int


class Span(NamedTuple):
    """[start, end) of one stream, µs."""

    stream_id: int
    start: int
    end: int


class Block(NamedTuple):
    """Readings of one stream, in no order: times int64[n] in µs, values float64[n, width]/NaN."""

    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


class Edge(NamedTuple):
    """One reading beside a span."""

    time: datetime
    values: Sequence[float | None]


class Reset(NamedTuple):
    """A register at `place` ended at `final` and began again at `start`."""

    time: datetime
    place: int
    final: float
    start: float


class Wanted(NamedTuple):
    """A channel's nearest value beside an instant (µs) is wanted."""

    stream_id: int
    place: int
    instant: int


class Value(NamedTuple):
    """One value of one channel."""

    time: datetime
    value: float


async def take_stale(
    connection: Any,
    bucket: str,
    *,
    now: datetime | None,
    quiet: timedelta,
    quiet_limit: timedelta,
    limit: int,
    skip: Iterable[int] = (),
    folded_at: datetime = LAST,
) -> list[Stale]:
    """Take stale buckets of a kind that are due; lock their streams until the transaction ends.

    `now` is the database's own time when None. An hour is due when it was last marked `quiet` ago
    or first marked `quiet_limit` ago; days and months are due at once. Streams in `skip` are left.
    What was noted after `folded_at` is not marked yet: nothing is known to be quiet since then.
    """
    await connection.execute(_SQL.plan_for_growth)
    rows = await connection.fetch(
        _SQL.take_stale, bucket, now, quiet, quiet_limit, limit, _STREAM_LOCK, list(skip), folded_at
    )
    return [Stale(*row) for row in rows]


async def fold_notes(connection: Any, limit: int = 10_000) -> tuple[datetime, int]:
    """Turn notes into marks; return since when there may be unfolded ones, and how many were.

    At most `limit` notes are folded: call it again while as many were.
    """
    row = await connection.fetchrow(_SQL.fold_notes, limit)
    return row["began"], row["folded"]


async def forget_stale(connection: Any, bucket: str, taken: Sequence[Stale]) -> int:
    """Forget what was taken, except what has been marked again; return how many were.

    The last step before the commit: from here on whoever marks these buckets waits for it.
    """
    status = await connection.execute(_SQL.forget_stale, bucket, *_columns(taken, 3))
    return int(status.split()[-1])


async def mark_stale(connection: Any, bucket: str, starts: Iterable[tuple[int, datetime]]) -> None:
    """Mark (stream, start) buckets of a kind to be computed again."""
    pairs = list(starts)
    if pairs:
        await connection.execute(_SQL.mark_stale, bucket, *_columns(pairs, 2))


async def count_stale(connection: Any) -> dict[str, tuple[int, datetime]]:
    """Return for each kind how many buckets wait, and since when the first does."""
    rows = await connection.fetch(_SQL.count_stale)
    return {row["bucket"]: (row["waiting"], row["oldest"]) for row in rows}


async def find_series(connection: Any, stream_ids: Iterable[int]) -> dict[int, Series]:
    """Return what the arithmetic must know, by stream; streams that are gone are left out."""
    rows = await connection.fetch(_SQL.find_series, list(set(stream_ids)))
    return {row["id"]: _series(row) for row in rows}


def _series(row: Any) -> Series:
    places = dict(zip(row["positions"] or (), row["kinds"] or (), strict=True))
    kinds = tuple(places.get(place) for place in range(1, max(places, default=0) + 1))
    return Series(
        row["id"],
        row["time_zone"],
        row["end_stamped"],
        row["interval_seconds"],
        row["detect_resets"],
        kinds,
    )


async def weigh_spans(connection: Any, spans: Sequence[Span], limit: int) -> list[int]:
    """Return how many readings each span holds, counted up to `limit`."""
    rows = await connection.fetch(_SQL.weigh_spans, *_spans(spans), limit)
    return [row["readings"] for row in rows]


async def read_spans(connection: Any, spans: Sequence[Span]) -> list[list[Block]]:
    """Return the readings inside of each span: one block for each width of values."""
    found: list[list[Block]] = [[] for _ in spans]
    for row in await connection.fetch(_SQL.read_spans, *_spans(spans)):
        found[row["number"]].append(_decode_block(row["width"], row["block"]))
    return found


def _decode_block(width: int, block: bytes) -> Block:
    """Read rows of timestamptz_send(time) || array_send(values) with `width` values each.

    An array is three words (dimensions, flags, element type), two more when it is not empty (size,
    lower bound), then each element as its length and its big-endian bytes.
    """
    head = 20 if width else 12
    element = np.dtype([("length", ">i4"), ("value", ">f8")])
    rows = np.frombuffer(
        block, np.dtype([("time", ">i8"), ("head", f"V{head}"), ("elements", element, (width,))])
    )
    times = rows["time"].astype(np.int64) + _POSTGRES_EPOCH
    return Block(times, rows["elements"]["value"].astype(np.float64))


async def read_edges(connection: Any, spans: Sequence[Span]) -> list[list[Edge]]:
    """Return the nearest readings before and after each span, at most 365 days off."""
    return await _grouped(connection, _SQL.read_edges, spans, Edge)


async def read_texts(connection: Any, spans: Sequence[Span]) -> list[list[Edge]]:
    """Return times and texts of the readings in each span, its end included, oldest first."""
    return await _grouped(connection, _SQL.read_texts, spans, Edge)


async def read_resets(connection: Any, spans: Sequence[Span]) -> list[list[Reset]]:
    """Return the resets in and around each span, at most 365 days off."""
    found: list[list[Reset]] = [[] for _ in spans]
    for number, time, position, final, start in await connection.fetch(
        _SQL.read_resets, *_spans(spans)
    ):
        found[number].append(Reset(time, position - 1, final, start))
    return found


async def find_last_values(connection: Any, wanted: Sequence[Wanted]) -> list[Value | None]:
    """Return each channel's last value before its instant, at most 365 days before."""
    return await _find_values(connection, _SQL.find_last_values, wanted)


async def find_next_values(connection: Any, wanted: Sequence[Wanted]) -> list[Value | None]:
    """Return each channel's first value at or after its instant, at most 365 days after."""
    return await _find_values(connection, _SQL.find_next_values, wanted)


async def _find_values(connection: Any, query: str, wanted: Sequence[Wanted]) -> list[Value | None]:
    found: list[Value | None] = [None] * len(wanted)
    if wanted:
        arguments = (
            [some.stream_id for some in wanted],
            [some.place + 1 for some in wanted],
            [to_instant(some.instant) for some in wanted],
        )
        for row in await connection.fetch(query, *arguments):
            found[row["number"]] = Value(row["time"], row["value"])
    return found


async def _grouped(
    connection: Any, query: str, spans: Sequence[Span], shape: Any
) -> list[list[Any]]:
    found: list[list[Any]] = [[] for _ in spans]
    for number, *rest in await connection.fetch(query, *_spans(spans)):
        found[number].append(shape(*rest))
    return found


async def read_stored(
    connection: Any, bucket: str, spans: Sequence[Span]
) -> dict[tuple[int, datetime], Rollup]:
    """Return the stored rollups of a kind that share an instant with a span."""
    rows = await connection.fetch(_SQL.read_stored, bucket, *_spans(spans), _LONGEST[bucket])
    return {(row["stream_id"], row["start"]): _rollup(row) for row in rows}


async def read_children(connection: Any, bucket: str, spans: Sequence[Span]) -> list[list[Rollup]]:
    """Return the rollups of kind `bucket` that begin in each span, oldest first."""
    found: list[list[Rollup]] = [[] for _ in spans]
    for row in await connection.fetch(_SQL.read_children, bucket, *_spans(spans)):
        found[row["number"]].append(_rollup(row[1:]))
    return found


async def write_rollups(connection: Any, rollups: Sequence[Rollup]) -> None:
    """Insert or replace rollups, except of streams that are gone."""
    if rollups:
        await connection.executemany(_SQL.write_rollup, map(_FIELDS, rollups))


async def delete_rollups(
    connection: Any, bucket: str, keys: Sequence[tuple[int, datetime]]
) -> None:
    """Delete rollups of a kind by (stream, start)."""
    if keys:
        await connection.execute(_SQL.delete_rollups, bucket, *_columns(keys, 2))


async def read_rollups(
    connection: Any,
    stream_ids: Sequence[int],
    bucket: str,
    start: datetime,
    end: datetime,
    *,
    limit: int,
    cursor: tuple[int, datetime] | None = None,
) -> list[Rollup]:
    """Return rollups that begin in [start, end), by stream and time, at most `limit`.

    `cursor` is the (stream_id, start) of the last one of the page before.
    """
    after = cursor or (None, None)
    rows = await connection.fetch(_SQL.list_rollups, stream_ids, bucket, start, end, *after, limit)
    return [_rollup(row) for row in rows]


async def rezone(connection: Any, device_id: int) -> None:
    """Drop a device's rollups and mark its hours, in the transaction that changed its time zone.

    Rollups from before the first reading that is still kept stay as they are.
    """
    streams = [row["id"] for row in await connection.fetch(_SQL.find_streams, device_id)]
    await connection.execute(_SQL.drop_rollups, streams)
    await connection.execute(_SQL.mark_range, streams, _FIRST, LAST)


async def mark_deleted(
    connection: Any, stream_ids: Sequence[int], start: datetime, end: datetime
) -> None:
    """Mark the hours that readings in [start, end) belong to or reach into.

    For readings that are about to be deleted: call it before the deletion, in its transaction.
    """
    await connection.execute(_SQL.mark_range, stream_ids, start, end)


def _rollup(row: Any) -> Rollup:
    """Read a row whose columns are in the order of the fields."""
    items: list[Any] = [tuple(item) if isinstance(item, list) else item for item in row]
    return Rollup(*items)


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]


def _spans(spans: Sequence[Span]) -> list[list[Any]]:
    return [
        [span.stream_id for span in spans],
        [to_instant(span.start) for span in spans],
        [to_instant(span.end) for span in spans],
    ]
