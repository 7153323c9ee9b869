"""What only AWS IoT promises: topics by template, shadows, an endpoint that is found."""

import asyncio
import json
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from bench_aws_iot import TAKEN, iot_error
from integrations_counterparts import Reply, access
from pydantic import ValidationError

from wattwire.delivery.verdicts import judge
from wattwire.integrations import aws_iot
from wattwire.integrations.contract import Delivered, Rejected, Retry, Verdict
from wattwire.model import Event, Message

EVENT = Event(
    id=UUID(int=7),
    topic="device.telemetry",
    organization_id=UUID(int=1),
    time=datetime(2025, 6, 1, 12, 30, tzinfo=UTC),
    data={"stream": "/power/1", "values": {"active_power_w": 1200.5, "phase_b_v": None}},
    device_id=1,
    device_key="meter-1",
    stream="/power/1",
    metadata={"site": "north"},
)


def message(message_id="m-1", body=b'{"a":1}', **changes):
    event = replace(EVENT, **changes)
    return Message(message_id, body, topic=event.topic, device=event.device_key, event=event)


async def send(settings, one, surroundings):
    async with aws_iot.connect(settings, surroundings) as iot:
        return (await iot.deliver([one]))[one.id]


def with_(bench, **changes):
    return bench.settings.model_copy(update=changes)


# --- topics ---


@pytest.mark.parametrize(
    ("template", "changes", "topic"),
    [
        ("plant/{device_key}/{event}", {}, "plant/meter-1/telemetry"),
        ("{metadata.site}/{stream}", {}, "north/power/1"),
        ("p/{device_key}", {"device_key": "pm500/edge 1/#"}, "p/pm500%2Fedge 1%2F%23"),
        ("p/{device_key}", {"device_key": "Zähler№3"}, "p/Zähler№3"),
        ("$aws/rules/store/{device_key}", {}, "$aws/rules/store/meter-1"),
    ],
)
async def test_what_is_published_where(
    aws_iot_bench, broker, surroundings, template, changes, topic
):
    """The broker has the body under the topic that the template makes."""
    outcome = await send(with_(aws_iot_bench, topic=template), message(**changes), surroundings)

    assert isinstance(outcome, Delivered), outcome
    assert [(topic, b'{"a":1}')] == broker.published()


async def test_the_call_is_as_aws_documents_it(faults, aws_iot_bench, surroundings):
    """QoS 1, the topic as one part of the address, the id as a user property, the right service."""
    faults.reply = TAKEN
    async with faults.serving() as url:
        settings = aws_iot_bench.aimed_at(url).model_copy(update={"retain": True})
        outcome = await send(settings, message(), surroundings)
    asked = faults.requests[0]
    properties = json.loads(b64decode(asked.headers["x-amz-mqtt5-user-properties"]))

    assert "POST" == asked.method
    assert (
        "/topics/plant%2Fmeter-1%2Ftelemetry?contentType=application%2Fjson&qos=1&retain=true"
        == asked.target
    )
    assert [{"message_id": "m-1"}] == properties
    assert "/eu-central-1/iotdata/aws4_request" in asked.headers["authorization"]
    assert "0af6" == outcome.receipt


@pytest.mark.parametrize(
    ("template", "changes", "why"),
    [
        ("p/{device_key}", {"device_key": ""}, "{device_key}"),
        ("p/{metadata.floor}", {}, "{metadata.floor}"),
        ("a/b/c/{stream}", {"stream": "/1/2/3/4/5/6"}, "7 slashes"),
        ("p/{device_key}", {"device_key": "x" * 300}, "256"),
        ("{device_key}", {"device_key": ".."}, "address"),
    ],
)
async def test_an_event_that_makes_no_topic_is_rejected(
    aws_iot_bench, broker, surroundings, template, changes, why
):
    """With its reason, as a dead letter; nothing is published."""
    outcome = await send(with_(aws_iot_bench, topic=template), message(**changes), surroundings)

    assert isinstance(outcome, Rejected)
    assert why in outcome.reason
    assert [] == broker.published()


