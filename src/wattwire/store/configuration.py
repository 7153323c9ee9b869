"""The configuration of an organization as a whole: read at once, changed one at a time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

from wattwire.store.credentials import Credential
from wattwire.store.credentials import list_page as list_credentials
from wattwire.store.devices import DeviceRow
from wattwire.store.integrations import IntegrationFilter, IntegrationRow
from wattwire.store.integrations import list_page as list_integrations
from wattwire.store.queries import load
from wattwire.store.sources import SourceRow
from wattwire.store.sources import list_page as list_sources

_SQL: Final = load("configuration")


class StreamSettings(NamedTuple):
    """What people decide about a stream of a device, given by its key."""

    key: str
    id: int
    path: str
    stamp: str
    interval_seconds: int | None
    detect_resets: bool | None


async def lock(db: Any, organization_id: UUID) -> None:
    """Let nobody else apply a configuration, or change a row of it, until the transaction ends.

    Devices are not locked: they report all the time.
    """
    await db.execute(_SQL.lock, str(organization_id))
    for statement in (_SQL.lock_integrations, _SQL.lock_sources, _SQL.lock_credentials):
        await db.execute(statement, organization_id)


async def devices(
    db: Any, organization_id: UUID, keys: Sequence[str] | None, limit: int
) -> list[DeviceRow]:
    """Return the devices with these keys, or all, by key."""
    rows = await db.fetch(_SQL.list_devices, organization_id, _list(keys), limit)
    return [DeviceRow(**row) for row in rows]


async def streams(
    db: Any, organization_id: UUID, keys: Sequence[str] | None, limit: int
) -> list[StreamSettings]:
    """Return the streams of these devices; of all devices those that somebody changed."""
    rows = await db.fetch(_SQL.list_streams, organization_id, _list(keys), limit)
    return [StreamSettings(*row) for row in rows]


async def make_stream(db: Any, device_id: int, path: str) -> int:
    """Make a stream unless it is there; return its id."""
    stream_id: int = await db.fetchval(_SQL.make_stream, device_id, path)
    return stream_id


async def device_keys(db: Any, organization_id: UUID, ids: Iterable[int]) -> Mapping[int, str]:
    """Return the keys of those of the devices that are there."""
    rows = await db.fetch(_SQL.list_device_keys, organization_id, sorted(set(ids)))
    return {row["id"]: row["key"] for row in rows}


async def device_ids(db: Any, organization_id: UUID, keys: Iterable[str]) -> Mapping[str, int]:
    """Return the ids of those of the devices that are there."""
    rows = await db.fetch(_SQL.list_device_ids, organization_id, sorted(set(keys)))
    return {row["key"]: row["id"] for row in rows}


async def sources(db: Any, organization_id: UUID, limit: int) -> list[SourceRow]:
    """Return the sources, by name."""
    rows = await list_sources(db, organization_id, after=0, limit=limit)
    return sorted(rows, key=lambda row: row.name)


async def integrations(db: Any, organization_id: UUID, limit: int) -> list[IntegrationRow]:
    """Return the integrations, by type and name."""
    rows = await list_integrations(db, organization_id, IntegrationFilter(), after=0, limit=limit)
    return sorted(rows, key=lambda row: (row.type, row.name, row.id))


async def credentials(db: Any, organization_id: UUID, limit: int) -> list[Credential]:
    """Return the MQTT credentials, by user name."""
    rows = await list_credentials(db, organization_id, after=0, limit=limit)
    return sorted(rows, key=lambda row: row.username)


async def password_hashes(
    db: Any, organization_id: UUID, usernames: Sequence[str]
) -> Mapping[str, str | None]:
    """Return the password hashes of MQTT credentials."""
    rows = await db.fetch(_SQL.list_password_hashes, organization_id, list(usernames))
    return {row["username"]: row["password_hash"] for row in rows}


async def taken_usernames(db: Any, organization_id: UUID, usernames: Sequence[str]) -> set[str]:
    """Return which of the user names other organizations have."""
    rows = await db.fetch(_SQL.list_taken_usernames, organization_id, list(usernames))
    return {row["username"] for row in rows}


async def drop_password(db: Any, organization_id: UUID, credential_id: int) -> None:
    """Let a credential in by its certificate only."""
    await db.execute(_SQL.drop_password, organization_id, credential_id)


def _list(keys: Sequence[str] | None) -> list[str] | None:
    return None if keys is None else list(keys)
