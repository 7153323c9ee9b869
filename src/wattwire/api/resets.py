"""`/api/v1/devices/{id}/resets`: where a register did not simply go on."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from wattwire.api.fields import Body, DeviceId, Timestamp, View
from wattwire.api.identity import Authorized
from wattwire.api.once import Change, change
from wattwire.api.paging import Page
from wattwire.api.problems import documented, invalid, not_found
from wattwire.api.readings import StreamPath, streams_of
from wattwire.store import resets
from wattwire.store.devices import StreamDetail
from wattwire.store.resets import ResetRow

router = APIRouter(prefix="/api/v1/devices", tags=["devices"])

Number = Annotated[float, Field(allow_inf_nan=False)]


class ResetBody(Body):
    """A meter was replaced or set."""

    stream: str = Field(max_length=255, description="Path of the stream.", examples=["/power/1"])
    channel: str = Field(
        max_length=200,
        description="Name of the register, an accumulating channel.",
        examples=["energy_import_wh"],
    )
    time: AwareDatetime = Field(
        description="When: readings from then on are of the new register.",
        examples=["2025-06-01T12:00:00Z"],
    )
    final: Number = Field(description="What the old register showed last.", examples=[81_234.5])
    start: Number = Field(description="What the new one began with.", examples=[0.0])
    notes: str = Field(default="", max_length=1000, description="Why.", examples=["New meter."])


class ResetView(View):
    """A reset of a register."""

    stream: str = Field(description="Path of the stream.", examples=["/power/1"])
    channel: str = Field(description="Name of the register.", examples=["energy_import_wh"])
    time: Timestamp = Field(description="When.")
    final: float = Field(description="What the old register showed last.", examples=[81_234.5])
    start: float = Field(description="What the new one began with.", examples=[0.0])
    notes: str = Field(description="Why.", examples=["New meter."])


@router.get("/{device_id}/resets", response_model=Page[ResetView], responses=documented(404))
async def list_resets(call: Authorized, device_id: DeviceId, stream: StreamPath = None) -> Any:
    """List the resets of a device's registers, oldest first."""
    wanted = await streams_of(call, device_id, stream)
    rows = await resets.list_resets(call.pool, [one.id for one in wanted])
    return {"items": rows, "next_cursor": None}


@router.put("/{device_id}/resets", response_model=ResetView, responses=documented(404))
async def put_reset(call: Authorized, device_id: DeviceId, body: ResetBody) -> Any:
    """Say that a register was replaced or set; the rollups around it are computed again.

    One of the same channel and time is replaced.
    """
    stream = await _register(call, device_id, body.stream, body.channel)
    reset = ResetRow(**body.model_dump())

    async def work(now: Change) -> ResetRow:
        await resets.put_reset(now.db, stream.id, reset)
        await now.record("reset.recorded", device_id, body.model_dump(mode="json"))
        return reset

    return await change(call, work)


@router.delete("/{device_id}/resets", status_code=204, responses=documented(404))
async def delete_reset(
    call: Authorized,
    device_id: DeviceId,
    stream: Annotated[str, Query(max_length=255, description="Path of the stream.")],
    channel: Annotated[str, Query(max_length=200, description="Name of the register.")],
    time: Annotated[AwareDatetime, Query(description="When the reset was.")],
) -> Response:
    """Take a reset back; the rollups around it are computed again."""
    found = await _register(call, device_id, stream, channel)

    async def work(now: Change) -> None:
        if not await resets.delete_reset(now.db, found.id, channel, time):
            raise not_found("reset", f"{channel} at {time.isoformat()}")
        detail = {"stream": stream, "channel": channel, "time": time.isoformat()}
        await now.record("reset.deleted", device_id, detail)

    await change(call, work)
    return Response(status_code=204)


async def _register(call: Authorized, device_id: int, path: str, channel: str) -> StreamDetail:
    """Return the stream of a register. Raises Problem 404, or 422 for what is no register."""
    stream = (await streams_of(call, device_id, path))[0]
    known = next((one for one in stream.channels if one.name == channel), None)
    if known is None:
        raise not_found("channel", channel)
    if known.kind != "accumulating":
        raise invalid("channel", f"{channel} is no register: its kind is {known.kind}")
    return stream