async def test_a_message_of_no_event_is_rejected(aws_iot_bench, surroundings):
    """There is nothing to fill the topic with."""
    outcome = await send(aws_iot_bench.settings, Message("m-1", b"{}"), surroundings)

    assert isinstance(outcome, Rejected)


@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "a/#"}, {"topic": ""}, {"topic": "{device}"}, {"topic": "a/b/c/d/e/f/g/h/i"},
        {"topic": "$aws/things/x/shadow/update"}, {"topic": "$aws/rules/"}, {"topic": "x" * 257},
        {"topic": "$aws/rules/name"}, {"shadow_thing": "{nobody}"}, {"shadow_thing": ""},
        {"endpoint": "https://x"}, {"endpoint": "a b"},
    ],
)  # fmt: skip
def test_settings_that_are_refused(changes):
    """When they are saved: wildcards, too many levels, AWS' own topics, unknown placeholders."""
    with pytest.raises(ValidationError):
        aws_iot.Settings(**{"aws": access("http://x"), **changes})


# --- shadows ---


@pytest.fixture
def thing(aws):
    aws("iot").create_thing(thingName="meter-1")
    yield "meter-1"
    aws("iot").delete_thing(thingName="meter-1")


def shadow(aws, name):
    answer = aws("iot-data").get_thing_shadow(thingName=name)
    return json.loads(answer["payload"].read())["state"]["reported"]


async def test_readings_become_the_shadow(aws_iot_bench, aws, thing, broker, surroundings):
    """Values under their stream, so that streams of one device live together."""
    settings = with_(aws_iot_bench, shadow_thing="{device_key}")
    first = await send(settings, message(), surroundings)
    other = {"stream": "/power/2", "data": {"values": {"active_power_w": 7}}}
    second = await send(settings, message("m-2", **other), surroundings)

    assert {"power/1": {"active_power_w": 1200.5}, "power/2": {"active_power_w": 7}} == shadow(
        aws, thing
    )
    assert ["meter-1 version 1", "meter-1 version 2"] == [first.receipt, second.receipt]
    assert [] == broker.published()


async def test_what_was_not_measured_deletes_nothing(aws_iot_bench, aws, thing, surroundings):
    """A null in a shadow's update would; a reading's null only means that there is no value."""
    settings = with_(aws_iot_bench, shadow_thing="{device_key}")
    for number, volts in enumerate((230.5, None)):
        one = message(f"m-{number}", data={"values": {"phase_b_v": volts}})
        await send(settings, one, surroundings)

    assert {"power/1": {"phase_b_v": 230.5}} == shadow(aws, thing)


async def test_other_events_are_published_as_ever(aws_iot_bench, thing, broker, surroundings):
    """An alert is no state of the device."""
    settings = with_(aws_iot_bench, shadow_thing="{device_key}")
    await send(settings, message(topic="device.alert"), surroundings)

    assert ["plant/meter-1/alert"] == [topic for topic, _ in broker.published()]


async def test_an_update_says_whose_it_is(faults, aws_iot_bench, surroundings):
    """The message's id is the client token, unless it is longer than AWS takes."""
    faults.reply = Reply(200, b'{"version": 3}')
    async with faults.serving() as url:
        settings = aws_iot_bench.aimed_at(url).model_copy(update={"shadow_thing": "{device_key}"})
        await send(settings, message(), surroundings)
        await send(settings, message("m" * 65), surroundings)
    bodies = [json.loads(request.body) for request in faults.requests]

    assert ["/things/meter-1/shadow"] * 2 == [request.target for request in faults.requests]
    assert ["m-1", None] == [body.get("clientToken") for body in bodies]


