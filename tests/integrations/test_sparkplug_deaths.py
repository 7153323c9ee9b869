"""Deaths and births of the devices of an edge node, as the hub loses touch with them."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from integrations_counterparts import LOCAL
from mqtt_counterparts import FaultBroker

from listening import listening
from wattwire.delivery.rendering import find_format
from wattwire.formats import sparkplug_b
from wattwire.formats.assembly_maps import MAPS
from wattwire.formats.sparkplug_state import SparkplugHost
from wattwire.formats.sparkplug_topics import parse_topic
from wattwire.formats.sparkplug_values import DataType
from wattwire.integrations import TYPES
from wattwire.integrations._http import Guard
from wattwire.integrations._mqtt_client import open_connection
from wattwire.integrations._paho import Broker
from wattwire.integrations._sparkplug_session import EdgeNode
from wattwire.integrations.contract import Delivered, UnreachableError
from wattwire.model import Event, Message

KIND = TYPES["mqtt"]
NOW = 1_748_781_000_000


def node():
    made = EdgeNode(group="g", name="e", bd_seq=6, historical_after_ms=300_000)
    made.begin(NOW)
    return made


def body(at=NOW, value=1.0):
    metric = sparkplug_b.metric_of(DataType.DOUBLE, value, name="a", timestamp=at)
    return sparkplug_b.encode_payload(sparkplug_b.Payload([metric], at))


def kinds(sent):
    return [parse_topic(topic).message_type for topic, _ in sent]


def payloads(sent):
    return [sparkplug_b.decode_payload(payload) for _, payload in sent]


def test_a_lost_device_dies_once():
    """DDEATH has the next seq, a time and no metric; of a stranger or a dead one there is none."""
    edge = node()
    edge.births(NOW)
    edge.data("m", body(), NOW)
    died = edge.lost("m", NOW + 5, NOW + 9)
    (death,) = payloads(died)

    assert ("spBv1.0/g/DDEATH/e/m", 3, NOW + 9, []) == (
        died[0][0], death.seq, death.timestamp, list(death.metrics),
    )  # fmt: skip
    assert [] == edge.lost("m", NOW + 6, NOW + 10) == edge.lost("stranger", NOW, NOW)


def test_who_is_back_is_born_with_what_was_known():
    """Once; and by its data, when nobody told that it is back."""
    edge = node()
    edge.births(NOW)
    edge.data("m", body(value=7.0), NOW)
    edge.lost("m", NOW + 5, NOW + 5)
    back = edge.found("m", NOW + 9)
    edge.lost("m", NOW + 10, NOW + 10)
    again = edge.data("m", body(NOW + 11), NOW + 11)

    assert (["DBIRTH"], 7.0) == (kinds(back), payloads(back)[0].metrics[0].raw)
    assert ["DBIRTH", "DDATA"] == kinds(again)
    assert [] == edge.found("m", NOW + 12) == edge.found("stranger", NOW + 12)
    assert ["DDATA"] == kinds(edge.data("m", body(NOW + 13), NOW + 13))


def test_a_rebirth_leaves_the_dead_out():
    """Of two devices one is dead: a host that asks hears of the other alone."""
    edge = node()
    edge.births(NOW)
    for device in ("m", "n"):
        edge.data(device, body(), NOW)
    edge.lost("m", NOW + 5, NOW + 5)

    assert ["NBIRTH", "DBIRTH"] == kinds(edge.births(NOW + 6))
    assert "spBv1.0/g/DBIRTH/e/n" == edge.births(NOW + 6)[1][0]


def test_last_words_do_not_raise_the_dead():
    """What was said before the death and comes after it is history, and the death is told again."""
    edge = node()
    edge.births(NOW)
    edge.data("m", body(), NOW)
    edge.lost("m", NOW + 500, NOW + 600)
    words = edge.data("m", body(NOW + 400, 2.0), NOW + 700)
    known = edge.found("m", NOW + 800)

    assert ["DBIRTH", "DDATA", "DDEATH"] == kinds(words)
    assert payloads(words)[1].metrics[0].is_historical
    assert 1.0 == payloads(known)[0].metrics[0].raw


def test_data_may_repeat_their_types():
    """For readers that keep no births; by default they do not."""
    edge = EdgeNode(group="g", name="e", bd_seq=6, historical_after_ms=300_000, typed_data=True)
    silent = node()
    said = [payloads(each.data("m", body(), NOW))[-1].metrics[0] for each in (edge, silent)]

    assert [DataType.DOUBLE, None] == [metric.datatype for metric in said]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["m", "n"]),
            st.sampled_from(["say", "say", "late", "lost", "found", "rebirth"]),
        ),
        max_size=40,
    )
)
def test_a_host_always_knows_who_is_there(changes):
    """Whatever comes and goes in whatever order: a host asks for no rebirth, and is right."""
    edge, host = node(), SparkplugHost()
    alive, seen = {}, {}
    stream = list(edge.births(NOW))
    for number, (device, what) in enumerate(changes):
        now = NOW + number * 1000
        match what:
            case "say" | "late":
                stream += edge.data(device, body(now - 3_600_000 * (what == "late")), now)
                alive[device] = what == "say" or alive.get(device, True)
            case "lost":
                stream += edge.lost(device, now, now)
                alive |= {device: False} if device in alive else {}
            case "found":
                stream += edge.found(device, now)
                alive |= {device: True} if device in alive else {}
            case "rebirth":
                stream += edge.births(now)
        for topic, payload in stream:
            step = host.take(topic, payload, now * 1000)
            assert (None, ()) == (step.refused, step.rebirth)
            seen |= {s.device: s.status for s in step.decoded.statuses}
        stream = []

        assert {d: seen.get(f"g/e/{d}") == "online" for d in alive} == alive


FORM = find_format("sparkplug_b", {"units": True})


def message(number, topic, data):
    event = Event(
        id=UUID(int=number), topic=topic, organization_id=UUID(int=1), time=datetime.now(UTC),
        data=data, device_key="pm-7",
    )  # fmt: skip
    return Message(f"m-{number}", FORM.render(event), FORM.content_type, event=event)


def spoken(number, value):
    return message(number, "device.telemetry", {"values": {"a": value}})


def told(number, status):
    return message(number, "device.status", {"status": status, "was": "x"})


async def test_status_events_over_a_broker(mqtt_broker, onlooker):
    """`device.status` is a death or a birth, never data; there may be nothing to say."""
    settings = KIND.settings(
        broker_url=f"mqtt://127.0.0.1:{mqtt_broker.port}",
        sparkplug={"group": "g", "edge_node": "e"},
    )
    messages = [told(0, "online"), spoken(1, 1.0), told(2, "silent"), told(3, "offline"),
                told(4, "online"), spoken(5, 2.0)]  # fmt: skip
    async with KIND.connect(settings, LOCAL) as integration:
        outcomes = await integration.deliver(messages)
        seen = onlooker.messages()

    assert ["NBIRTH", "DBIRTH", "DDATA", "DDEATH", "DBIRTH", "DDATA"] == kinds(
        [(s.topic, s.payload) for s in seen]
    )
    assert list(range(6)) == [p.seq for p in payloads([(s.topic, s.payload) for s in seen])]
    assert [
        "nothing to say", "DDATA, seq 2", "DDEATH, seq 3", "nothing to say", "DBIRTH, seq 4",
        "DDATA, seq 5",
    ] == [outcomes[m.id].receipt for m in messages]  # fmt: skip
    assert all(isinstance(outcome, Delivered) for outcome in outcomes.values())


def test_units_of_a_power_monitor():
    """Every metric of the manual's map has its unit: `engUnit` in protobuf, `unit` in JSON."""
    units = MAPS["ab-pm500-manual-full"].units
    event = Event(
        id=UUID(int=1), topic="device.telemetry", organization_id=UUID(int=1),
        time=datetime.now(UTC), data={"values": dict.fromkeys(units, 1.0)},
    )  # fmt: skip
    metrics = sparkplug_b.decode_payload(FORM.render(event)).metrics
    in_json = json.loads(find_format("sparkplug_json", {}).render(event))["metrics"]

    assert dict(units) == {m.name: m.properties.get("engUnit", "") for m in metrics}
    assert dict(units) == {m["name"]: m.get("properties", {}).get("unit", "") for m in in_json}


