"""Sending again, and giving up on purpose. The counters stay closed, whatever is done here."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("replays")
_SLICE: Final = 5000
_FIRST: Final = UUID(int=0)

#: Whether an integration asks for an event, by its topic, device and stream.
Wanted = Callable[[str, int | None, str], bool]


async def replay_dead(
    connection: Any,
    integration_id: int,
    *,
    ids: Sequence[int] | None = None,
    since: datetime | None = None,
    new_id_suffix: str | None = None,
) -> int:
    """Queue dead letters again, some, all, or all that died since; return how many.

    They keep their message ids unless a suffix (letters, digits, hyphens; at most 30) makes new
    ones. Dead letters whose event is no longer kept stay where they are.
    """
    chosen = None if ids is None else list(ids)
    total = 0
    while count := await connection.fetchval(
        _SQL.replay_dead, integration_id, chosen, since, _SLICE, new_id_suffix
    ):
        total += count
    return total


async def replay_events(
    connection: Any,
    integration_id: int,
    organization_id: UUID,
    start: datetime,
    end: datetime,
    wanted: Wanted,
    *,
    new_id_suffix: str | None = None,
) -> int:
    """Queue the wanted events recorded in [start, end), in their order; return how many.

    Each counts as matched once more. Their message ids are those of the first time, so that
    receivers who remember ids drop what they have, unless a suffix makes new ones.
    """
    total = 0
    place = (start, _FIRST)
    while rows := await connection.fetch(
        _SQL.list_range, organization_id, start, end, *place, _SLICE
    ):
        chosen = [r for r in rows if wanted(r["topic"], r["device_id"], r["stream"])]
        await queue_events(
            connection, integration_id, [(r["id"], r["created_at"]) for r in chosen], new_id_suffix
        )
        total += len(chosen)
        place = (rows[-1]["created_at"], rows[-1]["id"])
    return total


async def queue_events(
    connection: Any,
    integration_id: int,
    events: Sequence[tuple[UUID, datetime]],
    new_id_suffix: str | None = None,
) -> None:
    """Queue stored events, given as (id, created_at), and count them as matched."""
    if events:
        ids, times = [event_id for event_id, _ in events], [at for _, at in events]
        await connection.execute(_SQL.queue_events, integration_id, ids, times, new_id_suffix)


async def purge_queue(connection: Any, integration_id: int, reason: str) -> int:
    """Discard what is queued; return how many. What is in flight may still arrive."""
    return await _in_slices(connection, _SQL.purge_queue, integration_id, reason)


async def purge_dead(
    connection: Any, integration_id: int, reason: str, ids: Sequence[int] | None = None
) -> int:
    """Discard dead letters, some or all; return how many."""
    chosen = None if ids is None else list(ids)
    return await _in_slices(connection, _SQL.purge_dead, integration_id, chosen, reason)


async def _in_slices(connection: Any, query: str, *arguments: Any) -> int:
    total = 0
    while count := await connection.fetchval(query, *arguments, _SLICE):
        total += count
    return total
