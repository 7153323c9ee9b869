"""What only IoT Hub promises: keys and tokens, devices, properties, batches, its refusals."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import unquote_to_bytes
from uuid import UUID

import pytest
from bench_azure_iot import azure_error
from fake_azure_iot import DEVICE_KEY, KEY, PROPERTY, FakeIotHub
from hypothesis import example
from hypothesis import given as for_all
from hypothesis import strategies as st
from integrations_counterparts import LOCAL, FaultServer, Reply
from pydantic import ValidationError

from wattwire.delivery.verdicts import judge
from wattwire.integrations import _azure_messages, _azure_sas, _calls, azure_iot
from wattwire.integrations.contract import TIMED_OUT, Delivered, Rejected, Retry, Verdict
from wattwire.model import Event, Message

VECTOR_KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
EVENT = Event(
    id=UUID(int=7),
    topic="device.telemetry",
    organization_id=UUID(int=1),
    time=datetime(2025, 6, 1, tzinfo=UTC),
    data={},
    device_key="meter-1",
    metadata={"azure_id": "Pump $1"},
)


def message(message_id="m-1", body=b'{"w": 1}', **changes):
    event = replace(EVENT, **changes)
    return Message(message_id, body, topic=event.topic, device=event.device_key, event=event)


def settings(hub, policy="device", **more):
    text = hub.connection_string(policy)
    return azure_iot.Settings(
        **{"connection_string": text, "endpoint_url": getattr(hub, "url", None), **more}
    )


async def deliver(given, messages):
    async with azure_iot.TYPE.connect(given, LOCAL) as integration:
        return await integration.deliver(messages)


def verdict(outcome):
    return judge(outcome, azure_iot.TYPE.verdicts)


# --- keys and tokens ---


@pytest.mark.parametrize(
    ("resource", "policy", "signature"),
    [
        (
            "myhub.azure-devices.net",
            "iothubowner",
            "sJAIZTF5oG40VHrie96heZ865%2BnR4QavBvHnzxZm8rk%3D",
        ),
        (
            "myhub.azure-devices.net/devices/dev 1",
            "",
            "NcT2lnsRG6UvL73kedJV4KCCH%2BFy%2F%2BM8oOHZLDfMfEQ%3D",
        ),
    ],
)
def test_tokens_are_as_microsofts_library_makes_them(resource, policy, signature):
    """Vectors that were computed apart from this code."""
    access = _azure_sas.Access("h", base64.b64decode(VECTOR_KEY), policy)
    made = _azure_sas.token(access, resource, 1_700_000_000)
    encoded = resource.replace("/", "%2F").replace(" ", "%20")
    name = f"&skn={policy}" if policy else ""

    assert f"SharedAccessSignature sr={encoded}&sig={signature}&se=1700000000{name}" == made


async def test_each_device_has_a_token_of_its_own(iot_hub):
    """Whoever sees one can send as that device only."""
    iot_hub.devices["meter-2"] = DEVICE_KEY
    messages = [message("m-1"), message("m-2", device_key="meter-2")]
    await deliver(settings(iot_hub), messages)

    assert {f"{iot_hub.host}/devices/meter-{n}" for n in (1, 2)} == set(iot_hub.resources)


def test_a_token_is_kept_and_renewed_before_it_ends():
    """Five minutes before; and no more than so many are kept."""
    tokens = _azure_sas.Tokens(_azure_sas.Access("h", b"k", "p"))
    first = tokens.of("d", 1000.0)

    assert first == tokens.of("d", 1000.0 + 3299)
    assert "se=7901" in tokens.of("d", 1000.0 + 3301)
    for n in range(_azure_sas.MOST_TOKENS + 5):
        tokens.of(f"d-{n}", 1000.0)
    assert _azure_sas.MOST_TOKENS == len(tokens._kept)


async def test_a_devices_own_key_sends_as_that_device(iot_hub):
    """Whatever the message is about."""
    text = f"HostName={iot_hub.host};DeviceId=meter-1;SharedAccessKey={DEVICE_KEY}"
    given = settings(iot_hub, connection_string=text, test_device_id="other")
    await deliver(given, [message(device_key="pump-7")])
    async with azure_iot.TYPE.connect(given, LOCAL) as integration:
        tested = await integration.test(message(device_key="test"))

    assert ["meter-1", "meter-1"] == [device for device, *_ in iot_hub.messages]
    assert isinstance(tested, Delivered)


@pytest.mark.parametrize("policy", ["service", "registryRead"])
async def test_a_policy_that_may_not_connect_devices_parks(iot_hub, policy):
    """The usual mistake: the connection string of the wrong policy."""
    outcome = (await deliver(settings(iot_hub, policy), [message()]))["m-1"]

    assert ("IotHubUnauthorizedAccess", Verdict.PARK) == (outcome.code, verdict(outcome))


async def test_a_wrong_key_parks(iot_hub):
    """It was regenerated."""
    given = settings(iot_hub)
    iot_hub.policies["device"] = (VECTOR_KEY[::-1].strip("=") + "=", {"DeviceConnect"})
    iot_hub.policies["device"] = (base64.b64encode(b"another").decode(), {"DeviceConnect"})
    outcome = (await deliver(given, [message()]))["m-1"]

    assert (401, Verdict.PARK) == (outcome.status, verdict(outcome))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "cannot be read"),
        ("HostName=h.x;HostName=h.x;SharedAccessKey=QQ==", "cannot be read"),
        ("HostName=h.x;SharedAccessKy=QQ==", "none of IoT Hub's: SharedAccessKy"),
        ("HostName=h.x;SharedAccessKey=QQ==", "is incomplete"),
        ("HostName=h.x;SharedAccessKeyName=p", "is incomplete"),
        ("SharedAccessKeyName=p;SharedAccessKey=QQ==", "is incomplete"),
        ("HostName=h.x;DeviceId=d;ModuleId=m;SharedAccessKey=QQ==", "has a ModuleId"),
        ("HostName=h.x;SharedAccessKeyName=p;SharedAccessKey=s3cr3t!", "not base64"),
        ("HostName=h.x/../y;SharedAccessKeyName=p;SharedAccessKey=QQ==", "HostName that is none"),
    ],
)
def test_connection_strings_are_refused_in_words(text, words):
    """Unreadable, strange and incomplete are three things; a key is never quoted."""
    with pytest.raises(ValidationError, match=words) as caught:
        azure_iot.Settings(connection_string=text)

    assert "s3cr3t" not in str(caught.value.errors(include_input=False))


def test_a_key_keeps_its_padding():
    """Pairs are split at their first equals sign."""
    text = f"HostName=myhub.azure-devices.net;SharedAccessKeyName=p;SharedAccessKey={KEY}"
    access = _azure_sas.read_connection_string(text)

    assert ("myhub.azure-devices.net", "p", "") == (access.host, access.policy, access.device)
    assert base64.b64decode(KEY) == access.key
    assert KEY not in repr(access)
    assert repr(access.key) not in repr(access)


def test_the_hubs_name_must_be_the_one_in_the_connection_string():
    """The field is for reference: a wrong one would mislead."""
    hub = FakeIotHub()
    settings(hub, hub_name="MyHub")
    with pytest.raises(ValidationError, match="hub_name is other"):
        settings(hub, hub_name="other")


def test_a_token_is_never_sent_unencrypted():
    """Another address must be https, unless it is this machine."""
    with pytest.raises(ValidationError, match="https"):
        settings(FakeIotHub(), endpoint_url="http://example.com")


# --- devices ---


async def test_devices_are_named_by_template_and_exception(iot_hub):
    """Also with characters that a URL has other uses for."""
    iot_hub.devices |= {"Pump $1": DEVICE_KEY, "meter-x-7": DEVICE_KEY, "a%41?b#c": DEVICE_KEY}
    given = settings(iot_hub, device_id="meter-x-{device_key}", device_ids={"8": "a%41?b#c"})
    outcomes = await deliver(
        given, [message("m-7", device_key="7"), message("m-8", device_key="8")]
    )

    assert {"meter-x-7", "a%41?b#c"} == {device for device, *_ in iot_hub.messages}
    assert all(isinstance(o, Delivered) for o in outcomes.values())


async def test_a_missing_device_holds_up_no_other(iot_hub):
    """It is retried; nothing is parked, and the others' messages are delivered."""
    messages = [message("m-1", device_key="gone"), message("m-2")]
    outcomes = await deliver(settings(iot_hub), messages)

    assert ("DeviceNotFound", Verdict.RETRY) == (outcomes["m-1"].code, verdict(outcomes["m-1"]))
    assert isinstance(outcomes["m-2"], Delivered)


