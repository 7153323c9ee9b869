"""What tests of the type `slack` send, and the way they do."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from integrations_counterparts import LOCAL
from slack_counterparts import TOKEN

from wattwire.integrations import TYPES, slack
from wattwire.model import Event, Message

KIND = TYPES["slack"]


JSON = {"Content-Type": "application/json; charset=utf-8"}


def told(number=1, **more):
    """A message about an alert of a pump."""
    event = Event(
        **{
            "id": UUID(int=number),
            "topic": "device.alert",
            "organization_id": UUID(int=1),
            "time": datetime(2025, 6, 1, 12, 30, number % 60, tzinfo=UTC),
            "data": {"message": "too hot", "temperature_celsius": 85.5},
            "device_id": 7,
            "device_key": "pump/3",
            "device_name": "Pump 3",
            "device_type": "pump",
            "stream": "/temperature",
            "severity": "warning",
            "metadata": {"site": "north"},
            **more,
        }
    )
    return Message(f"m-{number}", b"{}", event=event)


def by_token(fake, **more):
    given = {"token": TOKEN, "channel": "#alerts", "api_url": f"{fake.url}/api/"}
    return KIND.settings(**{**given, **more})


def by_webhook(fake, **more):
    given = {"webhook_url": f"{fake.url}/services/T1/B1/s3cr3t"}
    return KIND.settings(**{**given, **more})


async def posted(settings, *batch, surroundings=LOCAL):
    async with slack.connect(settings, surroundings) as integration:
        return await integration.deliver(batch)


@pytest.fixture(autouse=True)
def no_threads():
    """What one test remembers is nothing to another."""
    slack._THREADS.clear()


def texts(value):
    """Every text of a message, wherever it stands."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "text" and isinstance(inner, str):
                yield inner
            else:
                yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
