"""Readings: sent in batches, read back and deleted by range."""

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import zip_longest
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from wattwire.api import ingest
from wattwire.api.devices import find
from wattwire.api.fields import (
    END_OF_TIME,
    Body,
    DeviceId,
    From,
    OptionalFrom,
    OptionalTo,
    Timestamp,
    To,
    View,
)
from wattwire.api.identity import Authorized
from wattwire.api.incoming import read_body
from wattwire.api.once import JSON, Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Page
from wattwire.api.problems import Problem, documented, not_found
from wattwire.model import EPOCH
from wattwire.store import devices, listing, rollups
from wattwire.store import readings as stored

router = APIRouter(tags=["readings"])
StreamPath = Annotated[str | None, Query(max_length=255, description="Only this stream.")]
_encode: Final = msgspec.json.Encoder().encode


class ReadingItem(Body):
    """What a stream reported at one instant."""

    device: str = Field(max_length=255, description="The device's key.", examples=["meter-1"])
    stream: str = Field(max_length=255, description="Path of the stream.", examples=["/power/1"])
    time: AwareDatetime | int | None = Field(
        default=None,
        description="When it was measured: ISO 8601 with an offset, or milliseconds since 1970. "
        "Left out: now.",
        examples=["2025-06-01T12:00:00Z"],
    )
    values: dict[str, float | str | None] = Field(
        description="A value for each channel; names end in their unit.",
        examples=[{"active_power_w": 100}],
    )
    quality: int = Field(default=192, description="0 bad, 192 good, 500 stale.", examples=[192])
    kinds: dict[str, Literal["instantaneous", "accumulating", "interval", "status"]] | None = Field(
        default=None, description="How new channels add up.", examples=[{}]
    )
    units: dict[str, str] | None = Field(
        default=None, description="Units of new channels.", examples=[{"active_power_w": "W"}]
    )


class ReadingsBody(Body):
    """A batch of readings."""

    readings: list[ReadingItem] = Field(max_length=10_000, description="Up to 10,000 of them.")


class VerdictView(View):
    """Why one reading was refused."""

    index: int = Field(description="Its place in the batch, from 0.", examples=[3])
    reason: str = Field(
        description="What is wrong with it.", examples=["the time is not plausible"]
    )
    where: str = Field(description="Where in the body.", examples=["readings[3].time"])
    quarantined: bool = Field(description="Whether it is kept in quarantine.", examples=[True])


class AcceptedView(View):
    """What became of a batch."""

    accepted: int = Field(description="Readings that are durable now.", examples=[2])
    refused: int = Field(description="Readings that are not taken.", examples=[0])
    items: list[VerdictView] = Field(
        description="Those that are not taken, in order.", examples=[[]]
    )


class ReadingView(View):
    """A stored reading."""

    stream: str = Field(description="Path of the stream.", examples=["/power/1"])
    time: Timestamp = Field(description="When it was measured.")
    received_at: Timestamp = Field(description="When it reached the hub.")
    quality: int = Field(description="0 bad, 192 good, 500 stale.", examples=[192])
    values: dict[str, float | str | None] = Field(
        description="A value for each channel, in the order of the channels.",
        examples=[{"active_power_w": 100.0}],
    )


class DeletedView(View):
    """What a deletion did."""

    deleted: int = Field(description="Readings that are gone.", examples=[96])


