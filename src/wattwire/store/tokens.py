"""Bearer tokens: `ID.SECRET`, of which only the SHA-256 of the secret is kept."""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("tokens")
_SHAPE: Final = re.compile(r"([a-z2-7]{20})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it may be shown: without its secret."""

    id: str
    organization_id: UUID
    account_id: int | None
    name: str
    role: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token allows, and what its secret must hash to."""

    id: str
    organization_id: UUID
    account_id: int | None
    role: str  #: the lesser of the token's and its account's
    secret_hash: bytes
    expires_at: datetime | None
    actor: str  #: whom the audit names

    def fits(self, secret: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(hash_secret(secret), self.secret_hash)


def hash_secret(secret: str) -> bytes:
    """Return the SHA-256 of a secret, which is random and long, so that no salt is needed."""
    return hashlib.sha256(secret.encode()).digest()


def parse(text: str) -> tuple[str, str] | None:
    """Return (id, secret) of the text of a token, or None when it is not one."""
    match = _SHAPE.fullmatch(text)
    return (match[1], match[2]) if match else None


async def create(
    db: Any,
    organization_id: UUID,
    *,
    name: str,
    role: str,
    expires_at: datetime | None = None,
    account_id: int | None = None,
) -> tuple[Token, str]:
    """Make a token; return it and its text, which cannot be had a second time."""
    token_id = base64.b32encode(secrets.token_bytes(13)).decode().lower()[:20]
    secret = secrets.token_urlsafe(32)
    row = await db.fetchrow(
        _SQL.create,
        token_id,
        organization_id,
        account_id,
        name,
        role,
        hash_secret(secret),
        expires_at,
    )
    return Token(**row), f"{token_id}.{secret}"


async def find(db: Any, organization_id: UUID, token_id: str) -> Token | None:
    """Return one token of the organization."""
    row = await db.fetchrow(_SQL.find, organization_id, token_id)
    return Token(**row) if row else None


async def find_grant(db: Any, token_id: str) -> Grant | None:
    """Return what a token allows; None when it is unknown, revoked or its account disabled."""
    row = await db.fetchrow(_SQL.find_grant, token_id)
    return Grant(**row) if row else None


async def list_page(
    db: Any, organization_id: UUID, *, after: tuple[datetime, str] | None, limit: int
) -> list[Token]:
    """Return tokens, newest first, that come after (created_at, id)."""
    at, token_id = after or (None, None)
    return [
        Token(**r) for r in await db.fetch(_SQL.list_page, organization_id, at, token_id, limit)
    ]


async def revoke(db: Any, organization_id: UUID, token_id: str) -> Token | None:
    """End a token now; the row stays, so that the audit can name it."""
    row = await db.fetchrow(_SQL.revoke, organization_id, token_id)
    return Token(**row) if row else None


async def touch(db: Any, token_id: str) -> None:
    """Remember that the token was used, at most once a minute."""
    await db.execute(_SQL.touch, token_id)


async def drop(db: Any, token_id: str) -> None:
    """Delete a token that was made for one command, so that no list shows it."""
    await db.execute(_SQL.drop, token_id)