async def test_nothing_overtakes_while_the_connection_opens(mqtt_broker, onlooker):
    """Calls that begin before, while and after it opens: their data leave in the calls' order."""
    settings = KIND.settings(
        broker_url=f"mqtt://127.0.0.1:{mqtt_broker.port}",
        sparkplug={"group": "g", "edge_node": "e"},
    )
    calls = []
    async with KIND.connect(settings, LOCAL) as integration:
        while integration._connection is None or len(calls) < 3:
            calls.append(asyncio.create_task(integration.deliver([spoken(len(calls), 1.0)])))
            await asyncio.sleep(0)  # one turn of the event loop: one of them hits the moment
        answers = [await call for call in calls]
        seen = onlooker.messages()
    receipts = [outcome.receipt for answer in answers for outcome in answer.values()]

    assert [f"DDATA, seq {(n + 2) % 256}" for n in range(len(calls))] == receipts
    assert not any(p.metrics[0].is_historical for p in payloads((s.topic, s.payload) for s in seen))


async def test_an_attempt_that_reached_nobody_is_no_session(start_broker):
    """bdSeq counts what was said to a broker, not what was tried while it was away."""
    broker = await start_broker()
    settings = KIND.settings(
        broker_url=f"mqtt://127.0.0.1:{broker.port}", sparkplug={"group": "g", "edge_node": "e"}
    )
    async with KIND.connect(settings, LOCAL) as integration:
        await integration.deliver([spoken(0, 1.0)])
        first = integration._edge._node.bd_seq
        broker.kill()
        while integration._connection.alive:
            await asyncio.sleep(0.01)
        for number in range(1, 4):
            with pytest.raises(UnreachableError):
                await integration.deliver([spoken(number, 1.0)])
        await broker.start()
        await integration.deliver([spoken(4, 1.0)])

    assert (first + 1) % 256 == integration._edge._node.bd_seq


