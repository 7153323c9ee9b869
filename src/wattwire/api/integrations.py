"""`/api/v1/integrations`: where events go."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.responses import Response

from wattwire.api.configured import Configured, read_settings, schema_of
from wattwire.api.events import TOPICS
from wattwire.api.fields import (
    BIGINT,
    INTEGER,
    Body,
    IntegrationId,
    Name,
    Search,
    Text,
    Timestamp,
    View,
)
from wattwire.api.identity import Authorized, Call
from wattwire.api.once import Change, IdempotencyKey, change, once
from wattwire.api.paging import Cursors, CursorText, Limit, Page, page
from wattwire.api.payload_formats import EXAMPLE_SETTINGS, Format, read_format
from wattwire.api.problems import Problem, documented, invalid, not_found
from wattwire.formats.ant_patterns import MAX_PATTERN
from wattwire.formats.object_patterns import MAX_OBJECT
from wattwire.store import devices, integrations
from wattwire.store.integrations import IntegrationFields, IntegrationRow
from wattwire.store.sealing import SEALING, Sealer

router = APIRouter(prefix="/api/v1", tags=["integrations"])

Status = Literal["not_configured", "inactive", "active", "error"]
Verdict = Literal["ok", "retry", "reject", "park", "disable", "throttle", "down"]
Topic = Annotated[str, Field(min_length=1, max_length=100)]
DeviceNumber = Annotated[int, Field(ge=1, le=BIGINT)]
Pattern = Annotated[str, Field(min_length=1, max_length=MAX_PATTERN)]
ObjectPattern = Annotated[str, Field(min_length=1, max_length=MAX_OBJECT), Text]
Positive = Annotated[int, Field(ge=1, le=INTEGER)]
Seconds = Annotated[float, Field(ge=0, le=2_592_000, allow_inf_nan=False)]
Answer = Annotated[str, Field(min_length=1, max_length=200)]
TypeName = Annotated[str, Path(max_length=50, description="Name of the type.")]

_OBJECTS = (
    "A reading becomes a message for each channel whose name matches one of these patterns (`*` is "
    "any run, `?` any one character); null: one message for all."
)
_SETTINGS = {"url": "https://example.com/hooks/wattwire", "retry_attempts": 3}
_SECRETS = {**_SETTINGS, "secret_key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}


class LimitsView(View):
    """How fast and how much; null: no limit."""

    rate_per_minute: int | None = Field(description="Messages a minute.", examples=[50])
    max_concurrent: int | None = Field(description="Calls under way.", examples=[10])
    max_payload_bytes: int | None = Field(description="Largest message.", examples=[1_048_576])


class LimitsGiven(Body):
    """How fast and how much. null: no limit; left out: the type's preset, or what it was."""

    rate_per_minute: Positive | None = Field(
        default=None, description="Messages a minute.", examples=[50]
    )
    max_concurrent: Positive | None = Field(
        default=None, description="Calls under way.", examples=[10]
    )
    max_payload_bytes: Positive | None = Field(
        default=None, description="Largest message.", examples=[1_048_576]
    )


class IntegrationTypeView(View):
    """A kind of integration."""

    type: str = Field(description="Its name.", examples=["webhook"])
    docs: str = Field(description="Its page, Markdown.", examples=["# Webhook"])
    settings_schema: dict[str, Any] = Field(
        description="JSON Schema of its settings; secrets are of format `password`.",
        examples=[{"type": "object", "properties": {"url": {"type": "string"}}}],
    )
    limits: LimitsView = Field(description="What a new one is limited to unless you say otherwise.")
    format: str = Field(
        description="How events are written unless you say otherwise.", examples=["wattwire"]
    )


