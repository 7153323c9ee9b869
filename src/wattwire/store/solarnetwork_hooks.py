"""Hooks: integrations that write SolarNetwork's format and ask for exactly one topic."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from wattwire.store.integrations import IntegrationRow
from wattwire.store.queries import load

_SQL: Final = load("solarnetwork_hooks")


@dataclass(frozen=True, slots=True)
class HookRow:
    """An integration, and what a SolarNetwork client called its type."""

    integration: IntegrationRow
    service_identifier: str | None  #: None: made in the native API


async def list_all(db: Any, organization_id: UUID) -> list[HookRow]:
    """Return the hooks by name and id, at most 10,000."""
    return [_hook(row) for row in await db.fetch(_SQL.list_all, organization_id)]


async def find(
    db: Any, organization_id: UUID, hook_id: int, *, lock: bool = False
) -> HookRow | None:
    """Return one hook; with `lock` nobody else changes it until the transaction ends."""
    query = f"{_SQL.find} FOR UPDATE OF i" if lock else _SQL.find
    row = await db.fetchrow(query, organization_id, hook_id)
    return _hook(row) if row else None


def _hook(row: Mapping[str, Any]) -> HookRow:
    fields = dict(row)
    identifier = fields.pop("service_identifier")
    return HookRow(IntegrationRow(**fields), identifier)


async def change_type(db: Any, organization_id: UUID, hook_id: int, type: str) -> None:  # noqa: A002 - the column's name
    """Make an integration one of another type; its settings follow in the same transaction."""
    await db.execute(_SQL.change_type, organization_id, hook_id, type)


async def call_service(db: Any, hook_id: int, identifier: str) -> None:
    """Remember what a client called the type of an integration."""
    await db.execute(_SQL.call_service, hook_id, identifier)