@pytest.mark.parametrize("key", ["", "Zähler", "a b", "x" * 129])
async def test_what_can_be_no_device_id_is_rejected(iot_hub, key):
    """Nothing is sent that Azure could only refuse."""
    outcome = (await deliver(settings(iot_hub), [message(device_key=key)]))["m-1"]

    assert isinstance(outcome, Rejected)
    assert 0 == iot_hub.requests


async def test_the_test_sends_as_the_device_that_was_named(iot_hub):
    """The hub's own probe is of a device that no hub knows."""
    probe = message(device_key="test", topic="integration.test")
    async with azure_iot.TYPE.connect(settings(iot_hub), LOCAL) as integration:
        unnamed = await integration.test(probe)
    given = settings(iot_hub, test_device_id="meter-1")
    async with azure_iot.TYPE.connect(given, LOCAL) as integration:
        named = await integration.test(probe)

    assert "DeviceNotFound" == unnamed.code
    assert isinstance(named, Delivered)


# --- what is sent ---


async def test_properties_tell_what_a_message_is(iot_hub):
    """System properties by which JSON is routed, application properties that HTTPS can carry."""
    given = settings(iot_hub, properties={"site": "Süd 1"})
    await deliver(given, [message(topic="datum/agg/update")])
    ((device, properties, body),) = iot_hub.messages

    assert ("meter-1", b'{"w": 1}') == (device, body)
    assert {
        "iothub-messageid": "m-1",
        "iothub-contenttype": "application/json",
        "iothub-contentencoding": "utf-8",
        "iothub-app-topic": "datum%2Fagg%2Fupdate",
        "iothub-app-device": "meter-1",
        "iothub-app-site": "S%C3%BCd%201",
    } == properties


