"""Integrations as people configure them. What is delivered through them is told in `listing`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("integrations")


@dataclass(frozen=True, slots=True)
class IntegrationFields:
    """What a person decides about an integration; the secrets are sealed."""

    name: str
    topics: Sequence[str]
    device_ids: Sequence[int] | None
    stream_patterns: Sequence[str] | None
    objects: Sequence[str] | None  #: channels of readings that become messages of their own
    format: str | None
    format_settings: Mapping[str, Any]
    settings: Mapping[str, Any]
    secrets: bytes | None
    rate_per_minute: int | None
    max_concurrent: int | None
    max_payload_bytes: int | None
    outcomes: Mapping[str, Any]
    schedule_seconds: Sequence[float] | None
    max_age_seconds: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class IntegrationRow(IntegrationFields):
    """A stored integration, and what delivery knows of it."""

    id: int
    organization_id: UUID
    type: str
    created_at: datetime
    updated_at: datetime
    status: str
    reason: str
    last_success_at: datetime | None
    last_failure_at: datetime | None


@dataclass(frozen=True, slots=True)
class IntegrationFilter:
    """Which integrations to list; None means any."""

    type: str | None = None
    status: str | None = None
    topic: str | None = None


async def create(
    db: Any,
    organization_id: UUID,
    type: str,  # noqa: A002 - the column's name
    fields: IntegrationFields,
) -> IntegrationRow:
    """Make an integration and the row of its state."""
    integration_id = await db.fetchval(_SQL.create, organization_id, type, *_columns(fields))
    await db.execute(_SQL.create_state, integration_id)
    return IntegrationRow(**await db.fetchrow(_SQL.find, organization_id, integration_id))


async def find(
    db: Any, organization_id: UUID, integration_id: int, *, lock: bool = False
) -> IntegrationRow | None:
    """Return one integration; with `lock` nobody else changes it until the transaction ends."""
    query = f"{_SQL.find} FOR UPDATE OF i" if lock else _SQL.find
    row = await db.fetchrow(query, organization_id, integration_id)
    return IntegrationRow(**row) if row else None


async def find_by_name(db: Any, organization_id: UUID, name: str) -> list[IntegrationRow]:
    """Return the integrations of this name: names need not be unique."""
    return [IntegrationRow(**r) for r in await db.fetch(_SQL.find_by_name, organization_id, name)]


async def list_page(
    db: Any, organization_id: UUID, wanted: IntegrationFilter, *, after: int, limit: int
) -> list[IntegrationRow]:
    """Return integrations with an id above `after`, in that order."""
    rows = await db.fetch(
        _SQL.list_page, organization_id, after, limit, wanted.type, wanted.status, wanted.topic
    )
    return [IntegrationRow(**row) for row in rows]


async def replace(
    db: Any, organization_id: UUID, integration_id: int, fields: IntegrationFields
) -> IntegrationRow:
    """Write every field anew."""
    await db.execute(_SQL.replace, organization_id, integration_id, *_columns(fields))
    return IntegrationRow(**await db.fetchrow(_SQL.find, organization_id, integration_id))


async def set_enabled(
    db: Any, organization_id: UUID, integration_id: int, *, enabled: bool
) -> IntegrationRow | None:
    """Pause (its messages wait) or resume an integration."""
    await db.execute(_SQL.set_enabled, organization_id, integration_id, enabled)
    return await find(db, organization_id, integration_id)


async def delete(db: Any, organization_id: UUID, integration_id: int) -> bool:
    """Mark an integration deleted; its attempts stay until their retention ends."""
    return await db.fetchval(_SQL.delete, organization_id, integration_id) is not None


def _columns(fields: IntegrationFields) -> tuple[object, ...]:
    return (
        fields.name, list(fields.topics), _list(fields.device_ids), _list(fields.stream_patterns),
        _list(fields.objects), fields.format, fields.format_settings, fields.settings,
        fields.secrets, fields.rate_per_minute, fields.max_concurrent,
        fields.max_payload_bytes, fields.outcomes, _list(fields.schedule_seconds),
        fields.max_age_seconds, fields.enabled,
    )  # fmt: skip


def _list(values: Sequence[Any] | None) -> list[Any] | None:
    return None if values is None else list(values)
