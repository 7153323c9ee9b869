"""Read-only listings of what happened: readings, events, attempts, dead letters."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from wattwire.store.queries import load

_SQL: Final = load("listing")

EventPosition = tuple[datetime, UUID]
AttemptPosition = tuple[datetime, int]
ReadingPosition = tuple[datetime, int]
RollupPosition = tuple[int, datetime]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; None means any."""

    topic: str | None = None
    device_id: int | None = None
    stream: str | None = None
    severity: str | None = None
    start: datetime | None = None  #: recorded at or after
    end: datetime | None = None  #: recorded before


@dataclass(frozen=True, slots=True)
class AttemptFilter:
    """Which attempts to list; None means any."""

    outcome: str | None = None
    message_id: str | None = None
    topic: str | None = None
    test: bool | None = None
    start: datetime | None = None  #: started at or after
    end: datetime | None = None  #: started before


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to an integration for one message, as the ledger has it."""

    id: int
    message_id: str
    event_id: UUID | None
    topic: str
    device_key: str
    number: int
    started_at: datetime
    duration_ms: float
    outcome: str
    reason: str
    receipt: str
    address: str
    test: bool


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up, and why."""

    id: int
    event_id: UUID
    message_id: str
    topic: str | None  #: null when retention has dropped the event
    attempts: int
    reason: str
    died_at: datetime


async def list_readings(
    db: Any,
    streams: Sequence[int],
    start: datetime,
    end: datetime,
    *,
    after: ReadingPosition | None,
    limit: int,
    newest_first: bool = False,
) -> list[Any]:
    """Return rows (stream_id, time, received_at, quality, values, texts) of several streams.

    They come by (time, stream) and lie in [start, end), after the position `after`.
    """
    query = _SQL.list_readings_backwards if newest_first else _SQL.list_readings
    time, stream_id = after or (None, None)
    rows: list[Any] = await db.fetch(query, list(streams), start, end, time, stream_id, limit)
    return rows


async def list_rollups(
    db: Any,
    streams: Sequence[int],
    bucket: str,
    start: datetime,
    end: datetime,
    *,
    after: RollupPosition | None,
    limit: int,
    levels_only: bool = False,
) -> list[Any]:
    """Return rows of table `rollup` that begin in [start, end), by (stream, start), after `after`.

    With `levels_only` they have just the columns that instantaneous channels use: an array costs
    more to read than all the rest of the row.
    """
    query = _SQL.list_levels if levels_only else _SQL.list_rollups
    stream_id, at = after or (None, None)
    rows: list[Any] = await db.fetch(query, list(streams), bucket, start, end, stream_id, at, limit)
    return rows


async def list_events(
    db: Any,
    organization_id: UUID,
    wanted: EventFilter,
    *,
    before: EventPosition | None,
    limit: int,
) -> list[Any]:
    """Return rows of table `event`, newest first, that come before (created_at, id)."""
    at, event_id = before or (None, None)
    rows: list[Any] = await db.fetch(
        _SQL.list_events, organization_id, wanted.topic, wanted.device_id, wanted.stream,
        wanted.severity, wanted.start, wanted.end, at, event_id, limit,
    )  # fmt: skip
    return rows


async def find_event(db: Any, organization_id: UUID, event_id: UUID) -> Any:
    """Return one row of table `event`, or None."""
    return await db.fetchrow(_SQL.find_event, organization_id, event_id)


async def list_recent_events(
    db: Any, organization_ids: Sequence[UUID], since: datetime, *, limit: int
) -> list[Any]:
    """Return rows of table `event` recorded at or after `since`, newest first."""
    rows: list[Any] = await db.fetch(_SQL.list_recent_events, list(organization_ids), since, limit)
    return rows


async def list_attempts(
    db: Any,
    integration_id: int,
    wanted: AttemptFilter,
    *,
    before: AttemptPosition | None,
    limit: int,
) -> list[Attempt]:
    """Return attempts, newest first, that come before (started_at, id)."""
    at, attempt_id = before or (None, None)
    rows = await db.fetch(
        _SQL.list_attempts, integration_id, wanted.outcome, wanted.message_id, wanted.topic,
        wanted.test, wanted.start, wanted.end, at, attempt_id, limit,
    )  # fmt: skip
    return [Attempt(**row) for row in rows]


async def list_dead_letters(
    db: Any, integration_id: int, *, before: AttemptPosition | None, limit: int
) -> list[DeadLetter]:
    """Return dead letters, newest first, that come before (died_at, id)."""
    at, letter_id = before or (None, None)
    rows = await db.fetch(_SQL.list_dead_letters, integration_id, at, letter_id, limit)
    return [DeadLetter(**row) for row in rows]


async def list_topics(db: Any, organization_id: UUID) -> dict[str, int]:
    """Return how many events of each topic were recorded in the last day."""
    rows = await db.fetch(_SQL.list_topics, organization_id)
    return {row["topic"]: row["events"] for row in rows}
