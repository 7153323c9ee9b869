"""The examples of DEVELOPER_APIS.md are what the code reads and writes."""

import base64
import json
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from standardwebhooks import Webhook as StandardWebhook
from yarl import URL

from documented import blocks, sample_of, shape
from wattwire.api.events import TOPICS
from wattwire.app.rollup_events import _event as rollup_event
from wattwire.delivery.rendering import find_format
from wattwire.delivery.settler import Settler
from wattwire.delivery.trial import TOPIC as TEST_TOPIC
from wattwire.delivery.trial import _message
from wattwire.integrations import _signing, aws_sqs
from wattwire.integrations.webhook import Settings, Webhook
from wattwire.model import Message
from wattwire.payloads import wattwire as envelope
from wattwire.pipeline import effects
from wattwire.rollups.recompute import Changed
from wattwire.sources.routing import FORMATS, Publisher, TopicDecoder
from wattwire.store.deliveries import Settlement, StateChange
from wattwire.store.readings import Row
from wattwire.store.rollups import Rollup

PAGE = blocks("DEVELOPER_APIS.md")
MQTT = [b for b in PAGE if b.language == "json" and b.words and b.words[0] in FORMATS]
EVENTS = {b.words[1]: json.loads(b.text) for b in PAGE if b.words[:1] == ("event",)}
(VERIFY,) = [sample_of(b) for b in PAGE if b.words == ("verify",)]
ORGANIZATION = UUID("6f1c3a52-4b1e-4d0e-9a53-0d2c5b7f9e10")
NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@pytest.mark.parametrize("block", MQTT, ids=lambda b: f"{b.words[0]} {b.text[:30]}")
def test_a_documented_message_is_understood(block):
    """Every MQTT example, on its topic, gives readings or a status."""
    form, topic = block.words
    decoded = TopicDecoder().decode(
        form,
        topic.replace("{organization_id}", str(ORGANIZATION)),
        block.text.strip().encode(),
        Publisher(ORGANIZATION, lambda _device: ZoneInfo("UTC")),
        int(time.time() * 1_000_000),
    )

    assert decoded.readings or decoded.statuses


def test_every_mqtt_format_has_an_example():
    """`auto` only chooses among the others."""
    assert {b.words[0] for b in MQTT} == set(FORMATS) - {"auto"}


def stream():
    return SimpleNamespace(
        id=1, organization_id=ORGANIZATION, path="/power/1", device_id=7, device_key="meter-1",
        device_name="Main meter", device_type="smart_meter",
        channels=[("active_power_w", "instantaneous"), ("energy_import_wh", "accumulating")],
        metadata={},
    )  # fmt: skip


def telemetry():
    row = Row(1, NOON, NOON, 192, (812.5, 51010.0), None, False)
    return effects._telemetry_event(uuid4(), stream(), row)


def updated():
    row = {
        "organization_id": ORGANIZATION, "path": "/power/1", "device_id": 7,
        "device_key": "meter-1", "device_name": "Main meter", "device_type": "smart_meter",
        "device_metadata": {}, "names": ["active_power_w", "energy_import_wh"],
        "kinds": ["instantaneous", "accumulating"],
    }  # fmt: skip
    none = (None, None)
    rollup = Rollup(
        1, "h", NOON, NOON, (60, 60), (812.5, None), (640.0, None), (1010.0, None),
        (None, 812.0), (None, 812.0), (None, 50198.0), (None, 51010.0), none, 60, 1.0,
    )  # fmt: skip
    return rollup_event(uuid4(), Changed(1, "h", NOON, NOON, rollup), row)


def of_device(topic, data):
    row = {
        "organization_id": ORGANIZATION,
        "id": 7,
        "key": "meter-1",
        "name": "m",
        "type": "",
        "metadata": {},
    }
    return effects._device_events(topic, [row], lambda _: data)[0]