@pytest.mark.parametrize("key", ["pm500/edge", "Zähler", "x" * 129, "a b"])
async def test_what_is_no_things_name_is_rejected(aws_iot_bench, surroundings, key):
    """AWS takes letters, digits and a few signs."""
    settings = with_(aws_iot_bench, shadow_thing="{device_key}")
    outcome = await send(settings, message(device_key=key), surroundings)

    assert isinstance(outcome, Rejected)
    assert "thing" in outcome.reason


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"version": "x"}'])
async def test_a_shadow_without_a_version_was_not_updated(
    faults, aws_iot_bench, surroundings, body
):
    """Whoever answered, it was not the service of shadows."""
    faults.reply = Reply(200, body)
    async with faults.serving() as url:
        settings = aws_iot_bench.aimed_at(url).model_copy(update={"shadow_thing": "{device_key}"})
        outcome = await send(settings, message(), surroundings)

    assert isinstance(outcome, Retry)


@pytest.mark.parametrize(
    ("status", "code", "verdict"),
    [
        (400, "InvalidRequestException", Verdict.REJECT),
        (413, "RequestEntityTooLargeException", Verdict.REJECT),
        (409, "ConflictException", Verdict.RETRY),
        (401, "UnauthorizedException", Verdict.PARK),
        (429, "ThrottlingException", Verdict.THROTTLE),
        (500, "InternalFailureException", Verdict.RETRY),
    ],
)
async def test_what_aws_iot_says_by_code(
    faults, aws_iot_bench, surroundings, status, code, verdict
):
    """The code stands in a header, before an address."""
    faults.reply = iot_error(status, code)
    async with faults.serving() as url:
        outcome = await send(aws_iot_bench.aimed_at(url), message(), surroundings)

    assert (code, status, f"{code}: said the fake") == (
        outcome.code, outcome.status, outcome.reason,
    )  # fmt: skip
    assert verdict == judge(outcome, aws_iot.VERDICTS)


# --- the endpoint ---


def names(url):
    """An account whose endpoint is the server itself."""
    address = url.partition("://")[2]

    def reply(request):
        if request.target.startswith("/endpoint"):
            return Reply(200, json.dumps({"endpointAddress": address}).encode())
        return TAKEN

    return reply


async def test_the_endpoint_is_found_once(faults, aws_iot_bench, surroundings):
    """AWS is asked for it when it is needed first, and by how many messages ever."""
    async with faults.serving() as url:
        faults.reply = names(url)
        settings = aws_iot_bench.aimed_at(url).model_copy(update={"endpoint": None})
        async with aws_iot.connect(settings, surroundings) as iot:
            found = await asyncio.gather(*(iot.deliver([message(f"m-{n}")]) for n in range(5)))
    asked = [r for r in faults.requests if "/endpoint" in r.target]

    assert all(isinstance(one[f"m-{n}"], Delivered) for n, one in enumerate(found))
    assert ["/endpoint?endpointType=iot%3AData-ATS"] == [r.target for r in asked]
    assert "/iot/aws4_request" in asked[0].headers["authorization"]
    assert 6 == len(faults.requests)


async def test_an_endpoint_that_may_not_be_asked_for_parks(faults, aws_iot_bench, surroundings):
    """The reason names the permission; once it is there, the same opened integration works."""
    async with faults.serving() as url:
        text = "User: x is not authorized to perform: iot:DescribeEndpoint"
        faults.reply = iot_error(403, "AccessDeniedException", text)
        settings = aws_iot_bench.aimed_at(url).model_copy(update={"endpoint": None})
        async with aws_iot.connect(settings, surroundings) as iot:
            refused = (await iot.deliver([message()]))["m-1"]
            faults.reply = names(url)
            taken = (await iot.deliver([message()]))["m-1"]

    assert f"AccessDeniedException: {text}" == refused.reason
    assert Verdict.PARK == judge(refused, aws_iot.VERDICTS)
    assert isinstance(taken, Delivered)


@pytest.mark.parametrize("address", ["", "a b", "evil.example/path", "user@evil.example"])
async def test_an_endpoint_that_is_none_is_not_called(faults, aws_iot_bench, surroundings, address):
    """Only a host's name is taken for one."""
    faults.reply = Reply(200, json.dumps({"endpointAddress": address}).encode())
    async with faults.serving() as url:
        settings = aws_iot_bench.aimed_at(url).model_copy(update={"endpoint": None})
        outcome = await send(settings, message(), surroundings)

    assert isinstance(outcome, Retry)
    assert 1 == len(faults.requests)
