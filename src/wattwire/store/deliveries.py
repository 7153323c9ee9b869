"""The queue of deliveries and what becomes of its rows. Used by whoever owns the integration."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg
import msgspec

from wattwire.model import Event
from wattwire.store.queries import load

_SQL: Final = load("deliveries")

#: What a statement may raise although nothing is wrong with it: try again later.
#: What a database that goes away is met with; the last is a connection lost in mid-question.
TROUBLE: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    OSError,
    TimeoutError,
    asyncpg.InternalClientError,
)

LONGEST_TEXT: Final = 4000
_ATTEMPT_COLUMNS: Final = (
    "integration_id", "organization_id", "message_id", "event_id", "event_created_at", "topic",
    "device_key", "number", "started_at", "duration_ms", "outcome", "reason", "receipt", "address",
    "test", "probe",
)  # fmt: skip


class Want(NamedTuple):
    """How much of one integration's queue to fetch."""

    integration_id: int
    after: int  #: sequence after which new rows begin
    fresh: int  #: at most so many new rows
    due: int = 0  #: at most so many rows whose time has come again
    every: bool = False  #: new rows or not: whatever comes after the position


class Queued(NamedTuple):
    """One row of the queue with its event; None when the event is no longer kept."""

    integration_id: int
    sequence: int
    attempts: int
    burnt: int
    queued_at: datetime
    due_at: datetime | None
    message_id: str
    event_id: UUID
    event_created_at: datetime
    event: Event | None
    part: int | None = None  #: which of the event's values alone, counted from 1; None: all


class AttemptRow(NamedTuple):
    """One call to an integration for one message, in the order of the table's columns."""

    integration_id: int
    organization_id: UUID
    message_id: str
    event_id: UUID | None
    event_created_at: datetime | None
    topic: str
    device_key: str
    number: int
    started_at: datetime
    duration_ms: float
    outcome: str  #: delivered, retry, rejected
    reason: str = ""
    receipt: str = ""
    address: str = ""
    test: bool = False
    probe: bool = False


class Again(NamedTuple):
    """A row that stays in the queue."""

    sequence: int
    attempts: int
    burnt: int
    due_at: datetime | None


class Dead(NamedTuple):
    """A row that becomes a dead letter."""

    sequence: int
    attempts: int
    reason: str


@dataclass(frozen=True, slots=True)
class StateChange:
    """What an integration is from now on, and what to say of it if it was not so before."""

    status: str
    reason: str = ""
    parked: bool = False
    failures: int = 0
    probe_at: datetime | None = None
    disable: bool = False  #: switch the integration off


class Settlement(NamedTuple):
    """What one call, or one decision without a call, did to rows of one integration."""

    integration_id: int
    lease: str
    epoch: int
    at: datetime
    delivered: Sequence[int] = ()  #: sequences
    dead: Sequence[Dead] = ()
    again: Sequence[Again] = ()
    refunds: Sequence[tuple[int, int]] = ()  #: (sequence, burnt)
    attempts: Sequence[AttemptRow] = ()
    state: StateChange | None = None

    @property
    def is_plain(self) -> bool:
        """Return whether there is nothing but successes and attempts."""
        return not (self.dead or self.again or self.refunds or self.state)


class Figures(NamedTuple):
    """What people see of an integration at work; a second old at most."""

    integration_id: int
    in_flight: int
    last_success_at: datetime | None
    last_failure_at: datetime | None


async def prepare(connection: Any) -> None:
    """Make a connection fit for the statements of this module, until it is given back."""
    await connection.execute(_SQL.prefer_indexes)


async def fetch(connection: Any, wants: Sequence[Want], now: datetime) -> list[Queued]:
    """Return the rows wanted by each integration, of each in the order of its queue."""
    ids, after, fresh, due, every = (list(column) for column in zip(*wants, strict=True))
    rows = await connection.fetch(_SQL.fetch, ids, after, fresh, due, every, now)
    return [_queued(row) for row in rows]


def _queued(row: Any) -> Queued:
    """Return one row of `fetch`: ten columns of the queue, seven of the event."""
    counted, (message_id, event_id, event_created_at, part) = row[:6], row[6:10]
    event = _event(event_id, row[10:]) if row["data"] is not None else None
    if message_id is None:
        message_id = f"{event_id.hex}-{row['integration_id']}"
        if part is not None:
            message_id = f"{message_id}-{part}"
    return Queued._make((*counted, message_id, event_id, event_created_at, event, part))


class _Device(msgspec.Struct, frozen=True):
    id: str
    name: str
    type: str
    metadata: dict[str, Any] = {}


class _Body(msgspec.Struct, frozen=True):
    device: _Device
    data: dict[str, Any]


_body: Final = msgspec.json.Decoder(_Body).decode


def _event(event_id: UUID, columns: Sequence[Any]) -> Event:
    organization_id, topic, device_id, stream, time, severity, data = columns
    body = _body(data)
    device = body.device
    return Event(
        event_id, topic, organization_id, time, body.data, device_id, device.id, device.name,
        device.type, stream, severity, device.metadata,
    )  # fmt: skip


async def find_work(
    connection: Any, places: Sequence[tuple[int, int, int]]
) -> list[tuple[int, int]]:
    """Return (integration, sequence) of rows due at once.

    `places` are (integration, position, how many at most).
    """
    columns = (list(column) for column in zip(*places, strict=True))
    return [tuple(row) for row in await connection.fetch(_SQL.find_work, *columns)]


async def next_due(
    connection: Any, integration_ids: Sequence[int], now: datetime
) -> dict[int, datetime]:
    """Return when the next row of each integration becomes due after `now`."""
    rows = await connection.fetch(_SQL.next_due, list(integration_ids), now)
    return {row["integration_id"]: row["due_at"] for row in rows}


