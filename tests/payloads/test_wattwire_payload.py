"""The hub's own payload, field by field."""

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from wattwire.model import Event
from wattwire.payloads.wattwire import render

ORGANIZATION = UUID("0b6d9f2e-6c54-4f7b-9d0a-1f2e3d4c5b6a")
EVENT = Event(
    id=UUID(int=1),
    topic="device.alert",
    organization_id=ORGANIZATION,
    time=datetime(2025, 10, 26, 12, tzinfo=UTC),
    data={"temperature": 85.5, "threshold": 75.0, "severity": "warning"},
    device_id=17,
    device_key="device-123",
    device_name="Temperature Sensor 1",
    device_type="sensor",
)


def test_the_example_of_the_seed():
    """Every field of the documented payload, in its order, byte for byte."""
    assert render(EVENT) == (
        b'{"event":"device.alert","timestamp":"2025-10-26T12:00:00Z",'
        b'"device":{"id":"device-123","name":"Temperature Sensor 1","type":"sensor"},'
        b'"data":{"temperature":85.5,"threshold":75.0,"severity":"warning"},'
        b'"organization_id":"0b6d9f2e-6c54-4f7b-9d0a-1f2e3d4c5b6a"}'
    )


def test_an_event_of_no_device():
    """The field stays, with null."""
    event = Event(UUID(int=1), "report.ready", ORGANIZATION, EVENT.time, {})
    assert b'"device":null,"data":{}' in render(event)


def test_the_timestamp_is_utc_with_a_fraction_only_when_there_is_one():
    """An instant of another zone is shown in UTC, with its microseconds."""
    there = timezone(timedelta(hours=2))
    time = datetime(2025, 10, 26, 14, 0, 0, 250_000, tzinfo=there)
    event = Event(UUID(int=1), "t", ORGANIZATION, time, {})
    assert b'"timestamp":"2025-10-26T12:00:00.250000Z"' in render(event)


def test_what_is_no_number_in_json_is_null():
    """An event never renders to something that is no JSON."""
    event = Event(UUID(int=1), "t", ORGANIZATION, EVENT.time, {"x": float("nan"), "é": "ü"})
    assert '"data":{"x":null,"é":"ü"}'.encode() in render(event)
