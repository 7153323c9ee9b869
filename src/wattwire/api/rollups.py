"""`/api/v1/devices/{id}/rollups`: hours, local days and calendar months."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

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
from wattwire.store import rollups
from wattwire.store.devices import StreamDetail
from wattwire.store.rollups import Rollup

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
    rows = await rollups.read_rollups(
        call.pool,
        [s.id for s in wanted],
        aggregation,
        start,
        end,
        limit=limit + 1,
        cursor=cursors.decode(cursor),
    )
    shown = rows[:limit]
    more = len(rows) > limit
    next_cursor = cursors.encode((shown[-1].stream_id, shown[-1].start)) if more else None
    items = _items(shown, wanted, set(channel) if channel else None)
    return Response(_encode({"items": items, "next_cursor": next_cursor}), media_type=JSON)


Statistics = Callable[[Rollup, int], dict[str, Any]]


def _items(
    rows: Sequence[Rollup], streams: Sequence[StreamDetail], only: set[str] | None
) -> list[dict[str, Any]]:
    layouts = {s.id: (s.path, _layout(s, only)) for s in streams}
    return [_item(row, *layouts[row.stream_id]) for row in rows]


def _layout(stream: StreamDetail, only: set[str] | None) -> list[tuple[int, str, Statistics]]:
    """Return place, name and what to show, for each channel that is wanted."""
    return [
        (place, channel.name, _STATISTICS[channel.kind])
        for place, channel in enumerate(stream.channels)
        if only is None or channel.name in only
    ]


def _item(row: Rollup, path: str, layout: Sequence[tuple[int, str, Statistics]]) -> dict[str, Any]:
    width = len(row.count)  # channels that came later are not in it
    return {
        "stream": path,
        "start": row.start,
        "end": row.end,
        "readings": row.readings,
        "completeness": row.completeness,
        "channels": {name: show(row, place) for place, name, show in layout if place < width},
    }


def _level(row: Rollup, i: int) -> dict[str, Any]:
    return {
        "count": row.count[i],
        "mean": row.mean[i],
        "min": row.minimum[i],
        "max": row.maximum[i],
    }


def _register(row: Rollup, i: int) -> dict[str, Any]:
    return {
        "count": row.count[i],
        "total": row.total[i],
        "difference": row.difference[i],
        "start": row.first_value[i],
        "end": row.last_value[i],
    }


def _interval(row: Rollup, i: int) -> dict[str, Any]:
    return {"count": row.count[i], "sum": row.total[i]}


def _status(row: Rollup, i: int) -> dict[str, Any]:
    return {"count": row.count[i], "value": row.texts[i]}


_STATISTICS: Final[dict[str, Statistics]] = {
    "instantaneous": _level,
    "accumulating": _register,
    "interval": _interval,
    "status": _status,
}
