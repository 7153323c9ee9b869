"""Readings: merged in batches, exactly once; listed and deleted by range."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from wattwire.store.binary_copy import pack_readings
from wattwire.store.queries import load

_SQL: Final = load("readings")
_COLUMNS: Final = ("stream_id", "time", "received_at", "quality", "values", "texts")
_STAGE_COLUMNS: Final = (*_COLUMNS, "partial")
#: All that make months of `reading` take this lock, so that two never make the same month.
_MONTH_LOCK: Final = 0x4D6F6E74


class Row(NamedTuple):
    """One reading as it is stored, values at their places in the stream."""

    stream_id: int
    time: datetime
    received_at: datetime
    quality: int
    values: Sequence[float | None]
    texts: Sequence[str | None] | None
    partial: bool = False  #: names only some channels: the others stay as they are


async def prepare_stage(connection: Any) -> None:
    """Make the connection ready for `merge`."""
    await connection.execute(_SQL.create_stage)
    # A plan made while a month is still empty would read all of it when it is full.
    await connection.execute("SET enable_seqscan = off")


async def append(connection: Any, rows: Sequence[Row]) -> None:
    """Insert readings of which none is there yet. Raises asyncpg.UniqueViolationError otherwise."""
    packed, others = pack_readings(rows)
    if packed:
        await connection.copy_to_table(
            "reading", source=_whole(packed), columns=_COLUMNS, format="binary"
        )
    if others:
        await connection.copy_records_to_table(
            "reading", records=[row[:6] for row in others], columns=_COLUMNS
        )


async def _whole(packed: bytes) -> AsyncIterator[bytes]:
    """Give it in one piece; asyncpg would read a file in threads."""
    yield packed


async def merge(connection: Any, rows: Sequence[Row]) -> list[tuple[int, datetime]]:
    """Insert or replace readings; return (stream, time) of those that are new or different.

    `rows` name no (stream, time) twice. Runs inside a transaction on a prepared connection.
    """
    await connection.copy_records_to_table("stage", records=rows, columns=_STAGE_COLUMNS)
    changed: list[tuple[int, datetime]] = []
    if not all(row.partial for row in rows):
        changed += await connection.fetch(_SQL.merge_stage)
    if any(row.partial for row in rows):
        changed += await connection.fetch(_SQL.merge_partial)
    return [(row[0], row[1]) for row in changed]


async def note_stale(connection: Any, hours: Mapping[datetime, list[int]]) -> None:
    """Note for each start of an hour the streams whose bucket is to be computed again."""
    await connection.copy_records_to_table(
        "stale_note", records=hours.items(), columns=("start", "streams")
    )


def months_of(times: Iterable[datetime]) -> set[tuple[int, int]]:
    """Return the (year, month) pairs, in UTC, that aware instants fall into."""
    return {(time.year, time.month) for time in times}


async def ensure_months(connection: Any, months: Iterable[tuple[int, int]]) -> None:
    """Make the monthly partitions that are missing."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _MONTH_LOCK)
        for year, month in sorted(months):
            first = datetime(year, month, 1, tzinfo=UTC)
            after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
            await connection.execute(
                f"CREATE TABLE IF NOT EXISTS reading_{year:04}{month:02} PARTITION OF reading "
                f"FOR VALUES FROM ('{first.isoformat()}') TO ('{after.isoformat()}')"
            )


async def list_readings(
    connection: Any,
    stream_id: int,
    start: datetime,
    end: datetime,
    *,
    limit: int,
    newest_first: bool = False,
) -> list[Any]:
    """Return rows (time, received_at, quality, values, texts) of one stream in [start, end)."""
    query = _SQL.list_readings_backwards if newest_first else _SQL.list_readings
    rows: list[Any] = await connection.fetch(query, stream_id, start, end, limit)
    return rows


async def delete_readings(
    connection: Any, stream_id: int, start: datetime, end: datetime
) -> list[datetime]:
    """Delete the readings of one stream in [start, end); return their times, oldest first."""
    rows = await connection.fetch(_SQL.delete_readings, stream_id, start, end)
    if rows:
        await connection.execute(_SQL.tell_stream_changed, stream_id)
    return sorted(row["time"] for row in rows)


async def open_position(connection: Any, partition: int, log_id: str) -> int:
    """Return up to which message this log has been stored; 0 for a log not seen before."""
    position: int = await connection.fetchval(_SQL.open_position, partition, log_id)
    return position


async def advance_position(
    connection: Any, partition: int, log_id: str, *, current: int, reached: int
) -> bool:
    """Move the position forward in the caller's transaction; False when another moved it first."""
    row = await connection.fetchval(_SQL.advance_position, partition, log_id, current, reached)
    return row is not None


async def list_positions(connection: Any) -> list[Any]:
    """Return rows (partition, log_id, sequence)."""
    rows: list[Any] = await connection.fetch(_SQL.list_positions)
    return rows


class Refused(NamedTuple):
    """One entry for the quarantine."""

    organization_id: UUID
    received_at: datetime
    source: str
    format: str
    topic: str
    raw: bytes
    reason: str
    where: str
    device_key: str
    credential_id: int | None


async def insert_quarantine(connection: Any, entries: Sequence[Refused]) -> list[int]:
    """Keep what could not be understood; return the ids of the entries."""
    columns = list(map(list, zip(*entries, strict=True)))
    return [row["id"] for row in await connection.fetch(_SQL.insert_quarantine, *columns)]
