"""What people do with an integration: test, look into its ledger, replay, purge, pause, delete."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field, model_validator

from wattwire.api.fields import (
    BIGINT,
    EXAMPLE_UUID,
    Body,
    IntegrationId,
    OptionalFrom,
    OptionalTo,
    Search,
    Timestamp,
    View,
)
from wattwire.api.identity import Authorized
from wattwire.api.integration_lifecycle import still_queued
from wattwire.api.integrations import IntegrationView, find, view
from wattwire.api.once import Change, change
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import documented, not_found
from wattwire.api.replaying import replay_events
from wattwire.store import integrations, ledger, listing, replays

router = APIRouter(prefix="/api/v1/integrations/{integration_id}", tags=["deliveries"])
Outcome = Literal["delivered", "retry", "rejected", "discarded"]
LetterId = Annotated[int, Field(ge=1, le=BIGINT)]


class TestView(View):
    """What came of a test."""

    __test__ = False  # not a test case, whatever its name suggests to pytest

    outcome: Literal["delivered", "retry", "rejected"] = Field(
        description="What the service said.", examples=["delivered"]
    )
    reason: str = Field(description="Why not.", examples=[""])
    receipt: str = Field(description="The service's own name for it.", examples=["HTTP 200"])
    duration_ms: float = Field(description="How long it took.", examples=[42.1])
    message_id: str = Field(description="Its message id.", examples=["test-5-01"])
    address: str = Field(description="Where it went.", examples=["https://example.com/hooks"])


class DeliveryView(View):
    """One attempt, as the ledger has it."""

    id: int = Field(description="Number of the attempt.", examples=[1001])
    message_id: str = Field(
        description="Stays the same over all attempts.",
        examples=["0197a1f25e7b7c0a9d3e4f5061728394-5"],
    )
    event_id: UUID | None = Field(
        description="The event; null for a test.", examples=[EXAMPLE_UUID]
    )
    topic: str = Field(description="Its topic.", examples=["device.telemetry"])
    device_key: str = Field(description="Whose it was.", examples=["meter-1"])
    number: int = Field(description="Which attempt of the message.", examples=[1])
    started_at: Timestamp = Field(description="When it began.")
    duration_ms: float = Field(description="How long it took.", examples=[42.1])
    outcome: Outcome = Field(description="What came of it.", examples=["delivered"])
    reason: str = Field(description="Why not.", examples=[""])
    receipt: str = Field(description="The service's own name for it.", examples=["HTTP 200"])
    address: str = Field(description="Where it went.", examples=["https://example.com/hooks"])
    test: bool = Field(description="Whether it was a test.", examples=[False])


class DeadLetterView(View):
    """A message that was given up."""

    id: int = Field(description="Number of the dead letter.", examples=[9])
    event_id: UUID = Field(description="The event.", examples=[EXAMPLE_UUID])
    message_id: str = Field(
        description="Its message id.", examples=["0197a1f25e7b7c0a9d3e4f5061728394-5"]
    )
    topic: str | None = Field(
        description="Null when retention dropped the event.", examples=["device.alert"]
    )
    attempts: int = Field(description="How often it was tried.", examples=[3])
    reason: str = Field(description="Why it was given up.", examples=["HTTP 500"])
    died_at: Timestamp = Field(description="When.")


class StatsView(View):
    """The ledger: matched = delivered + waiting + in_flight + dead + discarded, at any moment."""

    matched: int = Field(description="Events that it asked for.", examples=[100])
    delivered: int = Field(description="Taken by the receiver.", examples=[90])
    waiting: int = Field(description="In the queue.", examples=[5])
    in_flight: int = Field(description="Being sent.", examples=[2])
    dead: int = Field(description="Given up.", examples=[2])
    discarded: int = Field(description="Left out, with a reason.", examples=[1])
    discarded_reasons: dict[str, int] = Field(
        default={}, description="How many for which reason.", examples=[{"purged": 1}]
    )


class Replay(Body):
    """What to send again: exactly one of these."""

    dead_letter_ids: list[LetterId] | None = Field(
        default=None,
        min_length=1,
        max_length=1000,
        description="These dead letters.",
        examples=[[9]],
    )
    dead_since: AwareDatetime | None = Field(
        default=None, description="All that died at or after.", examples=[None]
    )
    start: AwareDatetime | None = Field(
        default=None, alias="from", description="Events again, at or after.", examples=[None]
    )
    end: AwareDatetime | None = Field(
        default=None, alias="to", description="Events again, before.", examples=[None]
    )

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        ways = [self.dead_letter_ids, self.dead_since, self.start or self.end]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give dead_letter_ids, dead_since, or from and to")
        if (self.start is None) != (self.end is None):
            raise ValueError("from and to belong together")
        if self.start and self.end and self.end <= self.start:
            raise ValueError("to must be later than from")
        return self


class QueuedView(View):
    """What a replay did."""

    queued: int = Field(description="Messages that wait to be sent again.", examples=[1])


class DiscardedView(View):
    """What a purge did."""

    discarded: int = Field(description="Messages that will not be sent.", examples=[5])


@router.post("/test", response_model=TestView, responses=documented(404))
async def test_integration(call: Authorized, integration_id: IntegrationId) -> Any:
    """Really send one message marked as a test, along the same road as all others.

    A success sets an integration going again that waits because its credentials were refused.
    """
    await find(call, integration_id)
    return await call.hub.test_integration(integration_id)


@router.get("/deliveries", response_model=Page[DeliveryView], responses=documented(404))
async def list_deliveries(
    call: Authorized,
    *,
    integration_id: IntegrationId,
    limit: Limit = 100,
    cursor: CursorText = None,
    outcome: Annotated[Outcome | None, Query(description="Only this outcome.")] = None,
    message_id: Annotated[Search, Query(description="Only of this message.")] = None,
    topic: Annotated[Search, Query(description="Only of this topic.")] = None,
    test: Annotated[bool | None, Query(description="Only tests, or none of them.")] = None,
    start: OptionalFrom = None,
    end: OptionalTo = None,
) -> Any:
    """List attempts, newest first."""
    await find(call, integration_id)
    wanted = listing.AttemptFilter(outcome, message_id, topic, test, start, end)
    filters = (integration_id, outcome, message_id, topic, test, start, end)
    cursors = Cursors("deliveries", filters, tuple[datetime, int])
    rows = await listing.list_attempts(
        call.pool, integration_id, wanted, before=cursors.decode(cursor), limit=limit + 1
    )
    return page(rows, limit, cursors, lambda row: (row.started_at, row.id))


@router.get("/dead-letters", response_model=Page[DeadLetterView], responses=documented(404))
async def list_dead_letters(
    call: Authorized, integration_id: IntegrationId, limit: Limit = 100, cursor: CursorText = None
) -> Any:
    """List messages that were given up, newest first."""
    await find(call, integration_id)
    cursors = Cursors("dead-letters", (integration_id,), tuple[datetime, int])
    rows = await listing.list_dead_letters(
        call.pool, integration_id, before=cursors.decode(cursor), limit=limit + 1
    )
    return page(rows, limit, cursors, lambda row: (row.died_at, row.id))


@router.post("/replay", response_model=QueuedView, responses=documented(404))
async def replay_integration(call: Authorized, integration_id: IntegrationId, body: Replay) -> Any:
    """Send again: dead letters, or the events of a time range. Message ids stay the same."""
    row = await find(call, integration_id)

    async def work(now: Change) -> QueuedView:
        if body.start is not None and body.end is not None:
            queued = await replay_events(now.db, row, body.start, body.end)
        else:
            queued = await replays.replay_dead(
                now.db, integration_id, ids=body.dead_letter_ids, since=body.dead_since
            )
        await now.record("integration.replayed", integration_id, {"queued": queued})
        return QueuedView(queued=queued)

    return await change(call, work)


@router.post("/purge", response_model=DiscardedView, responses=documented(404))
async def purge_integration(call: Authorized, integration_id: IntegrationId) -> Any:
    """Discard what waits. It is counted as discarded, with this reason, and cannot be undone."""
    await find(call, integration_id)

    async def work(now: Change) -> DiscardedView:
        discarded = await replays.purge_queue(now.db, integration_id, "purged")
        await now.record("integration.purged", integration_id, {"discarded": discarded})
        return DiscardedView(discarded=discarded)

    return await change(call, work)


@router.post("/pause", response_model=IntegrationView, responses=documented(404))
async def pause_integration(call: Authorized, integration_id: IntegrationId) -> Any:
    """Stop sending; messages wait."""
    return await _set_enabled(call, integration_id, enabled=False)


@router.post("/resume", response_model=IntegrationView, responses=documented(404))
async def resume_integration(call: Authorized, integration_id: IntegrationId) -> Any:
    """Send again, what waited first."""
    return await _set_enabled(call, integration_id, enabled=True)


async def _set_enabled(call: Authorized, integration_id: int, *, enabled: bool) -> IntegrationView:
    async def work(now: Change) -> IntegrationView:
        row = await integrations.set_enabled(
            now.db, call.organization_id, integration_id, enabled=enabled
        )
        if row is None:
            raise not_found("integration", integration_id)
        action = "integration.resumed" if enabled else "integration.paused"
        await now.record(action, integration_id)
        return view(row)

    shown: IntegrationView = await change(call, work)
    return shown


@router.get("/stats", response_model=StatsView, responses=documented(404))
async def get_integration_stats(call: Authorized, integration_id: IntegrationId) -> Any:
    """Show the counters of the ledger. They add up exactly."""
    await find(call, integration_id)
    async with call.pool.acquire(timeout=10) as db:
        return await ledger.counters(db, integration_id)


@router.delete("", status_code=204, responses=documented(404, 409))
async def delete_integration(
    call: Authorized,
    integration_id: IntegrationId,
    discard: Annotated[bool, Query(description="Discard what is still queued.")] = False,
) -> None:
    """Delete an integration. What is still queued is shown first, unless `discard` is true."""

    async def work(now: Change) -> None:
        row = await integrations.find(now.db, call.organization_id, integration_id, lock=True)
        if row is None:
            raise not_found("integration", integration_id)
        counters = await ledger.counters(now.db, integration_id)
        queued = counters.waiting + counters.in_flight
        if queued and not discard:
            raise still_queued(row.name, counters)
        await replays.purge_queue(now.db, integration_id, ledger.DELETED)
        await integrations.delete(now.db, call.organization_id, integration_id)
        await now.record("integration.deleted", integration_id, {"discarded": queued})

    await change(call, work)
