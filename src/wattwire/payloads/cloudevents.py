"""# Format `cloudevents`

CloudEvents 1.0, structured JSON (`application/cloudevents+json`). `type` is the topic, `source`
the organization at this hub, `subject` the device's key with the stream, `data` the event's own
data. `source` with `id` is unique, and the same in every attempt; a message for one channel has
its name at the end of `id`. Device, organization and severity are extension attributes.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from pydantic import Field

from wattwire.model import Event
from wattwire.payloads._facts import utc_text
from wattwire.payloads.contract import Format, FormatSettings, FormatType

CONTENT_TYPE: Final = "application/cloudevents+json"


class CloudEventsSettings(FormatSettings):
    """What a person chooses about CloudEvents."""

    source: str = Field(
        default="urn:wattwire:organization:",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        description="What `source` begins with; the organization's id follows.",
        examples=["https://hub.example.com/organizations/"],
    )
    type_prefix: str = Field(
        default="",
        max_length=200,
        pattern=r"^[!-~]*$",
        description="What `type` begins with; the topic follows.",
        examples=["com.example."],
    )


class _CloudEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    specversion: str = ""
    id: str = ""
    source: str = ""
    type: str = ""
    subject: str = ""
    time: str = ""
    datacontenttype: str = ""
    organizationid: str = ""
    severity: str = ""
    deviceid: str = ""
    devicename: str = ""
    devicetype: str = ""
    data: Mapping[str, Any] | None = None


def _make(settings: CloudEventsSettings, _integration_id: int) -> Format:
    def render(event: Event) -> bytes:
        return msgspec.json.encode(
            _CloudEvent(
                specversion="1.0",
                id=_id(event),
                source=f"{settings.source}{event.organization_id}",
                type=f"{settings.type_prefix}{event.topic}",
                subject=f"{event.device_key}{event.stream}",
                time=utc_text(event.time),
                datacontenttype="application/json",
                organizationid=str(event.organization_id),
                severity=event.severity,
                deviceid=event.device_key,
                devicename=event.device_name,
                devicetype=event.device_type,
                data=event.data,
            )
        )

    return Format(render, CONTENT_TYPE)


def _id(event: Event) -> str:
    channel = event.data.get("object")
    return f"{event.id}/{channel}" if isinstance(channel, str) else str(event.id)


FORMAT: Final = FormatType("cloudevents", __doc__, CloudEventsSettings, _make)
