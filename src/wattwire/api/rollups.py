"""`/api/v1/devices/{id}/rollups`: hours, local days and calendar months."""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from wattwire.api.fields import DeviceId, From, Timestamp, To, View
from wattwire.api.identity import Authorized
from wattwire.api.once import JSON
from wattwire.api.paging import Cursors, CursorText, Page
from wattwire.api.problems import documented
from wattwire.api.readings import StreamPath, streams_of
from wattwire.api.rollup_items import show_rollups
from wattwire.store import listing

router = APIRouter(tags=["rollups"])
_encode: Final = msgspec.json.Encoder().encode
_EXAMPLE: Final = {
    "active_power_w": {"count": 60, "mean": 812.4, "min": 120.0, "max": 2430.0},
    "energy_import_wh": {
        "count": 60, "total": 812.1, "difference": 811.0, "start": 50_200.0, "end": 51_011.0,
    },
}  # fmt: skip


class ChannelRollup(View):
    """What one channel adds up to. Which members there are depends on its kind."""

    count: int = Field(description="Readings that had a value.", examples=[60])
    mean: float | None = Field(default=None, description="Of a level.", examples=[812.4])
    min: float | None = Field(default=None, description="Of a level.", examples=[120.0])
    max: float | None = Field(default=None, description="Of a level.", examples=[2430.0])
    total: float | None = Field(
        default=None,
        description="Of a register: what it rose by from the start of the bucket to its end. "
        "Totals of hours add up to those of days and months.",
        examples=[812.1],
    )
    difference: float | None = Field(
        default=None, description="Of a register: from `start` to `end`.", examples=[811.0]
    )
    start: float | None = Field(
        default=None, description="Of a register: first.", examples=[50200.0]
    )
    end: float | None = Field(default=None, description="Of a register: last.", examples=[51011.0])
    sum: float | None = Field(default=None, description="Of energy by intervals.", examples=[810.0])
    value: str | None = Field(
        default=None, description="Of a text: most frequent.", examples=["ok"]
    )


class RollupView(View):
    """One hour, day or month of one stream."""

    stream: str = Field(description="Path of the stream.", examples=["/power/1"])
    start: Timestamp = Field(description="Its first instant.")
    end: Timestamp = Field(description="The first instant after it.")
    readings: int = Field(description="Readings in it.", examples=[60])
    completeness: float | None = Field(
        description="Share of the readings that were expected; null: not known.", examples=[1.0]
    )
    channels: dict[str, ChannelRollup] = Field(
        description="By channel, in the order of the channels.", examples=[_EXAMPLE]
    )


@router.get(
    "/api/v1/devices/{device_id}/rollups",
    response_model=Page[RollupView],
    responses=documented(404),
)
async def list_rollups(
    call: Authorized,
    *,
    device_id: DeviceId,
    aggregation: Annotated[
        Literal["h", "d", "M"], Query(description="Hours, local days or calendar months.")
    ],
    start: From,
    end: To,
    stream: StreamPath = None,
    channel: Annotated[
        list[str] | None, Query(max_length=100, description="Only these channels; may be repeated.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="Rollups on a page.")] = 1000,
    cursor: CursorText = None,
) -> Response:
    """List rollups that begin in `[from, to)`, by stream and time. Days are the device's own."""
    wanted = await streams_of(call, device_id, stream)
    cursors = Cursors("rollups", (device_id, aggregation, start, end, stream), tuple[int, datetime])
    rows = await listing.list_rollups(
        call.pool,
        [s.id for s in wanted],
        aggregation,
        start,
        end,
        after=cursors.decode(cursor),
        limit=limit + 1,
        levels_only=all(c.kind == "instantaneous" for s in wanted for c in s.channels),
    )
    shown = rows[:limit]
    last = shown[-1] if len(rows) > limit else None
    next_cursor = cursors.encode((last["stream_id"], last["start"])) if last else None
    items = show_rollups(shown, wanted, frozenset(channel) if channel else None)
    return Response(_encode({"items": items, "next_cursor": next_cursor}), media_type=JSON)