class IntegrationView(View):
    """An integration, without its secrets."""

    id: int = Field(description="Number of the integration.", examples=[5])
    type: str = Field(description="What kind.", examples=["webhook"])
    name: str = Field(description="What people call it.", examples=["Energy desk"])
    topics: list[str] = Field(description="What it asks for.", examples=[["device.telemetry"]])
    device_ids: list[int] | None = Field(
        description="Of which devices; null: all.", examples=[None]
    )
    stream_patterns: list[str] | None = Field(
        description="Of which streams, Ant patterns; null: all.", examples=[["/power/**"]]
    )
    objects: list[str] | None = Field(description=_OBJECTS, examples=[["adc_*"]])
    format: str | None = Field(
        description="How events are written; null: the type's own.", examples=[None]
    )
    format_settings: dict[str, Any] = Field(
        description="What is chosen about the format.", examples=[{}]
    )
    settings: dict[str, Any] = Field(
        description="A secret that is set is left out; one that is not is null.",
        examples=[_SETTINGS],
    )
    limits: LimitsView = Field(description="How fast and how much.")
    outcomes: dict[str, Verdict] = Field(
        description="Your changes to what answers mean.", examples=[{"409": "ok"}]
    )
    schedule_seconds: list[float] | None = Field(
        description="Delays before each attempt; null: the type's own.", examples=[None]
    )
    max_age_seconds: int = Field(description="How long a message may wait.", examples=[604_800])
    enabled: bool = Field(description="false: paused, its messages wait.", examples=[True])
    status: Status = Field(description="How it is doing.", examples=["active"])
    reason: str = Field(description="Why it is in error.", examples=[""])
    last_success_at: Timestamp | None = Field(description="When it last delivered.")
    last_failure_at: Timestamp | None = Field(description="When it last failed.")
    created_at: Timestamp = Field(description="When it was made.")
    updated_at: Timestamp = Field(description="When it was changed.")


class _Shared(Body):
    device_ids: list[DeviceNumber] | None = Field(
        default=None, max_length=10_000, description="Of which devices; null: all.", examples=[None]
    )
    stream_patterns: list[Pattern] | None = Field(
        default=None,
        max_length=100,
        description="Of which streams, Ant patterns; null: all.",
        examples=[["/power/**"]],
    )
    objects: list[ObjectPattern] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description=_OBJECTS + " A new one of the format `connexa` has `*`.",
        examples=[None],
    )
    format: Format | None = Field(
        default=None, description="How events are written; null: the type's own.", examples=[None]
    )
    format_settings: dict[str, Any] | None = Field(
        default=None,
        description="As the format's schema says; left out, they stay, or are those of a new "
        "format.",
        examples=[EXAMPLE_SETTINGS],
    )
    limits: LimitsGiven = Field(default=LimitsGiven(), description="How fast and how much.")
    outcomes: dict[Answer, Verdict] = Field(
        default={},
        max_length=100,
        description="What answers mean where you know better: a status or the service's code, "
        "to ok, retry, reject, park, disable, throttle or down.",
        examples=[{"409": "ok"}],
    )
    schedule_seconds: list[Seconds] | None = Field(
        default=None,
        min_length=1,
        max_length=50,
        description="Delays before each attempt, the first included; null: the type's own.",
        examples=[None],
    )


class IntegrationCreate(_Shared):
    """A new integration."""

    type: str = Field(max_length=50, description="What kind.", examples=["webhook"])
    name: Name = Field(description="What people call it.", examples=["Energy desk"])
    topics: list[Topic] = Field(
        default=[], max_length=50, description="What it asks for.", examples=[["device.telemetry"]]
    )
    settings: dict[str, Any] = Field(
        description="As the type's schema says, secrets included.", examples=[_SECRETS]
    )
    max_age_seconds: Positive = Field(
        default=604_800, description="How long a message may wait.", examples=[604_800]
    )
    enabled: bool = Field(default=True, description="false: its messages wait.", examples=[True])


