"""Events and messages that tests of mail send, and the way they do."""

import json
from datetime import UTC, datetime
from uuid import UUID

from wattwire.integrations import TYPES
from wattwire.integrations.email import connect
from wattwire.model import Event, Message

KIND = TYPES["email"]


def event(number=1, **more):
    return Event(
        **{
            "id": UUID(int=number),
            "topic": "device.alert",
            "organization_id": UUID(int=1),
            "time": datetime(2025, 6, 1, 12, 30, number % 60, tzinfo=UTC),
            "data": {"message": "too hot", "temperature_celsius": 85.5, "threshold": 75},
            "device_id": 1,
            "device_key": "pump-3",
            "device_name": "Pump 3",
            "device_type": "pump",
            "stream": "/temperature",
            "severity": "warning",
            "metadata": {"site": "north"},
            **more,
        }
    )


def message(number=1, **more):
    body = json.dumps({"n": number}).encode()
    return Message(f"m-{number}", body, event=event(number, **more))


async def sent(settings, surroundings, *batch):
    async with connect(settings, surroundings) as integration:
        return await integration.deliver(batch)
