"""Configured sources: other places that readings come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("sources")


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A stored source; its secrets are sealed."""

    id: int
    organization_id: UUID
    name: str
    type: str
    settings: Mapping[str, Any]
    secrets: bytes | None
    enabled: bool
    created_at: datetime


async def create(
    db: Any,
    organization_id: UUID,
    *,
    name: str,
    type: str,  # noqa: A002 - the column's name
    settings: Mapping[str, Any],
    secrets: bytes | None,
    enabled: bool,
) -> SourceRow:
    """Make a source. Raises asyncpg.UniqueViolationError for a name that is taken."""
    row = await db.fetchrow(_SQL.create, organization_id, name, type, settings, secrets, enabled)
    return SourceRow(**row)


async def find(
    db: Any, organization_id: UUID, source_id: int, *, lock: bool = False
) -> SourceRow | None:
    """Return one source; with `lock` nobody else changes it until the transaction ends."""
    query = f"{_SQL.find} FOR UPDATE" if lock else _SQL.find
    row = await db.fetchrow(query, organization_id, source_id)
    return SourceRow(**row) if row else None


async def list_page(db: Any, organization_id: UUID, *, after: int, limit: int) -> list[SourceRow]:
    """Return sources with an id above `after`, in that order."""
    return [SourceRow(**r) for r in await db.fetch(_SQL.list_page, organization_id, after, limit)]


async def list_enabled(db: Any) -> list[SourceRow]:
    """Return what is to run, of all organizations."""
    return [SourceRow(**row) for row in await db.fetch(_SQL.list_enabled)]


async def replace(
    db: Any,
    source_id: int,
    *,
    name: str,
    settings: Mapping[str, Any],
    secrets: bytes | None,
    enabled: bool,
) -> SourceRow:
    """Write every field anew."""
    return SourceRow(**await db.fetchrow(_SQL.replace, source_id, name, settings, secrets, enabled))


async def delete(db: Any, organization_id: UUID, source_id: int) -> bool:
    """Delete a source; False when there is none."""
    return await db.fetchval(_SQL.delete, organization_id, source_id) is not None