class IntegrationUpdate(_Shared):
    """What to change; what is left out stays."""

    name: Name | None = Field(default=None, description="Its name.", examples=["Energy desk"])
    topics: list[Topic] | None = Field(
        default=None, max_length=50, description="What it asks for.", examples=[["device.alert"]]
    )
    settings: dict[str, Any] | None = Field(
        default=None,
        description="Replaced whole, but secrets that are left out stay; null drops one.",
        examples=[_SETTINGS],
    )
    max_age_seconds: Positive | None = Field(
        default=None, description="How long a message may wait.", examples=[604_800]
    )
    enabled: bool | None = Field(default=None, description="false: paused.", examples=[False])


def view(row: IntegrationRow) -> IntegrationView:
    """Return what may be shown of an integration."""
    fields = {name: getattr(row, name) for name in IntegrationView.model_fields if name != "limits"}
    return IntegrationView(**fields, limits=LimitsView.model_validate(row))


@router.get("/integration-types", response_model=Page[IntegrationTypeView], responses=documented())
async def list_integration_types(call: Authorized) -> Any:
    """List the kinds of integrations there are, each with its form as JSON Schema."""
    kinds = call.hub.integration_types
    return {"items": [_type_view(kinds[name]) for name in sorted(kinds)], "next_cursor": None}


@router.get(
    "/integration-types/{type_name}", response_model=IntegrationTypeView, responses=documented(404)
)
async def get_integration_type(call: Authorized, type_name: TypeName) -> Any:
    """Show one kind of integration."""
    if type_name not in call.hub.integration_types:
        raise not_found("integration type", type_name)
    return _type_view(call.hub.integration_types[type_name])


def _type_view(kind: Any) -> dict[str, Any]:
    return {
        "type": kind.name,
        "docs": kind.docs or "",
        "settings_schema": schema_of(kind.settings),
        "limits": kind.presets,
        "format": kind.format,
    }


@router.get("/integrations", response_model=Page[IntegrationView], responses=documented())
async def list_integrations(
    call: Authorized,
    *,
    limit: Limit = 100,
    cursor: CursorText = None,
    type: Annotated[Search, Query(description="Only this kind.")] = None,  # noqa: A002 - the parameter's name
    status: Annotated[Status | None, Query(description="Only in this status.")] = None,
    topic: Annotated[Search, Query(description="Only those that ask for this topic.")] = None,
) -> Any:
    """List integrations by their number, without their secrets."""
    wanted = integrations.IntegrationFilter(type, status, topic)
    cursors = Cursors("integrations", (type, status, topic), int)
    after = cursors.decode(cursor) or 0
    rows = await integrations.list_page(
        call.pool, call.organization_id, wanted, after=after, limit=limit + 1
    )
    shown = page(rows, limit, cursors, lambda row: row.id)
    return {**shown, "items": [view(row) for row in shown["items"]]}


@router.post(
    "/integrations", status_code=201, response_model=IntegrationView, responses=documented()
)
async def create_integration(
    call: Authorized, body: IntegrationCreate, idempotency_key: IdempotencyKey = None
) -> Response:
    """Send events somewhere. Settings are checked without the network; `/test` really sends."""
    kind = call.hub.integration_types.get(body.type)
    if kind is None:
        raise invalid("type", f"must be one of {', '.join(sorted(call.hub.integration_types))}")
    configured = read_settings(kind, body.settings, sealer(call))
    fields = new_fields(body, configured, kind)
    await check_scope(call, fields)

    async def work(now: Change) -> IntegrationView:
        row = await integrations.create(now.db, call.organization_id, body.type, fields)
        await now.record("integration.created", row.id, {"name": row.name, "type": row.type})
        return view(row)

    return await once(call, idempotency_key, 201, work)


def sealer(call: Call) -> Sealer:
    """Return what seals the secrets of the caller's integrations."""
    return call.hub.sealer.bound(SEALING)


