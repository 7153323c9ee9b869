"""What only Golioth promises: state that stays the newest, devices found and made, calls, Test."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from bench_golioth import golioth_error
from integrations_counterparts import LOCAL, FaultServer, Reply
from pydantic import ValidationError

from wattwire.delivery.verdicts import judge
from wattwire.integrations import _golioth
from wattwire.integrations import golioth as golioth_file
from wattwire.integrations.contract import Delivered, Rejected, Retry, Verdict
from wattwire.model import Event, Message

NOON = datetime(2025, 6, 1, 12, tzinfo=UTC)
EVENT = Event(
    id=UUID(int=7),
    topic="device.telemetry",
    organization_id=UUID(int=1),
    time=NOON,
    data={},
    device_key="meter-1",
    stream="/power/1",
)
BASE = {"api_key": "s3cr3t-key", "project_id": "my-project"}


def message(message_id="m-1", body=b'{"w": 1}', **changes):
    event = replace(EVENT, **changes)
    return Message(message_id, body, topic=event.topic, device=event.device_key, event=event)


def settings(fake, **more):
    return golioth_file.Settings(**{**BASE, "base_url": fake.url, **more})


async def deliver(given, *messages):
    async with golioth_file.TYPE.connect(given, LOCAL) as integration:
        return [(await integration.deliver([m]))[m.id] for m in messages]


def verdict(outcome):
    return judge(outcome, golioth_file.TYPE.verdicts)


# --- state ---


@pytest.mark.parametrize(
    ("topic", "path"), [("device.telemetry", "telemetry"), ("device.alert", "alert")]
)
async def test_a_message_lands_under_the_last_part_of_its_topic(golioth, topic, path):
    """So that an alert does not overwrite the readings."""
    (outcome,) = await deliver(settings(golioth), message(topic=topic))

    assert {"62b0": {path: {"w": 1}}} == golioth.state
    assert outcome.receipt == f"HTTP 200 /devices/62b0/data/{path}"


async def test_the_path_is_a_template(golioth):
    """The levels of a stream are levels in the state; a slash in a key is none."""
    golioth.add("9", "a/b")
    given = settings(golioth, path="hub/{stream}/{device_key}")
    await deliver(given, message(device_key="a/b"))

    assert {"9": {"hub": {"power": {"1": {"a%2Fb": {"w": 1}}}}}} == golioth.state


async def test_a_late_message_does_not_overwrite_a_newer_one(golioth):
    """State is the newest value, though retries come out of order; each place by itself."""
    earlier = NOON - timedelta(seconds=1)
    outcomes = await deliver(
        settings(golioth),
        message("m-1", b'{"w": 2}'),
        message("m-2", b'{"w": 1}', time=earlier),
        message("m-3", b'{"a": 1}', time=earlier, topic="device.alert"),
    )

    assert {"telemetry": {"w": 2}, "alert": {"a": 1}} == golioth.state["62b0"]
    assert [False, True, False] == ["superseded" in o.receipt for o in outcomes]


async def test_what_was_not_written_is_not_the_newest():
    """A refused write leaves the place to the message before it."""
    faults = FaultServer()
    replies = iter([golioth_error(500, 13), Reply(200, b'{"data":1}')])
    faults.reply = lambda _: next(replies)
    async with faults.serving() as url:
        given = golioth_file.Settings(**BASE, base_url=url, device_match="id")
        outcomes = await deliver(
            given, message("m-2"), message("m-1", time=NOON - timedelta(seconds=1))
        )

    assert [Retry, Delivered] == [type(o) for o in outcomes]
    assert "superseded" not in outcomes[1].receipt


async def test_merging_keeps_what_is_there(golioth):
    """PATCH, where PUT would replace."""
    golioth.state["62b0"] = {"telemetry": {"v": 230}}
    await deliver(settings(golioth, call="state_merge"), message())

    assert {"v": 230, "w": 1} == golioth.state["62b0"]["telemetry"]


async def test_a_tag_writes_to_all_its_devices(golioth):
    """No device is looked up for it."""
    golioth.add("1", "x", tags=["t1"])
    golioth.add("2", "y", tags=["t1"])
    await deliver(settings(golioth, call="state_by_tag", tag_id="t1"), message())

    assert {"1", "2"} == set(golioth.state)
    assert ["PUT /v1/projects/my-project/devicesByTag/t1/data/telemetry"] == golioth.calls


@pytest.mark.parametrize(
    ("body", "stored"), [(b"1.5", 1.5), (b"plain, text", "plain, text"), ("ä".encode(), "ä")]
)
async def test_text_becomes_a_json_string(golioth, body, stored):
    """LightDB holds JSON; formats that are none still arrive."""
    await deliver(settings(golioth), message(body=body))

    assert stored == golioth.state["62b0"]["telemetry"]


async def test_what_is_no_text_is_rejected(golioth):
    """Nothing is sent that could only be refused."""
    (outcome,) = await deliver(settings(golioth), message(body=b"\xff\x00"))

    assert isinstance(outcome, Rejected)
    assert [] == golioth.calls


# --- devices ---


async def test_a_name_is_looked_up_once(golioth):
    """The query finds parts of names; only the whole one is meant."""
    golioth.devices.clear()
    golioth.add("0", "meter-10")
    golioth.add("1", "meter-1")
    await deliver(settings(golioth), message("m-1"), message("m-2"))

    assert {"1"} == set(golioth.state)
    assert 3 == len(golioth.calls)


async def test_a_hardware_id_is_looked_up(golioth):
    """By a template, too."""
    golioth.add("7", "Pump", hardware_id="hw-5")
    given = settings(golioth, device_match="hardware_id", device_id="hw-{device_key}")
    await deliver(given, message(device_key="5"))

    assert {"7"} == set(golioth.state)


async def test_a_missing_device_is_retried_and_parks_nothing(golioth):
    """Somebody may register it; the others go on."""
    missing, there = await deliver(settings(golioth), message(device_key="x"), message())

    assert (_golioth.NO_DEVICE, Verdict.RETRY) == (missing.code, verdict(missing))
    assert isinstance(there, Delivered)


async def test_a_missing_device_is_registered_when_asked_for(golioth):
    """Once; its messages follow at once."""
    given = settings(golioth, create_devices=True)
    await deliver(given, message("m-1", device_key="new"), message("m-2", device_key="new"))
    made = [d for d in golioth.devices.values() if d["name"] == "new"]

    assert [["new"]] == [d["hardwareIds"] for d in made]
    assert 2 == len(golioth.written)


async def test_a_device_that_was_replaced_is_looked_up_again(golioth):
    """Its old ID is not kept for good."""
    async with _open(golioth) as integration:
        await integration.deliver([message("m-1")])
        golioth.devices.clear()
        golioth.add("63c1", "meter-1")
        gone = (await integration.deliver([message("m-2")]))["m-2"]
        found = (await integration.deliver([message("m-3")]))["m-3"]

    assert (404, Verdict.RETRY) == (gone.status, verdict(gone))
    assert isinstance(found, Delivered)


def _open(fake, **more):
    return golioth_file.TYPE.connect(settings(fake, **more), LOCAL)


# --- calls ---


@pytest.mark.parametrize(
    ("status", "answer", "kind", "expected"),
    [
        (200, {"statusCode": 0, "detail": "done"}, Delivered, Verdict.OK),
        (200, {"detail": "done"}, Delivered, Verdict.OK),
        (200, {"statusCode": 12}, Rejected, Verdict.REJECT),
        (200, {"statusCode": 2, "detail": "no"}, Retry, Verdict.RETRY),
        (504, (4, "no reply of the device"), Retry, Verdict.RETRY),
        (404, (5, "device not found"), Retry, Verdict.RETRY),
        (400, (9, "device is not connected"), Retry, Verdict.RETRY),
        (400, (3, "params"), Rejected, Verdict.REJECT),
    ],
)
async def test_what_a_called_device_says_decides(golioth, status, answer, kind, expected):
    """The message is the only parameter; a silent device does not slow the others down."""
    asked = []

    def rpc(*call):
        asked.append(call)
        return status, answer

    golioth.rpc = rpc
    given = settings(golioth, call="rpc", rpc_method="on_event")
    (outcome,) = await deliver(given, message())

    assert [("62b0", "on_event", [{"w": 1}])] == asked
    assert isinstance(outcome, kind)
    assert expected == verdict(outcome)


# --- Test, and refusals ---


async def test_the_test_checks_the_key_lists_devices_and_writes(golioth):
    """What it saw is in the receipt."""
    golioth.add("t", "probe")
    given = settings(golioth, test_device="probe")
    async with golioth_file.TYPE.connect(given, LOCAL) as integration:
        outcome = await integration.test(message(device_key="test", topic="integration.test"))

    assert "project Meters with 2 devices" in outcome.receipt
    assert {"t": {"test": {"w": 1}}} == golioth.state
    assert "GET /v1/projects/my-project" == golioth.calls[0]


@pytest.mark.parametrize(
    ("more", "status"),
    [({"api_key": "wrong"}, 401), ({"api_key": "key-of-another-project"}, 403)],
)
async def test_a_wrong_key_parks(golioth, more, status):
    """Also one that is good elsewhere."""
    (outcome,) = await deliver(settings(golioth, **more), message())

    assert (status, Verdict.PARK) == (outcome.status, verdict(outcome))


async def test_a_missing_project_parks_when_tested(golioth):
    """Test tells it from a missing device."""
    async with _open(golioth, project_id="other") as integration:
        outcome = await integration.test(message())

    assert (_golioth.NO_PROJECT, Verdict.PARK) == (outcome.code, verdict(outcome))


async def test_an_answer_may_be_as_long_as_what_was_written(golioth):
    """Golioth answers with the data: a large message is taken all the same, once."""
    body = json.dumps("ä" * 100_000, ensure_ascii=False).encode()
    (outcome,) = await deliver(settings(golioth), message(body=body))

    assert isinstance(outcome, Delivered)
    assert [body] == golioth.bodies()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"call": "rpc"}, "rpc_method belongs"),
        ({"call": "state_by_tag"}, "tag_id belongs"),
        ({"rpc_method": "x"}, "rpc_method belongs"),
        ({"create_devices": True, "device_match": "id"}, "create_devices needs"),
        ({"base_url": "http://api.example.com"}, "https"),
        ({"path": "{devise}"}, "devise"),
        ({"project_id": "a/b"}, "pattern"),
        ({"api_key": "a\nb"}, "printable"),
    ],
)
def test_wrong_settings_are_told_in_words(given, words):
    """Without the network."""
    with pytest.raises(ValidationError, match=words):
        golioth_file.Settings(**{**BASE, **given})


async def test_no_part_of_a_path_goes_up(golioth):
    """A device called .. does not get out of its place."""
    given = settings(golioth, device_match="id", path="x/{device_key}")
    outcomes = await deliver(given, message(device_key=".."))

    assert isinstance(outcomes[0], Rejected)
    assert [] == golioth.calls
