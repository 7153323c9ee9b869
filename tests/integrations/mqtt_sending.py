"""What tests of the type `mqtt` send, and the way they do."""

from datetime import UTC, datetime
from uuid import UUID

from integrations_counterparts import LOCAL

from wattwire.delivery.verdicts import judge, merged
from wattwire.integrations import TYPES
from wattwire.integrations.contract import (
    Delivered,
)
from wattwire.model import Event, Message

KIND = TYPES["mqtt"]


ORGANIZATION = UUID(int=1)


VERSIONS = ["3.1.1", "5"]


def message(number, device="meter-1", body=None):
    event = Event(
        id=UUID(int=number),
        topic="device.telemetry",
        organization_id=ORGANIZATION,
        time=datetime.now(UTC),
        data={"values": {"n": float(number)}},
        device_key=device,
    )
    body = f'{{"n": {number}}}'.encode() if body is None else body
    return Message(f"m-{number}", body, topic=event.topic, device=device, event=event)


def messages(count):
    return [message(number) for number in range(count)]


def settings(broker, **more):
    return KIND.settings(broker_url=f"mqtt://127.0.0.1:{broker.port}", **more)


async def deliver(given, batch, surroundings=LOCAL):
    async with KIND.connect(given, surroundings) as integration:
        return await integration.deliver(batch)


def verdict(outcome):
    return judge(outcome, merged(KIND.verdicts, {}))


def delivered(outcomes):
    return {i for i, outcome in outcomes.items() if isinstance(outcome, Delivered)}
