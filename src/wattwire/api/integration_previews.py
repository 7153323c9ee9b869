"""What an integration's messages look like to people, before anything is sent."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID, uuid4

from fastapi import APIRouter
from pydantic import Field, ValidationError

from wattwire.api.fields import EXAMPLE_UUID, Body, IntegrationId, View
from wattwire.api.identity import Authorized, Call
from wattwire.api.integrations import TypeName, find
from wattwire.api.payload_formats import SampleEvent, chosen_event
from wattwire.api.problems import Problem, documented, invalid, invalid_settings, not_found
from wattwire.formats.templates import TemplateError
from wattwire.integrations.contract import IntegrationType, Part, PreviewError
from wattwire.model import Event, Message
from wattwire.payloads.examples import ALERT
from wattwire.store.sealing import merge

router = APIRouter(prefix="/api/v1", tags=["integrations"])

MOST_MESSAGES: Final = 500
_CRITICAL: Final = "critical"


class MessagePreview(Body):
    """What to show, and of which event."""

    settings: dict[str, Any] = Field(
        default={},
        description="As the type's schema says; those of an integration that exists are laid over "
        "its own. Secrets are not looked at, and what is required need not be there yet.",
        examples=[{}],
    )
    event_id: UUID | None = Field(
        default=None, description="A stored event.", examples=[EXAMPLE_UUID]
    )
    event: SampleEvent | None = Field(
        default=None, description="Or a made-up one. Without either, an example."
    )
    count: Annotated[int, Field(ge=1, le=MOST_MESSAGES)] = Field(
        default=1, description="1: a message alone; more: a digest of so many.", examples=[1]
    )


class PartView(View):
    """One piece of a message."""

    name: str = Field(description="Which: subject, text, html, blocks …", examples=["subject"])
    content_type: str = Field(description="What it is.", examples=["text/plain"])
    content: str = Field(description="Itself.", examples=["🟡 Alert, Temperature Sensor 1"])


class MessagePreviewView(View):
    """A message as people will see it, piece by piece."""

    type: str = Field(description="The integration's type.", examples=["email"])
    parts: list[PartView] = Field(description="Its pieces.")


@router.post(
    "/integration-types/{type_name}/preview",
    response_model=MessagePreviewView,
    responses=documented(404),
)
async def preview_integration_type(
    call: Authorized, type_name: TypeName, body: MessagePreview
) -> Any:
    """Show what a message of this type would look like. Nothing is sent, no secret is needed.

    A template that cannot be read or written is a 422 with its `setting` and its `line`. A type
    whose messages are for programs has no preview (422): `/integrations/preview` shows their body.
    """
    kind = call.hub.integration_types.get(type_name)
    if kind is None:
        raise not_found("integration type", type_name)
    return await _shown(call, kind, body, body.settings)


@router.post(
    "/integrations/{integration_id}/preview",
    response_model=MessagePreviewView,
    responses=documented(404),
)
async def preview_integration(
    call: Authorized, integration_id: IntegrationId, body: MessagePreview
) -> Any:
    """Show what a message of this integration would look like, with changes if there are any.

    `settings` is laid over what is stored, branch by branch; null drops what is stored there. Its
    secrets stay sealed. Nothing is sent, and nothing is changed.
    """
    row = await find(call, integration_id)
    kind = call.hub.integration_types.get(row.type)
    if kind is None:
        raise Problem(409, f"This hub does not know the type {row.type}.")
    return await _shown(call, kind, body, merge(row.settings, body.settings))


async def _shown(
    call: Call, kind: IntegrationType[Any], body: MessagePreview, given: Mapping[str, Any]
) -> dict[str, Any]:
    settings = await asyncio.to_thread(_seen, kind, given)
    event = await chosen_event(call, body.event_id, body.event, ALERT)
    if body.count > 1 and event.severity.lower() == _CRITICAL:
        raise invalid("count", "must be 1: a critical event is never folded into a digest")
    parts = await asyncio.to_thread(_parts, kind, settings, _batch(event, body.count))
    return {"type": kind.name, "parts": [_sendable(part) for part in parts]}


def _seen(kind: IntegrationType[Any], given: Mapping[str, Any]) -> Any:
    """Return checked settings, with stand-ins for what a preview does not look at."""
    preview = kind.preview
    if preview is None:
        raise Problem(
            422,
            f"Messages of the type {kind.name} are for programs, and have no preview: "
            "POST /api/v1/integrations/preview shows their body.",
            slug="no-preview",
        )
    if given.get("type", kind.name) != kind.name:
        raise invalid("settings.type", "cannot be changed")
    looked_at = {name: value for name, value in given.items() if name not in preview.unseen}
    try:
        return kind.settings.model_validate({**preview.stand_ins, **looked_at})
    except ValidationError as error:
        raise _unreadable(error) from None


def _unreadable(error: ValidationError) -> Problem:
    """Return what does not fit; of the first template that cannot be read, its line as well."""
    problem = invalid_settings(error, "settings")
    for found in error.errors(include_url=False, include_input=False):
        cause = found.get("ctx", {}).get("error")
        if isinstance(cause, TemplateError):
            setting = ".".join(str(step) for step in found["loc"])
            problem.members = _place(setting, cause.line)
            return problem
    return problem


def _place(setting: str, line: int | None) -> dict[str, Any]:
    return {"setting": setting} if line is None else {"setting": setting, "line": line}


def _batch(event: Event, count: int) -> Sequence[Message]:
    """Return an event as so many messages, which differ in nothing but their ids."""
    if count == 1:
        return [_message(event, "preview")]
    return [_message(replace(event, id=uuid4()), f"preview-{n}") for n in range(1, count + 1)]


def _message(event: Event, message_id: str) -> Message:
    return Message(message_id, b"", topic=event.topic, device=event.device_key, event=event)


def _parts(kind: IntegrationType[Any], settings: Any, batch: Sequence[Message]) -> Sequence[Part]:
    if kind.preview is None:
        return ()
    try:
        return kind.preview.parts(settings, batch)
    except PreviewError as error:
        raise _unwritable(error) from None


def _unwritable(error: PreviewError) -> Problem:
    field = f"settings.{error.setting}"
    fault = {"field": field, "message": error.reason, "rule": "render_error"}
    sentence = f"The message cannot be written: {error}."
    place = _place(error.setting, error.line)
    return Problem(422, sentence, slug="unwritable", errors=[fault], **place)


def _sendable(part: Part) -> dict[str, str]:
    """Return a part as JSON takes it: half a character, which a mail cannot hold, is a `?`."""
    content = part.content.encode("utf-8", "replace").decode()
    return {"name": part.name, "content_type": part.content_type, "content": content}
