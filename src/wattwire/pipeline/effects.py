"""What stored readings cause: sightings of devices, events, and deliveries for those who asked."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from wattwire.model import Event
from wattwire.pipeline.matching import NOBODY, Asked, Matcher
from wattwire.pipeline.recall import Stream, short_metadata
from wattwire.pipeline.slices import Key, Slice
from wattwire.store import events, registry
from wattwire.store.readings import Row

TELEMETRY: Final = "device.telemetry"
#: A device that keeps reporting is written down as seen this often.
SIGHTING_SECONDS: Final = 30.0


def event_ids(count: int) -> list[UUID]:
    """Return new ids in order of time (UUID version 7): 48 bits of milliseconds, 74 random ones."""
    head = (time.time_ns() // 1_000_000 << 80) | (7 << 76) | (2 << 62)
    noise = os.urandom(10 * count)
    mask = ~((15 << 76) | (3 << 62)) & ((1 << 80) - 1)
    return [
        UUID(int=head | (int.from_bytes(noise[10 * i : 10 * i + 10]) & mask)) for i in range(count)
    ]


class Interests:
    """The matcher that holds now; asked for in each transaction, so that it never lags behind."""

    def __init__(self) -> None:
        self.matcher = Matcher((), version=-1)

    async def current(self, connection: Any) -> Matcher:
        """Return the matcher of what the caller's transaction sees."""
        version = await events.interest_version(connection)
        if version != self.matcher.version:
            self.matcher = Matcher(await events.list_interests(connection), version)
        return self.matcher

    async def record(self, connection: Any, happened: Sequence[Event]) -> set[int]:
        """Write events with their deliveries; return the integrations that asked for any."""
        if not happened:
            return set()
        matcher = await self.current(connection)
        matches = [
            (index, integration)
            for index, event in enumerate(happened)
            for integration in matcher.integrations_for(
                event.organization_id, event.topic, event.device_id, event.stream
            )
        ]
        await events.record_events(connection, happened, matches)
        return {integration for _, integration in matches}


class Effects:
    """Causes events in the transaction that stores what they tell of."""

    def __init__(self, interests: Interests) -> None:
        self._interests = interests
        self._seen: dict[int, float] = {}

    async def registered(self, connection: Any, devices: Iterable[Any]) -> None:
        """Tell that devices reported for the first time."""
        await self._interests.record(
            connection, _device_events("device.registered", devices, lambda _: {})
        )

    async def cause(
        self, connection: Any, piece: Slice, changed: Sequence[Key], *, now: datetime
    ) -> set[int]:
        """Write what a slice causes; return the integrations that have new deliveries."""
        asked = await self._sight(connection, piece, now)
        if piece.statuses:
            asked |= await self._change_statuses(connection, piece)
        matcher = await self._interests.current(connection)
        told = _telemetry(matcher, piece, changed)
        if told:
            happened = [event for event, _ in told]
            matches = [(index, i) for index, (_, who) in enumerate(told) for i in who.whole]
            parts = [part for index, (event, who) in enumerate(told) if who.parts
                     for part in _parts(index, event, who)]  # fmt: skip
            await events.record_events(connection, happened, matches, parts)
            asked |= {integration for _, integration in matches}
            asked |= {integration for _, integration, _ in parts}
        return asked

    async def _sight(self, connection: Any, piece: Slice, now: datetime) -> set[int]:
        clock = time.monotonic()
        due = {
            stream.device_id
            for stream in piece.streams.values()
            if clock - self._seen.get(stream.device_id, -SIGHTING_SECONDS) >= SIGHTING_SECONDS
        }
        if not due:
            return set()
        back = await registry.sight_devices(connection, sorted(due), now)
        self._seen.update(dict.fromkeys(due, clock))
        return await self._interests.record(
            connection,
            _device_events(
                "device.status", back, lambda row: {"status": "online", "was": row["was"]}
            ),
        )

    async def _change_statuses(self, connection: Any, piece: Slice) -> set[int]:
        latest = {(o, key): (o, key, status, at) for o, key, status, at in piece.statuses}
        rows = await registry.change_statuses(connection, list(latest.values()))
        for row in rows:
            self._seen.pop(row["id"], None)
        return await self._interests.record(
            connection,
            _device_events(
                "device.status", rows, lambda row: {"status": row["status"], "was": row["was"]}
            ),
        )


def _device_events(topic: str, rows: Iterable[Any], data: Any) -> list[Event]:
    rows = list(rows)
    now = datetime.now(UTC)
    return [
        Event(
            id=event_id,
            topic=topic,
            organization_id=row["organization_id"],
            time=now,
            data=data(row),
            device_id=row["id"],
            device_key=row["key"],
            device_name=row["name"],
            device_type=row["type"],
            metadata=short_metadata(row["metadata"]),
        )
        for event_id, row in zip(event_ids(len(rows)), rows, strict=True)
    ]


def _parts(index: int, event: Event, who: Asked) -> Iterator[tuple[int, int, int]]:
    """Yield (index, integration, n) of each value that is a message of its own: the n-th."""
    values = event.data["values"]
    for integration, names in who.parts:
        for n, name in enumerate(values, 1):
            if name in names:
                yield index, integration, n


def _telemetry(matcher: Matcher, piece: Slice, changed: Sequence[Key]) -> list[tuple[Event, Asked]]:
    asked = {
        stream.id: (stream, who)
        for stream in piece.streams.values()
        if (who := _asked_for(matcher, stream)) is not NOBODY
    }
    if not asked:
        return []
    keys = [key for key in changed if key[0] in asked]
    return [
        (_telemetry_event(event_id, asked[key[0]][0], piece.rows[key]), asked[key[0]][1])
        for event_id, key in zip(event_ids(len(keys)), keys, strict=True)
    ]


def _asked_for(matcher: Matcher, stream: Stream) -> Asked:
    if stream.telemetry_version != matcher.version:
        names = [name for name, _ in stream.channels]
        who = matcher.readings_for(
            stream.organization_id, TELEMETRY, stream.device_id, stream.path, names
        )
        stream.telemetry = who if who.whole or who.parts else NOBODY
        stream.telemetry_version = matcher.version
    return stream.telemetry


def _telemetry_event(event_id: UUID, stream: Stream, row: Row) -> Event:
    values: dict[str, float | str] = {}
    for place, (name, kind) in enumerate(stream.channels):
        source: Sequence[Any] = (row.texts or ()) if kind == "status" else row.values
        value = source[place] if place < len(source) else None
        if value is not None:
            values[name] = value
    return Event(
        id=event_id,
        topic=TELEMETRY,
        organization_id=stream.organization_id,
        time=row.time,
        data={"stream": stream.path, "values": values},
        device_id=stream.device_id,
        device_key=stream.device_key,
        device_name=stream.device_name,
        device_type=stream.device_type,
        stream=stream.path,
        metadata=stream.metadata,
    )
