"""Who changed what: one row per change, written in the transaction that makes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("audit")


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One change."""

    id: int
    at: datetime
    actor: str  #: account:EMAIL, token:ID or cli:USER
    action: str  #: NOUN.PARTICIPLE, as in `device.deleted`
    object: str  #: its id
    detail: Mapping[str, Any]


async def record(
    db: Any,
    organization_id: UUID,
    *,
    actor: str,
    action: str,
    object: object,  # noqa: A002 - the column's name
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one row. The detail holds names and numbers, never a secret."""
    await db.execute(_SQL.record, organization_id, actor, action, str(object), detail or {})


async def list_page(
    db: Any, organization_id: UUID, *, before: int | None, action: str | None, limit: int
) -> list[AuditRow]:
    """Return changes, newest first, with an id below `before`."""
    rows = await db.fetch(_SQL.list_page, organization_id, before, action, limit)
    return [AuditRow(**row) for row in rows]