@router.post(
    "/api/v1/readings",
    response_model=AcceptedView,
    responses=documented(413, 415),
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "May be sent with `Content-Encoding: gzip`.",
            "content": {JSON: {"schema": {"$ref": "#/components/schemas/ReadingsBody"}}},
        }
    },
)
async def send_readings(
    call: Authorized, request: Request, idempotency_key: IdempotencyKey = None
) -> Response:
    """Hand over readings. What is accepted is durable when the answer comes.

    Each reading is judged on its own: what is refused is named in `items` and kept in quarantine.
    A batch of which nothing can be taken is answered with 422.
    """
    body = await read_body(request)
    if idempotency_key is None:
        return _answer(await ingest.take_json(call, body, time.time_ns() // 1000))

    async def work(_: Change) -> AcceptedView:
        return AcceptedView.model_validate(
            await ingest.take_json(call, body, time.time_ns() // 1000)
        )

    return await once(call, idempotency_key, 200, work)


def _answer(verdict: ingest.Taken) -> Response:
    return Response(_encode(verdict), media_type=JSON)


@router.get(
    "/api/v1/devices/{device_id}/readings",
    response_model=Page[ReadingView],
    responses=documented(404),
)
async def list_readings(
    call: Authorized,
    *,
    device_id: DeviceId,
    start: OptionalFrom = None,
    end: OptionalTo = None,
    stream: StreamPath = None,
    order: Annotated[Literal["asc", "desc"], Query(description="Oldest or newest first.")] = "asc",
    limit: Annotated[int, Query(ge=1, le=10_000, description="Readings on a page.")] = 1000,
    cursor: CursorText = None,
) -> Response:
    """List the readings of a device in `[from, to)` by time."""
    wanted = await streams_of(call, device_id, stream)
    cursors = Cursors("readings", (device_id, start, end, stream, order), tuple[datetime, int])
    rows = await listing.list_readings(
        call.pool,
        [s.id for s in wanted],
        start or EPOCH,
        end or END_OF_TIME,
        after=cursors.decode(cursor),
        limit=limit + 1,
        newest_first=order == "desc",
    )
    return _readings_page(rows, wanted, limit, cursors)


async def streams_of(
    call: Authorized, device_id: int, path: str | None
) -> Sequence[devices.StreamDetail]:
    """Return the streams meant. Raises Problem 404 for a device or stream that is not there."""
    streams = await devices.list_streams(call.pool, call.organization_id, device_id)
    wanted = [s for s in streams if path is None or s.path == path]
    if not wanted:
        await find(call, device_id)
        if path is not None:
            raise not_found("stream", path)
    return wanted


def _readings_page(
    rows: Sequence[Any], streams: Sequence[devices.StreamDetail], limit: int, cursors: Cursors
) -> Response:
    named = {s.id: (s.path, [c.name for c in s.channels]) for s in streams}
    items = [_reading(row, *named[row["stream_id"]]) for row in rows[:limit]]
    last = (rows[limit - 1]["time"], rows[limit - 1]["stream_id"]) if len(rows) > limit else None
    next_cursor = cursors.encode(last) if last else None
    return Response(_encode({"items": items, "next_cursor": next_cursor}), media_type=JSON)


def _reading(row: Any, path: str, names: list[str]) -> dict[str, Any]:
    values: list[Any] = row["values"]
    texts = row["texts"]
    if texts is not None:
        values = [v if t is None else t for v, t in zip_longest(values, texts)]
    missing = len(names) - len(values)  # channels that came after this reading
    return {
        "stream": path,
        "time": row["time"],
        "received_at": row["received_at"],
        "quality": row["quality"],
        "values": dict(zip(names, values + [None] * missing if missing else values, strict=False)),
    }


@router.delete(
    "/api/v1/devices/{device_id}/readings",
    response_model=DeletedView,
    responses=documented(404),
)
async def delete_readings(
    call: Authorized, device_id: DeviceId, start: From, end: To, stream: StreamPath = None
) -> Any:
    """Delete the readings of a device in `[from, to)`; rollups they were in are computed again."""
    if end <= start:
        raise Problem(422, "`to` must be later than `from`.")
    wanted = await streams_of(call, device_id, stream)

    async def work(now: Change) -> DeletedView:
        await rollups.mark_deleted(now.db, [one.id for one in wanted], start, end)
        deleted = 0
        for one in wanted:
            deleted += len(await stored.delete_readings(now.db, one.id, start, end))
        span = {"from": start.isoformat(), "to": end.isoformat(), "stream": stream}
        await now.record("readings.deleted", device_id, {**span, "deleted": deleted})
        return DeletedView(deleted=deleted)

    return await change(call, work)
