"""`/api/v1/devices`: the things in the field, and their streams."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response

from wattwire.api.fields import (
    END_OF_TIME,
    EXAMPLE_UUID,
    Body,
    DeviceId,
    DeviceKey,
    Metadata,
    Name,
    Search,
    Text,
    Timestamp,
    TimeZone,
    View,
)
from wattwire.api.identity import Authorized, Call
from wattwire.api.once import Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.problems import documented, not_found
from wattwire.model import EPOCH
from wattwire.store import devices, rollups

router = APIRouter(prefix="/api/v1/devices", tags=["devices"])

Status = Literal["online", "silent", "offline"]
DeviceType = Annotated[str, Field(max_length=200), Text]


class DeviceView(View):
    """A thing in the field."""

    id: int = Field(description="Number of the device.", examples=[7])
    uuid: UUID = Field(description="The same device, unique everywhere.", examples=[EXAMPLE_UUID])
    key: str = Field(description="The meter's own id.", examples=["meter-1"])
    name: str = Field(description="What people call it.", examples=["Main meter"])
    type: str = Field(description="What kind of device.", examples=["smart_meter"])
    time_zone: str = Field(description="IANA zone of its days.", examples=["Europe/Berlin"])
    status: Status = Field(description="Whether it reports.", examples=["online"])
    status_at: Timestamp | None = Field(description="Since when.")
    last_seen_at: Timestamp | None = Field(description="When it last reported.")
    metadata: dict[str, Any] = Field(description="Your own fields.", examples=[{"site": "North"}])
    created_at: Timestamp = Field(description="When it was registered.")


class DeviceCreate(Body):
    """A new device."""

    key: DeviceKey = Field(description="The meter's own id, unique here.", examples=["meter-1"])
    name: Name | None = Field(
        default=None,
        description="What people call it; the key when left out.",
        examples=["Main meter"],
    )
    type: DeviceType = Field(
        default="", description="What kind of device.", examples=["smart_meter"]
    )
    time_zone: TimeZone = Field(
        default="UTC", description="IANA zone of its days.", examples=["Europe/Berlin"]
    )
    metadata: Metadata = Field(
        default={}, description="Your own fields, up to 16 KiB.", examples=[{"site": "North"}]
    )


class DeviceUpdate(Body):
    """What to change; what is left out stays."""

    key: DeviceKey | None = Field(
        default=None, description="The meter's own id.", examples=["meter-2"]
    )
    name: Name | None = Field(default=None, description="What people call it.", examples=["Hall 3"])
    type: DeviceType | None = Field(
        default=None, description="What kind.", examples=["smart_meter"]
    )
    time_zone: TimeZone | None = Field(
        default=None,
        description="IANA zone of its days. A change has its days and months computed again.",
        examples=["Europe/London"],
    )
    metadata: Metadata | None = Field(
        default=None, description="Your own fields, replaced whole.", examples=[{"site": "South"}]
    )


class ChannelView(View):
    """One quantity of a stream."""

    name: str = Field(description="Its name, ending in its unit.", examples=["active_power_w"])
    kind: Literal["instantaneous", "accumulating", "interval", "status"] = Field(
        description="How it adds up.", examples=["instantaneous"]
    )
    unit: str = Field(description="Its unit.", examples=["W"])


class StreamView(View):
    """A series of readings of one device taken together."""

    uuid: UUID = Field(description="The stream, unique everywhere.", examples=[EXAMPLE_UUID])
    path: str = Field(description="Its path.", examples=["/power/1"])
    stamp: Literal["start", "end"] = Field(
        description="Whether a reading is stamped with the start or end of its interval.",
        examples=["start"],
    )
    interval_seconds: int | None = Field(
        description="Expected spacing of readings.", examples=[900]
    )
    detect_resets: bool | None = Field(
        description="A falling register starts again from zero; null: as the organization says.",
        examples=[None],
    )
    created_at: Timestamp = Field(description="When it first reported.")
    channels: list[ChannelView] = Field(description="In the order of the values of its readings.")


class StreamUpdate(Body):
    """How the readings of a stream are to be understood; what is left out stays."""

    path: str = Field(max_length=255, description="Which stream.", examples=["/power/1"])
    stamp: Literal["start", "end"] | None = Field(
        default=None, description="Start or end of the interval.", examples=["end"]
    )
    interval_seconds: int | None = Field(
        default=None,
        ge=1,
        le=86_400,
        description="Expected spacing; null: not known.",
        examples=[900],
    )
    detect_resets: bool | None = Field(
        default=None, description="null: as the organization says.", examples=[True]
    )


@router.get("", response_model=Page[DeviceView], responses=documented())
async def list_devices(
    call: Authorized,
    *,
    limit: Limit = 100,
    cursor: CursorText = None,
    search: Annotated[Search, Query(description="Part of the name or key.")] = None,
    key: Annotated[Search, Query(description="Exactly this key.")] = None,
    type: Annotated[Search, Query(description="Exactly this type.")] = None,  # noqa: A002 - the parameter's name
    status: Annotated[Status | None, Query(description="Only devices of this status.")] = None,
) -> Any:
    """List devices by their number."""
    wanted = devices.DeviceFilter(search, key, type, status)
    cursors = Cursors("devices", (search, key, type, status), int)
    rows = await devices.list_page(
        call.pool, call.organization_id, wanted, after=cursors.decode(cursor) or 0, limit=limit + 1
    )
    return page(rows, limit, cursors, lambda row: row.id)


@router.post("", status_code=201, response_model=DeviceView, responses=documented(409))
async def create_device(
    call: Authorized, body: DeviceCreate, idempotency_key: IdempotencyKey = None
) -> Response:
    """Register a device before it reports, with its name and time zone."""

    async def work(now: Change) -> DeviceView:
        row = await devices.create(
            now.db,
            call.organization_id,
            key=body.key,
            name=body.name or body.key[:200],
            type=body.type,
            time_zone=body.time_zone,
            metadata=body.metadata,
        )
        await now.record("device.created", row.id, {"key": row.key})
        return DeviceView.model_validate(row)

    return await once(call, idempotency_key, 201, work)


@router.get("/{device_id}", response_model=DeviceView, responses=documented(404))
async def get_device(call: Authorized, device_id: DeviceId) -> Any:
    """Show one device."""
    return await find(call, device_id)


async def find(call: Call, device_id: int) -> devices.DeviceRow:
    """Return a device of the caller's organization. Raises Problem 404."""
    row = await devices.find(call.pool, call.organization_id, device_id)
    if row is None:
        raise not_found("device", device_id)
    return row


