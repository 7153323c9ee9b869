"""Events and the deliveries they cause, written together with what caused them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from wattwire.model import Event
from wattwire.store.queries import load

_SQL: Final = load("events")
_EVENT_COLUMNS: Final = (
    "id", "created_at", "organization_id", "topic", "device_id", "stream", "time", "severity",
    "data",
)  # fmt: skip
_QUEUE_COLUMNS: Final = ("integration_id", "event_id", "event_created_at")
_encode: Final = msgspec.json.Encoder().encode


async def record_events(
    connection: Any,
    events: Sequence[Event],
    matches: Sequence[tuple[int, int]],
    parts: Sequence[tuple[int, int, int]] = (),
) -> None:
    """Insert events, one delivery for each match, and count the matches.

    `matches` are pairs of an index in `events` and the id of an integration that asked for it;
    `parts` have as their third which value of the event is delivered alone, counted from 1. Call
    it inside the transaction that made the events: they become visible together or not at all.
    """
    if not events:
        return
    now = datetime.now(UTC)
    await connection.copy_records_to_table(
        "event", records=[_event_row(event, now) for event in events], columns=_EVENT_COLUMNS
    )
    if matches:
        await connection.copy_records_to_table(
            "delivery",
            records=[(integration, events[index].id, now) for index, integration in matches],
            columns=_QUEUE_COLUMNS,
        )
    if parts:
        await connection.copy_records_to_table(
            "delivery",
            records=[(i, events[index].id, now, part) for index, i, part in parts],
            columns=(*_QUEUE_COLUMNS, "part"),
        )
    if matches or parts:
        counts = Counter(integration for _, integration in matches)
        counts.update(integration for _, integration, _ in parts)
        await connection.execute(_SQL.count_matched, list(counts), list(counts.values()))


def _event_row(event: Event, now: datetime) -> tuple[object, ...]:
    device: dict[str, Any] = {
        "id": event.device_key,
        "name": event.device_name,
        "type": event.device_type,
    }
    if event.metadata:
        device["metadata"] = event.metadata
    body = {"device": device, "data": event.data}
    return (
        event.id, now, event.organization_id, event.topic, event.device_id, event.stream,
        event.time, event.severity, _encode(body),
    )  # fmt: skip


def read_event(row: Any) -> Event:
    """Return a stored row of table `event` as the value it was."""
    body = msgspec.json.decode(row["data"])
    device = body["device"]
    return Event(
        id=UUID(str(row["id"])),
        topic=row["topic"],
        organization_id=UUID(str(row["organization_id"])),
        time=row["time"],
        data=body["data"],
        device_id=row["device_id"],
        device_key=device["id"],
        device_name=device["name"],
        device_type=device["type"],
        stream=row["stream"],
        severity=row["severity"],
        metadata=device.get("metadata", {}),
    )


class Interest(msgspec.Struct, frozen=True):
    """What one integration asked for."""

    integration_id: int
    organization_id: UUID
    topics: frozenset[str]
    device_ids: frozenset[int] | None
    stream_patterns: tuple[str, ...] | None
    objects: tuple[str, ...] | None = None  #: channels whose values are delivered one by one
    repeats: bool = False  #: told of recomputations that change nothing, too


async def list_interests(connection: Any) -> list[Interest]:
    """Return what every integration asked for."""
    return [
        Interest(
            row["id"],
            row["organization_id"],
            frozenset(row["topics"]),
            None if row["device_ids"] is None else frozenset(row["device_ids"]),
            None if row["stream_patterns"] is None else tuple(row["stream_patterns"]),
            None if row["objects"] is None else tuple(row["objects"]),
            bool(row["repeats"]),
        )
        for row in await connection.fetch(_SQL.list_interests)
    ]


async def interest_version(connection: Any) -> int:
    """Return a number that rises whenever what integrations ask for changes."""
    version: int = await connection.fetchval(_SQL.interest_version)
    return version