def broken():
    facts = {"integration_id": 5, "name": "Energy desk", "type": "webhook"}
    settler = SimpleNamespace(_describe=lambda _: (ORGANIZATION, facts))
    change = StateChange("error", "cannot connect")
    return Settler._event(settler, Settlement(5, "lease", 1, NOON, state=change), "active")


def probe():
    form = find_format("wattwire")
    plan = SimpleNamespace(id=5, organization_id=ORGANIZATION, name="Desk", form=form)
    return _message(plan, "test-1", NOON)


MADE = {
    "device.telemetry": lambda: envelope.render(telemetry()),
    "datum/agg/update": lambda: envelope.render(updated()),
    "device.registered": lambda: envelope.render(of_device("device.registered", {})),
    "device.status": lambda: envelope.render(of_device("device.status", {"status": "offline"})),
    "integration.error": lambda: envelope.render(broken()),
    TEST_TOPIC: lambda: probe().body,
}


@pytest.mark.parametrize("topic", EVENTS)
def test_a_documented_event_looks_like_a_real_one(topic):
    """The example has the members, in the order and of the types, that the code writes."""
    real = json.loads(MADE[topic]())

    assert real["event"] == EVENTS[topic]["event"] == topic
    assert shape(real) == shape(EVENTS[topic])
    assert list(real) == list(EVENTS[topic])


def test_every_documented_event_may_be_asked_for():
    """Each topic with an example is one that integrations may name, or the test's."""
    assert EVENTS.keys() <= TOPICS.keys() | {TEST_TOPIC}
    assert EVENTS.keys() == MADE.keys()


def webhook_headers(secret, body):
    keys = [_signing.key_bytes(secret)]
    settings = Settings(url="https://example.com/", secret_key=secret)
    webhook = Webhook(settings, None, URL(settings.url), {}, secret, keys)
    return webhook._headers(Message("0197a1b2-5", body))


@pytest.mark.parametrize("secret", [SECRET, SECRET.rstrip("="), "any text will do"])
def test_the_documented_receiver_checks_what_is_sent(secret):
    """Both functions of the page take a real request and refuse one with another body or secret."""
    body = b'{"event":"device.telemetry"}'
    headers = webhook_headers(secret, body)

    assert VERIFY["verify_simple"](headers, body, secret)
    assert VERIFY["verify_standard"](headers, body, secret)
    assert not VERIFY["verify_simple"](headers, body + b" ", secret)
    assert not VERIFY["verify_standard"](headers, body + b" ", secret)
    assert not VERIFY["verify_standard"](headers, body, "another secret")


def test_the_documented_receiver_refuses_what_is_old():
    """A request recorded ten minutes ago is not taken again."""
    body, key = b"{}", base64.b64decode(SECRET.removeprefix("whsec_"))
    then = int(time.time()) - 600
    headers = {
        "webhook-id": "a", "webhook-timestamp": str(then),
        "webhook-signature": _signing.standard_signature([key], "a", then, body),
    }  # fmt: skip

    assert not VERIFY["verify_standard"](headers, body, SECRET)
    assert VERIFY["verify_standard"](headers, body, SECRET, tolerance_seconds=700)


def test_the_standards_own_library_agrees():
    """What the hub signs, the library of Standard Webhooks takes."""
    body = b'{"event":"device.telemetry"}'

    assert StandardWebhook(SECRET).verify(body, dict(webhook_headers(SECRET, body)))


def test_the_documented_entry_is_what_sqs_gets():
    """Members and types of an entry for a FIFO queue."""
    (example,) = [json.loads(b.text) for b in PAGE if b.words == ("aws_sqs",)]
    settings = aws_sqs.Settings(
        queue_url="https://sqs.eu-central-1.amazonaws.com/123456789012/readings.fifo",
        aws={"region": "eu-central-1", "access_key_id": "AKIA", "secret_access_key": "x"},
    )
    message = Message(
        example["Id"], example["MessageBody"].encode(), topic="device.telemetry", device="meter-1"
    )

    assert aws_sqs.Sqs(settings, None, None)._entry(message, example["MessageBody"]) == example