async def find_expired(
    connection: Any, cutoffs: Sequence[tuple[int, datetime]], limit: int
) -> list[tuple[int, int]]:
    """Return (integration, sequence) of rows queued before their integration's cutoff."""
    ids, times = (list(column) for column in zip(*cutoffs, strict=True))
    return [tuple(row) for row in await connection.fetch(_SQL.find_expired, ids, times, limit)]


async def settle_delivered(connection: Any, settlements: Iterable[Settlement]) -> None:
    """Write the attempts, and take what was delivered off the queue: one statement for it all.

    Counters follow the rows that really left the queue, so that they add up whoever else was at
    them.
    """
    pairs = [(s.integration_id, sequence) for s in settlements for sequence in s.delivered]
    rows = [row for s in settlements for row in s.attempts]
    if rows or pairs:
        ids, sequences = _columns(pairs, 2)
        columns = _columns(rows, len(AttemptRow._fields))
        await connection.execute(_SQL.settle_delivered, ids, sequences, *columns)


async def settle_others(
    connection: Any, settlements: Sequence[Settlement]
) -> list[tuple[Settlement, str]]:
    """Write every other fate and the state; return state changes with what was before.

    Call it in a transaction. Whoever no longer holds its lease may report successes and attempts,
    which are facts; its verdicts are left to the new owner.
    """
    valid = await _valid_leases(connection, settlements)
    owned = [s for s in settlements if (s.lease, s.epoch) in valid]
    await _settle_dead(connection, owned)
    await _settle_again(connection, owned)
    return await _change_states(connection, owned)


async def _valid_leases(connection: Any, settlements: Iterable[Settlement]) -> set[tuple[str, int]]:
    claimed = list({(s.lease, s.epoch) for s in settlements})
    rows = await connection.fetch(_SQL.valid_leases, *_columns(claimed, 2))
    return {(row["name"], row["epoch"]) for row in rows}


async def _settle_dead(connection: Any, settlements: Sequence[Settlement]) -> None:
    rows = [
        (s.integration_id, d.sequence, d.attempts, _clean(d.reason))
        for s in settlements
        for d in s.dead
    ]
    if rows:
        await connection.execute(_SQL.settle_dead, *_columns(rows, 4), settlements[0].at)


async def _settle_again(connection: Any, settlements: Iterable[Settlement]) -> None:
    settlements = list(settlements)
    again = [(s.integration_id, *row) for s in settlements for row in s.again]
    if again:
        await connection.execute(_SQL.settle_again, *_columns(again, 5))
    refunds = [(s.integration_id, *row) for s in settlements for row in s.refunds]
    if refunds:
        await connection.execute(_SQL.refund, *_columns(refunds, 3))


async def _change_states(
    connection: Any, settlements: Iterable[Settlement]
) -> list[tuple[Settlement, str]]:
    changed = []
    for settlement in settlements:
        if (state := settlement.state) is None:
            continue
        was = await connection.fetchval(
            _SQL.set_state, settlement.integration_id, state.status, _clean(state.reason),
            state.parked, state.failures, state.probe_at,
        )  # fmt: skip
        if state.disable:
            await connection.execute(_SQL.disable, settlement.integration_id)
        if was is not None:
            changed.append((settlement, was))
    return changed


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> list[Sequence[Any]]:
    """Return rows as columns: a statement takes them as arrays."""
    return list(zip(*rows, strict=True)) if rows else [()] * width


def _clean(text: str) -> str:
    """Text from outside without what PostgreSQL has no place for."""
    if text.isascii() and len(text) <= LONGEST_TEXT and "\x00" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\x00", " ")[:LONGEST_TEXT]


def attempt_row(**facts: Any) -> AttemptRow:
    """Return a row whose texts can be stored, whatever the service said."""
    row = AttemptRow(**facts)
    if row.reason or row.receipt:
        row = row._replace(reason=_clean(row.reason), receipt=_clean(row.receipt))
    return row


async def write_attempt(connection: Any, row: AttemptRow) -> None:
    """Write one attempt that belongs to no message of the queue: a test."""
    await connection.copy_records_to_table("attempt", records=[row], columns=_ATTEMPT_COLUMNS)


async def set_figures(connection: Any, figures: Sequence[Figures]) -> None:
    """Write what people see of integrations at work."""
    await connection.execute(_SQL.set_figures, *_columns(figures, len(Figures._fields)))


async def unpark(connection: Any, integration_id: int) -> None:
    """Let an integration that is parked, or down, be tried again at once; its owner is told."""
    await connection.execute(_SQL.unpark, integration_id)


class LaneRow(NamedTuple):
    """What delivery needs to know of an integration: its configuration and its state."""

    id: int
    organization_id: UUID
    type: str
    name: str
    format: str | None
    format_settings: dict[str, Any]
    settings: dict[str, Any]
    secrets: bytes | None
    rate_per_minute: int | None
    max_concurrent: int | None
    max_payload_bytes: int | None
    outcomes: dict[str, Any]
    schedule_seconds: list[float] | None
    max_age_seconds: int
    enabled: bool
    updated_at: datetime
    status: str
    reason: str
    parked: bool
    failures: int
    probe_at: datetime | None
    changed_at: datetime | None


async def list_lanes(connection: Any, integration_ids: Sequence[int] | None) -> list[LaneRow]:
    """Return all integrations, or those of these ids that are not deleted."""
    ids = None if integration_ids is None else list(integration_ids)
    return [LaneRow(*row) for row in await connection.fetch(_SQL.list_lanes, ids)]


async def list_lane_ids(connection: Any) -> list[int]:
    """Return the ids of all integrations that are not deleted."""
    return [row["id"] for row in await connection.fetch(_SQL.list_lane_ids)]
