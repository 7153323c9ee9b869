"""Answers kept under idempotency keys, so that a repeated request is answered, not carried out."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("idempotency")


@dataclass(frozen=True, slots=True)
class Kept:
    """The first answer under a key; its body is sealed, because it may show a new secret."""

    request_hash: bytes
    status: int
    response: bytes


async def claim(db: Any, organization_id: UUID, key: str, request_hash: bytes) -> Kept | None:
    """Claim a key for this transaction, or return what was answered under it in the last day.

    A second request with the same key waits here until the first one's transaction has ended.
    """
    if await db.fetchval(_SQL.claim, organization_id, key, request_hash) is not None:
        return None
    return Kept(**await db.fetchrow(_SQL.find, organization_id, key))


async def keep(db: Any, organization_id: UUID, key: str, status: int, response: bytes) -> None:
    """Write the answer down under the key claimed in this transaction."""
    await db.execute(_SQL.keep, organization_id, key, status, response)


async def forget_old(db: Any) -> None:
    """Drop answers that are older than a day."""
    await db.execute(_SQL.forget_old)
