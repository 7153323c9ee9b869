"""Devices as people see and change them; their streams and channels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("devices")


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A stored device."""

    id: int
    uuid: UUID
    organization_id: UUID
    key: str
    name: str
    type: str
    time_zone: str
    status: str
    status_at: datetime | None
    last_seen_at: datetime | None
    metadata: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One quantity of a stream."""

    name: str
    kind: str
    unit: str


@dataclass(frozen=True, slots=True)
class StreamDetail:
    """A stream and its channels, in the order of the values of its readings."""

    id: int
    uuid: UUID
    path: str
    stamp: str  #: whether a reading is stamped with the start or the end of its interval
    interval_seconds: int | None
    detect_resets: bool | None
    created_at: datetime
    channels: Sequence[ChannelRow]


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices to list; None means any."""

    search: str | None = None  #: part of the name or key
    key: str | None = None
    type: str | None = None
    status: str | None = None


async def create(
    db: Any,
    organization_id: UUID,
    *,
    key: str,
    name: str,
    type: str,  # noqa: A002 - the column's name
    time_zone: str,
    metadata: Mapping[str, Any],
) -> DeviceRow:
    """Make a device. Raises asyncpg.UniqueViolationError for a key that is taken."""
    row = await db.fetchrow(_SQL.create, organization_id, key, name, type, time_zone, metadata)
    await db.execute(_SQL.tell_created, str(row["id"]))
    return DeviceRow(**row)


async def find(db: Any, organization_id: UUID, device_id: int) -> DeviceRow | None:
    """Return one device of the organization."""
    row = await db.fetchrow(_SQL.find, organization_id, device_id)
    return DeviceRow(**row) if row else None


async def find_by_key(db: Any, organization_id: UUID, key: str) -> DeviceRow | None:
    """Return the device with this external key."""
    row = await db.fetchrow(_SQL.find_by_key, organization_id, key)
    return DeviceRow(**row) if row else None


async def list_page(
    db: Any, organization_id: UUID, wanted: DeviceFilter, *, after: int, limit: int
) -> list[DeviceRow]:
    """Return devices with an id above `after`, in that order."""
    rows = await db.fetch(
        _SQL.list_page, organization_id, after, limit,
        wanted.search, wanted.key, wanted.type, wanted.status,
    )  # fmt: skip
    return [DeviceRow(**row) for row in rows]


async def update(
    db: Any,
    organization_id: UUID,
    device_id: int,
    *,
    key: str | None = None,
    name: str | None = None,
    type: str | None = None,  # noqa: A002 - the column's name
    time_zone: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> DeviceRow | None:
    """Change what is given; None keeps it. Raises asyncpg.UniqueViolationError for a taken key."""
    row = await db.fetchrow(
        _SQL.update, organization_id, device_id, key, name, type, time_zone, metadata
    )
    return DeviceRow(**row) if row else None


async def delete(db: Any, organization_id: UUID, device_id: int) -> bool:
    """Delete a device with its readings and rollups, in the caller's transaction."""
    if await db.fetchval(_SQL.lock, organization_id, device_id) is None:
        return False
    streams = [row["id"] for row in await db.fetch(_SQL.list_stream_ids, device_id)]
    await db.execute(_SQL.delete_readings, streams)
    await db.execute(_SQL.delete_stale, streams)
    await db.execute(_SQL.delete, device_id)
    return True


async def count_foreign(db: Any, organization_id: UUID, device_ids: Sequence[int]) -> int:
    """Return how many of the ids do not name a device of the organization."""
    count: int = await db.fetchval(_SQL.count_foreign, organization_id, list(device_ids))
    return count


async def list_streams(db: Any, organization_id: UUID, device_id: int) -> list[StreamDetail]:
    """Return the streams of a device by path, each with its channels in order."""
    rows = await db.fetch(_SQL.list_streams, organization_id, device_id)
    return [_stream(row) for row in rows]


async def find_stream(
    db: Any, organization_id: UUID, device_id: int, path: str
) -> StreamDetail | None:
    """Return one stream of a device."""
    return next(
        (s for s in await list_streams(db, organization_id, device_id) if s.path == path), None
    )


async def update_stream(
    db: Any,
    stream_id: int,
    *,
    stamp: str,
    interval_seconds: int | None,
    detect_resets: bool | None,
) -> None:
    """Write how the readings of a stream are to be understood."""
    await db.execute(_SQL.update_stream, stream_id, stamp, interval_seconds, detect_resets)


def _stream(row: Any) -> StreamDetail:
    fields = dict(row)
    columns = (fields.pop("names"), fields.pop("kinds"), fields.pop("units"))
    return StreamDetail(**fields, channels=[ChannelRow(*c) for c in zip(*columns, strict=True)])
