"""Sending again, and giving up on purpose. The counters stay closed, whatever is done here."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from wattwire.store.queries import load

_SQL: Final = load("replays")
_SLICE: Final = 5000
_FIRST: Final = UUID(int=0)

#: Readings at a time whose values are looked into; each may have a thousand.
_PARTED_SLICE: Final = 500
_PARTED_TOPIC: Final = "device.telemetry"

#: Whether an integration asks for an event, by its topic, device and stream.
Wanted = Callable[[str, int | None, str], bool]
#: Whether an integration asks for a channel, by its name.
WantedName = Callable[[str], bool]


class _Data(msgspec.Struct):
    values: dict[str, Any] = {}


class _Stored(msgspec.Struct):
    data: _Data


_values: Final = msgspec.json.Decoder(_Stored).decode


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
    objects: WantedName | None = None,
    new_id_suffix: str | None = None,
) -> int:
    """Queue the wanted events recorded in [start, end), in their order; return how many.

    With `objects`, each matching channel of a reading is a message of its own. Each counts as
    matched once more. Their message ids are those of the first time, so that receivers who
    remember ids drop what they have, unless a suffix makes new ones.
    """
    total = 0
    place = (start, _FIRST)
    size, topic = (_SLICE, None) if objects is None else (_PARTED_SLICE, _PARTED_TOPIC)
    while rows := await connection.fetch(
        _SQL.list_range, organization_id, start, end, *place, size, topic
    ):
        chosen = [
            (row["id"], row["created_at"], part)
            for row in rows
            if wanted(row["topic"], row["device_id"], row["stream"])
            for part in _parts(row["data"], objects)
        ]
        await queue_events(connection, integration_id, chosen, new_id_suffix)
        total += len(chosen)
        place = (rows[-1]["created_at"], rows[-1]["id"])
    return total


def _parts(data: bytes | None, objects: WantedName | None) -> Sequence[int | None]:
    """Return which values of an event are messages of their own; just None: the whole event is."""
    if data is None or objects is None:
        return (None,)
    return [n for n, name in enumerate(_values(data).data.values, 1) if objects(name)]


async def queue_events(
    connection: Any,
    integration_id: int,
    events: Sequence[tuple[UUID, datetime, int | None]],
    new_id_suffix: str | None = None,
) -> None:
    """Queue stored events, given as (id, created_at, part), and count them as matched."""
    if events:
        ids, times, parts = (list(column) for column in zip(*events, strict=True))
        await connection.execute(
            _SQL.queue_events, integration_id, ids, times, parts, new_id_suffix
        )


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