@router.patch("/{device_id}", response_model=DeviceView, responses=documented(404, 409))
async def update_device(call: Authorized, device_id: DeviceId, body: DeviceUpdate) -> Any:
    """Change a device; what is left out stays."""

    async def work(now: Change) -> devices.DeviceRow:
        old = await devices.find(now.db, call.organization_id, device_id)
        row = await devices.update(
            now.db, call.organization_id, device_id, **body.model_dump(exclude_none=True)
        )
        if row is None or old is None:
            raise not_found("device", device_id)
        if row.time_zone != old.time_zone:
            await rollups.rezone(now.db, device_id)
        await now.record("device.updated", device_id, body.model_dump(exclude_none=True))
        return row

    return await change(call, work)


@router.delete("/{device_id}", status_code=204, responses=documented(404))
async def delete_device(call: Authorized, device_id: DeviceId) -> None:
    """Delete a device with all its readings and rollups. This cannot be undone."""

    async def work(now: Change) -> None:
        if not await devices.delete(now.db, call.organization_id, device_id):
            raise not_found("device", device_id)
        await now.record("device.deleted", device_id)

    await change(call, work)


@router.get("/{device_id}/streams", response_model=Page[StreamView], responses=documented(404))
async def list_streams(call: Authorized, device_id: DeviceId) -> Any:
    """List the streams of a device, each with its channels."""
    await find(call, device_id)
    rows = await devices.list_streams(call.pool, call.organization_id, device_id)
    return {"items": rows, "next_cursor": None}


@router.patch("/{device_id}/streams", response_model=StreamView, responses=documented(404))
async def update_stream(call: Authorized, device_id: DeviceId, body: StreamUpdate) -> Any:
    """Say how the readings of a stream are to be understood; its rollups are computed again."""

    async def work(now: Change) -> devices.StreamDetail:
        old = await devices.find_stream(now.db, call.organization_id, device_id, body.path)
        if old is None:
            raise not_found("stream", body.path)
        given = body.model_dump(exclude={"path"}, exclude_unset=True)
        kept = {name: getattr(old, name) for name in ("stamp", "interval_seconds", "detect_resets")}
        fields = kept | given
        fields["stamp"] = fields["stamp"] or old.stamp
        await devices.update_stream(now.db, old.id, **fields)
        await rollups.mark_deleted(now.db, [old.id], EPOCH, END_OF_TIME)
        await now.record("stream.updated", device_id, {"path": body.path, **given})
        found = await devices.find_stream(now.db, call.organization_id, device_id, body.path)
        return found or old

    return await change(call, work)
