"""The hub's own payload format, `wattwire`: one event as one JSON object.

{"event": "device.alert", "timestamp": "2025-10-26T12:00:00Z",
 "device": {"id": "device-123", "name": "Temperature Sensor 1", "type": "sensor"},
 "data": {"temperature": 85.5, "threshold": 75.0, "severity": "warning"},
 "organization_id": "org-456"}
"""

from collections.abc import Mapping
from datetime import UTC
from typing import Any
from uuid import UUID

import msgspec

from wattwire.model import Event


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
    """Return the event as UTF-8 JSON, its fields in the order above.

    `device.id` is the device's external key, the name that its owner knows; an event of no device
    has `"device": null`. The timestamp is UTC, with a fraction only when there is one.
    """
    device = None
    if event.device_key:
        device = _Device(event.device_key, event.device_name, event.device_type)
    timestamp = event.time.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z"
    return msgspec.json.encode(
        _Envelope(event.topic, timestamp, device, event.data, event.organization_id)
    )
