"""MQTT: a real Mosquitto in both versions."""

import asyncio
import signal
import subprocess
from dataclasses import replace

import pytest
from integrations_counterparts import LOCAL
from mqtt_counterparts import Onlooker, websocket_relay
from mqtt_sending import (
    KIND,
    ORGANIZATION,
    VERSIONS,
    deliver,
    delivered,
    message,
    messages,
    settings,
    verdict,
)

from wattwire.delivery.rendering import find_format
from wattwire.formats import sparkplug_json
from wattwire.integrations.contract import (
    UNREACHABLE,
    Rejected,
    UnreachableError,
    Verdict,
)
from wattwire.model import Message


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_messages_arrive(mqtt_broker, onlooker, version, qos):
    """In both versions and all three qualities: each once, in order, with a receipt."""
    outcomes = await deliver(settings(mqtt_broker, version=version, qos=qos), messages(100))
    seen = onlooker.messages()

    assert [m.body for m in messages(100)] == [s.payload for s in seen]
    assert {(f"netneural/{ORGANIZATION}/devices/meter-1/telemetry", qos, False)} == {
        (s.topic, s.qos, s.retain) for s in seen
    }
    assert 100 == len(delivered(outcomes))
    expected = "QoS 0, read by the broker" if qos == 0 else "packet 1, Success"
    assert expected == outcomes["m-0"].receipt


async def test_many_calls_at_once(mqtt_broker, onlooker):
    """Five batches on one connection, more than the broker's window takes at QoS 2."""
    async with KIND.connect(settings(mqtt_broker, qos=2), LOCAL) as integration:
        batches = [messages(500)[n : n + 100] for n in range(0, 500, 100)]
        found = await asyncio.gather(*(integration.deliver(batch) for batch in batches))

    assert 500 == sum(len(delivered(outcomes)) for outcomes in found)
    assert 500 == len(onlooker.messages())


async def test_what_version_5_says_beside_the_body(mqtt_broker, onlooker):
    """Message id and topic as user properties, content type, and for how long it is of use."""
    await deliver(settings(mqtt_broker, message_expiry_seconds=600), messages(1))
    said = onlooker.messages()[0].properties

    assert [("message_id", "m-0"), ("topic", "device.telemetry")] == said.UserProperty
    assert ("application/json", True) == (said.ContentType, 590 < said.MessageExpiryInterval <= 600)


async def test_topics_are_made_of_the_event(mqtt_broker, onlooker):
    """A device cannot leave its place; a message that has none is rejected, the others go."""
    given = settings(mqtt_broker, topic="plant/{device_key}/{event}")
    outcomes = await deliver(given, [message(1, "a/b"), message(2, ""), message(3, "c+#")])

    assert {"m-1", "m-3"} == delivered(outcomes)
    assert isinstance(outcomes["m-2"], Rejected)
    assert ["plant/a%2Fb/telemetry", "plant/c%2B%23/telemetry"] == [
        s.topic for s in onlooker.messages()
    ]


async def test_sparkplug_json_on_its_topic(mqtt_broker, onlooker):
    """The PowerMonitor 500 flow's payload where its consumers listen (spBv1.0/pm500/#)."""
    form = find_format("sparkplug_json")
    event = replace(message(1).event, data={"values": {"voltageAN": 480.2, "realPower": 4.2}})
    event = replace(event, device_key="pm-7", metadata={"uuid": "asset-7"})
    given = settings(mqtt_broker, topic="spBv1.0/pm500/DDATA/edge-1/{device_key}")
    await deliver(given, [Message("m-1", form.render(event), form.content_type, event=event)])
    seen = onlooker.messages()[0]
    reading = sparkplug_json.decode(seen.topic, seen.payload, 0).readings[0]

    assert "spBv1.0/pm500/DDATA/edge-1/pm-7" == seen.topic
    assert ("asset-7", [("voltageAN", "V"), ("realPower", "kW")], [480.2, 4.2]) == (
        reading.shape.device,
        [(channel.name, channel.unit) for channel in reading.shape.channels],
        list(reading.values),
    )


