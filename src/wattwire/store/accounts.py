"""Accounts: the people of an organization."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("accounts")


@dataclass(frozen=True, slots=True)
class Account:
    """A person who may act in one organization."""

    id: int
    organization_id: UUID
    email: str
    name: str
    role: str
    created_at: datetime
    disabled_at: datetime | None


async def create(
    db: Any, organization_id: UUID, *, email: str, name: str, role: str, password_hash: str
) -> Account:
    """Make an account. Raises asyncpg.UniqueViolationError for an email that is taken."""
    row = await db.fetchrow(_SQL.create, organization_id, email, name, role, password_hash)
    return Account(**row)


async def find(db: Any, organization_id: UUID, account_id: int) -> Account | None:
    """Return one account of the organization."""
    row = await db.fetchrow(_SQL.find, organization_id, account_id)
    return Account(**row) if row else None


async def find_by_email(db: Any, email: str) -> tuple[Account, str] | None:
    """Return an account that is not disabled and its password hash, whatever its organization."""
    row = await db.fetchrow(_SQL.find_by_email, email)
    if row is None:
        return None
    fields = dict(row)
    password_hash = fields.pop("password_hash")
    return Account(**fields), password_hash


async def list_page(db: Any, organization_id: UUID, *, after: int, limit: int) -> list[Account]:
    """Return accounts with an id above `after`, in that order."""
    return [Account(**r) for r in await db.fetch(_SQL.list_page, organization_id, after, limit)]


async def update(
    db: Any,
    organization_id: UUID,
    account_id: int,
    *,
    name: str | None = None,
    role: str | None = None,
    password_hash: str | None = None,
    disabled: bool | None = None,
) -> Account | None:
    """Change what is given; None keeps it. A new password ends the account's sessions."""
    row = await db.fetchrow(
        _SQL.update, organization_id, account_id, name, role, password_hash, disabled
    )
    if row is None:
        return None
    if password_hash is not None:
        await db.execute(_SQL.revoke_sessions, organization_id, account_id)
    return Account(**row)


async def delete(db: Any, organization_id: UUID, account_id: int) -> bool:
    """Delete an account and its tokens; False when there is none."""
    return await db.fetchval(_SQL.delete, organization_id, account_id) is not None


async def lock_owners(db: Any, organization_id: UUID) -> set[int]:
    """Return the owners that are not disabled, locked until the transaction ends."""
    return {row["id"] for row in await db.fetch(_SQL.lock_owners, organization_id)}
