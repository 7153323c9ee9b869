"""What the MQTT door keeps: who may come in, lasting sessions, retained messages."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("doors")


async def find_login(db: Any, username: str | None, certificate_sha256: bytes | None) -> Any:
    """Return the credential of a user name, or without one of a certificate; None when disabled."""
    return await db.fetchrow(_SQL.find_login, username, certificate_sha256)


async def list_sessions(db: Any) -> list[Any]:
    """Return lasting sessions with their credentials, the most recent first."""
    rows: list[Any] = await db.fetch(_SQL.list_sessions)
    return rows


async def find_session(db: Any, credential_id: int, client_id: str) -> dict[str, int] | None:
    """Return the subscriptions of a lasting session, filter to QoS."""
    subscriptions: dict[str, int] | None = await db.fetchval(
        _SQL.find_session, credential_id, client_id
    )
    return subscriptions


async def save_session(
    db: Any, credential_id: int, client_id: str, subscriptions: Mapping[str, int]
) -> None:
    """Keep a lasting session."""
    await db.execute(_SQL.save_session, credential_id, client_id, dict(subscriptions))


async def drop_session(db: Any, credential_id: int, client_id: str) -> bool:
    """Forget a lasting session; False when there was none."""
    return await db.fetchval(_SQL.drop_session, credential_id, client_id) is not None


async def list_retained(db: Any) -> list[Any]:
    """Return rows (organization_id, topic, payload, qos)."""
    rows: list[Any] = await db.fetch(_SQL.list_retained)
    return rows


async def save_retained(
    db: Any, organization_id: UUID, topic: str, payload: bytes, qos: int
) -> None:
    """Keep the retained message of a topic; an empty payload deletes it."""
    if payload:
        await db.execute(_SQL.save_retained, organization_id, topic, payload, qos)
    else:
        await db.execute(_SQL.drop_retained, organization_id, topic)


async def is_standing(db: Any, credential_id: int) -> bool:
    """Return whether a credential is there and not disabled."""
    standing: bool = await db.fetchval(_SQL.is_standing, credential_id)
    return standing


async def list_sparkplug_organizations(db: Any) -> list[UUID]:
    """Return the organizations that have credentials for Sparkplug edge nodes."""
    return [row["organization_id"] for row in await db.fetch(_SQL.list_sparkplug_organizations)]