async def test_retained(mqtt_broker):
    """Who subscribes later still sees the last one."""
    await deliver(settings(mqtt_broker, retain=True), messages(3))
    late = Onlooker(mqtt_broker.port)
    seen = late.messages()
    late.close()

    assert [(b'{"n": 2}', True)] == [(s.payload, s.retain) for s in seen]


async def test_the_will(mqtt_broker, onlooker):
    """Published when the connection is cut, not when it ends with a goodbye."""
    given = settings(mqtt_broker, will={"topic": "hub/state", "payload": "gone", "qos": 2})
    async with KIND.connect(given, LOCAL) as integration:
        await integration.deliver(messages(1))
    goodbye = onlooker.messages()
    async with KIND.connect(given, LOCAL) as integration:
        await integration.deliver(messages(1))
        integration._connection.drop()
        seen = await onlooker.until(lambda seen: any(s.topic == "hub/state" for s in seen))

    assert "hub/state" not in {s.topic for s in goodbye}
    assert [(b"gone", 2)] == [(s.payload, s.qos) for s in seen if s.topic == "hub/state"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_credentials(start_broker, tmp_path, version):
    """A wrong password pauses the integration; the right one gets through."""
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "hub", "right"], check=True)
    broker = await start_broker(f"password_file {users}", anonymous=False)
    login = {"version": version, "username": "hub"}
    wrong = await deliver(settings(broker, **login, password="wrong"), messages(3))
    nobody = await deliver(settings(broker, version=version), messages(3))
    right = await deliver(settings(broker, **login, password="right"), messages(3))

    assert {Verdict.PARK} == {verdict(o) for o in (*wrong.values(), *nobody.values())}
    assert "0x87" == wrong["m-0"].code
    assert 3 == len(delivered(right))


async def test_a_topic_that_is_forbidden(start_broker, tmp_path):
    """MQTT 5 says so for each message: that one pauses, the allowed one was delivered."""
    rules = tmp_path / "rules"
    rules.write_text("topic write plant/good/#\n")
    broker = await start_broker(f"acl_file {rules}")
    given = settings(broker, topic="plant/{device_key}/x")
    outcomes = await deliver(given, [message(1, "good"), message(2, "bad")])

    assert {"m-1"} == delivered(outcomes)
    assert ("0x87", Verdict.PARK) == (outcomes["m-2"].code, verdict(outcomes["m-2"]))


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_broker_that_is_killed(start_broker, version):
    """Unconfirmed messages are unreachable, and the next call makes a new connection."""
    broker = await start_broker()
    async with KIND.connect(settings(broker, version=version), LOCAL) as integration:
        before = await integration.deliver(messages(5))
        broker.signal(signal.SIGSTOP)
        under_way = asyncio.create_task(integration.deliver(messages(50)))
        await asyncio.sleep(0)
        while not integration._connection._waiting:
            await asyncio.sleep(0)
        broker.kill()
        during = await under_way
        with pytest.raises(UnreachableError, match="Connect"):
            await integration.deliver(messages(5))
        await broker.start()
        after = await integration.deliver(messages(5))

    assert 5 == len(delivered(before)) == len(delivered(after))
    assert {(UNREACHABLE, Verdict.DOWN)} == {(o.code, verdict(o)) for o in during.values()}


@pytest.mark.parametrize("version", VERSIONS)
async def test_websockets(mqtt_broker, onlooker, version):
    """The same over a WebSocket, which is what passes through proxies."""
    async with websocket_relay(mqtt_broker.port) as url:
        given = KIND.settings(broker_url=url, version=version)
        outcomes = await deliver(given, messages(100))

    assert 100 == len(delivered(outcomes)) == len(onlooker.messages())


async def test_a_websocket_that_is_none(inbox):
    """A web server that knows no WebSocket is not a broker."""
    url = inbox.url.replace("http", "ws")
    with pytest.raises(UnreachableError, match="cannot connect"):
        await deliver(KIND.settings(broker_url=f"{url}/mqtt"), messages(1))
