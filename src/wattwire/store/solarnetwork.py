"""Tokens of SolarNetwork's API, and the signatures of writes that were carried out.

Unlike a bearer token's, the secret is kept, sealed: the hub has to sign with it, too.
"""

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load
from wattwire.store.sealing import Sealers

_SQL: Final = load("solarnetwork")
_LETTERS: Final = string.ascii_letters + string.digits
ID_LETTERS: Final = 20
SECRET_LETTERS: Final = 40


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it may be shown: without its secret."""

    id: str
    organization_id: UUID
    name: str
    kind: str  #: User or ReadNodeData
    policy: Mapping[str, Any]  #: node_ids, source_ids; what is left out is not limited
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature may be checked, and with what."""

    id: str
    organization_id: UUID
    user_id: int  #: the organization's number
    kind: str
    policy: Mapping[str, Any]
    expires_at: datetime | None
    secret: bytes = field(repr=False)  #: sealed


def secret_context(token_id: str) -> str:
    """Return what the secret of a token is sealed for."""
    return f"solarnetwork_token:{token_id}"


async def create(
    db: Any,
    sealers: Sealers,
    organization_id: UUID,
    *,
    name: str,
    kind: str,
    policy: Mapping[str, Any],
    expires_at: datetime | None = None,
) -> tuple[Token, str]:
    """Make a token; return it and its secret, which cannot be had a second time."""
    token_id, secret = _letters(ID_LETTERS), _letters(SECRET_LETTERS)
    sealed = sealers.bound(secret_context(token_id)).seal(secret.encode())
    row = await db.fetchrow(
        _SQL.create, token_id, organization_id, name, kind, sealed, policy, expires_at
    )
    return Token(**row), secret


def _letters(count: int) -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(count))


async def find(db: Any, organization_id: UUID, token_id: str) -> Token | None:
    """Return one token of the organization."""
    row = await db.fetchrow(_SQL.find, organization_id, token_id)
    return Token(**row) if row else None


async def find_signer(db: Any, token_id: str) -> Signer | None:
    """Return what signatures of a token are checked with; None when unknown or revoked."""
    row = await db.fetchrow(_SQL.find_signer, token_id)
    return Signer(**row) if row else None


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


async def spend(db: Any, signature: bytes, until: datetime) -> bool:
    """Remember the signature of a write until it is too old; tell whether it is new.

    In the database, so that every process knows. Each call removes some that are too old.
    """
    return await db.fetchval(_SQL.spend, signature, until) is not None
