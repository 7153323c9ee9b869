"""MQTT credentials: who may connect to the door, and which topics are theirs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("credentials")


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name of the door as it may be shown: without its password."""

    id: int
    organization_id: UUID
    username: str
    has_password: bool
    certificate_sha256: bytes | None
    format: str
    publish_topics: Sequence[str]
    subscribe_topics: Sequence[str]
    settings: Mapping[str, Any]
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class CredentialFields:
    """What a person decides about a credential; None for a secret that stays or is not there."""

    username: str
    format: str
    publish_topics: Sequence[str]
    subscribe_topics: Sequence[str]
    settings: Mapping[str, Any]
    password_hash: str | None = None
    certificate_sha256: bytes | None = None
    disabled: bool = False


async def create(db: Any, organization_id: UUID, fields: CredentialFields) -> Credential:
    """Make a credential. Raises asyncpg.UniqueViolationError for a user name that is taken."""
    return Credential(**await db.fetchrow(_SQL.create, organization_id, *_columns(fields)))


async def find(
    db: Any, organization_id: UUID, credential_id: int, *, lock: bool = False
) -> Credential | None:
    """Return one credential; with `lock` nobody else changes it until the transaction ends."""
    query = f"{_SQL.find} FOR UPDATE" if lock else _SQL.find
    row = await db.fetchrow(query, organization_id, credential_id)
    return Credential(**row) if row else None


async def find_by_username(db: Any, organization_id: UUID, username: str) -> Credential | None:
    """Return the credential of this user name."""
    row = await db.fetchrow(_SQL.find_by_username, organization_id, username)
    return Credential(**row) if row else None


async def list_page(db: Any, organization_id: UUID, *, after: int, limit: int) -> list[Credential]:
    """Return credentials with an id above `after`, in that order."""
    return [Credential(**r) for r in await db.fetch(_SQL.list_page, organization_id, after, limit)]


async def replace(
    db: Any, organization_id: UUID, credential_id: int, fields: CredentialFields
) -> Credential:
    """Write every field anew; a `password_hash` of None keeps the password."""
    row = await db.fetchrow(_SQL.replace, organization_id, credential_id, *_columns(fields))
    return Credential(**row)


async def delete(db: Any, organization_id: UUID, credential_id: int) -> bool:
    """Delete a credential; False when there is none."""
    return await db.fetchval(_SQL.delete, organization_id, credential_id) is not None


def _columns(fields: CredentialFields) -> tuple[object, ...]:
    return (
        fields.username, fields.password_hash, fields.certificate_sha256, fields.format,
        list(fields.publish_topics), list(fields.subscribe_topics), fields.settings,
        fields.disabled,
    )  # fmt: skip
