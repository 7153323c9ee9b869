"""What a hub needs before anybody can use it: an organization and an owner."""

from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from wattwire.settings import Settings
from wattwire.store import accounts, organizations, tokens
from wattwire.store.database import open_pool
from wattwire.store.passwords import hash_password, make_password

ORGANIZATION: Final = "Default"
DEMO_TOKEN: Final = "demo"  # noqa: S105 - a name, not a secret


@dataclass(frozen=True, slots=True)
class Owner:
    """The first owner, as made now; the password only when nobody gave one."""

    email: str
    made_password: str | None


async def ensure_owner(database_url: str, settings: Settings) -> Owner | None:
    """Make the first organization and its owner; None when there is an organization already."""
    async with open_pool(database_url, role="start", size=1) as pool, pool.acquire() as connection:
        if await organizations.list_all(connection):
            return None
        given = settings.admin_password
        password = given.get_secret_value() if given is not None else make_password()
        hashed = await hash_password(password)
        try:
            async with connection.transaction():
                organization = await organizations.create(connection, ORGANIZATION)
                await accounts.create(
                    connection,
                    organization.id,
                    email=settings.admin_email,
                    name="",
                    role="owner",
                    password_hash=hashed,
                )
        except asyncpg.UniqueViolationError:
            return None  # another hub on the same database was faster
    return Owner(settings.admin_email, None if given is not None else password)


async def make_demo_token(database_url: str) -> str:
    """Return a new token of an owner; those of earlier demonstrations are revoked."""
    async with open_pool(database_url, role="start", size=1) as pool, pool.acquire() as connection:
        organization = await organizations.find_by_name(connection, None)
        if organization is None:
            raise LookupError("there is no organization")
        await _revoke_demo_tokens(connection, organization)
        _, text = await tokens.create(connection, organization.id, name=DEMO_TOKEN, role="owner")
        return text


async def _revoke_demo_tokens(connection: Any, organization: organizations.Organization) -> None:
    for token in await tokens.list_page(connection, organization.id, after=None, limit=1000):
        if token.name == DEMO_TOKEN and token.revoked_at is None:
            await tokens.revoke(connection, organization.id, token.id)