@for_all(st.text(max_size=50))
@example("50%41")
def test_any_value_becomes_a_property_that_can_be_read_back(text):
    """Only characters that IoT Hub takes; decoding gives the value."""
    made = _azure_messages.literal(text)

    assert PROPERTY.fullmatch(made)
    assert text.encode(errors="replace") == unquote_to_bytes(made)


async def test_messages_of_a_device_travel_as_one_batch(iot_hub):
    """With their properties each, in their order."""
    messages = [message(f"m-{n}", b'{"n": %d}' % n) for n in range(50)]
    outcomes = await deliver(settings(iot_hub), messages)

    assert (1, 1) == (iot_hub.requests, iot_hub.batches)
    assert [m.id for m in messages] == [p["iothub-messageid"] for _, p, _ in iot_hub.messages]
    assert [m.body for m in messages] == iot_hub.bodies()
    assert all(isinstance(o, Delivered) for o in outcomes.values())


async def test_batches_stay_below_256_kb(iot_hub):
    """Measured as they are sent: the engine cut by bodies alone."""
    messages = [message(f"m-{n}", b"x" * 60_000) for n in range(4)]
    outcomes = await deliver(settings(iot_hub), messages)

    assert all(isinstance(o, Delivered) for o in outcomes.values())
    assert 2 == iot_hub.requests


async def test_the_largest_message_is_taken(iot_hub):
    """One that could not be in a batch for its base64 goes as it is."""
    limits = azure_iot.TYPE.limits
    size = limits.max_bytes - limits.overhead_bytes
    outcome = (await deliver(settings(iot_hub), [message(body=b"x" * size)]))["m-1"]

    assert isinstance(outcome, Delivered), outcome


async def test_without_batches_every_message_goes_alone(iot_hub):
    """For routes that want it."""
    messages = [message(f"m-{n}") for n in range(5)]
    await deliver(settings(iot_hub, batches=False), messages)

    assert (5, 0) == (iot_hub.requests, iot_hub.batches)


