"""# Format `wattwire`

The hub's own envelope: one event as one JSON object. `device.id` is the device's key, the name
that its owner knows; an event of no device has `"device": null`. The timestamp is UTC, with a
fraction only when there is one.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

import msgspec

from wattwire.model import Event
from wattwire.payloads._facts import utc_text
from wattwire.payloads.contract import Format, FormatSettings, FormatType


class _Device(msgspec.Struct, frozen=True):
    id: str
    name: str
    type: str


class _Envelope(msgspec.Struct, frozen=True):
    event: str
    timestamp: str
    device: _Device | None
    data: Mapping[str, Any]
    organization_id: UUID


def render(event: Event) -> bytes:
    """Return the event as UTF-8 JSON, its fields in the order of the envelope."""
    device = None
    if event.device_key:
        device = _Device(event.device_key, event.device_name, event.device_type)
    return msgspec.json.encode(
        _Envelope(event.topic, utc_text(event.time), device, event.data, event.organization_id)
    )


FORMAT: Final = FormatType(
    "wattwire", __doc__, FormatSettings, lambda _settings, _id: Format(render)
)
