"""`/api/v1/topics` and `/api/v1/events`: what happens, as a list and live."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from wattwire.api.fields import EXAMPLE_UUID, OptionalFrom, OptionalTo, Search, Timestamp, View
from wattwire.api.identity import Authorized, Call
from wattwire.api.live import Watcher
from wattwire.api.once import JSON
from wattwire.api.paging import Cursors, CursorText, Limit, Page
from wattwire.api.problems import Problem, documented, not_found
from wattwire.store import listing

router = APIRouter(prefix="/api/v1", tags=["events"])
HEARTBEAT_SECONDS: Final = 15.0
_encode: Final = msgspec.json.Encoder().encode

#: Every topic an integration may ask for, and what it means.
TOPICS: Final = {
    "device.telemetry": "A reading was stored.",
    "datum/agg/update": "An hour, day or month of a stream has changed (SolarNetwork's name).",
    "device.alert": "A rule found something. Not emitted yet.",
    "device.alert.resolved": "What a rule found is over. Not emitted yet.",
    "device.status": "A device came or went.",
    "device.registered": "A device reported for the first time.",
    "disaggregation.ready": "A day of a meter was taken apart. Not emitted yet.",
    "command.completed": "A device answered a command. Not emitted yet.",
    "integration.error": "An integration cannot deliver.",
    "integration.recovered": "An integration delivers again.",
    "report.ready": "A report was written. Not emitted yet.",
}


class TopicView(View):
    """What an integration may ask for."""

    topic: str = Field(description="Its name.", examples=["device.telemetry"])
    description: str = Field(description="What it means.", examples=["A reading was stored."])
    events_last_day: int = Field(description="Events of the last 24 hours.", examples=[1440])


class EventDevice(View):
    """Whose event it is."""

    id: str = Field(description="The device's key.", examples=["meter-1"])
    name: str = Field(description="What people call it.", examples=["Main meter"])
    type: str = Field(description="What kind of device.", examples=["smart_meter"])


class EventView(View):
    """A fact that integrations may ask for."""

    id: UUID = Field(description="The event.", examples=[EXAMPLE_UUID])
    created_at: Timestamp = Field(description="When it was recorded.")
    topic: str = Field(description="What happened.", examples=["device.telemetry"])
    device_id: int | None = Field(description="To which device.", examples=[7])
    stream: str = Field(description="On which stream.", examples=["/power/1"])
    time: Timestamp = Field(description="When it happened.")
    severity: str = Field(description="How bad.", examples=["info"])
    device: EventDevice = Field(description="The device as it was called then.")
    data: dict[str, Any] = Field(description="The rest.", examples=[{"active_power_w": 100.0}])


class _Stored(msgspec.Struct):
    device: msgspec.Raw
    data: msgspec.Raw


_STORED: Final = msgspec.json.Decoder(_Stored)


@router.get("/topics", response_model=Page[TopicView], responses=documented())
async def list_topics(call: Authorized) -> Any:
    """List what integrations may ask for."""
    counts = await listing.list_topics(call.pool, call.organization_id)
    items = [
        {"topic": topic, "description": text, "events_last_day": counts.get(topic, 0)}
        for topic, text in TOPICS.items()
    ]
    return {"items": items, "next_cursor": None}


@router.get("/events", response_model=Page[EventView], responses=documented())
async def list_events(
    call: Authorized,
    *,
    limit: Limit = 100,
    cursor: CursorText = None,
    topic: Annotated[Search, Query(description="Only this topic.")] = None,
    device_id: Annotated[int | None, Query(ge=1, description="Only this device.")] = None,
    stream: Annotated[Search, Query(description="Only this stream.")] = None,
    severity: Annotated[
        Literal["info", "warning", "critical"] | None, Query(description="Only this bad.")
    ] = None,
    start: OptionalFrom = None,
    end: OptionalTo = None,
) -> Response:
    """List events, newest first."""
    wanted = listing.EventFilter(topic, device_id, stream, severity, start, end)
    filters = (topic, device_id, stream, severity, start, end)
    cursors = Cursors("events", filters, tuple[datetime, UUID])
    rows = await listing.list_events(
        call.pool, call.organization_id, wanted, before=cursors.decode(cursor), limit=limit + 1
    )
    last = rows[limit - 1] if len(rows) > limit else None
    next_cursor = cursors.encode((last["created_at"], last["id"])) if last else None
    body = {"items": [_event(row) for row in rows[:limit]], "next_cursor": next_cursor}
    return Response(_encode(body), media_type=JSON)


def _event(row: Any) -> dict[str, Any]:
    stored = _STORED.decode(row["data"])
    return {
        "id": row["id"],
        "created_at": row["created_at"],
        "topic": row["topic"],
        "device_id": row["device_id"],
        "stream": row["stream"],
        "time": row["time"],
        "severity": row["severity"],
        "device": stored.device,
        "data": stored.data,
    }


@router.get(
    "/events/live",
    response_class=StreamingResponse,
    responses={
        **documented(),
        200: {
            "description": "Server-sent events until the client leaves.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": f"id: {EXAMPLE_UUID}\nevent: device.telemetry\n"
                    'data: {"stream":"/power/1"}\n\n',
                }
            },
        },
    },
)
async def watch_events(
    call: Authorized,
    topic: Annotated[
        list[str] | None, Query(max_length=20, description="Only these topics; may be repeated.")
    ] = None,
    device_id: Annotated[int | None, Query(ge=1, description="Only this device.")] = None,
) -> StreamingResponse:
    """Watch events as they happen (server-sent events).

    A comment comes every 15 seconds. Whoever reads too slowly is told `event: missed` with how many
    events were left out; `GET /events` has them all.
    """
    if not call.face.live.may_join(call.organization_id):
        raise Problem(503, "Too many are watching.", headers={"Retry-After": "30"})
    stream = _watch(call, frozenset(topic) if topic else None, device_id)
    return StreamingResponse(stream, media_type="text/event-stream")


async def _watch(
    call: Call, topics: frozenset[str] | None, device_id: int | None
) -> AsyncIterator[bytes]:
    """Show events until the hub closes or the token ends; each heartbeat looks at the token."""
    closing = call.face.live.closing
    async with call.face.live.join(call.organization_id, topics, device_id) as watcher:
        yield b": watching\n\n"
        beat = time.monotonic()
        while not closing.is_set():
            left = beat + HEARTBEAT_SECONDS - time.monotonic()
            row = await _next(watcher, closing, left) if left > 0 else None
            if row is not None:
                yield _frame(row)
            if watcher.missed:
                missed, watcher.missed = watcher.missed, 0
                yield b"event: missed\ndata: %d\n\n" % missed
            if row is None and not closing.is_set():
                beat = time.monotonic()
                await call.face.tokens.check(call.caller)
                yield b": still here\n\n"


async def _next(watcher: Watcher, closing: asyncio.Event, seconds: float) -> Any:
    """Return the next row, or None when none comes within the seconds or the hub closes."""
    if not watcher.queue.empty():
        return watcher.queue.get_nowait()
    waiting = [asyncio.ensure_future(watcher.queue.get()), asyncio.ensure_future(closing.wait())]
    try:
        done, _ = await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
    return waiting[0].result() if waiting[0] in done else None


def _frame(row: Any) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (
        str(row["id"]).encode(),
        row["topic"].encode(),
        _encode(_event(row)),
    )


@router.get("/events/{event_id}", response_model=EventView, responses=documented(404))
async def get_event(
    call: Authorized, event_id: Annotated[UUID, Path(description="The event.")]
) -> Response:
    """Show one event."""
    row = await listing.find_event(call.pool, call.organization_id, event_id)
    if row is None:
        raise not_found("event", event_id)
    return Response(_encode(_event(row)), media_type=JSON)