# --- refusals ---


@pytest.mark.parametrize(
    ("status", "code", "kind", "expected"),
    [
        (403, "IotHubQuotaExceeded", Retry, Verdict.THROTTLE),
        (403, "Forbidden", Retry, Verdict.PARK),
        (429, "ThrottlingException", Retry, Verdict.THROTTLE),
        (400, "IotHubSuspended", Retry, Verdict.PARK),
        (400, "ArgumentInvalid", Rejected, Verdict.REJECT),
        (413, "MessageTooLarge", Rejected, Verdict.REJECT),
        (404, "DeviceNotFound", Retry, Verdict.RETRY),
        (500, "ServerError", Retry, Verdict.RETRY),
    ],
)
async def test_every_code_is_told_from_the_others(status, code, kind, expected):
    """By the code first: a used-up quota is a 403 as a missing permission is."""
    faults = FaultServer()
    faults.reply = azure_error(status, code, **{"Retry-After": "7"})
    hub = FakeIotHub()
    async with faults.serving() as url:
        hub.url = url
        outcome = (await deliver(settings(hub), [message()]))["m-1"]

    assert isinstance(outcome, kind)
    assert (code, expected) == (outcome.code, verdict(outcome))
    assert kind is Rejected or 7 == outcome.after.seconds
    assert "meter-1" in outcome.reason


async def test_one_bad_message_does_not_cost_its_batch():
    """What is refused together is sent again one by one."""
    faults = FaultServer()
    taken = Reply(204, b"")
    sent = []

    def reply(request):
        if request.headers["content-type"] != "application/octet-stream":
            sent.append(len(json.loads(request.body)))
            return azure_error(400, "ArgumentInvalid")
        sent.append(request.headers["iothub-messageid"])
        return azure_error(400, "ArgumentInvalid") if sent[-1] == "m-1" else taken

    faults.reply = reply
    hub = FakeIotHub()
    async with faults.serving() as url:
        hub.url = url
        outcomes = await deliver(settings(hub), [message(f"m-{n}") for n in range(3)])

    assert [3, "m-0", "m-1", "m-2"] == sent
    assert [Delivered, Rejected, Delivered] == [type(o) for o in outcomes.values()]


async def test_a_throttling_hub_is_not_asked_for_each_device():
    """The first answers tell enough."""
    faults = FaultServer()
    faults.reply = azure_error(429, "ThrottlingException")
    hub = FakeIotHub()
    async with faults.serving() as url:
        hub.url = url
        messages = [message(f"m-{n}", device_key=f"d-{n}") for n in range(100)]
        outcomes = await deliver(settings(hub), messages)

    assert {Verdict.THROTTLE} == {verdict(o) for o in outcomes.values()}
    assert 100 == len(outcomes)
    assert len(faults.requests) <= 8


async def test_one_call_without_an_answer_hides_no_other(monkeypatch):
    """What was delivered in the same batch stays delivered."""
    monkeypatch.setattr(_calls, "CALL_SECONDS", 0.3)
    faults = FaultServer()
    faults.reply = lambda request: Reply(204, b"", hang="slow" in request.target)
    hub = FakeIotHub()
    async with faults.serving() as url:
        hub.url = url
        messages = [message("m-1"), message("m-2", device_key="slow")]
        outcomes = await deliver(settings(hub), messages)

    assert isinstance(outcomes["m-1"], Delivered)
    assert (TIMED_OUT, Verdict.DOWN) == (outcomes["m-2"].code, verdict(outcomes["m-2"]))


async def test_a_batch_of_many_calls_ends_before_the_engine_gives_up(iot_hub, monkeypatch):
    """When time is up nothing further is begun: what was not sent is known not to be."""
    monkeypatch.setattr(_calls, "BATCH_SECONDS", -1.0)
    outcomes = await deliver(settings(iot_hub), [message()])

    assert {"m-1": _calls.LATE} == outcomes
    assert 0 == iot_hub.requests
    assert _calls.TIMEOUT_SECONDS > 35.0 + _calls.CALL_SECONDS
