"""Client certificates of SolarNetwork's nodes: which may upload, and for which node.

Kept is the fingerprint, the SHA-256 of the certificate (DER). Its key is nowhere in the hub.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("solarnetwork_certificates")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that is or was allowed to upload."""

    id: int
    organization_id: UUID
    device_id: int  #: the node
    sha256: bytes
    subject: str  #: as RFC 4514 writes it
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whom a certificate stands for."""

    id: int
    organization_id: UUID
    user_id: int  #: the organization's number
    device_id: int
    expires_at: datetime


async def create(
    db: Any,
    organization_id: UUID,
    *,
    device_id: int,
    sha256: bytes,
    subject: str,
    expires_at: datetime,
) -> Certificate:
    """Let a certificate upload for a node of this organization.

    Raises asyncpg.UniqueViolationError for one that is allowed already, here or elsewhere.
    """
    row = await db.fetchrow(_SQL.create, organization_id, device_id, sha256, subject, expires_at)
    return Certificate(**row)


async def find(db: Any, organization_id: UUID, certificate_id: int) -> Certificate | None:
    """Return one certificate of the organization."""
    row = await db.fetchrow(_SQL.find, organization_id, certificate_id)
    return Certificate(**row) if row else None


async def find_bearer(db: Any, sha256: bytes) -> Bearer | None:
    """Return whom a fingerprint stands for; None when it is unknown or revoked."""
    row = await db.fetchrow(_SQL.find_bearer, sha256)
    return Bearer(**row) if row else None


async def list_page(
    db: Any, organization_id: UUID, *, before: int | None, limit: int
) -> list[Certificate]:
    """Return certificates, newest first, with ids below `before`."""
    rows = await db.fetch(_SQL.list_page, organization_id, before, limit)
    return [Certificate(**row) for row in rows]


async def revoke(db: Any, organization_id: UUID, certificate_id: int) -> Certificate | None:
    """End a certificate now; the row stays, so that the audit can name it."""
    row = await db.fetchrow(_SQL.revoke, organization_id, certificate_id)
    return Certificate(**row) if row else None


async def touch(db: Any, certificate_id: int) -> None:
    """Remember that the certificate was used, at most once a minute."""
    await db.execute(_SQL.touch, certificate_id)