async def test_what_was_not_sent_is_thrown_away_with_the_connection():
    """Data of a lost session must not reach a broker behind the births of the next one."""
    go_on = asyncio.Event()
    came = asyncio.get_running_loop().create_future()

    async def serve(reader, writer):
        await reader.read(100)
        writer.write(b"\x20\x03\x00\x00\x00")  # CONNACK of version 5
        await go_on.wait()  # reads no more: its buffers and ours run full
        try:
            while await reader.read(65_536):
                pass
            came.set_result("all of it, and a FIN")
        except ConnectionResetError:
            came.set_result("reset")

    async with listening(serve) as port:
        broker = Broker("127.0.0.1", port, "c")
        connection = await open_connection(broker, Guard(LOCAL.allowed_networks))
        connection.publish("t", bytes(16_000_000), qos=0)
        connection.drop()
        go_on.set()

        assert "reset" == await asyncio.wait_for(came, 10)


async def test_a_trial_leaves_the_session_alone(mqtt_broker, onlooker):
    """Test connects and subscribes; the node at work is neither born anew nor said to be dead."""
    settings = KIND.settings(
        broker_url=f"mqtt://127.0.0.1:{mqtt_broker.port}",
        sparkplug={"group": "g", "edge_node": "e"},
    )
    async with KIND.connect(settings, LOCAL) as at_work, KIND.connect(settings, LOCAL) as trial:
        await at_work.deliver([spoken(0, 1.0)])
        outcome = await trial.test(spoken(1, 2.0))
        await at_work.deliver([spoken(2, 3.0)])
        seen = onlooker.messages()

    assert isinstance(outcome, Delivered)
    assert "nothing published" in outcome.receipt
    assert ["NBIRTH", "DBIRTH", "DDATA", "DDATA"] == kinds([(s.topic, s.payload) for s in seen])


async def test_a_trial_that_may_not_listen():
    """Without the right to subscribe a trial fails as the work would."""
    fault = FaultBroker()
    fault.granted = 0x80
    async with fault.serving() as url:
        settings = KIND.settings(broker_url=url, sparkplug={"group": "g", "edge_node": "e"})
        async with KIND.connect(settings, LOCAL) as integration:
            outcome = await integration.test(spoken(0, 1.0))

    assert "subscription" == outcome.code