def new_fields(body: IntegrationCreate, configured: Configured, kind: Any) -> IntegrationFields:
    """Return the columns of a new integration; limits left out are the type's presets."""
    given = body.limits.model_dump(exclude_unset=True)
    limits = {
        name: given.get(name, getattr(kind.presets, name)) for name in LimitsGiven.model_fields
    }
    form = read_format(kind.format, body.format, body.format_settings or {})
    objects = body.objects
    if (body.format or kind.format) == "connexa" and "objects" not in body.model_fields_set:
        objects = ["*"]
    return IntegrationFields(
        name=body.name,
        topics=body.topics,
        device_ids=body.device_ids,
        stream_patterns=body.stream_patterns,
        objects=objects,
        format=body.format,
        format_settings=form,
        settings=configured.settings,
        secrets=configured.secrets,
        outcomes=body.outcomes,
        schedule_seconds=body.schedule_seconds,
        max_age_seconds=body.max_age_seconds,
        enabled=body.enabled,
        **limits,
    )


async def check_scope(call: Call, fields: IntegrationFields) -> None:
    """Refuse topics that do not exist and devices that are not the caller's."""
    for index, topic in enumerate(fields.topics):
        if topic not in TOPICS:
            raise invalid(f"topics[{index}]", f"must be one of {', '.join(TOPICS)}")
    ids = fields.device_ids
    if ids and await devices.count_foreign(call.pool, call.organization_id, ids):
        raise invalid("device_ids", "must name devices of this organization")


@router.get(
    "/integrations/{integration_id}", response_model=IntegrationView, responses=documented(404)
)
async def get_integration(call: Authorized, integration_id: IntegrationId) -> Any:
    """Show one integration, without its secrets."""
    return view(await find(call, integration_id))


async def find(call: Call, integration_id: int) -> IntegrationRow:
    """Return an integration of the caller's organization. Raises Problem 404."""
    row = await integrations.find(call.pool, call.organization_id, integration_id)
    if row is None:
        raise not_found("integration", integration_id)
    return row


@router.patch(
    "/integrations/{integration_id}", response_model=IntegrationView, responses=documented(404)
)
async def update_integration(
    call: Authorized, integration_id: IntegrationId, body: IntegrationUpdate
) -> Any:
    """Change an integration. Secrets that are left out of `settings` stay."""

    async def work(now: Change) -> IntegrationView:
        old = await integrations.find(now.db, call.organization_id, integration_id, lock=True)
        if old is None:
            raise not_found("integration", integration_id)
        fields = _changed(call, old, body)
        await check_scope(call, fields)
        changed = sorted(body.model_fields_set)
        await now.record("integration.updated", integration_id, {"changed": changed})
        return view(
            await integrations.replace(now.db, call.organization_id, integration_id, fields)
        )

    return await change(call, work)


#: What may be null in its own right; elsewhere null means the same as leaving it out.
_NULLABLE = frozenset({"device_ids", "stream_patterns", "objects", "format", "schedule_seconds"})


def _changed(call: Call, old: IntegrationRow, body: IntegrationUpdate) -> IntegrationFields:
    was = {name: getattr(old, name) for name in IntegrationFields.__dataclass_fields__}
    given: Mapping[str, Any] = {
        name: getattr(body, name)
        for name in body.model_fields_set - {"settings", "limits", "format_settings"}
        if name in _NULLABLE or getattr(body, name) is not None
    }
    fields = IntegrationFields(**{**was, **given, **body.limits.model_dump(exclude_unset=True)})
    if body.settings is None and not {"format", "format_settings"} & body.model_fields_set:
        return fields
    kind = call.hub.integration_types.get(old.type)
    if kind is None:
        raise Problem(409, f"This hub does not know the type {old.type}.")
    kept = old.format_settings if fields.format == old.format else {}  # another's mean nothing
    form = kept if body.format_settings is None else body.format_settings
    fields = replace(fields, format_settings=read_format(kind.format, fields.format, form))
    if body.settings is None:
        return fields
    configured = read_settings(kind, body.settings, sealer(call), old.secrets)
    return replace(fields, settings=configured.settings, secrets=configured.secrets)
