"""`/api/v1/payload-formats`: how events are written, and what they look like then."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from wattwire.api.configured import schema_of
from wattwire.api.fields import (
    BIGINT,
    EXAMPLE_UUID,
    INTEGER,
    Body,
    DeviceKey,
    Metadata,
    Text,
    View,
)
from wattwire.api.identity import Authorized, Call
from wattwire.api.paging import Page
from wattwire.api.problems import Problem, documented, invalid_settings, not_found
from wattwire.model import Event
from wattwire.payloads import FORMATS, FormatType, RenderError
from wattwire.payloads.examples import EXAMPLES, body_of
from wattwire.store import events, listing

router = APIRouter(prefix="/api/v1", tags=["integrations"])

Format = Literal[
    "wattwire", "connexa", "solarnetwork", "sparkplug_json", "sparkplug_b", "cloudevents",
    "line_protocol", "template",
]  # fmt: skip
EXAMPLE_SETTINGS: Final[dict[str, Any]] = {}
_PREVIEW_SETTINGS: Final = {"template": '{"meter": {{ device.id | tojson }}}'}
_Short = Annotated[str, Field(max_length=255), Text]
_YEARS: Final = range(1900, 9999)  # what every zone and format has room for


def _plausible(time: datetime) -> datetime:
    if time.year not in _YEARS:
        raise ValueError(f"must be in the years {_YEARS[0]} to {_YEARS[-1]}")
    return time


_Time = Annotated[AwareDatetime, AfterValidator(_plausible)]


class FormatView(View):
    """A way of writing events."""

    name: str = Field(description="Its name.", examples=["cloudevents"])
    docs: str = Field(description="Its page, Markdown.", examples=["# Format `cloudevents`"])
    settings_schema: dict[str, Any] = Field(
        description="JSON Schema of its `format_settings`.",
        examples=[{"type": "object", "properties": {"source": {"type": "string"}}}],
    )
    example_settings: dict[str, Any] = Field(
        description="Settings of the example.", examples=[{"type_prefix": "com.example."}]
    )
    example: str = Field(
        description="What an event looks like; base64 where it is no text.",
        examples=['{"specversion":"1.0"}'],
    )


class SampleDevice(Body):
    """The device of a made-up event."""

    id: DeviceKey = Field(description="Its key.", examples=["meter-1"])
    number: Annotated[int, Field(ge=1, le=BIGINT)] = Field(
        default=1, description="Its number.", examples=[7]
    )
    name: _Short = Field(default="", description="Its name.", examples=["Main meter"])
    type: _Short = Field(default="", description="What kind.", examples=["smart_meter"])
    metadata: Metadata = Field(
        default={}, description="What is known of it.", examples=[{"site": "Plant 2"}]
    )


class SampleEvent(Body):
    """An event that never happened."""

    topic: Annotated[str, Field(min_length=1, max_length=100), Text] = Field(
        default="device.telemetry", description="What happened.", examples=["device.alert"]
    )
    time: _Time | None = Field(
        default=None, description="When; by default now.", examples=["2025-06-01T12:00:00Z"]
    )
    severity: Literal["info", "warning", "critical"] = Field(
        default="info", description="How bad.", examples=["info"]
    )
    stream: _Short = Field(default="", description="On which stream.", examples=["/power/1"])
    device: SampleDevice | None = Field(default=None, description="To which device.")
    data: dict[str, Any] = Field(
        default={}, description="The rest.", examples=[{"values": {"active_power_w": 100.0}}]
    )


class Preview(Body):
    """What to write, and how."""

    format: Format = Field(description="How.", examples=["template"])
    format_settings: dict[str, Any] = Field(
        default={}, description="As the format's schema says.", examples=[_PREVIEW_SETTINGS]
    )
    event_id: UUID | None = Field(
        default=None, description="A stored event.", examples=[EXAMPLE_UUID]
    )
    event: SampleEvent | None = Field(
        default=None, description="Or a made-up one. Without either, the format's own example."
    )
    integration_id: Annotated[int, Field(ge=1, le=INTEGER)] = Field(
        default=1, description="The number of the integration that would send it.", examples=[5]
    )


class PreviewView(View):
    """The body of a message."""

    body: str = Field(description="The body.", examples=['{"meter": "meter-1"}'])
    encoding: Literal["utf-8", "base64"] = Field(
        description="base64 where the body is no text.", examples=["utf-8"]
    )
    content_type: str = Field(description="Its content type.", examples=["application/json"])
    size: int = Field(description="Its bytes.", examples=[20])


@router.get("/payload-formats", response_model=Page[FormatView], responses=documented())
async def list_payload_formats(call: Authorized) -> Any:  # noqa: ARG001 - asks for a login
    """List the ways of writing events, each with its form as JSON Schema and an example."""
    return {"items": [_view(kind) for kind in FORMATS.values()], "next_cursor": None}


def _view(kind: FormatType[Any]) -> dict[str, Any]:
    return {
        "name": kind.name,
        "docs": kind.docs,
        "settings_schema": schema_of(kind.settings),
        "example_settings": EXAMPLES[kind.name].settings,
        "example": _shown(body_of(kind.name))[0],
    }


def _shown(body: bytes) -> tuple[str, str]:
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"


@router.post(
    "/integrations/preview", response_model=PreviewView, responses=documented(404), status_code=200
)
async def preview_payload(call: Authorized, body: Preview) -> Any:
    """Write an event as an integration would. A template that fails is a 422 with its `line`."""
    kind = FORMATS[body.format]
    settings = _validated(kind, body.format_settings)
    event = await chosen_event(call, body.event_id, body.event, EXAMPLES[body.format].event)
    try:
        form = kind.make(settings, body.integration_id)
        written = form.render(event)
    except (ValueError, TypeError, RecursionError) as error:
        raise _unwritable(error) from None
    text, encoding = _shown(written)
    return {
        "body": text,
        "encoding": encoding,
        "content_type": form.content_type,
        "size": len(written),
    }


def _unwritable(error: Exception) -> Problem:
    fault = {"field": "format_settings", "message": str(error), "rule": "render_error"}
    line = error.line if isinstance(error, RenderError) else None
    known: dict[str, Any] = {} if line is None else {"line": line}
    sentence = f"The event cannot be written: {error}."
    return Problem(422, sentence, slug="unwritable", errors=[fault], **known)


async def chosen_event(
    call: Call, event_id: UUID | None, sample: SampleEvent | None, example: Event
) -> Event:
    """Return the stored event, else the made-up one, else the example. Raises Problem 404."""
    if event_id is not None:
        row = await listing.find_event(call.pool, call.organization_id, event_id)
        if row is None:
            raise not_found("event", event_id)
        return events.read_event(row)
    return example if sample is None else _made_up(sample, call.organization_id)


def _made_up(sample: SampleEvent, organization_id: UUID) -> Event:
    device = sample.device
    known = {} if device is None else {
        "device_id": device.number, "device_key": device.id, "device_name": device.name,
        "device_type": device.type, "metadata": device.metadata,
    }  # fmt: skip
    return Event(
        id=uuid4(),
        topic=sample.topic,
        organization_id=organization_id,
        time=sample.time or datetime.now(UTC),
        data=sample.data,
        stream=sample.stream,
        severity=sample.severity,
        **known,  # type: ignore[arg-type]  # the fields above, by name
    )


def read_format(own: str, name: str | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a format, checked, as they are stored.

    `own` is the format of the integration's type, for which no name stands. Raises Problem 422 that
    names the fields.
    """
    settings = _validated(FORMATS[name or own], given)
    stored: dict[str, Any] = settings.model_dump(mode="json", exclude_unset=True)
    return stored


def _validated(kind: FormatType[Any], given: Mapping[str, Any]) -> Any:
    try:
        return kind.settings.model_validate(dict(given))
    except ValidationError as error:
        raise invalid_settings(error, "format_settings") from None
