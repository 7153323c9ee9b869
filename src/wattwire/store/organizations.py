"""Organizations: whose everything is."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("organizations")


@dataclass(frozen=True, slots=True)
class Organization:
    """A customer, and how its readings are treated."""

    id: UUID
    name: str
    auto_register: bool  #: unknown devices are registered; else they go to quarantine
    detect_resets: bool  #: a falling register starts again from zero
    created_at: datetime


async def create(db: Any, name: str, *, auto_register: bool = True) -> Organization:
    """Make an organization. Raises asyncpg.UniqueViolationError for a name that is taken."""
    return Organization(**await db.fetchrow(_SQL.create, name, auto_register))


async def find(db: Any, organization_id: UUID) -> Organization | None:
    """Return the organization with this id."""
    row = await db.fetchrow(_SQL.find, organization_id)
    return Organization(**row) if row else None


async def find_by_name(db: Any, name: str | None) -> Organization | None:
    """Return the organization of this name; without a name the oldest one."""
    row = await db.fetchrow(_SQL.find_by_name, name)
    return Organization(**row) if row else None


async def list_all(db: Any) -> list[Organization]:
    """Return every organization, oldest first, at most 10,000."""
    return [Organization(**row) for row in await db.fetch(_SQL.list_all)]


async def update(
    db: Any,
    organization_id: UUID,
    *,
    name: str | None = None,
    auto_register: bool | None = None,
    detect_resets: bool | None = None,
) -> Organization | None:
    """Change what is given; None keeps it."""
    row = await db.fetchrow(_SQL.update, organization_id, name, auto_register, detect_resets)
    return Organization(**row) if row else None
