"""What only the Google IoT type promises: IoT Core's attributes, and ClearBlade's registry."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from bench_gcp_pubsub import GOOD_KEY
from fake_clearblade import FakeClearBlade
from fake_pubsub import EMAIL
from fake_serving import serving
from integrations_counterparts import LOCAL
from pydantic import ValidationError

from wattwire.delivery.verdicts import judge
from wattwire.integrations import google_iot
from wattwire.integrations.contract import Delivered, Rejected, Retry, Verdict
from wattwire.model import Event, Message

GIVEN = {
    "project_id": "test-project",
    "region": "us-central1",
    "registry_id": "meters",
    "service_account_key": GOOD_KEY.json(),
}
EVENT = Event(
    id=UUID(int=7),
    topic="device.telemetry",
    organization_id=UUID(int=1),
    time=datetime(2025, 6, 1, tzinfo=UTC),
    data={},
    device_key="5300520006504b5957343920",
    metadata={"deviceNumId": 2550942323},
)


def message(message_id="m-1", **changes):
    event = replace(EVENT, **changes)
    return Message(message_id, b'{"w": 1}', topic=event.topic, device=event.device_key, event=event)


async def deliver(given, messages, surroundings):
    async with google_iot.TYPE.connect(given, surroundings) as integration:
        return await integration.deliver(messages)


async def test_a_consumer_of_iot_core_finds_its_attributes(pubsub, google_surroundings):
    """All six, with the spelling of IoT Core, and the one by which repeats are dropped."""
    pubsub.topics["projects/test-project/topics/telemetry"] = {EMAIL}
    given = google_iot.Settings(
        **GIVEN,
        topic="telemetry",
        device_id="dev-{device_key}",
        subfolder="{event}",
        endpoint_url=pubsub.url,
    )
    await deliver(given, [message()], google_surroundings)
    ((topic, sent),) = pubsub.messages

    assert "projects/test-project/topics/telemetry" == topic == google_iot.TYPE.address(given)
    assert {
        "deviceId": "dev-5300520006504b5957343920",
        "deviceNumId": "2550942323",
        "deviceRegistryId": "meters",
        "deviceRegistryLocation": "us-central1",
        "projectId": "test-project",
        "subFolder": "telemetry",
        "message_id": "m-1",
    } == sent["attributes"]


async def test_a_message_of_no_device_is_rejected_alone(pubsub, google_surroundings):
    """It has no ID to go by; the others go out."""
    pubsub.topics["projects/test-project/topics/meters"] = {EMAIL}
    given = google_iot.Settings(**GIVEN, endpoint_url=pubsub.url)
    outcomes = await deliver(
        given, [message("m-1"), message("m-2", device_key="")], google_surroundings
    )

    assert [Delivered, Rejected] == [type(outcomes[i]) for i in ("m-1", "m-2")]
    assert 1 == len(pubsub.messages)


# --- ClearBlade ---


@pytest.fixture
async def clearblade():
    fake = FakeClearBlade(devices={"dev-1", "probe"})
    async with serving(fake.app()) as url:
        fake.url = url
        yield fake


def at(fake, **more):
    where = {"url": fake.url, "system_key": fake.system_key, "token": "s3cr3t-token"}
    clearblade = {**where, **more.pop("clearblade", {})}
    return google_iot.Settings(
        **GIVEN, clearblade=clearblade, device_id="dev-{device_key}", subfolder="{event}", **more
    )


async def test_clearblade_gets_telemetry_as_the_device(clearblade):
    """One event each, by device and subfolder, the body as it is."""
    messages = [message("m-1", device_key="1"), message("m-2", device_key="1")]
    outcomes = await deliver(at(clearblade), messages, LOCAL)

    assert [("dev-1", "telemetry", b'{"w": 1}')] * 2 == clearblade.events
    assert all(isinstance(o, Delivered) and o.receipt for o in outcomes.values())


async def test_the_test_publishes_as_the_device_that_was_named(clearblade):
    """The hub's probe is of no device that a registry knows."""
    given = at(clearblade, test_device_id="probe")
    async with google_iot.TYPE.connect(given, LOCAL) as integration:
        outcome = await integration.test(message(device_key="test", topic="integration.test"))

    assert isinstance(outcome, Delivered)
    assert [("probe", "test", b'{"w": 1}')] == clearblade.events


@pytest.mark.parametrize(
    ("more", "device", "kind", "verdict"),
    [
        ({"clearblade": {"token": "wrong"}}, "1", Retry, Verdict.PARK),
        ({}, "2", Retry, Verdict.RETRY),
        ({}, "a/b c", Rejected, Verdict.REJECT),
    ],
)
async def test_refusals_of_clearblade(clearblade, more, device, kind, verdict):
    """A wrong token parks; a device that is not there is retried; no name for one is rejected."""
    given = at(clearblade, **more)
    outcome = (await deliver(given, [message(device_key=device)], LOCAL))["m-1"]

    assert isinstance(outcome, kind), outcome
    assert verdict == judge(outcome, google_iot.TYPE.verdicts)
    assert [] == clearblade.events


def test_the_address_at_clearblade_is_the_registry():
    """As IoT Core called it; the token is not in it."""
    fake = FakeClearBlade()
    fake.url = "https://us-central1.clearblade.com"

    assert (
        "https://us-central1.clearblade.com"
        "/projects/test-project/locations/us-central1/registries/meters"
    ) == google_iot.TYPE.address(at(fake))


# --- settings ---


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"registry_id": "1x"}, "registry_id must begin"),
        ({"registry_id": "goog-x"}, "registry_id must begin"),
        ({"region": "US"}, "pattern"),
        ({"topic": "projects/p/topics/"}, "topic must look like"),
        ({"device_id": "{device_kye}"}, "device_kye"),
        ({"service_account_key": "x"}, "not the JSON file"),
        ({"clearblade": {"url": "http://x.example", "system_key": "a" * 9, "token": "t"}}, "https"),
    ],
)
def test_wrong_settings_are_told_in_words(given, words):
    """Without the network."""
    with pytest.raises(ValidationError, match=words):
        google_iot.Settings(**{**GIVEN, **given})


def test_the_page_and_the_form_say_that_iot_core_is_gone():
    """Nobody fills the form in and waits for a registry that does not exist."""
    field = google_iot.Settings.model_fields["project_id"]

    assert "retired IoT Core" in google_iot.__doc__
    assert "retired IoT Core" in field.description
