"""Devices, streams and channels for intake and pipeline: found or registered by the batch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from wattwire.model import Shape
from wattwire.store.queries import load

_SQL: Final = load("registry")

Wanted = tuple[UUID, Shape]


class StreamRow(NamedTuple):
    """A stored stream."""

    stream_id: int
    stream_uuid: UUID
    device_id: int
    device_name: str
    device_type: str
    device_metadata: Mapping[str, Any]
    time_zone: str
    last_time: datetime | None
    names: list[str]
    kinds: list[str]


async def register_devices(connection: Any, wanted: Sequence[Wanted]) -> list[Any]:
    """Register devices that are not there; return rows (id, organization_id, key, name, type)."""
    rows: list[Any] = await connection.fetch(
        _SQL.insert_devices, [o for o, _ in wanted], [s.device for _, s in wanted]
    )
    return rows


class Described(NamedTuple):
    """What a source says of a device."""

    key: str
    name: str  #: for a device that is still named by its key; '' says nothing
    type: str  #: for a device that has none
    metadata: Mapping[str, str]  #: laid over what is there


async def describe_devices(
    connection: Any, organization_id: UUID, said: Sequence[Described]
) -> tuple[list[Any], set[str]]:
    """Lay what is said of devices over what is there, in the caller's transaction.

    Devices that are not there are registered, if the organization lets devices register themselves.
    Returns the rows of those, as `register_devices` does, and the keys of devices not there now.
    """
    columns = [list(column) for column in zip(*said, strict=True)]
    new: list[Any] = await connection.fetch(_SQL.register_described, organization_id, *columns)
    await connection.execute(_SQL.describe_devices, organization_id, *columns)
    keys = {one.key for one in said}
    found = await connection.fetch(_SQL.find_keys, organization_id, sorted(keys))
    return new, keys - {row["key"] for row in found}


async def register_streams(connection: Any, wanted: Sequence[Wanted]) -> dict[Wanted, StreamRow]:
    """Find streams, making those and the channels that are missing.

    A device that does not exist (its organization was deleted) is missing from the answer.
    """
    keys = ([o for o, _ in wanted], [s.device for _, s in wanted], [s.stream for _, s in wanted])
    await connection.execute(_SQL.insert_streams, *keys)
    found = await _find_streams(connection, wanted, keys)
    if missing := list(_missing_channels(found)):
        await connection.execute(_SQL.insert_channels, *map(list, zip(*missing, strict=True)))
        found = await _find_streams(connection, wanted, keys)
    return found


def _missing_channels(found: dict[Wanted, StreamRow]) -> Iterable[tuple[int, str, str, str]]:
    seen: set[tuple[int, str]] = set()
    for (_, shape), row in found.items():
        known = set(row.names)
        for channel in shape.channels:
            key = (row.stream_id, channel.name)
            if channel.name not in known and key not in seen:
                seen.add(key)
                yield row.stream_id, channel.name, str(channel.kind), channel.unit


async def _find_streams(
    connection: Any, wanted: Sequence[Wanted], keys: tuple[list[UUID], list[str], list[str]]
) -> dict[Wanted, StreamRow]:
    rows = await connection.fetch(_SQL.find_streams, *keys)
    return {
        wanted[row["wanted"] - 1]: StreamRow(*(row[name] for name in StreamRow._fields))
        for row in rows
    }


async def find_devices(
    connection: Any, wanted: Sequence[tuple[UUID, str]]
) -> dict[tuple[UUID, str], tuple[int, str]]:
    """Return (id, time zone) of those of the wanted (organization, key) that exist."""
    rows = await connection.fetch(_SQL.find_devices, [o for o, _ in wanted], [k for _, k in wanted])
    return {wanted[row["wanted"] - 1]: (row["id"], row["time_zone"]) for row in rows}


async def find_organization(connection: Any, organization_id: UUID) -> Any:
    """Return (auto_register, detect_resets), or None."""
    return await connection.fetchrow(_SQL.find_organization, organization_id)


async def sight_devices(connection: Any, device_ids: list[int], at: datetime) -> list[Any]:
    """Remember that devices reported; return those that were not online, with what they `was`."""
    rows: list[Any] = await connection.fetch(_SQL.sight_devices, device_ids, at)
    return rows


async def change_statuses(
    connection: Any, changes: Sequence[tuple[UUID, str, str, datetime]]
) -> list[Any]:
    """Apply (organization, key, status, time); return the devices for which it was news."""
    columns = list(map(list, zip(*changes, strict=True)))
    rows: list[Any] = await connection.fetch(_SQL.change_statuses, *columns)
    return rows


async def describe_streams(connection: Any, stream_ids: list[int]) -> dict[int, Any]:
    """Return by stream id what events tell of a stream and its device."""
    rows = await connection.fetch(_SQL.describe_streams, stream_ids)
    return {row["stream_id"]: row for row in rows}
